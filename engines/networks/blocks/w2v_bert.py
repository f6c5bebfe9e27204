"""Features of w2v-BERT 2.0 (Barrault et al. 2023), through ``transformers``, cut to the layers in use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

from engines.networks.weights import build_exactly, read_config, read_weights

SAMPLE_RATE = 16000


@dataclass(frozen=True)
class SpeechConfig:
    """How many ``layers`` are used; the last one's output is the features."""

    layers: int = 17


class W2vBert(nn.Module):
    """Samples at 16 kHz to hidden states, 50 a second."""

    def __init__(self, network: Wav2Vec2BertModel, extractor: SeamlessM4TFeatureExtractor) -> None:
        super().__init__()
        self.network = network
        self.extractor = extractor

    @classmethod
    def from_published(cls, folder: Path, layers: int = 17) -> W2vBert:
        """The first ``layers`` layers of a folder as ``facebook/w2v-bert-2.0`` lays it out."""
        config = Wav2Vec2BertConfig(**read_config(folder / "config.json"))
        unused = tuple(
            f"encoder.layers.{place}." for place in range(layers, config.num_hidden_layers)
        )
        config.num_hidden_layers = layers
        network = build_exactly(
            lambda: Wav2Vec2BertModel(config),
            read_weights(folder / "model.safetensors"),
            what="w2v-BERT",
            ignore=unused,
        )
        settings = read_config(folder / "preprocessor_config.json")
        return cls(network, SeamlessM4TFeatureExtractor(**settings))

    def filter_bank(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Mels in pairs (1, T, 160) of samples (L,), and which of them are real (1, T)."""
        given = self.extractor(
            samples.float().cpu().numpy(),
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
        )
        return given["input_features"], given["attention_mask"]

    def forward(self, samples: Tensor) -> Tensor:
        """Hidden states (1, T, C) after the last layer that was loaded."""
        mels, mask = self.filter_bank(samples)
        weight = self.network.feature_projection.projection.weight
        mels, mask = mels.to(weight), mask.to(weight.device)
        return self.network(input_features=mels, attention_mask=mask).last_hidden_state
