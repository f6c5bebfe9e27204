"""APNet (Ai & Ling 2023): log amplitude and phase from two branches, then an inverse STFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convnext import InverseStft
from engines.networks.blocks.convolutions import Conv1d, same_padding
from engines.networks.vocoders.hifigan import LAST_SLOPE, PairedBlock


@dataclass(frozen=True)
class ApnetConfig:
    """Sizes under the published names: ASP is the amplitude's branch, PSP the phase's."""

    ASP_channel: int
    ASP_resblock_kernel_sizes: Sequence[int]
    ASP_resblock_dilation_sizes: Sequence[Sequence[int]]
    ASP_input_conv_kernel_size: int
    ASP_output_conv_kernel_size: int
    PSP_channel: int
    PSP_resblock_kernel_sizes: Sequence[int]
    PSP_resblock_dilation_sizes: Sequence[Sequence[int]]
    PSP_input_conv_kernel_size: int
    PSP_output_R_conv_kernel_size: int
    PSP_output_I_conv_kernel_size: int


@dataclass(frozen=True)
class Spectra:
    """What APNet says of each frame, all (B, n_fft/2+1, T) but ``audio`` (B, 1, L)."""

    log_amplitude: Tensor
    phase: Tensor
    real: Tensor
    imaginary: Tensor
    audio: Tensor


class ApnetGenerator(nn.Module):
    """Mel (B, ``inputs``, T) to ``Spectra`` with T * hop samples."""

    def __init__(self, config: ApnetConfig, inputs: int, n_fft: int, hop: int) -> None:
        super().__init__()
        bins = n_fft // 2 + 1
        self.ASP_input_conv = _conv(inputs, config.ASP_channel, config.ASP_input_conv_kernel_size)
        self.PSP_input_conv = _conv(inputs, config.PSP_channel, config.PSP_input_conv_kernel_size)
        self.ASP_ResNet = _blocks(
            config.ASP_channel, config.ASP_resblock_kernel_sizes, config.ASP_resblock_dilation_sizes
        )
        self.PSP_ResNet = _blocks(
            config.PSP_channel, config.PSP_resblock_kernel_sizes, config.PSP_resblock_dilation_sizes
        )
        self.ASP_output_conv = _conv(config.ASP_channel, bins, config.ASP_output_conv_kernel_size)
        self.PSP_output_R_conv = _conv(
            config.PSP_channel, bins, config.PSP_output_R_conv_kernel_size
        )
        self.PSP_output_I_conv = _conv(
            config.PSP_channel, bins, config.PSP_output_I_conv_kernel_size
        )
        self._inverse = (n_fft, hop)

    def forward(self, mel: Tensor) -> Spectra:
        log_amplitude = self.ASP_output_conv(_mean(self.ASP_ResNet, self.ASP_input_conv(mel)))
        hidden = _mean(self.PSP_ResNet, self.PSP_input_conv(mel))
        phase = torch.atan2(self.PSP_output_I_conv(hidden), self.PSP_output_R_conv(hidden))
        amplitude = log_amplitude.exp()
        real, imaginary = amplitude * phase.cos(), amplitude * phase.sin()
        audio = InverseStft(*self._inverse).to(mel)(torch.complex(real, imaginary))
        return Spectra(log_amplitude, phase, real, imaginary, audio[:, None])


def _conv(inputs: int, outputs: int, kernel: int) -> Conv1d:
    return Conv1d(inputs, outputs, kernel, padding=same_padding(kernel))


def _blocks(
    channels: int, kernels: Sequence[int], dilations: Sequence[Sequence[int]]
) -> nn.ModuleList:
    return nn.ModuleList(
        PairedBlock(channels, *sizes) for sizes in zip(kernels, dilations, strict=True)
    )


def _mean(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    return F.leaky_relu(torch.stack([block(x) for block in blocks]).mean(0), LAST_SLOPE)
