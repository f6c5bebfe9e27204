"""Features of HuBERT (Hsu et al. 2021), through ``transformers``, cut to the layers in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

from engines.networks.weights import build_exactly, read_config, read_weights, strip_prefix

LARGE = HubertConfig(
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    conv_bias=False,
    mask_time_prob=0.0,
    mask_feature_prob=0.0,
)
FILES = ("hubert_fairseq_large_ll60k.pth", "model.safetensors", "pytorch_model.bin")
NEW_NAMES = {
    "conv.weight_g": "conv.parametrizations.weight.original0",
    "conv.weight_v": "conv.parametrizations.weight.original1",
}


@dataclass(frozen=True)
class HubertUse:
    """How many ``layers`` are used; the last one's output is the features."""

    layers: int = 18


class Hubert(nn.Module):
    """Samples (B, L) at 16 kHz to features (B, (L - 400) // 320 + 1, C) of the last layer loaded."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.network = HubertModel(config)
        # the norm behind the whole stack, whose end isn't reached
        self.network.encoder.set_submodule("layer_norm", nn.Identity())

    @classmethod
    def from_published(cls, folder: Path, layers: int = 18) -> Hubert:
        """The first ``layers`` layers, from torchaudio's file or from a folder of ``transformers``.

        A ``config.json`` beside the weights gives the sizes, else they are those of HuBERT large.
        """
        file = next(
            (folder / name for name in FILES if (folder / name).is_file()), folder / FILES[0]
        )
        config = sized(folder / "config.json")
        unused = tuple(
            f"encoder.layers.{place}." for place in range(layers, config.num_hidden_layers)
        )
        config.num_hidden_layers = layers
        state = from_torchaudio(strip_prefix(read_weights(file), "hubert."))
        state = {f"network.{key}": tensor for key, tensor in state.items()}
        ignored = ("encoder.layer_norm.", "masked_spec_embed", *unused)
        return build_exactly(
            lambda: cls(config),
            state,
            what="HuBERT",
            ignore=[f"network.{key}" for key in ignored],
        )

    def forward(self, samples: Tensor) -> Tensor:
        weight = self.network.feature_projection.projection.weight
        return self.network(normalised(samples).to(weight)).last_hidden_state


def sized(file: Path) -> HubertConfig:
    """HuBERT large, or what a configuration file says; never with masks, which are for training."""
    given = read_config(file) if file.is_file() else LARGE.to_dict()
    return HubertConfig(**{**given, "mask_time_prob": 0.0, "mask_feature_prob": 0.0})


def normalised(samples: Tensor) -> Tensor:
    """Mean 0 and variance 1 over all that is given, as torchaudio's bundle does it."""
    return F.layer_norm(samples, samples.shape)


def from_torchaudio(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Torchaudio's keys to those of ``transformers``, which are left as they are."""
    renamed = {}
    for key, tensor in state.items():
        key = key.replace("encoder.feature_projection.", "feature_projection.")
        key = key.replace("encoder.transformer.", "encoder.")
        for old, new in NEW_NAMES.items():
            key = key.replace(old, new)
        renamed[key] = tensor
    return renamed


def torchaudio_key(key: str) -> str:
    """What torchaudio's file calls a key of ``transformers``."""
    for old, new in NEW_NAMES.items():
        key = key.replace(new, old)
    if key.startswith("feature_projection."):
        return f"encoder.{key}"
    return key.replace("encoder.", "encoder.transformer.", 1) if key.startswith("encoder.") else key
