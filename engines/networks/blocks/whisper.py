"""Features of Whisper's encoder (Radford et al. 2022), through ``transformers``."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from engines.networks.weights import build_exactly, read_config, read_weights, strip_prefix

SAMPLE_RATE = 16000


class WhisperFeatures(nn.Module):
    """Samples (L,) at 16 kHz to features (1, N, C), 50 a second, of at most 30 s."""

    def __init__(self, network: WhisperEncoder, extractor: WhisperFeatureExtractor) -> None:
        super().__init__()
        self.network = network
        self.extractor = extractor

    @classmethod
    def from_published(cls, folder: Path) -> WhisperFeatures:
        """The encoder of a folder laid out as ``openai/whisper-medium``; the decoder isn't loaded."""
        config = WhisperConfig(**read_config(folder / "config.json"))
        whole = strip_prefix(read_weights(folder / "model.safetensors"), "model.")
        encoder = {key: tensor for key, tensor in whole.items() if key.startswith("encoder.")}
        state = strip_prefix(encoder, "encoder.")
        network = build_exactly(lambda: WhisperEncoder(config), state, what="Whisper's encoder")
        settings = read_config(folder / "preprocessor_config.json")
        return cls(network, WhisperFeatureExtractor(**settings))

    def forward(self, samples: Tensor, frames: int) -> Tensor:
        """The first ``frames`` of the features; those behind 30 s repeat the last.

        Whisper hears the sound with silence up to 30 s, and what it makes of that silence is left out.
        """
        mel = self.extractor(
            samples.float().cpu().numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt"
        )["input_features"]
        hidden = self.network(mel.to(self.network.conv1.weight)).last_hidden_state
        return fitted(hidden[:, :frames], frames)


def fitted(features: Tensor, frames: int) -> Tensor:
    """(B, T, C) cut to ``frames``, or with its last frame repeated up to them."""
    missing = frames - features.shape[1]
    if missing <= 0:
        return features[:, :frames]
    return F.pad(features.transpose(1, 2), (0, missing), mode="replicate").transpose(1, 2)
