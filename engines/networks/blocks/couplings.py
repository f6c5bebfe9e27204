"""The normalising flow of VITS (Kim et al. 2021): mean-only couplings over a gated WaveNet stack."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.networks.blocks.convolutions import Conv1d, same_padding


class WaveNetStack(nn.Module):
    """Gated dilated convolutions: (B, H, T) to (B, H, T), times ``mask`` (B, 1, T).

    A speaker vector (B, ``speaker``, 1) shifts every gate. Keys ``in_layers, res_skip_layers,
    cond_layer``.
    """

    def __init__(
        self, hidden: int, kernel: int, layers: int, *, dilation: int = 1, speaker: int = 0
    ) -> None:
        super().__init__()
        self.hidden, self.layers = hidden, layers
        self.in_layers = nn.ModuleList()
        self.res_skip_layers = nn.ModuleList()
        for layer in range(layers):
            step = dilation**layer
            self.in_layers.append(
                Conv1d(
                    hidden, 2 * hidden, kernel, dilation=step, padding=same_padding(kernel, step)
                )
            )
            outputs = 2 * hidden if layer < layers - 1 else hidden
            self.res_skip_layers.append(Conv1d(hidden, outputs, 1))
        if speaker:
            self.cond_layer = Conv1d(speaker, 2 * hidden * layers, 1)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        shifts = (
            [0.0] * self.layers
            if speaker is None
            else self.cond_layer(speaker).chunk(self.layers, dim=1)
        )
        total = torch.zeros_like(x)
        for layer, shift in enumerate(shifts):
            value, gate = (self.in_layers[layer](x) + shift).chunk(2, dim=1)
            y = self.res_skip_layers[layer](value.tanh() * gate.sigmoid())
            if layer == self.layers - 1:
                total = total + y
            else:
                residual, skip = y.chunk(2, dim=1)
                x, total = (x + residual) * mask, total + skip
        return total * mask


class Coupling(nn.Module):
    """Adds to the second half of the channels a mean that the first half gives. Keys ``pre, enc, post``."""

    def __init__(
        self, channels: int, hidden: int, kernel: int, layers: int, *, speaker: int = 0
    ) -> None:
        super().__init__()
        self.pre = nn.Conv1d(channels // 2, hidden, 1)
        self.enc = WaveNetStack(hidden, kernel, layers, speaker=speaker)
        self.post = nn.Conv1d(hidden, channels // 2, 1)
        nn.init.zeros_(self.post.weight)
        nn.init.zeros_(self.post.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, self._mean(first, mask, speaker) + second * mask], dim=1)

    def inverse(self, x: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Undoes ``forward``."""
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, (second - self._mean(first, mask, speaker)) * mask], dim=1)

    def _mean(self, first: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
        return self.post(self.enc(self.pre(first) * mask, mask, speaker)) * mask


class CouplingFlow(nn.Module):
    """``couplings`` couplings, each followed by a flip of the channels; log-determinant 0.

    Latents (B, C, T) to prior (B, C, T). Keys ``flows.0, flows.2, ...``: the flips at odd places have none.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        kernel: int,
        layers: int,
        *,
        couplings: int = 4,
        speaker: int = 0,
    ) -> None:
        super().__init__()
        self.flows = nn.ModuleDict(
            {
                str(2 * place): Coupling(channels, hidden, kernel, layers, speaker=speaker)
                for place in range(couplings)
            }
        )

    def forward(self, z: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        for coupling in self.flows.values():
            z = coupling(z, mask, speaker).flip(1)
        return z

    def inverse(self, z: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Prior (B, C, T) to latents."""
        for coupling in reversed(list(self.flows.values())):
            z = coupling.inverse(z.flip(1), mask, speaker)  # type: ignore[operator]
        return z


class PosteriorEncoder(nn.Module):
    """Linear spectra (B, ``bins``, T) to mean and log deviation (B, C, T) of the latents.

    Keys ``pre, enc, proj``.
    """

    def __init__(
        self,
        bins: int,
        channels: int,
        hidden: int,
        *,
        kernel: int = 5,
        layers: int = 16,
        speaker: int = 0,
    ) -> None:
        super().__init__()
        self.pre = nn.Conv1d(bins, hidden, 1)
        self.enc = WaveNetStack(hidden, kernel, layers, speaker=speaker)
        self.proj = nn.Conv1d(hidden, 2 * channels, 1)

    def forward(
        self, spectrum: Tensor, mask: Tensor, speaker: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        hidden = self.enc(self.pre(spectrum) * mask, mask, speaker)
        mean, log_deviation = (self.proj(hidden) * mask).chunk(2, dim=1)
        return mean, log_deviation
