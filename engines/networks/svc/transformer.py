"""TransformerSVC: one pass from the conditions to the mel, by a Conformer or a plain Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast

from torch import Tensor, nn

from engines.networks.blocks.positions import sinusoid_table
from engines.networks.blocks.ssim import ssim_loss
from engines.networks.svc.conditions import ConditionConfig, ConditionEncoder
from engines.networks.svc.conformer import Conformer
from engines.networks.svc.features import SingingFeatures
from engines.networks.svc.published import read_published
from engines.networks.weights import load_exactly

INNER = 2048  # of the plain Transformer, whatever the configuration's filter_channels says
LONGEST = 5000  # frames


class SinusoidPositions(nn.Module):
    """Adds sine and cosine of each position, one beside the other, to (B, T, C). Key ``pe``."""

    pe: Tensor

    def __init__(self, channels: int, length: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoid_table(length, channels)[None])
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > self.pe.shape[1]:
            raise ValueError(f"A clip may have {self.pe.shape[1]} frames, not {x.shape[1]}.")
        return self.drop(x + self.pe[:, : x.shape[1]])


class PlainTransformer(nn.Module):
    """Conditions (B, C, T) to mels (B, n_mels, T), with every frame attended, padding too.

    Feed one clip without padding. Keys ``pos_encoder, transformer_encoder, output_mlp``.
    """

    def __init__(
        self,
        channels: int,
        n_mels: int,
        heads: int,
        layers: int,
        *,
        inner: int = INNER,
        length: int = LONGEST,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.pos_encoder = SinusoidPositions(channels, length, dropout)
        layer = nn.TransformerEncoderLayer(channels, heads, inner, dropout, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.output_mlp = nn.Linear(channels, n_mels)

    @classmethod
    def read(cls, given: Mapping[str, Any], *, length: int = LONGEST) -> PlainTransformer:
        """From the names of the published configuration."""
        return cls(
            given["input_dim"],
            given["output_dim"],
            given["n_heads"],
            given["n_layers"],
            length=length,
            dropout=given["dropout"],
        )

    def forward(self, condition: Tensor, mask: Tensor) -> Tensor:
        hidden = self.transformer_encoder(self.pos_encoder(condition.transpose(1, 2)))
        return self.output_mlp(hidden).transpose(1, 2)


class TransformerSvc(nn.ModuleList):
    """``SingingFeatures`` to normalised mels. Keys ``0`` (conditions) and ``1`` (the regression)."""

    def __init__(
        self, conditions: ConditionConfig, regression: Conformer | PlainTransformer
    ) -> None:
        super().__init__([ConditionEncoder(conditions), regression])

    @classmethod
    def read(cls, model: Mapping[str, Any], *, length: int = LONGEST) -> Self:
        """A network of the ``model`` part of an ``args.json``.

        ``length`` counts the rows of the position table of the plain Transformer.
        """
        given = model["transformer"]
        kind = given["type"]
        if kind not in ("conformer", "transformer"):
            raise ValueError(f"The type must be conformer or transformer, not {kind}.")
        return cls(
            ConditionConfig.read(model["condition_encoder"]),
            Conformer.read(given)
            if kind == "conformer"
            else PlainTransformer.read(given, length=length),
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of a trained folder, ready to use; ``WeightsError`` says what doesn't fit."""
        config, state = read_published(folder)
        network = cls.read(config["model"])
        load_exactly(network, state, what=folder.name)
        return network.eval()

    @property
    def conditions(self) -> ConditionEncoder:
        """The condition encoder."""
        return cast(ConditionEncoder, self[0])

    def forward(self, features: SingingFeatures, mask: Tensor) -> Tensor:
        """Mels (B, n_mels, T); ``mask`` (B, 1, T) is 0 where a clip has ended."""
        return self[1](self.conditions(features), mask)


def losses(predicted: Tensor, mel: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """What the training adds up: ``l1`` and ``ssim``, of mels (B, n_mels, T) and ``mask`` (B, 1, T).

    ``l1`` is summed over the mel bins and averaged over the frames, as in the original.
    """
    l1 = ((predicted - mel).abs() * mask).sum() / mask.sum()
    return {"l1": l1, "ssim": ssim_loss(predicted, mel)}
