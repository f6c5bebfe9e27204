"""Plays a score: each track by its sampled instrument, then levels, places, room and loudness."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from engines.music.composer import mixing
from engines.music.composer.instruments import instrument, knowledge
from engines.music.composer.sampler import SAMPLE_RATE, Stroke, play
from engines.music.composer.score import DRUMS, LEAD, TEXTURE, Score, Track
from engines.music.composer.styles import style
from engines.music.composer.textures import texture

WORKERS = 2
FADE_S = 0.03
ALONE = 3.0  # how much more of the room drums get that nobody else plays with
TAIL_S = 3.0  # of a loop, which goes around into its beginning
Told = Callable[[int, int, str], None]  # of so many steps so many are done, and what comes next


@dataclass(frozen=True)
class Rendering:
    """A finished mix ``(2, T)`` at 44.1 kHz; ``stems`` add up to it where they were asked for."""

    mix: np.ndarray
    stems: Mapping[str, np.ndarray]
    sample_rate: int = SAMPLE_RATE

    @property
    def duration_s(self) -> float:
        """Length of the mix."""
        return self.mix.shape[1] / self.sample_rate


def render(
    score: Score, stems: bool = False, told: Told = lambda done, total, note: None
) -> Rendering:
    """Play a whole piece. ``stems`` keeps the sound of each track as well, named ``part: instrument``.

    ``told`` is called before each track is mixed and may raise to stop.
    """
    total = frames(score)
    long = total + (round(TAIL_S * SAMPLE_RATE) if score.brief.loop else 0)
    facts = style(score.brief.style)
    duck = _ducking(score, long)
    tape = (
        any(track.instrument == "tape-saturation" for track in score.tracks)
        or score.brief.style == "lo-fi"
    )
    dry = np.zeros((2, long), np.float32)
    send = np.zeros((2, long), np.float32)
    kept: dict[str, tuple[np.ndarray, float]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for track, sound in _told(score, _stems(score, long, duck, pool), told):
            amount = mixing.SENDS[track.part] * (ALONE if score.brief.drummed else 1.0)
            dry += sound
            send += sound * np.float32(amount)
            if stems:
                kept[name_of(track)] = (sound, amount)
        dry += mixing.reverberated(send, facts["room"], pool)
    fader = _fader(score, total)
    mix = _around(dry, total, score.brief.loop) * fader
    curve = mixing.master_gain(mixing.warmed(mix) if tape else mix)
    finished = {}
    for name, (sound, amount) in kept.items():
        wet = sound + mixing.reverberated(sound * np.float32(amount), facts["room"])
        around = _around(wet, total, score.brief.loop) * fader
        finished[name] = _finished(around, curve, tape, score)
    whole = _finished(mix, curve, tape, score)
    return Rendering(whole, finished)


def _told(
    score: Score, stems: Iterator[tuple[Track, np.ndarray]], told: Told
) -> Iterator[tuple[Track, np.ndarray]]:
    """``stems``, with ``told`` called before each and after the last."""
    for done, track in enumerate(score.tracks):
        told(done, len(score.tracks) + 1, f"Playing {track.instrument.replace('-', ' ')}")
        yield next(stems)
    told(len(score.tracks), len(score.tracks) + 1, "Mixing")


def name_of(track: Track) -> str:
    """How a stem is called."""
    return f"{track.part}: {track.instrument}"


def frames(score: Score) -> int:
    """Samples of the whole piece; a loop ends with its last bar."""
    seconds = float(score.seconds(score.beats)) if score.brief.loop else score.brief.duration_s
    return round(seconds * SAMPLE_RATE)


def _stems(
    score: Score, total: int, duck: np.ndarray | None, pool: Executor
) -> Iterator[tuple[Track, np.ndarray]]:
    """Each track with its sound, no more of them ahead than are worked on: long ones are large."""
    waiting: deque[tuple[Track, Future[np.ndarray]]] = deque()
    for track in score.tracks:
        waiting.append((track, pool.submit(_stem, score, track, total, duck)))
        if len(waiting) > WORKERS:
            first, sound = waiting.popleft()
            yield first, sound.result()
    while waiting:
        first, sound = waiting.popleft()
        yield first, sound.result()


def _fader(score: Score, total: int) -> np.ndarray:
    """Louder and softer sections."""
    starts = score.seconds(np.array([s.start * score.brief.meter for s in score.sections], float))
    energies = [section.energy for section in score.sections]
    return mixing.dynamics(list(zip(starts.tolist(), energies, strict=True)), total)


def _around(sound: np.ndarray, total: int, loop: bool) -> np.ndarray:
    if loop and sound.shape[1] > total:
        tail = sound[:, total:]
        count = min(tail.shape[1], total)
        sound = sound[:, :total].copy()
        sound[:, :count] += tail[:, :count]
    return sound[:, :total]


def _finished(sound: np.ndarray, curve: np.ndarray, tape: bool, score: Score) -> np.ndarray:
    done = (mixing.warmed(sound) if tape else sound) * curve
    if not score.brief.loop:
        fade = min(round(FADE_S * SAMPLE_RATE), done.shape[1])
        done[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return done.astype(np.float32)


def _ducking(score: Score, total: int) -> np.ndarray | None:
    depth = style(score.brief.style).get("duck", 0.0)
    kick = knowledge()["drum_keys"]["kick"]
    beats = [
        n.start
        for track in score.tracks
        if track.part == DRUMS
        for n in track.notes
        if n.pitch == kick
    ]
    if not depth or not beats:
        return None
    return mixing.ducking(
        np.round(score.seconds(np.array(beats)) * SAMPLE_RATE).astype(int), depth, total
    )


def _stem(score: Score, track: Track, total: int, duck: np.ndarray | None) -> np.ndarray:
    """One track at its level and place, before the room."""
    facts = instrument(track.instrument, score.brief.style)
    if track.part == TEXTURE:
        sound = texture(facts.noise, total, score.brief.seed)
    else:
        sound = play(facts, _strokes(score, track, total), total)
    if facts.effect == "dusty":
        sound = mixing.warmed(sound, 5500.0, 2.4)
    elif facts.effect == "narrow":
        sound = mixing.warmed(sound, 3800.0, 1.1)
    measured = mixing.level_db(sound)
    if measured > -100:
        wanted = -20.0 + mixing.LEVELS[track.part] + facts.level + _beside(score, track)
        sound *= np.float32(10 ** ((wanted - measured) / 20))
    same = [each for each in score.tracks if each.part == track.part]
    places = mixing.PANS[track.part]
    place = places[same.index(track) % len(places)]
    if abs(place) > 0.01 and len(score.tracks) > 2:
        sound = mixing.panned(sound, place)
    if duck is not None and track.part in mixing.DUCKED:
        sound *= (1 - mixing.DUCKED[track.part] * (1 - duck)).astype(np.float32)
    return sound


def _beside(score: Score, track: Track) -> float:
    """Less of each where several share a part; a second lead stands back."""
    same = [each for each in score.tracks if each.part == track.part]
    if track.part == LEAD:
        return 0.0 if same[0] is track or len(same) == 1 else -1.5
    return (
        -10 * float(np.log10(len(same))) if track.part != DRUMS else -3.0 * (same.index(track) > 0)
    )


def _strokes(score: Score, track: Track, total: int) -> list[Stroke]:
    starts = np.round(score.seconds(np.array([n.start for n in track.notes])) * SAMPLE_RATE).astype(
        int
    )
    ends = np.round(
        score.seconds(np.array([n.start + n.length for n in track.notes])) * SAMPLE_RATE
    ).astype(int)
    return [
        Stroke(int(start), max(int(end - start), 1), note.pitch, note.velocity)
        for note, start, end in zip(track.notes, starts, ends, strict=True)
        if start < total
    ]
