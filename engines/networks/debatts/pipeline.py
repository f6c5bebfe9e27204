"""DebaTTS from sounds and phones to sound; all but its language model are networks of MaskGCT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.draws import uniform
from engines.networks.blocks.normalisation import Normalisation
from engines.networks.blocks.repcodec import RepCodec
from engines.networks.blocks.sampling import Progress
from engines.networks.blocks.unmasking import Unmasking
from engines.networks.blocks.w2v_bert import W2vBert
from engines.networks.debatts.network import SAMPLING, DebateConfig, DebateLm
from engines.networks.maskgct.acoustic import AcousticGenerator
from engines.networks.maskgct.codec import AcousticDecoder, AcousticEncoder
from engines.networks.maskgct.pipeline import (
    AcousticSettings,
    AcousticStage,
    MaskGctConfig,
    SpeechTokens,
    unheard,
)
from engines.networks.weights import sizes_in

LM_FILE = Path("t2s_model/model.safetensors")
FIRST_FILE = Path("s2a_model/s2a_model_1layer/onelayer_model.safetensors")
ALL_FILE = Path("s2a_model/s2a_model_full/full_model.safetensors")
CODEC_FILE = Path("semantic_codec/emilia_50k_8192_norm_8d_86k_steps_model.safetensors")
ENCODER_FILE = Path("acoustic_codec/emilia_50k_model.safetensors")
DECODER_FILE = Path("acoustic_codec/emilia_50k_model_1.safetensors")
STATISTICS_FILE = Path("stat_ckpt/emilia_wav2vec2bert_stats_10k.pt")

BREAK = 4  # the phone between prompt and target
DRAWING = Unmasking(steps=40, temperature=1.5, guidance=1.0, rescale=1.0)
ACOUSTIC = AcousticSettings(first=DRAWING, others=DRAWING, steps=(40, 16, *[10] * 10))


@dataclass
class Debatts:
    """Phones, a speaker's prompt and an opponent's turn to speech at 24 kHz."""

    tokens: SpeechTokens
    model: DebateLm
    acoustic: AcousticStage

    @classmethod
    def from_published(cls, folder: Path, w2v_bert: Path) -> Self:
        """From a folder of the published layout and one like ``facebook/w2v-bert-2.0``.

        Raises ``WeightsError`` naming the file or the keys that don't fit.
        """
        sizes = MaskGctConfig.of(folder)
        tokens = SpeechTokens(
            W2vBert.from_published(w2v_bert, sizes.speech.layers),
            RepCodec.from_published(folder / CODEC_FILE, sizes.semantic_codec),
            Normalisation.of(folder / STATISTICS_FILE, "w2v_bert_layer17"),
        )
        acoustic = AcousticStage(
            AcousticGenerator.from_published(folder / FIRST_FILE, sizes.first),
            AcousticGenerator.from_published(folder / ALL_FILE, sizes.others),
            AcousticEncoder.from_published(folder / ENCODER_FILE, sizes.encoder),
            AcousticDecoder.from_published(folder / DECODER_FILE, sizes.decoder),
        )
        config = sizes_in(folder, "t2s", DebateConfig())
        return cls(tokens, DebateLm.from_published(folder / LM_FILE, config), acoustic)

    @torch.inference_mode()
    def speak(
        self,
        prompt_16k: Tensor,
        prompt_24k: Tensor,
        opponent_16k: Tensor,
        prompt_phones: Sequence[int],
        phones: Sequence[int],
        *,
        generator: torch.Generator,
        how: TokenSampling = SAMPLING,
        acoustic: AcousticSettings = ACOUSTIC,
        as_published: bool = False,
        progress: Progress = unheard,
    ) -> Tensor:
        """Samples (1, L) at 24 kHz of ``phones``; prompts are the same sound (samples,) at two rates."""
        prompt, opponent = self.tokens.tokens(prompt_16k), self.tokens.tokens(opponent_16k)
        spoken = torch.tensor([[*prompt_phones, BREAK, *phones]], device=prompt.device)
        steps = 0

        def count(done: int, most: int) -> None:
            nonlocal steps
            steps = most
            progress(done, most + acoustic.total)

        (target,) = self.model.generate(
            opponent,
            spoken,
            prompt,
            generators=[generator],
            how=how,
            as_published=as_published,
            progress=count,
        )
        return self.acoustic.speak(
            torch.cat([prompt, target[None]], 1),
            self.acoustic.codes(prompt_24k),
            acoustic,
            uniform(generator),
            progress,
            steps,
        )
