"""Reads a SoundFont 2 file: its presets as zones with every generator resolved, and its samples.

Format: "SoundFont Technical Specification 2.04" (E-mu Systems, 2006).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KEYS, VELOCITIES, INSTRUMENT, SAMPLE = 43, 44, 41, 53
MODE, ROOT, EXCLUSIVE = 54, 58, 57
DEFAULTS = {8: 13500, 33: -12000, 34: -12000, 35: -12000, 36: -12000, 38: -12000, 56: 100}
OWN = (0, 1, 2, 3, 4, 12, 45, 46, 47, 50, MODE, EXCLUSIVE, ROOT)  # no preset adds to these
RECORD = {
    b"phdr": [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "<u4", 3)],
    b"pbag": [("gen", "<u2"), ("mod", "<u2")],
    b"pgen": [("op", "<u2"), ("amount", "<i2")],
    b"inst": [("name", "S20"), ("bag", "<u2")],
    b"ibag": [("gen", "<u2"), ("mod", "<u2")],
    b"igen": [("op", "<u2"), ("amount", "<i2")],
    b"shdr": [("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop", "<u4"), ("loop_end", "<u4"),
              ("rate", "<u4"), ("root", "u1"), ("cents", "i1"), ("link", "<u2"), ("kind", "<u2")],
}  # fmt: skip


@dataclass(frozen=True)
class Zone:
    """One sample where it sounds: inclusive ranges of keys and velocities, and its generators."""

    keys: tuple[int, int]
    velocities: tuple[int, int]
    sample: int
    generators: dict[int, int]

    def value(self, generator: int) -> int:
        """A generator's value, the specification's default where none is given."""
        return self.generators.get(generator, DEFAULTS.get(generator, 0))


class SoundFont:
    """A file on disk; samples are read when asked for."""

    def __init__(self, path: Path):
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self._chunks: dict[bytes, tuple[int, int]] = {}
        for name, start, size in self._walk(12, len(self._bytes)):
            if name == b"LIST":
                for inner, at, length in self._walk(start + 4, start + size):
                    self._chunks[inner] = (at, length)
        self._records = {name: self._read(name, kinds) for name, kinds in RECORD.items()}

    def _walk(self, start: int, end: int) -> list[tuple[bytes, int, int]]:
        found = []
        while start + 8 <= end:
            name = self._bytes[start : start + 4].tobytes()
            (size,) = struct.unpack("<I", self._bytes[start + 4 : start + 8].tobytes())
            found.append((name, start + 8, size))
            start += 8 + size + size % 2
        return found

    def _read(self, name: bytes, kinds: Any) -> np.ndarray:
        start, size = self._chunks[name]
        return np.frombuffer(self._bytes[start : start + size].tobytes(), dtype=np.dtype(kinds))

    def header(self, sample: int) -> Any:
        """Name, rate, root and loop of a sample."""
        return self._records[b"shdr"][sample]

    def samples(self, sample: int) -> np.ndarray:
        """The int16 samples of one recording."""
        header, (start, _) = self.header(sample), self._chunks[b"smpl"]
        first, end = start + 2 * int(header["start"]), start + 2 * int(header["end"])
        return np.frombuffer(self._bytes[first:end].tobytes(), dtype="<i2")

    def preset(self, bank: int, program: int) -> list[Zone]:
        """All zones of a preset; raises ``KeyError`` where the file has none."""
        headers = self._records[b"phdr"]
        for index, header in enumerate(headers[:-1]):
            if (header["bank"], header["program"]) == (bank, program):
                ends = int(header["bag"]), int(headers[index + 1]["bag"])
                outer = self._zones(b"pbag", b"pgen", ends, INSTRUMENT)
                return [zone for above in outer for zone in self._instrument(above)]
        raise KeyError((bank, program))

    def _instrument(self, above: dict[int, int]) -> list[Zone]:
        instruments = self._records[b"inst"]
        ends = tuple(int(instruments[above[INSTRUMENT] + n]["bag"]) for n in (0, 1))
        zones = []
        for below in self._zones(b"ibag", b"igen", ends, SAMPLE):
            keys, velocities = (_meet(above, below, which) for which in (KEYS, VELOCITIES))
            if keys[0] <= keys[1] and velocities[0] <= velocities[1]:
                zones.append(Zone(keys, velocities, below[SAMPLE], _add(above, below)))
        return zones

    def _zones(self, bag: bytes, gen: bytes, ends: Any, last: int) -> list[dict[int, int]]:
        bags, generators = self._records[bag], self._records[gen]
        zones: list[dict[int, int]] = []
        common: dict[int, int] = {}
        for index in range(*ends):
            first, end = int(bags[index]["gen"]), int(bags[index + 1]["gen"])
            zone = {int(op): int(amount) for op, amount in generators[first:end]}
            if last in zone:
                zones.append(common | zone)
            elif index == ends[0]:
                common = zone
        return zones


def _meet(above: dict[int, int], below: dict[int, int], which: int) -> tuple[int, int]:
    low, high = 0, 127
    for zone in (above, below):
        if which in zone:
            value = zone[which] & 0xFFFF
            low, high = max(low, value & 255), min(high, value >> 8)
    return low, high


def _add(above: dict[int, int], below: dict[int, int]) -> dict[int, int]:
    """An instrument's generators with a preset's added to them."""
    added = dict(below)
    for generator, amount in above.items():
        if generator not in (KEYS, VELOCITIES, INSTRUMENT, *OWN):
            added[generator] = below.get(generator, DEFAULTS.get(generator, 0)) + amount
    return {
        name: amount for name, amount in added.items() if name not in (KEYS, VELOCITIES, SAMPLE)
    }
