"""MaskGCT from sound and phones to sound. Its parts are those of Metis too and are loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor

from engines.networks.blocks.draws import Draw, uniform
from engines.networks.blocks.following import last_of, unheard
from engines.networks.blocks.normalisation import Normalisation
from engines.networks.blocks.repcodec import RepCodec, RepCodecConfig
from engines.networks.blocks.sampling import Progress
from engines.networks.blocks.unmasking import Unmasking
from engines.networks.blocks.w2v_bert import SAMPLE_RATE, SpeechConfig, W2vBert
from engines.networks.maskgct.acoustic import AcousticConfig, AcousticGenerator
from engines.networks.maskgct.codec import (
    AcousticDecoder,
    AcousticEncoder,
    DecoderConfig,
    EncoderConfig,
)
from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.weights import sizes_in

TOKENS_PER_SECOND = 50
STATISTICS_FILE = Path("wav2vec2bert_stats.pt")
CODEC_FILE = Path("semantic_codec/model.safetensors")
SEMANTIC_FILE = Path("t2s_model/model.safetensors")
FIRST_FILE = Path("s2a_model/s2a_model_1layer/model.safetensors")
ALL_FILE = Path("s2a_model/s2a_model_full/model.safetensors")
ENCODER_FILE = Path("acoustic_codec/model.safetensors")
DECODER_FILE = Path("acoustic_codec/model_1.safetensors")


@dataclass(frozen=True)
class MaskGctConfig:
    """Sizes of all networks; the defaults are the published ones."""

    semantic: SemanticConfig = field(default_factory=SemanticConfig)
    first: AcousticConfig = field(default_factory=lambda: AcousticConfig(num_quantizer=1))
    others: AcousticConfig = field(default_factory=AcousticConfig)
    semantic_codec: RepCodecConfig = field(default_factory=RepCodecConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)

    @classmethod
    def of(cls, folder: Path) -> MaskGctConfig:
        """The published sizes, but those that a ``config.json`` of the folder gives under a field's name."""
        default = cls()
        return cls(
            **{
                part.name: sizes_in(folder, part.name, getattr(default, part.name))
                for part in fields(cls)
            }
        )


@dataclass
class SpeechTokens:
    """Sound at 16 kHz to semantic tokens, by w2v-BERT and the semantic codec."""

    speech: W2vBert
    codec: RepCodec
    normalisation: Normalisation

    @classmethod
    def from_published(
        cls, folder: Path, w2v_bert: Path, config: MaskGctConfig | None = None
    ) -> SpeechTokens:
        """From folders laid out as ``amphion/MaskGCT`` and ``facebook/w2v-bert-2.0``."""
        sizes = config or MaskGctConfig.of(folder)
        return cls(
            W2vBert.from_published(w2v_bert, sizes.speech.layers),
            RepCodec.from_published(folder / CODEC_FILE, sizes.semantic_codec),
            Normalisation.of(folder / STATISTICS_FILE, "w2v_bert_layer17"),
        )

    def features(self, samples: Tensor) -> Tensor:
        """Normalised features (1, T, C) of samples (L,) at 16 kHz."""
        return self.normalisation(self.speech(samples))

    def tokens(self, samples: Tensor) -> Tensor:
        """Tokens (1, T) of samples (L,) at 16 kHz."""
        return self.codec.encode(self.features(samples))[1]


@dataclass(frozen=True)
class AcousticSettings:
    """How the second stage draws: the first layer by one network, the others by another.

    ``steps`` are those of the second network's layers, the first of which is known. The defaults are
    MaskGCT's.
    """

    first: Unmasking = field(default_factory=lambda: Unmasking(steps=25, temperature=1.5))
    others: Unmasking = field(default_factory=lambda: Unmasking(temperature=1.5))
    steps: Sequence[int] = (25, 10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.first.steps + sum(self.steps[1:])


@dataclass
class AcousticStage:
    """Semantic tokens to sound at 24 kHz, in the voice of a prompt."""

    first: AcousticGenerator
    others: AcousticGenerator
    encoder: AcousticEncoder
    decoder: AcousticDecoder

    @classmethod
    def from_published(cls, folder: Path, config: MaskGctConfig | None = None) -> AcousticStage:
        """From a folder laid out as ``amphion/MaskGCT``."""
        sizes = config or MaskGctConfig.of(folder)
        return cls(
            AcousticGenerator.from_published(folder / FIRST_FILE, sizes.first),
            AcousticGenerator.from_published(folder / ALL_FILE, sizes.others),
            AcousticEncoder.from_published(folder / ENCODER_FILE, sizes.encoder),
            AcousticDecoder.from_published(folder / DECODER_FILE, sizes.decoder),
        )

    def codes(self, samples: Tensor) -> Tensor:
        """Codes (1, A, K) of samples (L,) at 24 kHz."""
        return self.decoder.encode(self.encoder(samples[None, None]))

    def speak(
        self,
        semantic: Tensor,
        prompt: Tensor,
        settings: AcousticSettings,
        draw: Draw,
        progress: Progress = unheard,
        done: int = 0,
    ) -> Tensor:
        """Samples (1, T * 480) of ``semantic`` (1, A + T) behind the codes ``prompt`` (1, A, K).

        ``progress`` counts on from ``done`` steps of a first stage.
        """
        total = done + settings.total
        steps = self.first.sample(semantic, prompt, [settings.first.steps], settings.first, draw)
        known = last_of(steps, progress, done, total)
        steps = self.others.sample(
            semantic, prompt, settings.steps, settings.others, draw, known=known
        )
        codes = last_of(steps, progress, done + settings.first.steps, total)
        return self.decoder.decode(codes)[:, 0]


FIRST_STAGE = Unmasking()
SECOND_STAGE = AcousticSettings()


@dataclass(frozen=True)
class Prompt:
    """A reference as the networks see it: semantic tokens (1, P) and acoustic codes (1, A, K)."""

    tokens: Tensor
    codes: Tensor


def target_length(prompt_samples: int, prompt_phones: int, phones: int) -> int:
    """Tokens of a target of so many phones, at the pace of a prompt at 16 kHz."""
    return int(prompt_samples * phones / prompt_phones / SAMPLE_RATE * TOKENS_PER_SECOND)


@dataclass
class MaskGct:
    """Phones and a prompt to speech at 24 kHz."""

    tokens: SpeechTokens
    semantic: SemanticGenerator
    acoustic: AcousticStage

    @classmethod
    def from_published(cls, folder: Path, w2v_bert: Path) -> MaskGct:
        """From folders laid out as ``amphion/MaskGCT`` and ``facebook/w2v-bert-2.0``."""
        sizes = MaskGctConfig.of(folder)
        return cls(
            SpeechTokens.from_published(folder, w2v_bert, sizes),
            SemanticGenerator.from_published(folder / SEMANTIC_FILE, sizes.semantic),
            AcousticStage.from_published(folder, sizes),
        )

    @torch.inference_mode()
    def prompt(self, samples_16k: Tensor, samples_24k: Tensor) -> Prompt:
        """What is kept of a reference: the same sound (samples,) at two rates."""
        return Prompt(self.tokens.tokens(samples_16k), self.acoustic.codes(samples_24k))

    @torch.inference_mode()
    def speak(
        self,
        prompt: Prompt,
        phones: Sequence[int],
        length: int,
        *,
        generator: torch.Generator,
        settings: Unmasking = FIRST_STAGE,
        acoustic: AcousticSettings = SECOND_STAGE,
        progress: Progress = unheard,
    ) -> Tensor:
        """Samples (1, L) at 24 kHz: ``length`` tokens of ``phones``, the prompt's and then the text's."""
        draw, total = uniform(generator), settings.steps + acoustic.total
        spoken = torch.tensor([list(phones)], device=prompt.tokens.device)
        steps = self.semantic.sample(prompt.tokens, length, settings, draw, phones=spoken)
        target = last_of(steps, progress, 0, total)
        semantic = torch.cat([prompt.tokens, target], dim=1)
        return self.acoustic.speak(semantic, prompt.codes, acoustic, draw, progress, settings.steps)
