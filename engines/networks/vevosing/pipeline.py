"""VevoSing from sound to sound: a singer's timbre, and singing and speech from text, style and melody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.convnext import Vocos
from engines.networks.blocks.draws import normal
from engines.networks.blocks.following import last_of, unheard
from engines.networks.blocks.normalisation import Normalisation
from engines.networks.blocks.sampling import Progress
from engines.networks.blocks.whisper import WhisperFeatures, fitted
from engines.networks.vevo.flow import FlowConfig, FlowSampling, FlowTransformer
from engines.networks.vevo.sound import (
    VocoderConfig,
    for_speech,
    normalised_mel,
    vocoder_from_published,
)
from engines.networks.vevo.stages import in_two_stages
from engines.networks.vevosing.features import chromagram, frame_count, shifted, stretched
from engines.networks.vevosing.language import SingingConfig, SingingLanguage
from engines.networks.vevosing.tokenizer import CONTENT_STYLE, PROSODY, CocoConfig, CocoTokenizer
from engines.networks.weights import sizes_in, weight_file

STATISTICS_FILE = Path("whisper_stats.pt")
PROSODY_TOKENIZER = Path("tokenizer/prosody_fvq512_6.25hz")
STYLE_TOKENIZER = Path("tokenizer/contentstyle_fvq16384_12.5hz")
LANGUAGE = "contentstyle_modeling/ar_emilia101k_{data}"
FLOW = "acoustic_modeling/fm_emilia101k_{data}"
VOCODER = Path("acoustic_modeling/Vocoder")
DATA = ("singnet7k", "sing0.4k")  # what singing the published networks were trained on
DRAWING, FLOWING = TokenSampling(), FlowSampling()


@dataclass(frozen=True)
class VevoSingConfig:
    """Sizes of all networks; the defaults are the published ones."""

    content_style: CocoConfig = CONTENT_STYLE
    prosody: CocoConfig = PROSODY
    language: SingingConfig = field(default_factory=SingingConfig)
    flow: FlowConfig = field(
        default_factory=lambda: FlowConfig(cond_codebook_size=16384, cond_scale_factor=4)
    )
    vocoder: VocoderConfig = field(default_factory=VocoderConfig)

    @classmethod
    def of(cls, folder: Path) -> VevoSingConfig:
        """The published sizes, but those that a ``config.json`` of the folder gives under a field's name."""
        default = cls()
        return cls(
            **{
                part.name: sizes_in(folder, part.name, getattr(default, part.name))
                for part in fields(cls)
            }
        )


@dataclass(frozen=True)
class SungReference:
    """A sound as the networks see it: content-style tokens (1, T) and normalised mel (1, A, 128)."""

    tokens: Tensor
    mel: Tensor


@dataclass
class VevoSing:
    """Conversions and synthesis. ``language`` and ``prosody`` are None for timbre alone.

    Sounds are samples (L,) at 24 kHz. Whisper hears their first 30 s.
    """

    whisper: WhisperFeatures
    normalisation: Normalisation
    content_style: CocoTokenizer
    flow: FlowTransformer
    vocoder: Vocos
    language: SingingLanguage | None = None
    prosody: CocoTokenizer | None = None

    @classmethod
    def from_published(
        cls, folder: Path, whisper: Path, *, data: str = DATA[0], timbre_only: bool = False
    ) -> VevoSing:
        """From folders laid out as ``amphion/Vevo1.5`` and ``openai/whisper-medium``."""
        sizes = VevoSingConfig.of(folder)
        style = weight_file(folder / STYLE_TOKENIZER)
        flow = weight_file(folder / FLOW.format(data=data))
        sound = cls(
            WhisperFeatures.from_published(whisper),
            Normalisation.of(folder / STATISTICS_FILE, "whisper_medium"),
            CocoTokenizer.from_published(style, sizes.content_style),
            FlowTransformer.from_published(flow, sizes.flow),
            vocoder_from_published(weight_file(folder / VOCODER), sizes.vocoder),
        )
        if not timbre_only:
            language = weight_file(folder / LANGUAGE.format(data=data))
            prosody = weight_file(folder / PROSODY_TOKENIZER)
            sound.language = SingingLanguage.from_published(language, sizes.language)
            sound.prosody = CocoTokenizer.from_published(prosody, sizes.prosody)
        return sound

    @torch.inference_mode()
    def content_style_tokens(self, samples: Tensor, semitones: int = 0) -> Tensor:
        """Tokens (1, T) of a sound, whose melody is heard ``semitones`` higher."""
        heard = self.whisper(for_speech(samples[None])[0], frame_count(samples))
        melody = shifted(samples, semitones) if semitones else samples
        chroma = fitted(chromagram(melody), heard.shape[1])
        return self.content_style.encode(chroma, self.normalisation(heard))[1]

    @torch.inference_mode()
    def melody_tokens(self, sounds: Sequence[Tensor], ratio: float = 1.0) -> Tensor:
        """Style tokens (1, S) of sounds one behind the other: the style's reference, then the melody.

        ``ratio`` is the wanted duration over that of the sounds.
        """
        assert self.prosody is not None
        chroma = chromagram(torch.cat(list(sounds)))
        return self.prosody.encode(chroma if ratio == 1 else stretched(chroma, ratio))[1]

    @torch.inference_mode()
    def reference(self, samples: Tensor) -> SungReference:
        """What is kept of a sound as a reference of style or timbre."""
        return SungReference(self.content_style_tokens(samples), normalised_mel(samples[None]))

    @torch.inference_mode()
    def voice(
        self,
        tokens: Tensor,
        timbre: SungReference,
        *,
        generator: torch.Generator,
        frames: int | None = None,
        settings: FlowSampling = FLOWING,
        as_published: bool = False,
        progress: Progress = unheard,
    ) -> Tensor:
        """Samples (1, 480 a frame) of ``tokens`` (1, T); ``frames`` None is 4 a token.

        A reference's tokens stand for up to 3 frames more than it has. They are cut, so that the mel and
        what it is made of stand side by side; ``as_published`` leaves the rest shifted by them.
        """
        condition = self.flow.condition(torch.cat([timbre.tokens, tokens], dim=1))
        shown, stood = timbre.mel.shape[1], timbre.tokens.shape[1] * self.flow.factor
        if not as_published and stood > shown:
            condition = torch.cat([condition[:, :shown], condition[:, stood:]], dim=1)
        if frames is not None:
            condition = fitted(condition, shown + frames)
        steps = self.flow.sample(condition, timbre.mel, settings, normal(generator))
        mel = last_of(steps, progress, 0, settings.steps)
        return self.vocoder(mel.transpose(1, 2))[:, 0]

    def timbre(
        self,
        source: Tensor,
        reference: SungReference,
        *,
        generator: torch.Generator,
        semitones: int = 0,
        settings: FlowSampling = FLOWING,
        as_published: bool = False,
        progress: Progress = unheard,
    ) -> Tensor:
        """Samples (1, L) of the source in another's timbre; ``features.semitones_between`` fits the key."""
        return self.voice(
            self.content_style_tokens(source, semitones),
            reference,
            generator=generator,
            frames=frame_count(source),
            settings=settings,
            as_published=as_published,
            progress=progress,
        )

    def sung(
        self,
        phones: Tensor,
        style: SungReference,
        timbre: SungReference,
        *,
        generators: Sequence[torch.Generator],
        melody: Tensor | None = None,
        drawing: TokenSampling = DRAWING,
        flowing: FlowSampling = FLOWING,
        as_published: bool = False,
        progress: Progress = unheard,
    ) -> list[Tensor]:
        """Samples (1, L) of each variation of ``phones`` (1, N), the style's transcript and then the text.

        ``melody`` are ``melody_tokens`` of the style's reference and a source: the raw sound for editing
        and for style conversion, anything with a tune for melody control; None lets it come of itself.
        """
        assert self.language is not None
        language = self.language

        def draw(told: Progress) -> list[Tensor]:
            return language.generate(
                phones,
                melody,
                style.tokens,
                drawing,
                generators,
                as_published=as_published,
                progress=told,
            )

        def voice(tokens: Tensor, generator: torch.Generator, told: Progress) -> Tensor:
            return self.voice(
                tokens,
                timbre,
                generator=generator,
                settings=flowing,
                as_published=as_published,
                progress=told,
            )

        given = language.sequence(phones, melody, style.tokens).shape[1]
        return in_two_stages(
            draw,
            voice,
            generators,
            room=drawing.max_length - given,
            steps=flowing.steps,
            progress=progress,
        )
