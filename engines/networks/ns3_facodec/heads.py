"""What FACodec predicts from its parts while it is trained: F0, voicing, phones and speakers."""

from __future__ import annotations

from torch import Tensor, nn

from engines.networks.blocks.dac import ResidualUnit
from engines.networks.ns3_facodec.encoder import layers

PHONES, SPEAKERS = 5003, 245200
HEADS = (
    "f0_predictor.",
    "phone_predictor.",
    "res_f0_predictor.",
    "res_phone_predictor.",
    "x_timbre_predictor.",
)


class Predictor(nn.Module):
    """(B, C, T) to one tensor (B, T, ``outputs``) for each head. Keys ``model, heads``."""

    def __init__(self, channels: int, *outputs: int) -> None:
        super().__init__()
        built = layers()
        self.model = nn.Sequential(
            *(ResidualUnit(built, channels, dilation) for dilation in (1, 2, 3)),
            built.act(channels),
        )
        self.heads = nn.ModuleList(nn.Linear(channels, size) for size in outputs)

    def forward(self, x: Tensor) -> list[Tensor]:
        hidden = self.model(x).transpose(1, 2)
        return [head(hidden) for head in self.heads]


def adversary(channels: int, *outputs: int) -> nn.Sequential:
    """A predictor at index 1; at 0 the original turns the gradient round, which needs no weights."""
    return nn.Sequential(nn.Identity(), Predictor(channels, *outputs))
