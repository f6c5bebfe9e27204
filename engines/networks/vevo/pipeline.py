"""Vevo from sound to sound: timbre, style or both of a reference, and speech from text.

Every part has its own ``from_published`` and is shared: the modes differ in the language model alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.convnext import Vocos
from engines.networks.blocks.draws import normal
from engines.networks.blocks.following import last_of, unheard
from engines.networks.blocks.hubert import Hubert, HubertUse
from engines.networks.blocks.normalisation import Normalisation
from engines.networks.blocks.repcodec import RepCodec, RepCodecConfig
from engines.networks.blocks.sampling import Progress
from engines.networks.vevo.content import ContentCodec, ContentConfig, deduplicated
from engines.networks.vevo.flow import FlowConfig, FlowSampling, FlowTransformer
from engines.networks.vevo.language import (
    FROM_CONTENT,
    FROM_PHONES,
    ContentStyleLanguage,
    LanguageConfig,
)
from engines.networks.vevo.sound import (
    VocoderConfig,
    for_speech,
    normalised_mel,
    vocoder_from_published,
)
from engines.networks.vevo.stages import in_two_stages
from engines.networks.weights import sizes_in, weight_file

STATISTICS_FILE = Path("hubert_large_l18_mean_std.safetensors")
STYLE_CODEC = Path("tokenizer/vq8192")
CONTENT_CODEC = Path("tokenizer/vq32/hubert_large_l18_c32.pkl")
PHONES_TO_STYLE = Path("contentstyle_modeling/PhoneToVq8192")
CONTENT_TO_STYLE = Path("contentstyle_modeling/Vq32ToVq8192")
STYLE_TO_MEL = Path("acoustic_modeling/Vq8192ToMels")
VOCODER = Path("acoustic_modeling/Vocoder")
CONTENT_OFFSET = 1024  # content tokens stand behind the phones in the ids that both share
DRAWING, FLOWING = TokenSampling(), FlowSampling()


@dataclass(frozen=True)
class VevoConfig:
    """Sizes of all networks; the defaults are the published ones."""

    hubert: HubertUse = field(default_factory=HubertUse)
    content_style: RepCodecConfig = field(default_factory=RepCodecConfig)
    content: ContentConfig = field(default_factory=ContentConfig)
    from_phones: LanguageConfig = FROM_PHONES
    from_content: LanguageConfig = FROM_CONTENT
    flow: FlowConfig = field(default_factory=FlowConfig)
    vocoder: VocoderConfig = field(default_factory=VocoderConfig)

    @classmethod
    def of(cls, folder: Path) -> VevoConfig:
        """The published sizes, but those that a ``config.json`` of the folder gives under a field's name."""
        default = cls()
        return cls(
            **{
                part.name: sizes_in(folder, part.name, getattr(default, part.name))
                for part in fields(cls)
            }
        )


@dataclass
class StyleTokens:
    """Sound at 24 kHz to content-style tokens, 50 a second, and to the features behind them."""

    hubert: Hubert
    codec: RepCodec
    normalisation: Normalisation

    @classmethod
    def from_published(cls, folder: Path, hubert: Path) -> StyleTokens:
        """From a folder laid out as ``amphion/Vevo`` and one of HuBERT large."""
        sizes = VevoConfig.of(folder)
        return cls(
            Hubert.from_published(hubert, sizes.hubert.layers),
            RepCodec.from_published(weight_file(folder / STYLE_CODEC), sizes.content_style),
            Normalisation.of(folder / STATISTICS_FILE, "hubert_layer18"),
        )

    def features(self, samples: Tensor) -> Tensor:
        """Features (1, T, C) of samples (1, L) at 24 kHz, as they are."""
        return self.hubert(for_speech(samples))

    def tokens(self, samples: Tensor) -> Tensor:
        """Tokens (1, T) of samples (1, L) at 24 kHz."""
        return self.codec.encode(self.normalisation(self.features(samples)))[1]


@dataclass(frozen=True)
class Reference:
    """A sound as the networks see it: content-style tokens (1, T) and normalised mel (1, A, 128)."""

    tokens: Tensor
    mel: Tensor


@dataclass
class Voicing:
    """Content-style tokens to sound at 24 kHz, in the timbre of a reference."""

    flow: FlowTransformer
    vocoder: Vocos

    @classmethod
    def from_published(cls, folder: Path) -> Voicing:
        """From a folder laid out as ``amphion/Vevo``."""
        sizes = VevoConfig.of(folder)
        return cls(
            FlowTransformer.from_published(weight_file(folder / STYLE_TO_MEL), sizes.flow),
            vocoder_from_published(weight_file(folder / VOCODER), sizes.vocoder),
        )

    @torch.inference_mode()
    def speak(
        self,
        tokens: Tensor,
        timbre: Reference,
        *,
        generator: torch.Generator,
        settings: FlowSampling = FLOWING,
        as_published: bool = False,
        progress: Progress = unheard,
    ) -> Tensor:
        """Samples (1, 480 a token) of ``tokens`` (1, T).

        HuBERT gives a reference a frame less than its mel has. The mel is cut to the tokens, so that
        both stand side by side; ``as_published`` leaves them shifted, and the sound a frame shorter.
        """
        mel = timbre.mel if as_published else timbre.mel[:, : timbre.tokens.shape[1]]
        prompt = timbre.tokens if as_published else timbre.tokens[:, : mel.shape[1]]
        condition = self.flow.condition(torch.cat([prompt, tokens], dim=1))
        steps = self.flow.sample(condition, mel, settings, normal(generator))
        result = last_of(steps, progress, 0, settings.steps)
        return self.vocoder(result.transpose(1, 2))[:, 0]


@dataclass
class Vevo:
    """Conversions and speech. ``language`` and ``content`` are None for timbre alone."""

    style: StyleTokens
    voicing: Voicing
    language: ContentStyleLanguage | None = None
    content: ContentCodec | None = None

    @torch.inference_mode()
    def reference(self, samples: Tensor) -> Reference:
        """What is kept of samples (1, L) at 24 kHz, as a reference of style or timbre."""
        return Reference(self.style.tokens(samples), normalised_mel(samples))

    def timbre(self, source: Tensor, reference: Reference, **how: Any) -> Tensor:
        """The source (1, L) in another's timbre, pace and prosody kept; ``how`` is ``Voicing.speak``'s."""
        with torch.inference_mode():
            tokens = self.style.tokens(source)
        return self.voicing.speak(tokens, reference, **how)

    @torch.inference_mode()
    def content_tokens(self, style: Tensor, source: Tensor) -> Tensor:
        """What is said in two sounds (1, L) at 24 kHz, heard as one, as inputs (1, N) of the language."""
        assert self.content is not None
        heard = torch.cat([for_speech(style), for_speech(source)], dim=1)
        tokens = self.content.encode(self.style.hubert(heard))
        return deduplicated(tokens[0])[None] + CONTENT_OFFSET

    def spoken(
        self,
        inputs: Tensor,
        style: Reference,
        timbre: Reference,
        *,
        generators: Sequence[torch.Generator],
        drawing: TokenSampling = DRAWING,
        flowing: FlowSampling = FLOWING,
        as_published: bool = False,
        progress: Progress = unheard,
    ) -> list[Tensor]:
        """Samples (1, L) of each variation of ``inputs`` (1, N).

        ``inputs`` are phones of the style's transcript and of the text, or ``content_tokens``: for a
        voice converted whole, ``timbre`` is ``style``; for style alone it is the source.
        """
        assert self.language is not None
        language = self.language

        def draw(told: Progress) -> list[Tensor]:
            return language.generate(
                inputs,
                style.tokens,
                drawing,
                generators,
                as_published=as_published,
                progress=told,
            )

        def voice(tokens: Tensor, generator: torch.Generator, told: Progress) -> Tensor:
            return self.voicing.speak(
                tokens,
                timbre,
                generator=generator,
                settings=flowing,
                as_published=as_published,
                progress=told,
            )

        given = language.sequence(inputs, style.tokens).shape[1]
        return in_two_stages(
            draw,
            voice,
            generators,
            room=drawing.max_length - given,
            steps=flowing.steps,
            progress=progress,
        )


def language_from_published(folder: Path, *, phones: bool) -> ContentStyleLanguage:
    """The language model of phones, for speech, or that of content tokens, for conversion."""
    sizes = VevoConfig.of(folder)
    part, config = (
        (PHONES_TO_STYLE, sizes.from_phones) if phones else (CONTENT_TO_STYLE, sizes.from_content)
    )
    return ContentStyleLanguage.from_published(weight_file(folder / part), config)


def content_from_published(folder: Path) -> ContentCodec:
    """The content tokeniser of a folder laid out as ``amphion/Vevo``."""
    return ContentCodec.from_published(folder / CONTENT_CODEC, VevoConfig.of(folder).content)
