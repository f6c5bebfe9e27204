"""The engine of every codec: a sound or a token file in; the sound as its tokens tell it out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import (
    AudioFile,
    Clip,
    Device,
    Engine,
    Job,
    Media,
    Params,
    Report,
    StudioError,
    Weights,
)
from engines.codec.frames import FrameCodec
from engines.parts import token_file
from engines.parts.frame_windows import read_resampled
from engines.parts.published import folder_of, reading
from engines.parts.references import LONGEST_SOURCE_S, check_length
from engines.parts.token_statistics import bitrate_bps, statistics

MOST_CODEBOOKS = 32
LONGEST_CODES = 1 << 22  # bytes of codes that stay in a sound's file

TokenFile = Annotated[Path, Media("tokens")]


class CodecParams(Params):
    """Parameters of one round trip."""

    source: AudioFile | None = Field(
        None,
        title="Sound",
        description="A sound to encode and decode again. Leave it empty to decode a token file.",
    )
    tokens: TokenFile | None = Field(
        None,
        title="Token file",
        description="Tokens that this codec made before, to decode in place of a sound.",
    )
    codebooks: int = Field(
        0,
        ge=0,
        le=MOST_CODEBOOKS,
        title="Codebooks",
        description="How many codebooks are decoded: fewer take fewer bits and sound worse; 0 takes all.",
        json_schema_extra={"step": 1},
    )


class CodecEngine(Engine):
    """Windows, exact lengths, tokens and statistics for each codec; subclasses ``open`` their network."""

    Params = CodecParams
    counts: ClassVar[Mapping[str, int]] = {}  # codebooks of published weights, by id

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._name = ""
        self._codec: FrameCodec | None = None

    @abstractmethod
    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The network of ``weights``, whose files are in ``folder``."""

    def chosen(self, params: Any) -> str:
        """The id of the weights that ``params`` asks for; empty for the first."""
        return str(getattr(params, "model", ""))

    def weights_for(self, params: Any) -> Weights:
        """The weights that ``params`` names."""
        available = list(self.weights())
        name = self.chosen(params)
        return next((each for each in available if each.id == name), available[0])

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for no input or two, another codec's tokens, or too many codebooks."""
        if (params.source is None) == (params.tokens is None):
            wrong = "Both are given" if params.source else "Nothing is given"
            raise StudioError(f"{wrong}: choose a sound, or a token file of this codec.", "source")
        weights = self.weights_for(params)
        if params.source is not None:
            check_length(params.source, "source", shortest_s=0.0, longest_s=LONGEST_SOURCE_S)
            self._enough(params.codebooks, self.counts.get(weights.id, MOST_CODEBOOKS), weights)
        else:
            self._own_tokens(params, weights)

    def _enough(self, asked: int, count: int, weights: Weights) -> int:
        if asked > count:
            raise StudioError(
                f"{weights.title} has {count} codebooks, and {asked} are asked for.", "codebooks"
            )
        return asked or count

    def _own_tokens(self, params: Any, weights: Weights) -> token_file.Tokens:
        found = token_file.read(params.tokens)
        if (found.codec, found.weights) != (self.card.id, weights.id):
            raise StudioError(
                f"{params.tokens.name} holds tokens of {found.weights} ({found.codec}), and "
                f"{weights.id} can't decode them. Choose that codec, or another file.",
                "tokens",
            )
        return found.first(self._enough(params.codebooks, len(found.codes), weights))

    # loading

    def load(self, device: Device, params: Any = None) -> None:
        """Load the codec that ``params`` asks for; the one before is forgotten."""
        weights = self.weights_for(params or self.Params())
        if self._name == weights.id:
            return
        folder = self.folder(weights)
        self.unload()
        import torch

        torch.set_num_threads(device.threads)
        with reading(weights.title):
            self._codec = self.open(weights, folder, device)
        self._name = weights.id

    def folder(self, weights: Weights) -> Path:
        """Where the files of ``weights`` are."""
        return folder_of(self.cache, weights)

    def unload(self) -> None:
        """Forget the network."""
        self._name, self._codec = "", None

    # running

    def run(self, params: Any, job: Job) -> Iterator[Clip | Report]:
        """The sound that is decoded, emitted piece by piece, then the numbers of its tokens."""
        codec, weights = self._codec, self.weights_for(params)
        assert codec is not None, "load comes first"
        if params.tokens is not None:
            tokens = self._own_tokens(params, weights)
            if tokens.sizes != tuple(codec.sizes[: len(tokens.sizes)]) or tokens.hop != codec.hop:
                raise StudioError("The tokens are of another version of this codec.", "tokens")
        else:
            tokens = self._encoded(codec, weights, params, job)
        pieces = []
        for piece in codec.decoded(
            tokens.codes, tokens.extra, tokens.samples, _tick(job, "Decoding", 0.5)
        ):
            piece = np.clip(piece, -1, 1).astype(np.float32)
            piece = piece[0] if codec.channels == 1 else piece
            pieces.append(piece)
            job.emit(piece, codec.rate)
        job.progress(1, 1)
        samples = np.concatenate(pieces, axis=-1)
        rate = bitrate_bps(tokens.sizes, tokens.frame_rate)
        title = f"{weights.title}, {len(tokens.sizes)} codebooks, {rate / 1000:.2f} kbit/s"
        revision = self.cache.revision(weights) if weights.repo else ""
        yield Clip(samples, codec.rate, title=title, revision=revision, codes=_kept(tokens))
        yield report(tokens)

    def _encoded(
        self, codec: FrameCodec, weights: Weights, params: Any, job: Job
    ) -> token_file.Tokens:
        count = self._enough(params.codebooks, len(codec.sizes), weights)
        samples = read_resampled(params.source, codec.rate, codec.channels)
        codes, extra = codec.encoded(samples, count, _tick(job, "Encoding", 0.0))
        sizes = tuple(codec.sizes[:count])
        return token_file.Tokens(
            self.card.id, weights.id, codes, sizes, codec.rate, codec.hop, samples.shape[-1], extra
        )


def _tick(job: Job, note: str, start: float) -> Any:
    """Progress of one half of a round trip; raises when the job was cancelled."""

    def tick(done: float, total: float) -> None:
        job.check()
        job.progress(start + 0.5 * done / max(total, 1), 1, note)

    return tick


def _kept(tokens: token_file.Tokens) -> str:
    """The tokens as text, where they are few enough to stay in the sound's file."""
    text = token_file.to_text(tokens) if tokens.codes.size < LONGEST_CODES else ""
    return text if len(text) <= LONGEST_CODES else ""


def report(tokens: token_file.Tokens) -> Report:
    """Bitrate and the statistics of each codebook."""
    rows = statistics(tokens.codes, tokens.sizes, tokens.frame_rate)
    return Report(
        {
            "codec": tokens.weights,
            "codebooks": len(rows),
            "frames": int(tokens.codes.shape[1]),
            "frames/s": round(tokens.frame_rate, 3),
            "tokens/s": round(tokens.frame_rate * len(rows), 2),
            "bitrate, bit/s": round(sum(row.bitrate_bps for row in rows), 1),
            "entropy, bit/s": round(sum(row.entropy_bps for row in rows), 1),
        },
        [
            {
                "codebook": row.codebook,
                "entries": row.size,
                "used": row.used,
                "use": round(row.use, 4),
                "entropy, bit": round(row.entropy_bits, 3),
                "bitrate, bit/s": round(row.bitrate_bps, 1),
            }
            for row in rows
        ],
    )
