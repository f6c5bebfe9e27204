"""What a run of the decoder is given: the prompts, the melody, and sounds from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.base import StudioError
from engines.music.musicgen import codes, melody
from engines.prompts import render_prompt

if TYPE_CHECKING:
    import torch

    from engines.music.musicgen.checkpoint import Checkpoint, Loaded
    from engines.music.musicgen.params import MusicGenParams

LONGEST_SOUND_S = 600.0


@dataclass(frozen=True)
class Given:
    """What one run of the decoder is given, for a single row; see ``Decoder.generate``."""

    states: Any = None
    mask: Any = None
    prefix: Any = None
    negative: Any = None
    negative_mask: Any = None

    def rows(self, count: int) -> dict[str, Any]:
        """The arguments for ``count`` equal rows."""
        given = {
            "conditioning": self.states, "mask": self.mask, "prefix": self.prefix,
            "negative": self.negative, "negative_mask": self.negative_mask,
        }  # fmt: skip
        return {
            name: None if each is None else each.expand(count, *each.shape[1:])
            for name, each in given.items()
        }


class Tune:
    """The chroma of a melody, which repeats as long as the music lasts."""

    def __init__(self, path: Path, facts: Checkpoint):
        self._samples, self._rate = read_sound(path, "melody")
        self._how = melody.analysis(facts.folder)
        self._frame_rate = facts.frame_rate

    def at(self, frame: int) -> np.ndarray:
        """One-hot chroma ``(T, num_chroma)`` from the time of a new frame on."""
        start = round(frame / self._frame_rate * self._rate) % self._samples.shape[1]
        return melody.chroma(np.roll(self._samples, -start, axis=1), self._rate, self._how)


def given(
    loaded: Loaded, params: MusicGenParams, tune: Tune | None = None, start: int = 0
) -> Given:
    """The prompts, and the melody at the new frame ``start``, as the decoder reads them."""
    import torch

    guided = params.guidance_scale > 1
    prompt = render_prompt(params)
    negative = " ".join(params.negative_prompt.split()) if guided else ""
    with torch.inference_mode():
        if loaded.checkpoint.melody:
            chroma = None if tune is None else torch.from_numpy(tune.at(start))[None]
            return _before_codes(loaded, prompt, negative, guided, chroma)
        text = codes.encode_text(loaded, [prompt])
        states = codes.conditioning(loaded, text.states, text.mask)
        if not negative:
            return Given(states, text.mask)
        away = codes.encode_text(loaded, [negative])
        shown = codes.conditioning(loaded, away.states, away.mask)
        return Given(states, text.mask, negative=shown, negative_mask=away.mask)


def _before_codes(
    loaded: Loaded, prompt: str, negative: str, guided: bool, chroma: torch.Tensor | None
) -> Given:
    """For a melody model, where the states stand before the codes and both halves are as long."""
    text = codes.encode_text(loaded, [prompt, negative] if negative else [prompt])
    prefix = codes.melody_conditioning(loaded, text.states[:1], text.mask[:1], chroma)
    if not guided:
        return Given(prefix=prefix)
    mask = text.mask[1:] if negative else text.mask * 0
    return Given(prefix=prefix, negative=codes.melody_conditioning(loaded, text.states[-1:], mask))


def length_s(path: Path, field: str) -> float:
    """Duration of a sound file; raises ``StudioError`` when it cannot be read or is too long."""
    import soundfile

    try:
        length_s = soundfile.info(str(path)).duration
    except (soundfile.SoundFileError, OSError) as error:
        raise StudioError(f"{path.name} is not a sound that can be read: {error}", field) from error
    if not 0 < length_s <= LONGEST_SOUND_S:
        raise StudioError(
            f"{path.name} lasts {length_s:,.0f} s; give a sound of at most {LONGEST_SOUND_S:,.0f} s.",
            field,
        )
    return length_s


def read_sound(path: Path, field: str) -> tuple[np.ndarray, int]:
    """Samples ``(C, T)`` and sample rate of a sound file."""
    import soundfile

    length_s(path, field)
    samples, sample_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), sample_rate
