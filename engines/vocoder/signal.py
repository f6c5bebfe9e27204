"""Vocoders without weights: Griffin-Lim from mels, and WORLD, which analyses and synthesises."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Clip, Device, Engine, Job, Report, StudioError, Task, Weights
from engines.parts.frame_windows import FrameWindow, read_resampled
from engines.parts.mel_recipes import Recipe, log_mels
from engines.vocoder.amphion import SeededParams
from engines.vocoder.base import VocoderEngine, VocoderParams, check_inputs, report

MOMENTUM = 0.99  # Perraudin et al. 2013
NNLS_STEPS = 60
WORLD_RATE = 24_000


class GriffinLimParams(SeededParams):
    """Parameters of one synthesis."""

    iterations: int = Field(
        32,
        ge=1,
        le=500,
        title="Iterations",
        description="How often the phases are made to agree with the mel; more sound less hollow.",
    )


class GriffinLim(VocoderEngine):
    """Phases by the fast Griffin-Lim algorithm; each window goes on where the one before ended."""

    card = Card(
        id="griffin-lim",
        title="Griffin-Lim",
        task=Task.VOCODER,
        summary="Sound from a mel without a model: phases are found by iteration. What others improve on.",
        license_code="MIT",
        license_weights="none",
        sample_rate=24_000,
        paper="https://doi.org/10.1109/TASSP.1984.1164317",
        memory_mb={"float32": 20},
        requires=("torch",),
        pip_extra="torch",
        notes="Takes the mels of Amphion's 24 kHz vocoders: 100 bands, hop 256, natural logarithm.",
    )
    Params = GriffinLimParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._before: tuple[int, Any] | None = None

    def weights(self) -> list[Weights]:
        """None to fetch."""
        return [Weights("griffin-lim", "Griffin-Lim", license="none", embedded=True)]

    def folder(self, weights: Weights) -> Path:
        """Nothing is read."""
        return Path()

    def recipe_of(self, weights: Weights) -> Recipe:
        """That of Amphion's vocoders."""
        from engines.networks.blocks.mel import VOCODER_24K

        return log_mels(VOCODER_24K)

    def open(self, weights: Weights, folder: Path, device: Device) -> tuple[Any, Recipe]:
        """No network."""
        return None, self.recipe_of(weights)

    def begin(self, heard: Any, params: Any, job: Job) -> None:
        """Nothing stands before the first window."""
        self._before = None

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """Samples whose spectrogram is near the mel's; those made before stay as they are."""
        import torch

        from engines.networks.blocks.mel import VOCODER_24K

        hop, pad = VOCODER_24K.hop, (VOCODER_24K.n_fft - VOCODER_24K.hop) // 2
        target = _magnitudes(mel, VOCODER_24K)
        rng = torch.Generator().manual_seed(int(job.rng(window.first).integers(2**63)))
        phase = torch.rand(target.shape, generator=rng).to(target) * 2 * torch.pi
        samples = target.shape[-1] * hop
        known = 0
        if self._before is not None:
            start, made = self._before
            known = (window.first - window.start) * hop
            made = made[:, window.start * hop - start :][:, :known]
        frame = torch.hann_window(VOCODER_24K.n_fft, device=mel.device)
        spectrum, last = torch.polar(target, phase), None
        for iteration in range(params.iterations + 1):
            job.check()
            wave = _overlapped(spectrum, frame, hop)
            if known:
                wave[:, pad : pad + known] = made
            if iteration == params.iterations:
                break
            found = torch.stft(
                wave, VOCODER_24K.n_fft, hop, window=frame, center=False, return_complex=True
            )
            ahead = found if last is None else found + MOMENTUM * (found - last)
            last = found
            spectrum = target * ahead / ahead.abs().clamp(min=1e-8)
        wave = wave[:, pad : pad + samples]
        self._before = (window.start * hop, wave)
        return wave


def _magnitudes(mel: Any, recipe: Any) -> Any:
    """Linear magnitudes (1, n_fft/2+1, T) whose mels are near ``mel``, none below 0."""
    from engines.networks.blocks.mel import mel_filters

    wanted = mel.exp()
    filters = mel_filters(
        recipe.sample_rate, recipe.n_fft, recipe.n_mels, recipe.fmin, recipe.fmax
    ).to(mel)
    back = filters.T @ wanted
    made = back.clamp(min=1e-8)
    for _ in range(NNLS_STEPS):  # Lee and Seung's multiplicative updates
        made = made * back / (filters.T @ (filters @ made)).clamp(min=1e-10)
    return made


def _overlapped(spectrum: Any, window: Any, hop: int) -> Any:
    """Samples (1, (T - 1) * hop + n_fft) of frames, each as they overlap."""
    import torch
    import torch.nn.functional as F

    n_fft = len(window)
    length = (spectrum.shape[-1] - 1) * hop + n_fft

    def overlap(frames: Any) -> Any:
        whole = F.fold(frames, (1, length), kernel_size=(1, n_fft), stride=(1, hop))
        return whole[:, 0, 0]

    frames = torch.fft.irfft(spectrum, n_fft, dim=1) * window[:, None]
    squares = window.square()[None, :, None].expand(1, -1, spectrum.shape[-1])
    return overlap(frames) / overlap(squares.contiguous()).clamp(min=1e-3)


class WorldVocoder(Engine):
    """WORLD: analysis into F0, envelope and aperiodicity, and synthesis of them."""

    card = Card(
        id="world",
        title="WORLD",
        task=Task.VOCODER,
        summary="Takes a voice apart into pitch, envelope and breath, and puts it together again.",
        license_code="BSD-3-Clause, MIT (pyworld)",
        license_weights="none",
        sample_rate=WORLD_RATE,
        paper="https://doi.org/10.1587/transinf.2015EDP7457",
        home="https://github.com/mmorise/World",
        memory_mb={"float32": 60},
        requires=("pyworld",),
        pip_extra="pyworld-prebuilt",
        notes="Made for one voice; it has no mels, so it takes sounds alone.",
    )
    Params = VocoderParams

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a mel file, which WORLD can't use."""
        if params.mel is not None:
            raise StudioError(
                "WORLD works on pitch, envelope and aperiodicity, which a mel file doesn't hold: choose "
                "a sound.",
                "mel",
            )
        check_inputs(params)

    def load(self, device: Device, params: Any = None) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to free."""

    def run(self, params: Any, job: Job) -> Iterator[Clip | Report]:
        """The same each time."""
        from engines.world.source import Source

        samples = read_resampled(params.source, WORLD_RATE, 1)[0]
        started = time.perf_counter()

        def half(number: int) -> Any:
            def told(done: float, total: float) -> None:
                job.check()
                job.progress(
                    number * total + done, 2 * total, ("Analysing", "Synthesising")[number]
                )

            return told

        source = Source(samples, WORLD_RATE, progress=half(0))
        made = source.rendered(lambda _, frames: frames, progress=half(1))
        made = np.clip(made, -1, 1).astype(np.float32)
        job.emit(made, WORLD_RATE)
        yield Clip(made, WORLD_RATE, title="WORLD")
        took_s = time.perf_counter() - started
        yield report("none: pitch, envelope, aperiodicity", len(samples) / WORLD_RATE, took_s)
