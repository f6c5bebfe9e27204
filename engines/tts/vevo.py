"""Vevo TTS: speech from text in the style of one reference and the timbre of the same or another."""

from __future__ import annotations

from typing import Any, ClassVar

from engines.base import Card, Task, Weights
from engines.parts import vevo as parts
from engines.parts.published import Part
from engines.parts.vevo_settings import LANGUAGES, RATE
from engines.tts.referenced import Heard, ReferencedParams, ReferencedSpeech


class VevoSpeech(ReferencedSpeech, parts.VevoEngine):
    """Text to phones to content-style tokens to sound."""

    card = Card(
        id="vevo-tts",
        title="Vevo TTS",
        task=Task.TTS,
        summary="Speaks a text in six languages with the style of a reference, and with its timbre or "
        "another's.",
        license_code=parts.LICENSE_CODE,
        license_weights=f"{parts.LICENSE} (Vevo), Apache-2.0 (HuBERT)",
        sample_rate=RATE,
        languages=LANGUAGES,
        non_commercial=True,
        paper=parts.PAPER,
        home=parts.HOME,
        memory_mb=parts.memory_of(parts.OF_SPEECH),
        requires=("torch", "transformers", "soundfile"),
        pip_extra="torch transformers soundfile",
        notes="Needs the words of the reference. Long texts are spoken sentence by sentence with one "
        "reference and one loudness.",
    )
    Params = ReferencedParams
    needs: ClassVar[Weights] = parts.SPEECH
    uses: ClassVar[tuple[Part, ...]] = parts.OF_SPEECH

    def hear(self, sound: Any) -> Any:
        """Content-style tokens and mel."""
        return self.vevo.reference(parts.row(sound, self._device))

    def voice(self, ids: list[int], heard: Heard, params: Any, rng: Any, progress: Any) -> Any:
        """Samples (1, L)."""
        import torch

        inputs = torch.tensor([ids], device=self._device)
        params.check_room(len(ids) + 3 + heard.style.tokens.shape[1], "reference")
        (made,) = self.vevo.spoken(
            inputs,
            heard.style,
            heard.timbre,
            generators=[rng],
            drawing=params.drawing,
            flowing=params.flow,
            progress=progress,
        )
        return made
