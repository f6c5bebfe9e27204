"""A job's sound, sent while it is made.

Nothing here holds a thread while it waits: a stream may last for minutes, and many may be open.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.runner import ENDED
from storage import JobRow, StorageError
from tabs.http.encode import Encoder
from tabs.http.waiting import require_done

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

LOOK_S = 0.03
LOOK_AT_STORE_S = 0.5


class ClientGone(Exception):
    """Nobody is there any more to whom the answer could go."""


@dataclass(frozen=True)
class Piece:
    """A finished piece of the sound of the clip ``clip_id``: float samples ``(C, T)`` at a rate in Hz."""

    samples: np.ndarray
    sample_rate: int
    clip_id: str


async def pieces(
    studio: Studio, job_id: str, gone: Callable[[], Awaitable[bool]]
) -> AsyncIterator[Piece]:
    """The pieces of a job's first clip as they become ready; joined, they are that clip.

    Raises the job's error as ``StudioError``: before the first piece, if the job has failed by then.
    ``gone`` is asked until the first piece is there; raises ``ClientGone`` when it says true.
    """
    import numpy as np

    ready: list[np.ndarray] = []
    seen = frames = 0
    clip_id, unseen_s = "", 0.0
    while True:
        live, ended = studio.runner.live(job_id), False
        if live is not None:
            # the runner forgets the pieces of ended jobs by replacing the list, so it is kept here
            ended, ready, clip_id = live.finished, live.pieces or ready, live.clip_id
        elif (unseen_s := unseen_s + LOOK_S) >= LOOK_AT_STORE_S:
            ended, unseen_s = await _has_ended(studio, job_id), 0.0
        if ended and not seen:
            require_done(await to_thread.run_sync(studio.job, job_id))
        for samples in ready[seen:]:
            assert live is not None
            seen, piece = seen + 1, np.atleast_2d(samples)
            frames += piece.shape[1]
            yield Piece(piece, live.sample_rate, clip_id)
        if ended:
            break
        if not seen and await gone():
            raise ClientGone
        await anyio.sleep(LOOK_S)
    rest = await to_thread.run_sync(_rest, studio, job_id, frames)
    if rest is not None:
        yield rest


async def _has_ended(studio: Studio, job_id: str) -> bool:
    return (await to_thread.run_sync(studio.job, job_id)).state in ENDED


def _rest(studio: Studio, job_id: str, frames: int) -> Piece | None:
    """What the stored clip has after ``frames``: all of it, when its engine makes no pieces."""
    import soundfile

    clip = studio.clip(require_done(studio.job(job_id)).clip_ids[0])
    with soundfile.SoundFile(clip.path) as file:
        if frames >= file.frames:
            return None
        file.seek(frames)
        samples = file.read(dtype="float32", always_2d=True).T
        return Piece(samples, file.samplerate, clip.id)


async def chunks(
    first: Piece, following: AsyncIterator[Piece], encoder: Encoder
) -> AsyncIterator[bytes]:
    """The encoded sound, in bytes that can be sent at once."""
    content = await to_thread.run_sync(encoder.feed, first.samples)
    if content:
        yield content
    async for piece in following:
        content = await to_thread.run_sync(encoder.feed, piece.samples)
        if content:
            yield content
    content = await to_thread.run_sync(encoder.feed, first.samples[:, :0], True)
    if content:
        yield content


async def events(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``content`` as OpenAI's server-sent events; an error in the middle is an event too."""
    try:
        async for chunk in content:
            audio = base64.b64encode(chunk).decode("ascii")
            yield event({"type": "speech.audio.delta", "audio": audio})
    except (StudioError, StorageError) as error:
        told = {"message": str(error), "type": "server_error", "param": None, "code": "job_failed"}
        yield event({"type": "error", "error": told})
        return
    # nothing is counted in tokens here, but clients read the field
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    yield event({"type": "speech.audio.done", "usage": usage})


def event(value: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(value)}\n\n".encode()


class JobStream(StreamingResponse):
    """An answer that is made while it is sent, and cancels its job when it is not sent to its end.

    When the job fails in the middle the connection is closed without the mark of its end, so that
    a client doesn't take a part for the whole.
    """

    def __init__(self, studio: Studio, job: JobRow, content: AsyncIterator[bytes], **kwargs: Any):
        super().__init__(content, **kwargs)
        self._studio = studio
        self._job = job
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; whatever ends it early ends the job."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._ended:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self._studio.cancel, self._job.id)

    async def stream_response(self, send: Send) -> None:
        """Send the head and the content."""
        try:
            await super().stream_response(send)
        except (StudioError, StorageError) as error:
            log.warning("the answer of job %s breaks off: %s", self._job.id, error)
        self._ended = True
