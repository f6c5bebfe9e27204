"""How long each token lasts: VITS's stochastic predictor, a flow over two channels, and the plain one."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.relative_transformer import ChannelNorm
from engines.networks.blocks.splines import rational_quadratic

KERNEL, LAYERS, FLOWS, BINS, BOUND = 3, 3, 4, 10, 5.0
SHORTEST = 1e-5
DROPOUT = 0.5
PLAIN_CHANNELS = 256


class SeparableConvolutions(nn.Module):
    """Dilated depthwise-separable residual layers: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        dilations = [KERNEL**layer for layer in range(LAYERS)]
        self.convs_sep = nn.ModuleList(
            nn.Conv1d(channels, channels, KERNEL, padding=d, dilation=d, groups=channels)
            for d in dilations
        )
        self.convs_1x1 = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in dilations)
        self.norms_1 = nn.ModuleList(ChannelNorm(channels) for _ in dilations)
        self.norms_2 = nn.ModuleList(ChannelNorm(channels) for _ in dilations)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        layers = zip(self.convs_sep, self.norms_1, self.convs_1x1, self.norms_2, strict=True)
        for depthwise, norm_1, pointwise, norm_2 in layers:
            y = F.gelu(norm_1(depthwise(x * mask)))
            x = x + self.drop(F.gelu(norm_2(pointwise(y))))
        return x * mask


class Affine(nn.Module):
    """A shift and a scale for each channel of (B, C, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(channels, 1))
        self.logs = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The result and the logarithm of the determinant (B,)."""
        return (self.m + self.logs.exp() * x) * mask, (self.logs * mask).sum((1, 2))

    def inverse(self, x: Tensor, mask: Tensor) -> Tensor:
        return (x - self.m) * (-self.logs).exp() * mask


class SplineCoupling(nn.Module):
    """The second of two channels through a spline that the first and the condition shape."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(1, hidden, 1)
        self.convs = SeparableConvolutions(hidden)
        self.proj = nn.Conv1d(hidden, 3 * BINS - 1, 1)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2, T) and the logarithm of the determinant (B,); ``condition`` is (B, hidden, T)."""
        return self._through(x, mask, condition, inverse=False)

    def inverse(self, x: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        """The inverse of ``forward``."""
        return self._through(x, mask, condition, inverse=True)[0]

    def _through(
        self, x: Tensor, mask: Tensor, condition: Tensor, *, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2, 1)
        shape = self.proj(self.convs(self.pre(first) + condition, mask)) * mask
        shape = shape.transpose(1, 2)
        scale = math.sqrt(self.pre.out_channels)
        widths, heights, slopes = shape.split([BINS, BINS, BINS - 1], -1)
        second, log_slope = rational_quadratic(
            second[:, 0], widths / scale, heights / scale, slopes, bound=BOUND, inverse=inverse
        )
        log_determinant = (log_slope * mask[:, 0]).sum(1)
        return torch.cat([first, second[:, None]], 1) * mask, log_determinant


class DurationFlow(nn.ModuleDict):
    """An affine layer, then couplings each followed by a flip of the two channels.

    Keys ``0`` for the affine layer and ``1, 3, 5, 7`` for the couplings: the flips between have none.
    """

    def __init__(self, hidden: int) -> None:
        couplings = {str(2 * place + 1): SplineCoupling(hidden) for place in range(FLOWS)}
        super().__init__({"0": Affine(2), **couplings})

    @property
    def couplings(self) -> list[SplineCoupling]:
        """In the order of ``forward``."""
        return list(self.values())[1:]  # type: ignore[return-value]

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2, T) through all layers, and the logarithm of the determinant (B,)."""
        x, total = self["0"](x, mask)
        for coupling in self.couplings:
            x, log_determinant = coupling(x, mask, condition)
            x, total = x.flip(1), total + log_determinant
        return x, total

    def inverse_first(self, x: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        """The first channel (B, 1, T) of the inverse.

        The inverse of the first coupling would change the second channel only, so it isn't computed.
        """
        for coupling in reversed(self.couplings[1:]):
            x = coupling.inverse(x.flip(1), mask, condition)
        return self["0"].inverse(x.flip(1), mask)[:, :1]  # type: ignore[operator]


class StochasticDurationPredictor(nn.Module):
    """Log durations (B, 1, N) drawn from a distribution that the text's hidden states condition."""

    def __init__(self, hidden: int, speaker: int) -> None:
        super().__init__()
        self.flows, self.post_flows = DurationFlow(hidden), DurationFlow(hidden)
        self.post_pre, self.pre = nn.Conv1d(1, hidden, 1), nn.Conv1d(hidden, hidden, 1)
        self.post_proj, self.proj = nn.Conv1d(hidden, hidden, 1), nn.Conv1d(hidden, hidden, 1)
        self.post_convs = SeparableConvolutions(hidden, DROPOUT)
        self.convs = SeparableConvolutions(hidden, DROPOUT)
        if speaker:
            self.cond = nn.Conv1d(speaker, hidden, 1)

    def condition(self, x: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
        """What the flows see of the text (B, hidden, N) and the speaker (B, speaker, 1)."""
        x = self.pre(x.detach())
        if speaker is not None:
            x = x + self.cond(speaker.detach())
        return self.proj(self.convs(x, mask)) * mask

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None, noise: Tensor) -> Tensor:
        """Log durations from ``noise`` (B, 2, N), normal numbers times a noise scale."""
        return self.flows.inverse_first(noise, mask, self.condition(x, mask, speaker))

    def loss(
        self,
        x: Tensor,
        mask: Tensor,
        durations: Tensor,
        speaker: Tensor | None,
        noise: Tensor,
    ) -> Tensor:
        """Bound on the negative log likelihood (B,) of ``durations`` (B, 1, N), summed over tokens.

        ``noise`` (B, 2, N) is normal: it makes the durations continuous (dequantisation) and adds a
        second channel (augmentation), both with a density that ``post_flows`` learns.
        """
        condition = self.condition(x, mask, speaker)
        known = self.post_proj(self.post_convs(self.post_pre(durations), mask)) * mask
        noise = noise * mask
        posterior, log_determinant = self.post_flows(noise, mask, condition + known)
        part, second = posterior.chunk(2, 1)
        inside = F.logsigmoid(part) + F.logsigmoid(-part)
        log_q = -_normal(noise, mask) - log_determinant - (inside * mask).sum((1, 2))
        continuous = (durations - part.sigmoid()) * mask
        log_duration = continuous.clamp(min=SHORTEST).log() * mask
        z, log_determinant = self.flows(torch.cat([log_duration, second], 1), mask, condition)
        log_p = -_normal(z, mask) + log_determinant - log_duration.sum((1, 2))
        return log_q - log_p


def _normal(x: Tensor, mask: Tensor) -> Tensor:
    """Negative log density (B,) of standard normal numbers (B, C, T)."""
    return (0.5 * (math.log(2 * math.pi) + x.square()) * mask).sum((1, 2))


class DurationPredictor(nn.Module):
    """The plain predictor: one log duration a token, (B, hidden, N) to (B, 1, N)."""

    def __init__(self, hidden: int, speaker: int) -> None:
        super().__init__()
        inner = PLAIN_CHANNELS
        self.conv_1 = nn.Conv1d(hidden, inner, KERNEL, padding=KERNEL // 2)
        self.norm_1 = ChannelNorm(inner)
        self.conv_2 = nn.Conv1d(inner, inner, KERNEL, padding=KERNEL // 2)
        self.norm_2 = ChannelNorm(inner)
        self.proj = nn.Conv1d(inner, 1, 1)
        self.drop = nn.Dropout(DROPOUT)
        if speaker:
            self.cond = nn.Conv1d(speaker, hidden, 1)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
        x = x.detach()
        if speaker is not None:
            x = x + self.cond(speaker.detach())
        x = self.drop(self.norm_1(self.conv_1(x * mask).relu()))
        x = self.drop(self.norm_2(self.conv_2(x * mask).relu()))
        return self.proj(x * mask) * mask

    def loss(self, x: Tensor, mask: Tensor, durations: Tensor, speaker: Tensor | None) -> Tensor:
        """Squared error (B,) of log ``durations`` (B, 1, N), summed over tokens."""
        log_durations = (durations + 1e-6).log() * mask
        return (self(x, mask, speaker) - log_durations).square().sum((1, 2))
