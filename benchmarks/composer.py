"""How fast the composer is, and whether its pieces are what their prompts say.

    python -m benchmarks.composer [--prompts FILE] [--seeds 1] [--seconds 20]

Speed is what one process makes of the machine's cores, warm. Of the free prompts it measures the key by
chroma (right, or its relative), the tempo by the pulse of its onsets (within 4 %, also at half or double),
the share of silence and the loudness.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import librosa
import numpy as np

from engines.music.composer import Brief, brief_of, compose, render, understand
from engines.music.composer.harmonise import PROFILES
from engines.music.composer.mixing import loudness

PROMPTS = Path(__file__).parents[1] / "tests/engines/music_composer/free_prompts.json"
LONG = (
    "epic orchestral battle music",
    "jazz trio",
    "deep house",
    "pop song with piano",
    "funk with brass",
)
LENGTHS_S = (10, 60, 180)
RATE = 22050
SILENT_DB, FRAME = -45.0, 2048


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    speed()
    quality(
        [text for text, _ in json.loads(args.prompts.read_text(encoding="utf-8"))],
        args.seeds,
        args.seconds,
    )


def speed() -> None:
    """Times real time of whole pieces; by the clock and by the time of the processors."""
    for length in LENGTHS_S:
        rows = []
        for text in LONG:
            brief = brief_of(understand(text).attributes, 1, length)
            render(compose(brief))
            clock, work = time.perf_counter(), time.process_time()
            render(compose(brief))
            rows.append(
                (length / (time.perf_counter() - clock), length / (time.process_time() - work))
            )
        clock, work = np.median(rows, axis=0)
        print(
            f"{length:4d} s: {clock:6.1f} times real time, {work:6.1f} for each second of one core"
        )


def quality(prompts: list[str], seeds: int, seconds: float) -> None:
    """The table of all prompts, then shares."""
    rows = []
    for text in prompts:
        for seed in range(seeds):
            brief = brief_of(understand(text).attributes, seed, seconds)
            mix = render(compose(brief)).mix
            mono = librosa.resample(mix.mean(0), orig_sr=44100, target_sr=RATE)
            key, tonic = key_heard(mono, brief)
            rows.append((key, tonic, tempo_heard(mono, brief), silence(mix), loudness(mix)))
            facts = f"{brief.key:14s} {brief.tempo:5.0f} {brief.style:12s}"
            marks = "".join("-+"[bool(each)] for each in rows[-1][:3])
            print(f"{marks} {rows[-1][3]:5.2f} {rows[-1][4]:6.1f} {facts} {text}")
    table = np.array(rows, dtype=float)
    key, relative, tempo, _, _ = table.mean(0)
    silent, levels = np.mean(table[:, 3] > 0.1), table[:, 4]
    print(f"key and mode by chroma {key:.0%}, or its relative {relative:.0%}, tempo {tempo:.0%}")
    print(f"more than a tenth silent {silent:.0%}, {levels.min():.1f} to {levels.max():.1f} LUFS")


def key_heard(mono: np.ndarray, brief: Brief) -> tuple[bool, bool]:
    """Whether the profile that fits the chroma best is the key, and whether it is the key or its relative."""
    harmonic = librosa.effects.harmonic(mono, margin=3.0)
    chromas = [
        librosa.feature.chroma_cqt(y=harmonic, sr=RATE, bins_per_octave=36).mean(1),
        librosa.feature.chroma_stft(y=harmonic, sr=RATE, n_fft=8192).mean(1),
    ]
    fits = {
        (tonic, minor): sum(
            np.corrcoef(each, np.roll(PROFILES[minor], tonic))[0, 1] for each in chromas
        )
        for tonic in range(12)
        for minor in (False, True)
    }
    heard, key = max(fits, key=lambda each: fits[each]), brief.tonality
    relative = ((key.tonic + (3 if key.minor else 9)) % 12, not key.minor)
    return heard == (key.tonic, key.minor), heard in ((key.tonic, key.minor), relative)


def tempo_heard(mono: np.ndarray, brief: Brief) -> bool:
    """Whether a peak of the tempogram is within 4 % of the tempo, or of half or double of it."""
    onsets = librosa.onset.onset_strength(y=mono, sr=RATE, hop_length=256)
    spectrum = np.abs(np.fft.rfft((onsets - onsets.mean()) * np.hanning(len(onsets)), 1 << 17))
    bpm = np.fft.rfftfreq(1 << 17, 256 / RATE) * 60
    ratios = (1, 2, 0.5) if brief.meter == 4 else (1, 2, 1 / 3)
    found = librosa.feature.tempo(
        onset_envelope=onsets, sr=RATE, hop_length=256, start_bpm=brief.tempo
    )[0]
    strongest = bpm[(bpm > 40) & (bpm < 400)][np.argmax(spectrum[(bpm > 40) & (bpm < 400)])]
    return any(
        abs(each / (brief.tempo * r) - 1) < 0.04
        for each in (found, strongest)
        for r in (*ratios, 4)
    )


def silence(mix: np.ndarray) -> float:
    """The share of frames below ``SILENT_DB``."""
    frames = mix[:, : mix.shape[1] // FRAME * FRAME].reshape(2, -1, FRAME)
    power = np.mean(frames**2, axis=(0, 2))
    return float(np.mean(power < 10 ** (SILENT_DB / 10)))


if __name__ == "__main__":
    main()
