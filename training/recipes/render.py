"""Renders pieces to sound with a General MIDI soundfont.

Needs ``tinysoundfont`` (MIT) and a soundfont such as FluidR3 GM (MIT, Debian's
``fluid-soundfont-gm``); see ``docs/recipes.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engines.base import NotReady
from training.recipes import composer, score
from training.recipes.composer import DRUMS, FRAME_RATE, LOW, PARTS, TUNING, Piece, Track, knowledge

SOUNDFONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/soundfonts/FluidR3_GM.sf2"),
)
DRUM_CHANNEL = 9
DRUM_BANK = 128
CENTRE, BEND_RANGE = 8192, 2  # of pitch bends; the range is in half tones
LEVEL = 0.1  # root mean square of a finished piece, -20 dBFS
CEILING = 0.97
FADE_S = 0.05
LOUDNESS = {
    composer.HARMONY: 0.035,
    composer.LEAD: 0.06,
}  # root mean square of a tone when it starts
HELD = 14  # the frame of a tone from which on it goes around
SETTLED = slice(2, 12)  # frames by which its loudness is measured
BLEND = 160  # samples in which the starts become it
JOIN = 64  # samples in which the end of what goes around becomes its start


def find_soundfont() -> Path:
    """The soundfont of the system; raises ``NotReady`` with the way to get it."""
    for path in SOUNDFONTS:
        if path.exists():
            return path
    raise NotReady("The recipe needs a soundfont: apt install fluid-soundfont-gm")


class Event(NamedTuple):
    """The start of a note, or with velocity 0 its end, ``when`` samples from the start."""

    when: int
    velocity: int
    pitch: int
    bend: int


class Tone(NamedTuple):
    """A note as its codes sound: ``starts (STARTS, hop)``, ``around (L, hop)`` and how loud the latter is
    in each stage."""

    starts: np.ndarray
    around: np.ndarray
    levels: tuple[float, ...]


class Renderer:
    """One soundfont in memory. ``render`` gives float32 ``(4, T)`` at ``sample_rate``, a part a row.

    Drums and bass are as the soundfont plays them, and everything is tuned ``composer.TUNING`` higher.
    Harmony and lead are a sampler's: a tone starts as the soundfont's, then a short stretch of it goes
    around, weaker by stages where the instrument decays, and fades in its last frame. So a frame of them
    is decided by its code alone.
    """

    def __init__(self, soundfont: Path, sample_rate: int):
        try:
            import tinysoundfont
        except ImportError as error:
            raise NotReady(
                "The recipe needs tinysoundfont: pip install --no-deps tinysoundfont"
            ) from error
        self.sample_rate, self._hop = sample_rate, sample_rate // FRAME_RATE
        self._synth: Any = tinysoundfont.Synth(samplerate=sample_rate, gain=-6)
        self._font = self._synth.sfload(str(soundfont))
        self._tones: dict[tuple[str, int], Tone] = {}
        self._fade = np.linspace(1, 0, self._hop, dtype=np.float32)

    def render(self, piece: Piece) -> np.ndarray:
        """The parts of a piece, ``(4, T)``, their sum at about -20 dBFS; a tail that rings is cut."""
        total = round(piece.duration_s * self.sample_rate)
        parts = np.zeros((len(PARTS), total), np.float32)
        for track in piece.tracks:
            if track.part in (DRUMS, LOW):
                parts[PARTS.index(track.part)] += self._struck(track, total)
        codes = score.write(piece)
        for row, part in enumerate(PARTS):
            if part in LOUDNESS:
                known = score.books()[row].codes
                frames = [self._frame(known[code]) for code in codes[row]]
                parts[row] = LOUDNESS[part] * np.concatenate(frames)[:total]
        return _levelled(parts)

    def _struck(self, track: Track, total: int) -> np.ndarray:
        bend = CENTRE + (round(TUNING / BEND_RANGE * CENTRE) if track.part == LOW else 0)
        ends = [
            (frame * self._hop, velocity, note.pitch, bend)
            for note in track.notes
            for frame, velocity in (
                (note.start, note.velocity),
                (note.start + note.frames, 0),
            )
        ]
        return self._play(track.instrument, [Event(*end) for end in ends], total)

    def _frame(self, code: score.Code) -> np.ndarray:
        """How one code of a tone sounds, ``(hop,)``."""
        kind, *values = code
        if kind == "rest":
            return np.zeros(self._hop, np.float32)
        name, pitch, *when = values
        assert isinstance(name, str)
        assert isinstance(pitch, int)
        tone, at = self._tone(name, pitch), [n for n in when if isinstance(n, int)]
        if kind == "start":
            return tone.starts[at[0]]
        if kind == "hold":
            return tone.levels[at[0]] * tone.around[at[1]]
        return tone.levels[0] * self._fade * tone.around[at[0]]

    def _tone(self, name: str, pitch: int) -> Tone:
        if (name, pitch) not in self._tones:
            self._tones[name, pitch] = self._sampled(name, pitch)
        return self._tones[name, pitch]

    def _sampled(self, name: str, pitch: int) -> Tone:
        """Take a tone from the soundfont: once to hear how it is tuned, once as it must be."""
        around, wanted = composer.loop(pitch)
        total = (HELD + 2 * around + 24) * self._hop
        plain = self._play(name, [Event(0, 96, pitch, CENTRE)], total)
        hertz = self._hertz(plain, 440 * 2 ** ((pitch - 69) / 12))
        bend = CENTRE + round(12 * np.log2(wanted / hertz) / BEND_RANGE * CENTRE)
        sound = self._play(name, [Event(0, 96, pitch, bend)], total)
        frames = sound.reshape(-1, self._hop)
        power = np.sqrt(np.mean(frames**2, axis=1))
        frames, power = (values / power[SETTLED].mean() for values in (frames, power))
        first = (
            HELD + (score.STARTS - HELD) % around
        )  # in the place of its wave where the starts end
        held = frames[first : first + around].copy()
        rise = np.linspace(0, 1, JOIN, dtype=np.float32)
        before = frames[first - 1, -JOIN:]
        held[-1, -JOIN:] = held[-1, -JOIN:] * (1 - rise) + before * rise
        loud = power[first : first + around].mean()
        ends = (*score.STAGES[1:], score.STAGES[-1] + 16)
        levels = [
            float(power[age:end].mean() / loud) for age, end in zip(score.STAGES, ends, strict=True)
        ]
        if not composer.decays(name):
            levels = levels[1:2]
        starts = frames[: score.STARTS].copy()
        rise = np.linspace(0, 1, BLEND, dtype=np.float32)
        starts[-1, -BLEND:] = (
            starts[-1, -BLEND:] * (1 - rise) + levels[0] * held[-1, -BLEND:] * rise
        )
        return Tone(starts, held, tuple(levels))

    def _hertz(self, sound: np.ndarray, near: float) -> float:
        """The frequency of a tone's fundamental, by its phase at two moments."""
        half, (first, second) = self.sample_rate // 20, (0.12, 0.22)
        seconds = np.arange(-half, half) / self.sample_rate
        turns = [
            np.angle(
                sound[round(t * self.sample_rate) - half :][: 2 * half]
                @ (np.exp(-2j * np.pi * near * (t + seconds)) * np.hanning(2 * half))
            )
            / (2 * np.pi)
            for t in (first, second)
        ]
        turned = turns[1] - turns[0]
        return near + float(turned - np.round(turned)) / (second - first)

    def _play(self, instrument: str, events: list[Event], total: int) -> np.ndarray:
        """One instrument alone, ``(total,)``."""
        self._synth.sounds_off()
        self._generate(round(FADE_S * self.sample_rate))  # what is cut fades out for 10 ms
        facts = knowledge()["programs"][instrument]
        channel, bank, program = (
            (DRUM_CHANNEL, DRUM_BANK, facts["kit"]) if "kit" in facts else (0, 0, facts["program"])
        )
        self._synth.program_select(channel, self._font, bank, program)
        parts, at = [np.zeros(0, np.float32)], 0
        for event in sorted(events):
            sample = min(event.when, total)
            if sample > at:
                parts.append(self._generate(sample - at))
                at = sample
            if event.velocity:
                self._synth.pitchbend(channel, event.bend)
                self._synth.noteon(channel, event.pitch, event.velocity)
            else:
                self._synth.noteoff(channel, event.pitch)
        if at < total:
            parts.append(self._generate(total - at))
        return np.concatenate(parts)[:total]

    def _generate(self, frames: int) -> np.ndarray:
        stereo = np.frombuffer(bytes(self._synth.generate(frames)), dtype=np.float32)
        return stereo.reshape(-1, 2).mean(axis=1)


def _levelled(parts: np.ndarray) -> np.ndarray:
    """At the common level, or as far below as its highest peak needs."""
    whole = parts.sum(0)
    power, peak = float(np.sqrt(np.mean(whole**2))), float(np.abs(whole).max())
    return parts * min(LEVEL / power, CEILING / peak) if power else parts
