"""The melody that a MusicGen follows: which of the twelve notes is loudest, frame by frame.

The same definition as Transformers' ``MusicgenMelodyFeatureExtractor`` (Copet et al. 2023,
https://arxiv.org/abs/2306.05284, section 3.2), without its need of torchaudio. As there, sounds are
taken as they are; separating drums and bass first (Demucs) is left to the person.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.audio import as_channels, resample

NOTES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


@dataclass(frozen=True)
class Analysis:
    """How the model listens: a Hann window of ``n_fft`` samples every ``hop_length`` of them."""

    sample_rate: int = 32_000
    n_fft: int = 16_384
    hop_length: int = 4096
    num_chroma: int = 12
    max_s: int = 30

    @property
    def frame_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop_length / self.sample_rate


def analysis(folder: Path) -> Analysis:
    """What ``folder/preprocessor_config.json`` states, the published models' values elsewhere."""
    path = folder / "preprocessor_config.json"
    stated = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    usual = Analysis()
    return Analysis(
        sample_rate=int(stated.get("sampling_rate", usual.sample_rate)),
        n_fft=int(stated.get("n_fft", usual.n_fft)),
        hop_length=int(stated.get("hop_length", usual.hop_length)),
        num_chroma=int(stated.get("num_chroma", stated.get("feature_size", usual.num_chroma))),
        max_s=int(stated.get("chunk_length", usual.max_s)),
    )


def chroma(samples: np.ndarray, sample_rate: int, how: Analysis | None = None) -> np.ndarray:
    """One-hot chroma ``(T, num_chroma)``, float32, of ``samples`` ``(T,)`` or ``(C, T)``.

    Index 0 is C. Sounds longer than ``max_s`` are cut, those shorter than a window padded.
    """
    import torch
    from transformers.audio_utils import chroma_filter_bank

    how = how or Analysis()
    mono = resample(as_channels(samples).mean(axis=0), sample_rate, how.sample_rate)
    mono = mono[: how.max_s * how.sample_rate]
    short = max(0, how.n_fft - len(mono))
    wave = torch.from_numpy(np.pad(mono, (short // 2, short - short // 2)).astype(np.float32))
    window = torch.hann_window(how.n_fft)
    spectrum = torch.stft(
        wave, how.n_fft, how.hop_length, window=window, center=True, return_complex=True
    )
    power = spectrum.abs().square() / window.square().sum()
    bank = chroma_filter_bank(
        num_frequency_bins=how.n_fft, sampling_rate=how.sample_rate, tuning=0,
        num_chroma=how.num_chroma,
    )  # fmt: skip
    # dividing by the loudest note of a frame, as Transformers does, does not change which it is
    loudest = (torch.from_numpy(bank).float() @ power).argmax(dim=0)
    return np.eye(how.num_chroma, dtype=np.float32)[loudest.numpy()]


def picture(notes: np.ndarray, how: Analysis | None = None) -> bytes:
    """A PNG of one-hot chroma ``(T, num_chroma)``: time to the right, C at the bottom."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator

    how = how or Analysis()
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    axes = figure.add_subplot()
    seconds = len(notes) * how.frame_s
    count = notes.shape[1]
    axes.imshow(
        notes.T, origin="lower", aspect="auto", interpolation="nearest", cmap="Blues",
        extent=(0, seconds, -0.5, count - 0.5), vmin=0, vmax=1,
    )  # fmt: skip
    axes.yaxis.set_major_locator(FixedLocator(range(count)))
    axes.set_yticklabels(NOTES if count == len(NOTES) else [str(i) for i in range(count)])
    axes.set_xlabel("s")
    axes.set_title("Notes that the model hears")
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=100, metadata={"Software": None})
    return target.getvalue()
