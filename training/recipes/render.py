"""Renders pieces to sound with a General MIDI soundfont.

Needs ``tinysoundfont`` (MIT) and a soundfont such as FluidR3 GM (MIT, Debian's
``fluid-soundfont-gm``); see ``docs/studio-tiny.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import NotReady
from training.recipes.composer import Piece, Track, knowledge

SOUNDFONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/soundfonts/FluidR3_GM.sf2"),
)
DRUM_CHANNEL = 9
DRUM_BANK = 128
LEVEL = 0.1  # root mean square of a finished piece, -20 dBFS
CEILING = 0.97
FADE_S = 0.05


def find_soundfont() -> Path:
    """The soundfont of the system; raises ``NotReady`` with the way to get it."""
    for path in SOUNDFONTS:
        if path.exists():
            return path
    raise NotReady("The recipe needs a soundfont: apt install fluid-soundfont-gm")


class Renderer:
    """One soundfont in memory. ``render`` gives float32 ``(T,)`` at ``sample_rate``."""

    def __init__(self, soundfont: Path, sample_rate: int):
        try:
            import tinysoundfont
        except ImportError as error:
            raise NotReady(
                "The recipe needs tinysoundfont: pip install --no-deps tinysoundfont"
            ) from error
        self.sample_rate = sample_rate
        self._synth: Any = tinysoundfont.Synth(samplerate=sample_rate, gain=-6)
        self._font = self._synth.sfload(str(soundfont))

    def render(self, piece: Piece, rng: np.random.Generator) -> np.ndarray:
        """The piece mixed to one channel at about -20 dBFS, ``(T,)``; a tail that rings is cut."""
        self._synth.sounds_off()
        self._generate(round(FADE_S * self.sample_rate))  # what is cut fades out for 10 ms
        self._choose(piece)
        total = round(piece.duration_s * self.sample_rate)
        parts, at = [], 0
        for when, channel, pitch, velocity in _events(piece):
            frame = min(round(when * self.sample_rate), total)
            if frame > at:
                parts.append(self._generate(frame - at))
                at = frame
            if velocity:
                self._synth.noteon(channel, pitch, velocity)
            else:
                self._synth.noteoff(channel, pitch)
        if at < total:
            parts.append(self._generate(total - at))
        samples = np.concatenate(parts)[:total]
        for effect in piece.effects:
            samples = EFFECTS[effect](samples, self.sample_rate, rng)
        return _levelled(samples)

    def _choose(self, piece: Piece) -> None:
        programs = knowledge()["programs"]
        for track, channel in zip(piece.tracks, _channels(piece.tracks), strict=True):
            facts = programs[track.instrument]
            if channel == DRUM_CHANNEL:
                self._synth.program_select(channel, self._font, DRUM_BANK, facts["kit"])
            else:
                self._synth.program_select(channel, self._font, 0, facts["program"])

    def _generate(self, frames: int) -> np.ndarray:
        stereo = np.frombuffer(bytes(self._synth.generate(frames)), dtype=np.float32)
        return stereo.reshape(-1, 2).mean(axis=1)


def _channels(tracks: tuple[Track, ...]) -> Iterator[int]:
    free = iter([c for c in range(16) if c != DRUM_CHANNEL])
    for track in tracks:
        yield DRUM_CHANNEL if track.role == "drums" else next(free)


def _events(piece: Piece) -> list[tuple[float, int, int, int]]:
    """Time, channel, pitch and velocity (0 ends the note), in order."""
    found = []
    for track, channel in zip(piece.tracks, _channels(piece.tracks), strict=True):
        for note in track.notes:
            found.append((note.start_s, channel, note.pitch, note.velocity))
            found.append((note.start_s + note.duration_s, channel, note.pitch, 0))
    return sorted(found, key=lambda event: (event[0], event[3] > 0))


def _levelled(samples: np.ndarray) -> np.ndarray:
    """At the common level, with the peaks bent below full scale."""
    power = float(np.sqrt(np.mean(samples**2)))
    if power == 0:
        return samples
    samples = samples * (LEVEL / power)
    over = np.abs(samples) > 0.8
    bent = np.sign(samples) * (0.8 + (CEILING - 0.8) * np.tanh((np.abs(samples) - 0.8) / 0.17))
    return np.where(over, bent, samples).astype(np.float32)


def _crackle(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Clicks and hiss of a record."""
    power = np.sqrt(np.mean(samples**2))
    hiss = rng.standard_normal(len(samples)) * 0.06 * power
    clicks = (rng.random(len(samples)) < 14 / sample_rate) * rng.standard_normal(len(samples))
    ring = np.exp(-np.arange(sample_rate // 400) / (sample_rate / 4000))
    return samples + hiss + np.convolve(clicks, ring)[: len(samples)] * 1.6 * power


def _saturate(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The soft clipping of a tape driven hard."""
    power = max(float(np.sqrt(np.mean(samples**2))), 1e-9)
    return np.tanh(samples / power * 0.9) * power


EFFECTS = {"crackle": _crackle, "saturation": _saturate}
