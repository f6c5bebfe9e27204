"""SpeechTokenizer."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from engines.networks.speechtokenizer.codec import SpeechTokenizer
from engines.networks.speechtokenizer.seanet import SpeechTokenizerConfig
from tests.networks.parity import Fixture


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """All layers, some of them, and each alone."""
    name = "speechtokenizer"
    config = SpeechTokenizerConfig(**fixture.configs[name])
    codec = fixture.load(SpeechTokenizer(config), name)
    wav = fixture["in.wav"]
    codes = codec.encode(wav)
    yield "out.encoder", codec.latents(wav)
    yield "out.codes", codes
    yield "out.codes_nq2", codec.encode(wav, 2)
    yield "out.codes_st1", codec.encode(wav, st=1)
    yield "out.quantized", codec.vectors(codes)
    yield "out.wav", codec.decode(codes)
    yield "out.wav_q0", codec.decode(codes[:1])
    yield "out.wav_q12", codec.decode(codes[1:], st=1)
    yield "out.forward_wav", codec(wav)
    yield "out.semantic_feature", codec.semantics(codes)
    for layer, row in enumerate(codes):
        yield f"out.feature_layer{layer}", codec.vectors(row[None], st=layer)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """The full-size module."""
    yield "speechtokenizer", SpeechTokenizer(SpeechTokenizerConfig(**manifest["config"]))
