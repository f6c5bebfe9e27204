"""The routes that OpenAI's speech clients know: ``/v1/audio/speech`` and ``/v1/models``.

They submit to the same queue as every tab and script.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from anyio import CancelScope, to_thread
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from engines.base import Availability, Engine, InvalidParams, NotReady, StudioError, Task
from engines.studio import Studio
from engines.studio.runner import ENDED
from engines.studio.settings import VERSION
from storage import Embedded, JobRow, StorageError
from tabs.http.encode import MEDIA_TYPES, STREAMED, SpeechFormat, encoded, encoder, import_encoders
from tabs.http.guard import USER
from tabs.http.streaming import ClientGone, JobStream, chunks, events, pieces
from tabs.http.waiting import require_done, wait_for
from tabs.http.wishes import TEXT_KNOBS, speech_settings, voices

ALIASES = ("tts-1", "tts-1-hd")
# names that OpenAI's clients send unasked; they mean the engine's own default voice here
OPENAI_VOICES = {
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
}  # fmt: skip
STATUS_CLOSED = 499


class ApiError(Exception):
    """An answer in OpenAI's error shape."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None):
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def response(self) -> JSONResponse:
        """The answer itself."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status)


class SpeechRequest(BaseModel):
    """Body of ``POST /v1/audio/speech``."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        max_length=200, description="Engine id, or tts-1 for the first speech engine that is ready."
    )
    input: str = Field(description="Text to speak.")
    voice: str = Field(
        "default",
        max_length=200,
        description="Voice of the engine. default, and OpenAI's own names, are its default voice.",
    )
    response_format: SpeechFormat = Field(
        SpeechFormat.MP3, description="pcm is 24 kHz, mono, 16 bit, little endian."
    )
    speed: float = Field(1.0, ge=0.25, le=4.0, description="1 is the engine's normal speed.")
    instructions: str = Field("", description="How to speak, for engines that take directions.")
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="audio: the bytes themselves. sse: events with the bytes in base64."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Any other parameter of the engine, by its own name."
    )


class Model(BaseModel):
    """An engine as OpenAI's clients list it."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "amphion-studio"
    title: str
    task: str
    state: Availability


class Models(BaseModel):
    """All engines."""

    object: Literal["list"] = "list"
    data: list[Model]


def json_only(request: Request) -> None:
    """Refuse bodies that a foreign page could send without asking this server first."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "Send JSON with 'Content-Type: application/json'.", "content_type")


# a 4xx answer stands for each of these in the OpenAPI schema
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": text}
    for code, text in {
        400: "A parameter is wrong; `error.param` names it.",
        401: "No valid key.",
        404: "No such model.",
        429: "Too many requests for this key; see Retry-After.",
        503: "The engine's weights or packages are not here yet.",
    }.items()
}


def router(studio: Studio) -> APIRouter:
    """The routes under ``/v1``; their errors are ``ApiError``."""
    routes = APIRouter(prefix="/v1", tags=["OpenAI compatible"], responses=PROBLEMS)

    @routes.get("/models", summary="List the engines that can run now")
    def models() -> Models:
        return Models(data=[_model(e) for e in studio.engines() if _is_ready(e)])

    @routes.get("/models/{model}", summary="One engine")
    def model(model: Annotated[str, Path(max_length=200)]) -> Model:
        return _model(_engine(studio, model))

    @routes.post(
        "/audio/speech",
        summary="Speak a text",
        response_class=Response,
        responses={200: {"content": {"audio/mpeg": {}, "audio/wav": {}, "text/event-stream": {}}}},
        dependencies=[Depends(json_only)],
    )
    async def speech(body: SpeechRequest, request: Request) -> Response:
        return await _speak(studio, body, request)

    @routes.api_route("/{path:path}", methods=["GET", "POST"], include_in_schema=False)
    def unknown(path: str) -> Response:
        raise ApiError(404, f"There is no /v1/{path}; see /openapi.json.", "not_found")

    return routes


async def _speak(studio: Studio, body: SpeechRequest, request: Request) -> Response:
    user = request.scope.get(USER)
    job = await to_thread.run_sync(_submit, studio, body, user.name if user else "")
    answered = False
    try:
        if body.response_format in STREAMED:
            answer = await _stream(studio, job, body, request)
        else:
            answer = await _whole(studio, job, body, request)
        answered = True
    except ClientGone:
        return Response(status_code=STATUS_CLOSED)
    except (StudioError, StorageError) as error:
        raise ApiError(500, str(error), "job_failed") from error
    finally:  # also when the server stops this request
        if not answered:
            with CancelScope(shield=True):
                await to_thread.run_sync(studio.cancel, job.id)
    return answer


async def _stream(studio: Studio, job: JobRow, body: SpeechRequest, request: Request) -> Response:
    """The answer once its first piece is there; the others follow as they are made."""
    following = pieces(studio, job.id, request.is_disconnected)
    await to_thread.run_sync(import_encoders)  # while the first piece is made
    first = await anext(following)
    settings, seed = job.settings, job.settings.get("seed")
    tags = Embedded(
        engine=job.engine, settings=settings, seed=seed, text=body.input, app_version=VERSION
    )
    coded = await to_thread.run_sync(
        encoder, body.response_format, first.sample_rate, len(first.samples), tags
    )
    content = chunks(first, following, coded)
    return _sent(studio, job, body, content, first.clip_id)


async def _whole(studio: Studio, job: JobRow, body: SpeechRequest, request: Request) -> Response:
    """The answer when the clip is stored."""
    ended = await wait_for(studio, job.id, gone=request.is_disconnected)
    if ended.state not in ENDED:
        raise ClientGone
    clip = await to_thread.run_sync(studio.clip, require_done(ended).clip_ids[0])

    async def content() -> AsyncIterator[bytes]:
        yield await to_thread.run_sync(encoded, studio, clip, body.response_format)

    return _sent(studio, job, body, content(), clip.id)


def _sent(
    studio: Studio, job: JobRow, body: SpeechRequest, content: AsyncIterator[bytes], clip_id: str
) -> Response:
    headers = {"X-Job-Id": job.id, "X-Clip-Id": clip_id, "Cache-Control": "no-store"}
    if body.stream_format == "sse":
        media_type, content = "text/event-stream", events(content)
    else:
        media_type = MEDIA_TYPES[body.response_format]
    return JobStream(studio, job, content, headers=headers, media_type=media_type)


def _submit(studio: Studio, body: SpeechRequest, owner: str) -> JobRow:
    engine = _engine(studio, body.model)
    if engine.card.task is not Task.TTS:
        raise ApiError(400, f"{body.model} makes no speech.", "wrong_task", "model")
    foreign = body.voice in OPENAI_VOICES and body.voice not in voices(engine)
    voice = "default" if foreign else body.voice
    try:
        wishes = speech_settings(engine, body.input, voice, body.speed, body.instructions)
        return studio.submit(engine.card.id, body.settings | wishes, owner)
    except NotReady as error:
        raise ApiError(503, str(error), "not_ready", "model") from error
    except (StudioError, StorageError) as error:
        field = error.field if isinstance(error, StudioError) else None
        message = (
            error.problems[field] if isinstance(error, InvalidParams) and field else str(error)
        )
        param = "input" if field in TEXT_KNOBS else field
        raise ApiError(400, message, "invalid_value", param) from error


def _engine(studio: Studio, model: str) -> Engine:
    if model in ALIASES:
        ready = next((e for e in studio.engines(Task.TTS) if _is_ready(e)), None)
        if ready is None:
            raise ApiError(503, "No speech engine is ready; see Models.", "not_ready", "model")
        return ready
    try:
        return studio.engine(model)
    except StudioError as error:
        raise ApiError(404, str(error), "model_not_found", "model") from error


def _is_ready(engine: Engine) -> bool:
    return engine.availability() is Availability.READY


def _model(engine: Engine) -> Model:
    card = engine.card
    return Model(id=card.id, title=card.title, task=card.task, state=engine.availability())
