"""Duration, pitch and energy of each phone, and what is added to the text for them."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from engines.networks.blocks.convolutions import same_padding
from engines.networks.fastspeech2.config import FastSpeech2Config, PredictorConfig


class ChannelsLast(nn.Module):
    """A convolution over (B, T, C). Key ``conv``."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=same_padding(kernel))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(1, 2)).transpose(1, 2)


class Predictor(nn.Module):
    """One number for each phone: (B, N, C) to (B, N), 0 at padding."""

    def __init__(self, inputs: int, config: PredictorConfig) -> None:
        super().__init__()
        channels, kernel = config.filter_size, config.kernel_size
        self.conv_layer = nn.Sequential(
            OrderedDict(
                conv1d_1=ChannelsLast(inputs, channels, kernel),
                relu_1=nn.ReLU(),
                layer_norm_1=nn.LayerNorm(channels),
                dropout_1=nn.Dropout(config.dropout),
                conv1d_2=ChannelsLast(channels, channels, kernel),
                relu_2=nn.ReLU(),
                layer_norm_2=nn.LayerNorm(channels),
                dropout_2=nn.Dropout(config.dropout),
            )
        )
        self.linear_layer = nn.Linear(channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``mask`` (B, N) is True where there is a phone."""
        return self.linear_layer(self.conv_layer(x))[..., 0] * mask


class VarianceAdaptor(nn.Module):
    """The predictors, and embeddings of pitch and energy in bins.

    The bins are edges between normalised values, stored with the weights.
    """

    pitch_bins: Tensor
    energy_bins: Tensor

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        hidden = config.transformer.encoder_hidden
        self.duration_predictor = Predictor(hidden, config.predictor)
        self.pitch_predictor = Predictor(hidden, config.predictor)
        self.energy_predictor = Predictor(hidden, config.predictor)
        for name in ("pitch", "energy"):
            self.register_buffer(f"{name}_bins", torch.zeros(config.bins - 1))
            self.add_module(f"{name}_embedding", nn.Embedding(config.bins, hidden))

    def spread_bins(self, pitch: tuple[float, float], energy: tuple[float, float]) -> None:
        """Spread the bins evenly from the least to the largest normalised value of a data set."""
        for bins, (least, largest) in ((self.pitch_bins, pitch), (self.energy_bins, energy)):
            bins.copy_(torch.linspace(least, largest, len(bins)))

    def embed_pitch(self, pitch: Tensor) -> Tensor:
        """(B, N) to (B, N, C)."""
        return self.get_submodule("pitch_embedding")(torch.bucketize(pitch, self.pitch_bins))

    def embed_energy(self, energy: Tensor) -> Tensor:
        """(B, N) to (B, N, C)."""
        return self.get_submodule("energy_embedding")(torch.bucketize(energy, self.energy_bins))


def frames_of(log_durations: Tensor) -> Tensor:
    """Whole frames from predicted ``log(frames + 1)``: rounded half to even, not below 0."""
    return (log_durations.exp() - 1).round().clamp(min=0)


def audible(durations: Tensor) -> Tensor:
    """The same durations (B, N), but an item without any frame gets one for its first phone."""
    durations = durations.clone()
    durations[:, 0] = torch.where(durations.sum(1) == 0, 1, durations[:, 0])
    return durations
