"""Features of ContentVec (Qian et al. 2022), a HuBERT that forgets the speaker, through ``transformers``."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

from engines.networks.blocks.hubert import from_torchaudio
from engines.networks.weights import build_exactly, read_config, read_weights, weight_file


class ContentVec(nn.Module):
    """Samples (B, L) at 16 kHz to features (B, N, D), 50 a second: the last layer, projected."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.network = HubertModel(config)
        self.final_proj = nn.Linear(config.hidden_size, config.classifier_proj_size)

    @classmethod
    def from_published(cls, folder: Path) -> ContentVec:
        """The model of a folder of ``transformers`` whose weights hold ``final_proj`` too."""
        given = read_config(folder / "config.json")
        config = HubertConfig(**{**given, "mask_time_prob": 0.0, "mask_feature_prob": 0.0})
        state = from_torchaudio(read_weights(weight_file(folder)))
        named = {
            key if key.startswith("final_proj.") else f"network.{key}": tensor
            for key, tensor in state.items()
        }
        return build_exactly(
            lambda: cls(config), named, what="ContentVec", ignore=["network.masked_spec_embed"]
        )

    def forward(self, samples: Tensor) -> Tensor:
        heard = self.network(samples.to(self.final_proj.weight))
        return self.final_proj(heard.last_hidden_state)
