"""Makes the sampler of the composer: the part of FluidR3 GM that it plays, as one compact file.

    apt install fluid-soundfont-gm
    python -m training.recipes.sampler /usr/share/sounds/sf2/FluidR3_GM.sf2 sampler.zip

It lies in ``engines/music/composer/assets``.

The file is a zip archive: ``zones.json`` (what sounds where, in the sampler's own words) and one FLAC
file a recording. A recording ends where its loop does, has no higher rate than its sound needs, and
what rings longer than ``LONGEST_S`` fades out.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from engines.music.composer.instruments import knowledge
from training.recipes.soundfont import SoundFont, Zone

LONGEST_S, FADE_S = 4.0, 0.8
RATES = (16000, 22050, 32000)  # lower ones that a recording may get
FLOOR_DB = -66.0  # below its loudest band, what a lower rate may lose
SPARE = 8  # samples kept behind a loop
SHORT_LOOP = 2000  # samples; the length of a shorter loop would not survive another rate
DRUM_BANK = 128
TENTH = (
    0.4  # how much of an attenuation is played, as by the synthesizers that the font was made for
)
LAYERS = 4  # of velocities, at most
BITS = 13  # a sample, of a recording at full scale; one less where it stays loud or is noise
LOUD = ("strings", "church-organ", "rock-organ", "accordion", "overdrive", "distortion", "brass", "horns",
        "aahs", "tenor-sax", "alto-sax", "soprano-sax", "synth-voice", "viola", "cello", "kit-standard",
        "kit-power", "kit-electronic", "kit-orchestra")  # fmt: skip
WIDE = (
    "piano",
    "rhodes",
    "strings",
    "slow-strings",
    "aahs",
    "oohs",
    "synth-voice",
    "brass",
    "vibraphone",
    "horns",
    "harp",
)  # stereo, as are pads and kits; of other pairs the left one is kept


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("soundfont", type=Path)
    parser.add_argument("archive", type=Path)
    args = parser.parse_args()
    build(args.soundfont, args.archive)


def build(soundfont: Path, archive: Path) -> None:
    """Write the archive; the same font gives the same bytes."""
    font = SoundFont(soundfont)
    zones: dict[str, list[dict[str, Any]]] = {}
    names: dict[int, dict[str, Any]] = {}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for sound, (bank, program) in knowledge()["sounds"].items():
            all_zones = _thinned(font.preset(bank, program))
            chosen = [zone for zone in all_zones if _is_played(zone, bank)]
            if bank != DRUM_BANK and sound not in WIDE:
                chosen = _narrowed(font, chosen)
            for zone in chosen:
                if zone.sample not in names:
                    names[zone.sample] = _store(font, zone, file, BITS - (sound in LOUD))
            zones[sound] = [_described(font, zone, names[zone.sample]) for zone in chosen]
        _write(file, "zones.json", json.dumps(zones, separators=(",", ":")).encode(), True)
    print(f"{len(names)} recordings, {archive.stat().st_size / 1e6:.1f} MB")


def _is_played(zone: Zone, bank: int) -> bool:
    played = knowledge()["drum_keys"].values()
    return bank != DRUM_BANK or any(zone.keys[0] <= key <= zone.keys[1] for key in played)


def _thinned(zones: list[Zone]) -> list[Zone]:
    """At most ``LAYERS`` layers of velocities, each of them widened over the ones left out."""
    layers = sorted({zone.velocities for zone in zones})
    if len(layers) <= LAYERS or any(a[1] >= b[0] for a, b in itertools.pairwise(layers)):
        return zones
    kept = [layers[round(n)] for n in np.linspace(0, len(layers) - 1, LAYERS)]
    ends = [kept[n + 1][0] - 1 for n in range(len(kept) - 1)] + [127]
    wide = {layer: (0 if n == 0 else ends[n - 1] + 1, ends[n]) for n, layer in enumerate(kept)}
    return [
        Zone(zone.keys, wide[zone.velocities], zone.sample, zone.generators)
        for zone in zones
        if zone.velocities in wide
    ]


def _narrowed(font: SoundFont, zones: list[Zone]) -> list[Zone]:
    """One of each pair of left and right recordings, in the middle."""
    right, left = 2, 4
    kinds = {zone.sample: int(font.header(zone.sample)["kind"]) & 7 for zone in zones}
    if left not in kinds.values():
        return zones
    return [
        Zone(zone.keys, zone.velocities, zone.sample, zone.generators | {17: 0})
        for zone in zones
        if kinds[zone.sample] != right
    ]


def _write(file: zipfile.ZipFile, name: str, content: bytes, packed: bool = False) -> None:
    info = zipfile.ZipInfo(name)  # no date of today
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    file.writestr(info, content)


def _store(font: SoundFont, zone: Zone, file: zipfile.ZipFile, bits: int) -> dict[str, Any]:
    """One recording into the archive; returns its name, rate and loop in samples."""
    header, samples = font.header(zone.sample), font.samples(zone.sample)
    rate, name = int(header["rate"]), f"{zone.sample:04d}.flac"
    start, end = (int(header[n]) - int(header["start"]) for n in ("loop", "loop_end"))
    looped = zone.value(54) in (1, 3) and 0 <= start < end <= len(samples)
    sound = samples.astype(np.float64) / 32768
    if looped:
        sound = sound[: end + SPARE]
    elif len(sound) > LONGEST_S * rate:
        sound = sound[: round(LONGEST_S * rate)]
        fade = round(FADE_S * rate)
        sound[-fade:] *= np.linspace(1, 0, fade) ** 2
    lower = _rate(sound, rate)
    ratio = lower / rate
    if lower != rate and not (looped and end - start < SHORT_LOOP):
        sound = soxr.resample(sound, rate, lower, quality="VHQ")
        start, end = round(start * ratio), round(end * ratio)
        if looped:
            sound = np.pad(sound, (0, max(end + SPARE // 2 - len(sound), 0)))
    else:
        lower = rate
    out, step = io.BytesIO(), 2 ** (16 - bits)
    level = min(0.98 / max(np.abs(sound).max(), 1e-4), 16.0)
    coarse = np.round(sound * level * 32768 / step) * step
    whole = np.clip(coarse, -32768, 32768 - step).astype(np.int16)
    soundfile.write(out, whole, lower, format="FLAC", subtype="PCM_16", compression_level=1.0)
    _write(file, name, out.getvalue())
    return {
        "file": name,
        "rate": lower,
        "loop": [start, end] if looped else None,
        "ratio": lower / rate,
        "gain": 1 / level,
    }


def _rate(sound: np.ndarray, rate: int) -> int:
    """The lowest rate that keeps all that can be heard."""
    size = 2048
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, (0, size)), size)[:: size // 2]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)).max(0)
    heard = np.flatnonzero(spectrum > spectrum.max() * 10 ** (FLOOR_DB / 20))
    top = (heard[-1] if len(heard) else 0) * rate / size
    return next((each for each in RATES if each < rate and each * 0.45 > top), rate)


def _described(font: SoundFont, zone: Zone, stored: dict[str, Any]) -> dict[str, Any]:
    """A zone in seconds, semitones and gains, with defaults left out."""
    header, value = font.header(zone.sample), zone.value
    root = zone.generators.get(58, -1)
    seconds = {name: round(2 ** (value(number) / 1200), 4) for name, number in
               {"attack": 34, "hold": 35, "decay": 36, "release": 38}.items()}  # fmt: skip
    cutoff = value(8) + (value(11) // 2 if value(11) > 0 else 0)
    facts = {
        "keys": list(zone.keys),
        "velocities": list(zone.velocities),
        "file": stored["file"],
        "rate": stored["rate"],
        "loop": stored["loop"] if value(54) in (1, 3) else None,
        "root": int(header["root"]) if root < 0 else root,
        "tune": value(51) + (value(52) + int(header["cents"])) / 100,
        "scale": value(56) / 100,
        "gain": round(stored["gain"] * 10 ** (-TENTH * max(value(48), 0) / 200), 4),
        "pan": float(np.clip(value(17) / 500, -1, 1)),
        "sustain": round(10 ** (-min(max(value(37), 0), 1000) / 200), 5),
        "decay_by_key": value(40) / 1200,
        "cutoff": round(8.176 * 2 ** (cutoff / 1200)) if cutoff < 13500 else None,
        "exclusive": value(57) or None,
    } | seconds
    skipped = value(0) + 32768 * value(4)
    if skipped > 0:
        facts["skip"] = round(skipped * stored["ratio"])
    usual = {"scale": 1.0, "pan": 0.0, "tune": 0.0, "decay_by_key": 0.0}
    return {
        name: each for name, each in facts.items() if each is not None and usual.get(name) != each
    }


if __name__ == "__main__":
    main()
