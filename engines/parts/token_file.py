"""Audio tokens as a small file: a line of JSON that says what they are, and the codes, deflated.

The line names the version, the codec, the shape and a SHA-256 of all that follows, so that a file that
was cut, changed or made by another codec is known as such. Nothing in it is executed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import StudioError

FORMAT, VERSION = "amphion-tokens", 1
SUFFIX = ".tokens"
HEADER_BYTES = 65_536
LARGEST_BYTES = 1 << 28  # of codes and side information, unpacked
TEXT_PREFIX = f"{FORMAT} "


@dataclass(frozen=True)
class Tokens:
    """Codes int64 ``(K, T)`` of one sound and what decodes them.

    ``codec`` and ``weights`` are the ids of engine and weights. ``samples`` is the exact length of the
    sound at ``sample_rate``, ``hop`` the samples of a frame. ``extra`` holds float32 arrays that belong
    to the codes, such as a timbre.
    """

    codec: str
    weights: str
    codes: np.ndarray
    sizes: tuple[int, ...]
    sample_rate: int
    hop: int
    samples: int
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    def first(self, codebooks: int) -> Tokens:
        """The same with the first ``codebooks`` alone."""
        return replace(self, codes=self.codes[:codebooks], sizes=self.sizes[:codebooks])

    def cut(self, start: int, end: int) -> Tokens:
        """Frames ``start`` to ``end``, the latter left out."""
        codes = self.codes[:, start:end]
        if not codes.shape[1]:
            raise StudioError(
                f"There are no frames from {start} to {end}: the tokens have {self.codes.shape[1]}.",
                "tokens",
            )
        left = self.samples - max(0, start) * self.hop
        return replace(self, codes=codes, samples=min(codes.shape[1] * self.hop, left))


def spliced(first: Tokens, second: Tokens) -> Tokens:
    """``second`` after ``first``, in the codebooks that both have; raises ``StudioError`` where their
    codecs differ. The side information is that of ``first``."""
    if (first.codec, first.weights) != (second.codec, second.weights):
        raise StudioError(
            f"Tokens of {first.weights} and of {second.weights} can't be joined: choose two of one "
            "codec.",
            "tokens",
        )
    count = min(len(first.codes), len(second.codes))
    first = first.first(count)
    codes = np.concatenate([first.codes, second.codes[:count]], axis=1)
    # the first sound is played to the end of its last frame
    samples = first.codes.shape[1] * first.hop + second.samples
    return replace(first, codes=codes, samples=samples)


def to_bytes(tokens: Tokens) -> bytes:
    """The file."""
    width = "<u2" if max(tokens.sizes) <= 2**16 else "<u4"
    arrays = [np.ascontiguousarray(tokens.codes.T, width)]
    arrays += [np.ascontiguousarray(value, "<f4") for value in tokens.extra.values()]
    plain = b"".join(array.tobytes() for array in arrays)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "codec": tokens.codec,
        "weights": tokens.weights,
        "sample_rate": tokens.sample_rate,
        "hop": tokens.hop,
        "samples": tokens.samples,
        "shape": list(tokens.codes.shape),
        "sizes": list(tokens.sizes),
        "extra": {name: list(value.shape) for name, value in tokens.extra.items()},
        "sha256": hashlib.sha256(plain).hexdigest(),
    }
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + zlib.compress(plain, 9)


def from_bytes(content: bytes, name: str = "The file") -> Tokens:
    """The tokens of a file; raises ``StudioError`` naming what is wrong with it."""
    line, newline, packed = content[:HEADER_BYTES].partition(b"\n")
    if not newline:
        raise _refused(name, "its first line is not the description of tokens")
    header = _header(line, name)
    packed = content[len(line) + 1 :]
    try:
        codebooks, frames = (int(size) for size in header["shape"])
        sizes = tuple(int(size) for size in header["sizes"])
        rate, hop, samples = (int(header[key]) for key in ("sample_rate", "hop", "samples"))
        shapes = {
            str(key): tuple(int(size) for size in shape) for key, shape in header["extra"].items()
        }
        codec, weights, digest = (str(header[key]) for key in ("codec", "weights", "sha256"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refused(name, f"its description lacks or spoils {error}") from error
    numbers = [
        codebooks,
        frames,
        *sizes,
        rate,
        hop,
        samples,
        *(n for s in shapes.values() for n in s),
    ]
    if len(sizes) != codebooks or min(numbers) < 1 or samples > frames * hop:
        raise _refused(name, "its shape, codebooks and length don't agree")
    width = np.dtype("<u2" if max(sizes) <= 2**16 else "<u4")
    lengths = [width.itemsize * codebooks * frames, *(4 * math.prod(s) for s in shapes.values())]
    plain = _unpacked(packed, sum(lengths), name)
    if hashlib.sha256(plain).hexdigest() != digest:
        raise _refused(name, "its checksum is wrong: it was changed or damaged")
    codes = np.frombuffer(plain, width, codebooks * frames).reshape(frames, codebooks).T
    if (codes.max(axis=1) >= np.array(sizes)).any():
        raise _refused(name, "it holds codes beyond the size of their codebook")
    extra, at = {}, lengths[0]
    for (key, shape), length in zip(shapes.items(), lengths[1:], strict=True):
        extra[key] = np.frombuffer(plain, "<f4", math.prod(shape), at).reshape(shape).copy()
        at += length
    return Tokens(codec, weights, codes.astype(np.int64), sizes, rate, hop, samples, extra)


def read(path: Path) -> Tokens:
    """The tokens of the file ``path``; raises ``StudioError`` naming what is wrong with it."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _refused(path.name, f"it is larger than {LARGEST_BYTES >> 20} MiB")
        return from_bytes(path.read_bytes(), path.name)
    except OSError as error:
        raise StudioError(f"{path.name} can't be read: {error}", "tokens") from error


def to_text(tokens: Tokens) -> str:
    """The file as text, for the tags of a sound's file."""
    return TEXT_PREFIX + base64.b64encode(to_bytes(tokens)).decode()


def from_text(text: str) -> Tokens | None:
    """The tokens of ``to_text``; None for any other text. Raises ``StudioError`` for a damaged one."""
    if not text.startswith(TEXT_PREFIX):
        return None
    try:
        content = base64.b64decode(text.removeprefix(TEXT_PREFIX), validate=True)
    except binascii.Error as error:
        raise _refused("The sound's file", "they are cut short") from error
    return from_bytes(content, "The sound's file")


def _header(line: bytes, name: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _refused(name, "its first line is not the description of tokens") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _refused(name, "its first line is not the description of tokens")
    if header.get("version") != VERSION:
        raise _refused(name, f"its version is {header.get('version')}, and {VERSION} is read here")
    return header


def _unpacked(packed: bytes, length: int, name: str) -> bytes:
    """Exactly ``length`` bytes of what ``packed`` holds; more are never made."""
    if length > LARGEST_BYTES:
        raise _refused(name, f"unpacked it is larger than {LARGEST_BYTES >> 20} MiB")
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, length + 1)
    except zlib.error as error:
        raise _refused(name, "what follows its description can't be unpacked") from error
    if len(plain) != length or not unpacker.eof:
        raise _refused(name, "it is cut short, or longer than its description says")
    return plain


def _refused(name: str, reason: str) -> StudioError:
    return StudioError(f"{name} holds no tokens that can be used: {reason}.", "tokens")
