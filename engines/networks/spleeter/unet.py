"""Six strided convolutions down, six transposed ones up, with skips; the output masks the input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (16, 32, 64, 128, 256, 512)
EPS, MOMENTUM, SLOPE = 1e-3, 0.01, 0.2
MULTIPLE = 2 ** len(WIDTHS)  # of frames and of bins


class Pad(nn.Module):
    """What TensorFlow's "same" adds around the input of a 5 × 5 convolution of stride 2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Zeros: one row before and two after, the same for columns."""
        return F.pad(x, (1, 2, 1, 2))


class Crop(nn.Module):
    """The opposite of ``Pad``, after a transposed convolution."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Without those rows and columns."""
        return x[..., 1:-2, 1:-2]


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=EPS, momentum=MOMENTUM)


def _up(channels: int, width: int, dropout: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(channels, width, kernel_size=5, stride=2),
        Crop(),
        nn.ReLU(),
        _norm(width),
    ]
    return nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []))


class Unet(nn.Module):
    """Magnitudes of a mix ``(B, 2, T, F)`` to a mask of one stem, of the same shape, from 0 to 1.

    T and F are multiples of 64; the published weights expect 512 frames of 1024 bins.
    """

    def __init__(self, channels: int = 2):
        super().__init__()
        self.depth = len(WIDTHS)
        for level, (before, width) in enumerate(zip((channels, *WIDTHS), WIDTHS, strict=False), 1):
            conv = nn.Conv2d(before, width, kernel_size=5, stride=2)
            self.add_module(f"down{level}_conv", nn.Sequential(Pad(), conv))
            self.add_module(f"down{level}_act", nn.Sequential(_norm(width), nn.LeakyReLU(SLOPE)))
        upwards = (*reversed(WIDTHS[:-1]), 1)
        for level, width in enumerate(upwards, 1):
            # the skip doubles what comes from below, but for the first
            below = WIDTHS[-1] if level == 1 else 2 * upwards[level - 2]
            self.add_module(f"up{level}", _up(below, width, dropout=level <= 3))
        last = nn.Conv2d(1, channels, kernel_size=4, dilation=2, padding=3)
        self.up7 = nn.Sequential(last, nn.Sigmoid())

    def forward(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """The mask of the stem."""
        skips: list[torch.Tensor] = []
        x = magnitudes
        for level in range(1, self.depth + 1):
            skips.append(self.get_submodule(f"down{level}_conv")(x))
            if level < self.depth:
                x = self.get_submodule(f"down{level}_act")(skips[-1])
        x = self.get_submodule("up1")(skips.pop())
        for level in range(2, self.depth + 1):
            x = self.get_submodule(f"up{level}")(torch.cat([skips.pop(), x], dim=1))
        return self.up7(x)

    @staticmethod
    def constant_keys(module: nn.Module) -> tuple[str, ...]:
        """Keys that published files lack: counters of training steps."""
        return tuple(key for key in module.state_dict() if key.endswith("num_batches_tracked"))
