"""EnCodec at 24 kHz (Défossez et al. 2022), through ``transformers``: sound to codes and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import Weights
from engines.parts.published import Part

if TYPE_CHECKING:
    from torch import Tensor

RATE, HOP = 24_000, 320
WEIGHTS = Weights(
    id="encodec_24khz",
    title="EnCodec, 24 kHz",
    repo="facebook/encodec_24khz",
    files=("config.json", "model.safetensors"),
    size_bytes=93_000_000,
    license="CC-BY-NC-4.0",
    non_commercial=True,
)
PART = Part(WEIGHTS, "model.safetensors", 23_300_000)


class Encodec:
    """The codec in memory. Codes are (1, K, T), at 75 frames a second with the published weights."""

    def __init__(self, model: Any) -> None:
        from torch.nn.utils import parametrize

        for module in model.modules():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")
        self.model = model

    @classmethod
    def from_published(cls, folder: Path) -> Encodec:
        """The codec of a folder of ``transformers``; ``WeightsError`` names what doesn't fit."""
        from transformers import EncodecConfig, EncodecModel

        from engines.networks.weights import load_exactly, read_config, read_weights

        model = EncodecModel(EncodecConfig(**read_config(folder / "config.json")))
        state = read_weights(folder / "model.safetensors")
        renamed = {
            key.replace("weight_g", "parametrizations.weight.original0").replace(
                "weight_v", "parametrizations.weight.original1"
            ): tensor
            for key, tensor in state.items()
        }
        own = model.state_dict()
        kept = {key: t.reshape(own[key].shape) if key.endswith("inited") else t
                for key, t in renamed.items()}  # fmt: skip
        load_exactly(model, kept, what="EnCodec", optional=_training_only(own))
        return cls(model)

    def to(self, *where: Any) -> Encodec:
        """Moved to a device and dtype."""
        self.model.to(*where)
        return self

    def eval(self) -> Encodec:
        """In evaluation mode."""
        self.model.eval()
        return self

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        total = 1
        for ratio in self.model.config.upsampling_ratios:
            total *= ratio
        return total

    @property
    def rate(self) -> int:
        """Sample rate in Hz."""
        return int(self.model.config.sampling_rate)

    def encode(self, samples: Tensor, books: int) -> Tensor:
        """Codes (1, ``books``, T) of samples (L,)."""
        import torch

        residual = self.model.encoder(samples[None, None])
        codes = []
        for layer in self.model.quantizer.layers[:books]:
            found = layer.encode(residual)
            residual = residual - layer.decode(found)
            codes.append(found)
        return torch.stack(codes, 1)

    def latents(self, codes: Tensor) -> Tensor:
        """Sums of the codebooks' vectors (1, C, T)."""
        return self.model.quantizer.decode(codes.transpose(0, 1))

    def sound(self, latents: Tensor) -> Tensor:
        """Samples (B, L) of latents (B, C, T)."""
        return self.model.decoder(latents)[:, 0]


def _training_only(keys: Any) -> tuple[str, ...]:
    return tuple(key for key in keys if key.endswith(("inited", "cluster_size", "embed_avg")))
