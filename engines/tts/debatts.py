"""DebaTTS: Mandarin speech that answers an opponent, in a speaker's voice.

Li et al. 2024, https://arxiv.org/abs/2411.06540.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import AudioFile, Card, Device, Seed, StudioError, Task, Weights
from engines.onnx.session import give_memory_back
from engines.parts import autoregressive as drawing
from engines.parts import masked
from engines.parts.maskgct import COMMON, HEARD, RATE, SPEECH_PART, W2V_BERT, speech_encoder
from engines.parts.published import (
    folder_of,
    generator,
    need_mb,
    parts_mb,
    placed,
    reading,
)
from engines.parts.references import (
    LONGEST_SOURCE_S,
    Sound,
    check_length,
    read_sound,
    reference_text,
)
from engines.tts.front_ends.debatts import phones, plain_commas
from engines.tts.zero_shot import ZeroShotEngine, ZeroShotParams

LM = 843_188_224  # parameters
OWN = sum(part.parameters for part in COMMON if part is not SPEECH_PART and part.exact)
OWN_STAGE = sum(part.parameters for part in COMMON if not part.exact)

WEIGHTS = Weights(
    id="debatts",
    title="DebaTTS",
    files=(
        "t2s_model/model.safetensors",
        "s2a_model/s2a_model_1layer/onelayer_model.safetensors",
        "s2a_model/s2a_model_full/full_model.safetensors",
        "semantic_codec/emilia_50k_8192_norm_8d_86k_steps_model.safetensors",
        "acoustic_codec/emilia_50k_model.safetensors",
        "acoustic_codec/emilia_50k_model_1.safetensors",
    ),
    optional=("config.json", "stat_ckpt/emilia_wav2vec2bert_stats_10k.pt"),
    license="not stated",
    languages=("zh",),
    parts=(W2V_BERT,),
    advice="The authors do not name a repository. Put the files into models/own/debatts of the data "
    "folder.",
)


class DebattsParams(ZeroShotParams):
    """Parameters of one answer; the defaults are the published ones."""

    opponent: AudioFile = Field(
        title="Opponent",
        description="What the opponent said before: the answer follows its manner.",
    )
    opponent_s: float = Field(
        10,
        ge=1,
        le=20,
        title="Opponent length",
        description="Seconds of the opponent that are heard, up to its end.",
        json_schema_extra={"unit": "s", "step": 1, "advanced": True},
    )
    temperature: float = drawing.temperature(0.2)
    top_k: int = drawing.top_k(20)
    top_p: float = drawing.top_p(0.9)
    repetition_penalty: float = drawing.repetition_penalty(3.5)
    min_new_tokens: int = drawing.min_new_tokens(50, 50)
    max_length: int = drawing.max_length(2048)
    filter_threshold: float = masked.filter_threshold()
    acoustic_steps_first: int = masked.layer_steps("first layer", 40)
    acoustic_steps_second: int = masked.layer_steps("second layer", 16)
    acoustic_steps_others: int = masked.layer_steps("other layers", 10)
    acoustic_guidance_first: float = masked.acoustic_guidance("first layer", 1.0)
    acoustic_guidance: float = masked.acoustic_guidance("other layers", 1.0)
    acoustic_guidance_rescale: float = masked.acoustic_rescale(1.0)
    acoustic_temperature: float = masked.acoustic_temperature()
    precision: drawing.Precision = drawing.precision()
    seed: Seed = -1


class Debatts(ZeroShotEngine):
    """A language model over semantic tokens that hears two people, then MaskGCT's acoustic stage."""

    card = Card(
        id="debatts",
        title="DebaTTS",
        task=Task.TTS,
        summary="Mandarin speech for debates: answers an opponent's turn in the voice of a reference.",
        license_code="MIT (networks written from the published description), Apache-2.0 (Transformers)",
        license_weights="not stated by the authors; MIT (facebook/w2v-bert-2.0)",
        sample_rate=RATE,
        languages=("zh",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2411.06540",
        home="https://github.com/open-mmlab/Amphion",
        memory_mb={
            name: SPEECH_PART.mb(name) + need_mb(OWN) + need_mb(LM + OWN_STAGE, name)
            for name in ("float32", "bfloat16", "float16")
        },
        requires=("torch", "transformers", "safetensors", "jieba", "pypinyin", "cn2an"),
        pip_extra="torch transformers safetensors jieba pypinyin cn2an",
        notes="The authors name no repository of the weights. Put a folder debatts into models/own of "
        f"the data folder with {', '.join(WEIGHTS.files)}; w2v-BERT 2.0 is downloaded.",
    )
    Params = DebattsParams
    longest_s = 15.0
    max_chunk_chars = 120

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._model: Any = None
        self._given: tuple[Any, ...] = ()
        self._precision: drawing.Precision | None = None
        self._device = "cpu"

    # weights

    def weights(self) -> Sequence[Weights]:
        """A folder of a person's own."""
        return (WEIGHTS,)

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """w2v-BERT."""
        return parts_mb((SPEECH_PART,), self.cache, dtype)

    def load(self, device: Device, params: Any = None) -> None:
        """Load all networks, the language model in the precision asked for."""
        precision = drawing.chosen(params, device)
        if self._model is not None and self._precision is precision:
            return
        import torch

        self.unload()
        torch.set_num_threads(device.threads)
        with reading(WEIGHTS.title):
            self._model = self._read(device)
        drawing.packed(self._model.model.model, precision)
        self._precision, self._device = precision, device.device

    def _read(self, device: Device) -> Any:
        from engines.networks.blocks.normalisation import Normalisation
        from engines.networks.blocks.repcodec import RepCodec
        from engines.networks.debatts import pipeline as files
        from engines.networks.debatts.network import DebateConfig, DebateLm
        from engines.networks.maskgct.acoustic import AcousticGenerator
        from engines.networks.maskgct.codec import AcousticDecoder, AcousticEncoder
        from engines.networks.maskgct.pipeline import AcousticStage, MaskGctConfig, SpeechTokens
        from engines.networks.weights import sizes_in

        at = folder_of(self.cache, WEIGHTS)
        sizes, dtype = MaskGctConfig.of(at), device.dtype
        codec = RepCodec.from_published(at / files.CODEC_FILE, sizes.semantic_codec)
        first = AcousticGenerator.from_published(at / files.FIRST_FILE, sizes.first)
        others = AcousticGenerator.from_published(at / files.ALL_FILE, sizes.others)
        encoder = AcousticEncoder.from_published(at / files.ENCODER_FILE, sizes.encoder)
        decoder = AcousticDecoder.from_published(at / files.DECODER_FILE, sizes.decoder)
        model = DebateLm.from_published(at / files.LM_FILE, sizes_in(at, "t2s", DebateConfig()))
        return files.Debatts(
            SpeechTokens(
                speech_encoder(self.cache, device, sizes.speech.layers),
                placed(codec, device),
                Normalisation.of(at / files.STATISTICS_FILE, "w2v_bert_layer17"),
            ),
            placed(model, device, dtype),
            AcousticStage(
                placed(first, device, dtype),
                placed(others, device, dtype),
                placed(encoder, device),
                placed(decoder, device),
            ),
        )

    def unload(self) -> None:
        """Drop the networks; w2v-BERT stays while others hold it."""
        self._model, self._given, self._precision = None, (), None
        give_memory_back()

    # speaking

    def check(self, params: Any) -> None:
        """As of every engine with a reference; the opponent must be a sound too."""
        super().check(params)
        check_length(params.opponent, "opponent", shortest_s=0.5, longest_s=LONGEST_SOURCE_S)

    def sample_rate(self, params: Any) -> int:
        """24 kHz."""
        return RATE

    def language(self, params: Any) -> str:
        """Mandarin."""
        return "zh"

    def hear(self, reference: Sound, params: Any) -> None:
        """Both sounds at the rates that the networks hear, and the phones of the reference."""
        spoken = read_sound(params.opponent, "opponent", shortest_s=0.5)
        end = spoken.duration_s
        opponent = spoken.part(end - params.opponent_s, end)
        self._given = (
            reference.tensor(HEARD, self._device),
            reference.tensor(RATE, self._device),
            opponent.tensor(HEARD, self._device),
            phones(plain_commas(reference_text(params.reference_text))).ids,
        )

    def say(
        self,
        text: str,
        params: Any,
        rng: np.random.Generator,
        progress: Callable[[int, int], None],
    ) -> np.ndarray:
        """One chunk."""
        how = drawing.sampling(params)
        ids = phones(text).ids
        tokens = (len(self._given[0]) + len(self._given[2])) // 320
        if tokens + len(self._given[3]) + len(ids) + how.min_new_tokens >= how.max_length:
            raise StudioError(
                f"Reference, opponent and text leave no room in {how.max_length:,} tokens. Use a "
                "shorter reference, hear less of the opponent, or raise Most tokens.",
                "max_length",
            )
        samples = self._model.speak(
            *self._given,
            ids,
            generator=generator(rng),
            how=how,
            acoustic=masked.second_stage(params, self._model.acoustic.others.layers),
            progress=progress,
        )
        return samples[0].float().cpu().numpy()
