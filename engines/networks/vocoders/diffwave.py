"""DiffWave (Kong et al. 2021): samples from noise, step by step, along a mel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEL_SLOPE = 0.4
TABLE_DIM, STEP_DIM = 128, 512


@dataclass(frozen=True)
class DiffwaveConfig:
    """Sizes and noise under the published names.

    ``noise_schedule_factors`` are first and last beta of training and their number;
    ``inference_noise_schedule`` the betas of the fast sampling.
    """

    residual_channels: int
    residual_layers: int
    dilation_cycle_length: int
    noise_schedule_factors: Sequence[float]
    inference_noise_schedule: Sequence[float]
    upsample_factors: Sequence[int]

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        return math.prod(self.upsample_factors)

    def training_betas(self) -> Tensor:
        """All betas of training, in float64."""
        first, last, count = self.noise_schedule_factors
        return torch.linspace(first, last, int(count), dtype=torch.float64)

    def fast_betas(self) -> Tensor:
        """The betas of the fast sampling, in float64."""
        return torch.tensor(list(self.inference_noise_schedule), dtype=torch.float64)


class StepEmbedding(nn.Module):
    """Diffusion steps (B,), whole or in between, to (B, 512)."""

    table: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        half = TABLE_DIM // 2
        angles = torch.arange(steps)[:, None] * 10.0 ** (torch.arange(half) * 4 / (half - 1))
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], 1), persistent=False)
        self.projection1 = nn.Linear(TABLE_DIM, STEP_DIM)
        self.projection2 = nn.Linear(STEP_DIM, STEP_DIM)

    def forward(self, step: Tensor) -> Tensor:
        if step.is_floating_point():
            low, high = step.floor().long(), step.ceil().long()
            row = self.table[low] + (self.table[high] - self.table[low]) * (step - low)[:, None]
        else:
            row = self.table[step]
        return F.silu(self.projection2(F.silu(self.projection1(row))))


class MelUpsampler(nn.Module):
    """Mel (B, n_mels, T) to (B, n_mels, T * hop)."""

    def __init__(self, factors: Sequence[int]) -> None:
        super().__init__()
        for place, factor in enumerate(factors, 1):
            conv = nn.ConvTranspose2d(
                1, 1, (3, 2 * factor), stride=(1, factor), padding=(1, factor // 2)
            )
            self.add_module(f"conv{place}", conv)

    def forward(self, mel: Tensor) -> Tensor:
        x = mel[:, None]
        for conv in self.children():
            x = F.leaky_relu(conv(x), MEL_SLOPE)
        return x[:, 0]


class ResidualLayer(nn.Module):
    """One gated dilated layer: gives the residual stream and what it adds to the output."""

    def __init__(self, n_mels: int, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilated_conv = nn.Conv1d(
            channels, 2 * channels, 3, padding=dilation, dilation=dilation
        )
        self.diffusion_projection = nn.Linear(STEP_DIM, channels)
        self.conditioner_projection = nn.Conv1d(n_mels, 2 * channels, 1)
        self.output_projection = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, step: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        y = x + self.diffusion_projection(step)[:, :, None]
        gate, value = (self.dilated_conv(y) + self.conditioner_projection(mel)).chunk(2, 1)
        residual, skip = self.output_projection(gate.sigmoid() * value.tanh()).chunk(2, 1)
        return (x + residual) / math.sqrt(2), skip


class Diffwave(nn.Module):
    """Noise of samples (B, L) at a step, along mel (B, n_mels, T), L = T * hop: (B, 1, L)."""

    def __init__(self, config: DiffwaveConfig, n_mels: int) -> None:
        super().__init__()
        self.config = config
        channels = config.residual_channels
        self.input_projection = nn.Conv1d(1, channels, 1)
        self.diffusion_embedding = StepEmbedding(len(config.training_betas()))
        self.spectrogram_upsampler = MelUpsampler(config.upsample_factors)
        self.residual_layers = nn.ModuleList(
            ResidualLayer(n_mels, channels, 2 ** (layer % config.dilation_cycle_length))
            for layer in range(config.residual_layers)
        )
        self.skip_projection = nn.Conv1d(channels, channels, 1)
        self.output_projection = nn.Conv1d(channels, 1, 1)

    def forward(self, audio: Tensor, step: Tensor, mel: Tensor) -> Tensor:
        return self.noise(audio, step, self.spectrogram_upsampler(mel))

    def noise(self, audio: Tensor, step: Tensor, upsampled: Tensor) -> Tensor:
        """As ``forward``, with the mel already at the rate of the samples."""
        x = self.input_projection(audio[:, None]).relu()
        embedded = self.diffusion_embedding(step)
        total = torch.zeros_like(x)
        for layer in self.residual_layers:
            x, skip = layer(x, embedded, upsampled)
            total = total + skip
        total = total / math.sqrt(len(self.residual_layers))
        return self.output_projection(self.skip_projection(total).relu())


def aligned_steps(training: Tensor, betas: Tensor) -> Tensor:
    """Where between the steps of ``training`` betas each noise level of ``betas`` lies, as float32.

    Both (N,) in float64.
    """
    known, wanted = (1 - training).cumprod(0), (1 - betas).cumprod(0)
    steps = []
    for level in wanted:
        for step in range(len(known) - 1):
            if known[step + 1] <= level <= known[step]:
                part = (known[step].sqrt() - level.sqrt()) / (
                    known[step].sqrt() - known[step + 1].sqrt()
                )
                steps.append(step + part)
                break
    return torch.stack(steps).float()


def sample(
    network: Diffwave, mel: Tensor, betas: Tensor, draw: Callable[[tuple[int, ...]], Tensor]
) -> Iterator[Tensor]:
    """Samples (1, L) after each step, the last of them the result.

    ``mel`` is (1, n_mels, T); ``draw`` gives normal numbers of a shape, first for the start, then for
    each step but the last.
    """
    steps = aligned_steps(network.config.training_betas(), betas).to(mel.device)
    kept = (1 - betas).cumprod(0)
    upsampled = network.spectrogram_upsampler(mel)
    x = draw((mel.shape[0], upsampled.shape[-1])).to(mel)
    for place in reversed(range(len(betas))):
        beta = betas[place]
        noise = network.noise(x, steps[place : place + 1], upsampled)[:, 0]
        x = (x - float(beta / (1 - kept[place]).sqrt()) * noise) / float((1 - beta).sqrt())
        if place > 0:
            spread = ((1 - kept[place - 1]) / (1 - kept[place]) * beta).sqrt()
            x = x + float(spread) * draw(tuple(x.shape)).to(mel)
        x = x.clamp(-1, 1)
        yield x
