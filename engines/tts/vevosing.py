"""VevoSing as speech from text (Vevo 1.5): style of one reference, timbre of the same or another."""

from __future__ import annotations

from typing import Any

from engines.base import Task
from engines.parts import vevosing as parts
from engines.tts.referenced import Heard, ReferencedParams, ReferencedSpeech


class VevoSingSpeechParams(ReferencedParams, parts.ModelParams):
    """Parameters of one reading."""


class VevoSingSpeech(ReferencedSpeech, parts.VevoSingEngine):
    """Text to phones to content-style tokens to sound."""

    card = parts.card(
        "vevosing-speech",
        "VevoSing Speech",
        Task.TTS,
        "Speaks a text in six languages with the style of a reference, and with its timbre or another's.",
        "Needs the words of the reference. The networks are those of VevoSing, for speech and singing.",
    )
    Params = VevoSingSpeechParams

    def hear(self, sound: Any) -> Any:
        """Content-style tokens and mel."""
        return self.vevo.reference(self.tensor(sound))

    def voice(self, ids: list[int], heard: Heard, params: Any, rng: Any, progress: Any) -> Any:
        """Samples (1, L)."""
        import torch

        params.check_room(len(ids) + 3 + heard.style.tokens.shape[1], "reference")
        (made,) = self.vevo.sung(
            torch.tensor([ids], device=self._device),
            heard.style,
            heard.timbre,
            generators=[rng],
            drawing=params.drawing,
            flowing=params.flow,
            progress=progress,
        )
        return made
