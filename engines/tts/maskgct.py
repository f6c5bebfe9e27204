"""MaskGCT: speech in a reference's voice, in six languages.

Wang et al. 2024, https://arxiv.org/abs/2409.00750.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Seed, Task, Weights
from engines.onnx.session import give_memory_back
from engines.parts import masked
from engines.parts.maskgct import (
    COMMON,
    HEARD,
    MASKGCT,
    RATE,
    SEMANTIC_PART,
    TOKENS_PER_SECOND,
    acoustic_stage,
    speech_tokens,
)
from engines.parts.published import generator, parts_mb
from engines.parts.references import Sound, reference_text
from engines.tts.front_ends.language import find_language
from engines.tts.front_ends.maskgct import phones
from engines.tts.zero_shot import AUTO, Language, ZeroShotEngine, ZeroShotParams, language_field

PARTS = (*COMMON, SEMANTIC_PART)
LONGEST_CHUNK_S = 60.0
FEWEST_TOKENS = 5
REQUIRES = ("torch", "transformers", "safetensors", "py3langid", "jieba", "pypinyin", "piper")
EXTRA = "torch transformers safetensors py3langid jieba pypinyin piper-tts"
CODE = "MIT (networks written from the published description), Apache-2.0 (Transformers); "
CODE += "GPL-3.0-or-later (eSpeak NG in piper-tts)"


class MaskGctParams(ZeroShotParams):
    """Parameters of one reading; the defaults are the published ones."""

    language: Language = language_field("Language", "the text")
    reference_language: Language = language_field("Language of the reference", "the reference")
    speaking_rate: float = Field(
        1.0,
        ge=0.5,
        le=2,
        title="Speaking rate",
        description="Against the pace of the reference: 2 is twice as fast.",
        json_schema_extra={"step": 0.05},
    )
    duration_s: float = Field(
        0,
        ge=0,
        le=3600,
        title="Duration",
        description="Length of the whole speech without pauses; 0 goes by the pace of the reference.",
        json_schema_extra={"unit": "s", "step": 0.5, "advanced": True},
    )
    steps: int = masked.steps(25)
    guidance: float = masked.guidance(2.5, "the text and the reference")
    guidance_rescale: float = masked.rescale()
    temperature: float = masked.temperature()
    filter_threshold: float = masked.filter_threshold()
    acoustic_steps_first: int = masked.layer_steps("first layer", 25)
    acoustic_steps_second: int = masked.layer_steps("second layer", 10)
    acoustic_steps_others: int = masked.layer_steps("other layers", 1)
    acoustic_guidance_first: float = masked.acoustic_guidance("first layer", 2.5)
    acoustic_guidance: float = masked.acoustic_guidance("other layers", 2.5)
    acoustic_guidance_rescale: float = masked.acoustic_rescale()
    acoustic_temperature: float = masked.acoustic_temperature()
    seed: Seed = -1


class MaskGct(ZeroShotEngine):
    """Masked generation of semantic tokens from text, then of acoustic codes from these."""

    card = Card(
        id="maskgct",
        title="MaskGCT",
        task=Task.TTS,
        summary="Speech in any voice from a few seconds of it, in six languages, without aligned "
        "training data.",
        license_code=CODE,
        license_weights="CC-BY-NC-4.0 (amphion/MaskGCT), MIT (facebook/w2v-bert-2.0)",
        sample_rate=RATE,
        languages=MASKGCT.languages,
        non_commercial=True,
        paper="https://arxiv.org/abs/2409.00750",
        home="https://huggingface.co/amphion/MaskGCT",
        memory_mb={
            name: sum(part.mb(name) for part in PARTS)
            for name in ("float32", "bfloat16", "float16")
        },
        requires=REQUIRES,
        pip_extra=EXTRA,
        notes="Speaks on in the voice, manner and room of the reference, also in another language. "
        "Shares all its networks with Metis. On a processor that computes in bfloat16, the studio's "
        "--dtype bfloat16 makes a step more than three times as fast.",
    )
    Params = MaskGctParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._model: Any = None
        self._prompt: Any = None
        self._heard: tuple[int, str, list[int]] = (0, "", [])
        self._scale = 1.0
        self._device = "cpu"

    # weights

    def weights(self) -> Sequence[Weights]:
        """The published networks."""
        return (MASKGCT,)

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """All of it: MaskGCT and Metis have the same networks."""
        return parts_mb(PARTS, self.cache, dtype)

    def load(self, device: Device, params: Any = None) -> None:
        """Load what isn't in memory yet."""
        if self._model is not None:
            return
        import torch

        from engines.networks.maskgct.pipeline import SEMANTIC_FILE, MaskGctConfig
        from engines.networks.maskgct.pipeline import MaskGct as Network
        from engines.networks.maskgct.semantic import SemanticGenerator

        torch.set_num_threads(device.threads)
        semantic = SEMANTIC_PART.load(
            self.cache,
            device,
            lambda at: SemanticGenerator.from_published(
                at / SEMANTIC_FILE, MaskGctConfig.of(at).semantic
            ),
        )
        tokens, acoustic = speech_tokens(self.cache, device), acoustic_stage(self.cache, device)
        self._model, self._device = Network(tokens, semantic, acoustic), device.device

    def unload(self) -> None:
        """Drop the networks; those that nobody else holds are freed."""
        self._model = self._prompt = None
        give_memory_back()

    # speaking

    def sample_rate(self, params: Any) -> int:
        """24 kHz."""
        return RATE

    def hear(self, reference: Sound, params: Any) -> None:
        """Tokens and codes of the reference, its phones, and what duration asks of the pace."""
        heard = reference.tensor(HEARD, self._device)
        self._prompt = self._model.prompt(heard, reference.tensor(RATE, self._device))
        said = reference_text(params.reference_text)
        chosen = params.reference_language
        language = find_language(said) if chosen == AUTO else str(chosen)
        self._heard = (len(heard), said, phones(said, language).ids)
        self._scale = 1 / params.speaking_rate
        if params.duration_s:
            usual = self.usual_tokens(params.text, phones(params.text, self.language(params)).ids)
            self._scale = params.duration_s * TOKENS_PER_SECOND / usual

    def usual_tokens(self, text: str, ids: Sequence[int]) -> float:
        """Tokens of a text at the pace of the reference, by the number of phones."""
        samples, _, spoken = self._heard
        return samples / HEARD * TOKENS_PER_SECOND * len(ids) / len(spoken)

    def say(
        self,
        text: str,
        params: Any,
        rng: np.random.Generator,
        progress: Callable[[int, int], None],
    ) -> np.ndarray:
        """One chunk, as long as its phones take at the pace of the reference."""
        ids = phones(text, self.language(params)).ids
        length = int(self.usual_tokens(text, ids) * self._scale)
        length = min(max(length, FEWEST_TOKENS), round(LONGEST_CHUNK_S * TOKENS_PER_SECOND))
        samples = self._model.speak(
            self._prompt,
            [*self._heard[2], *ids],
            length,
            generator=generator(rng),
            settings=masked.first_stage(params),
            acoustic=masked.second_stage(params, self._model.acoustic.others.layers),
            progress=progress,
        )
        return samples[0].float().cpu().numpy()
