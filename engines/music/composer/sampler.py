"""Plays notes with recorded instruments: zones of keys and velocities, loops, envelopes, filters.

Each pitch of an instrument is rendered once for each layer of velocities, as long as its longest note, and
every note is that sound at its own level, cut and released.
"""

from __future__ import annotations

import functools
import io
import json
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import soundfile

from engines.music.composer.instruments import ASSETS, Instrument, knowledge

SAMPLE_RATE = 44100
ARCHIVE = ASSETS / "sampler.zip"
KEPT_BYTES = 192 << 20  # of decoded recordings
VIBRATO_HZ, VIBRATO_AFTER_S = 5.3, 0.28
LOW_CUT_HZ = {"bass": 28.0, "drums": 24.0, "keys": 45.0}
USUAL_LOW_CUT_HZ = 85.0
LOUDER = 1.7  # exponent of velocities
LONGEST_RELEASE_S = 1.5
SHORTEST_RELEASE_S = 0.05
WIDTH = 0.65  # of stereo recordings
CUT_S = 0.03  # of a hi-hat that another stroke closes
TAIKO = {36: 38, 43: 43, 47: 48, 48: 52, 38: 55}  # drums that a taiko is hit for
ORCHESTRAL = {43: 45, 47: 50, 48: 54}


@dataclass(frozen=True)
class Stroke:
    """A note in samples: where it starts, how long it is held, its MIDI pitch and velocity."""

    start: int
    held: int
    pitch: int
    velocity: int


class Bank:
    """The archive of recordings; what is decoded is kept up to a limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file = zipfile.ZipFile(ARCHIVE)
        zones = json.loads(self._file.read("zones.json"))
        self.zones: dict[str, list[dict[str, Any]]] = zones
        self._decoded: OrderedDict[str, np.ndarray] = OrderedDict()
        self._size = 0

    def recording(self, name: str) -> np.ndarray:
        """The samples of one recording, float32."""
        with self._lock:
            if name in self._decoded:
                self._decoded.move_to_end(name)
                return self._decoded[name]
            content = self._file.read(name)
        samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
        with self._lock:
            if name not in self._decoded:
                self._decoded[name] = samples
                self._size += samples.nbytes
            while self._size > KEPT_BYTES and len(self._decoded) > 1:
                _, oldest = self._decoded.popitem(last=False)
                self._size -= oldest.nbytes
        return samples

    def at(self, sound: str, pitch: int, velocity: int) -> list[dict[str, Any]]:
        """The zones that a note plays; the nearest ones where none is there for its pitch."""
        inside = [zone for zone in self.zones[sound] if _in(zone, pitch, velocity)]
        if inside:
            return inside
        layer = [
            z for z in self.zones[sound] if z["velocities"][0] <= velocity <= z["velocities"][1]
        ]
        layer = layer or self.zones[sound]
        away = [max(zone["keys"][0] - pitch, pitch - zone["keys"][1], 0) for zone in layer]
        return [zone for zone, distance in zip(layer, away, strict=True) if distance == min(away)][
            :2
        ]


def _in(zone: dict[str, Any], pitch: int, velocity: int) -> bool:
    (low, high), (soft, loud) = zone["keys"], zone["velocities"]
    return bool(low <= pitch <= high and soft <= velocity <= loud)


@functools.cache
def bank() -> Bank:
    """The one archive of the package."""
    return Bank()


def play(facts: Instrument, strokes: Sequence[Stroke], total: int) -> np.ndarray:
    """One instrument alone, float32 ``(2, total)``."""
    out = np.zeros((2, total), np.float32)
    groups: dict[tuple[Any, ...], list[Stroke]] = {}
    held = _closed(facts, strokes) if facts.kit else list(strokes)
    for stroke in held:
        sound, pitch = _sound(facts, stroke.pitch)
        zones = bank().at(sound, pitch, stroke.velocity)
        key = (sound, pitch, *(zones[0]["velocities"] if zones else ()))
        groups.setdefault(key, []).append(stroke)
    for key, members in groups.items():
        _play_group(facts, key, members, out)
    return out


def _sound(facts: Instrument, pitch: int) -> tuple[str, int]:
    """Which sound and pitch are played: drums of an orchestra have tuned neighbours, so toms are taikos."""
    if facts.kit and facts.sound == "kit-orchestra":
        keys = TAIKO if facts.taiko else ORCHESTRAL
        if pitch in keys:
            return "taiko", keys[pitch]
    return facts.sound, pitch


def _closed(facts: Instrument, strokes: Sequence[Stroke]) -> list[Stroke]:
    """Drums ring out, but an open hi-hat until the next stroke on the hi-hat."""
    keys = knowledge()["drum_keys"]
    hats = {keys["hat"], keys["pedal"], keys["open"]}
    ordered = sorted(strokes, key=lambda stroke: stroke.start)
    until: dict[int, int] = {}
    following = 1 << 60
    for index in range(len(ordered) - 1, -1, -1):
        if ordered[index].pitch in hats:
            until[index] = following - ordered[index].start
            following = ordered[index].start
    ring = 6 * SAMPLE_RATE
    return [
        Stroke(each.start, min(until.get(index, ring), ring), each.pitch, each.velocity)
        for index, each in enumerate(ordered)
    ]


def _play_group(
    facts: Instrument, key: tuple[Any, ...], members: list[Stroke], out: np.ndarray
) -> None:
    sound, pitch = key[:2]
    zones = bank().at(sound, pitch, members[0].velocity)
    if not zones:
        return
    releases = [_release_s(facts, zone) for zone in zones]
    release = round(max(releases) * SAMPLE_RATE)
    longest = min(max(each.held for each in members) + release, out.shape[1])
    tone = np.zeros((2, longest), np.float32)
    for zone in zones:
        _add_zone(facts, zone, pitch, tone)
    end = np.flatnonzero(np.abs(tone).max(0) > 1e-5)
    tone = np.ascontiguousarray(tone[:, : end[-1] + 1]) if len(end) else tone[:, :1]
    falling = float(10 ** (-100 / 20 / release)) if release else 0.0
    for each in members:
        level = (each.velocity / 127) ** LOUDER
        _add(out, tone, each.start, each.held, falling, release, np.float32(level))


def _release_s(facts: Instrument, zone: dict[str, Any]) -> float:
    if facts.kit:
        return CUT_S
    if facts.short:
        return SHORTEST_RELEASE_S * 2
    return float(np.clip(zone["release"], SHORTEST_RELEASE_S * 2, LONGEST_RELEASE_S))


def _add_zone(facts: Instrument, zone: dict[str, Any], pitch: int, tone: np.ndarray) -> None:
    """One recording at a pitch, with its envelope and filter, into both channels."""
    samples = bank().recording(zone["file"])
    steps = (pitch - zone["root"]) * zone.get("scale", 1.0) + zone.get("tune", 0.0)
    ratio = 2 ** (steps / 12) * zone["rate"] / SAMPLE_RATE
    start, end = zone["loop"] or (-1, -1) if zone.get("loop") else (-1, -1)
    decay = zone["decay"] * 2 ** (zone.get("decay_by_key", 0.0) * (60 - pitch))
    cutoff = min(zone.get("cutoff") or 20000, 20000)
    low_cut = LOW_CUT_HZ.get(facts.family, USUAL_LOW_CUT_HZ)
    mono = np.zeros(tone.shape[1], np.float32)
    _voice(
        mono, samples, ratio, zone.get("skip", 0), start, end,
        max(zone["attack"], 0.001) * SAMPLE_RATE, zone["hold"] * SAMPLE_RATE,
        10 ** (-100 / 20 / max(decay * SAMPLE_RATE, 1.0)), zone["sustain"],
        1 - np.exp(-2 * np.pi * cutoff / SAMPLE_RATE) if cutoff < 16000 else 1.0,
        1 - np.exp(-2 * np.pi * low_cut / SAMPLE_RATE),
        facts.vibrato / 1200 * np.log(2), 2 * np.pi * VIBRATO_HZ / SAMPLE_RATE, VIBRATO_AFTER_S * SAMPLE_RATE,
    )  # fmt: skip
    width = 1.0 if facts.kit else WIDTH
    angle = (zone.get("pan", 0.0) * width + 1) * np.pi / 4
    tone[0] += mono * np.float32(zone["gain"] * np.cos(angle) * np.sqrt(2))
    tone[1] += mono * np.float32(zone["gain"] * np.sin(angle) * np.sqrt(2))


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def _voice(
    out,
    samples,
    ratio,
    skip,
    loop,
    loop_end,
    attack,
    hold,
    decay,
    sustain,
    bright,
    cut,
    depth,
    speed,
    after,
):
    """A recording read at ``ratio`` by cubic interpolation, shaped, filtered and written into ``out``."""
    position, level, smooth, smoother, low = float(skip), 1.0, 0.0, 0.0, 0.0
    count = len(samples)
    span = loop_end - loop
    for n in range(len(out)):
        index = int(position)
        if loop >= 0:
            while position >= loop_end:
                position -= span
            index = int(position)
        elif index >= count - 2:
            break
        t = position - index
        last = index + 2
        a = samples[index - 1] if index > 0 else samples[0]
        b = samples[index]
        c = samples[index + 1] if index + 1 < count else samples[count - 1]
        d = samples[last] if last < count else samples[count - 1]
        value = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        if n < attack:
            gain = n / attack
        else:
            if n > attack + hold and level > sustain:
                level *= decay
                if level < sustain:
                    level = sustain
            gain = level
        smooth += bright * (value - smooth)
        smoother += bright * (smooth - smoother)
        low += cut * (smoother - low)
        out[n] = (smoother - low) * gain
        if depth > 0 and n > after:
            grown = min((n - after) / 11025, 1.0)
            position += ratio * (1 + depth * grown * np.sin(speed * (n - after)))
        else:
            position += ratio


@numba.njit(cache=True, nogil=True)
def _add(out, tone, start, held, falling, release, level):
    """A sound into ``out`` at ``level``: as it is while it is held, then falling."""
    count = min(tone.shape[1], held + release, out.shape[1] - start)
    gain = level
    for n in range(count):
        if n >= held:
            gain *= falling
        out[0, start + n] += tone[0, n] * gain
        out[1, start + n] += tone[1, n] * gain
