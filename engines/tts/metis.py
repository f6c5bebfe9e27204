"""Metis as a speech engine: MaskGCT's networks with Metis' sampling and lengths.

Wang et al. 2025, https://arxiv.org/abs/2502.03128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engines.parts import masked
from engines.tts.maskgct import MaskGct, MaskGctParams


class MetisSpeechParams(MaskGctParams):
    """As MaskGCT's, with the published defaults of Metis."""

    acoustic_steps_first: int = masked.layer_steps("first layer", 40)
    acoustic_steps_second: int = masked.layer_steps("second layer", 16)
    acoustic_guidance_first: float = masked.acoustic_guidance("first layer", 0.0)


class MetisSpeech(MaskGct):
    """Speech from text with the networks of MaskGCT, which are loaded once for both."""

    card = replace(
        MaskGct.card,
        id="metis",
        title="Metis",
        summary="Speech in any voice by Metis: MaskGCT's networks with more acoustic steps and "
        "lengths that go by the bytes of the texts.",
        paper="https://arxiv.org/abs/2502.03128",
        home="https://huggingface.co/amphion/metis",
        notes="Needs no download beside MaskGCT. Metis' other tasks are in Voice and Restoration.",
    )
    Params = MetisSpeechParams

    def usual_tokens(self, text: str, ids: Sequence[int]) -> float:
        """Tokens of a text at the pace of the reference, by the bytes of both."""
        said = self._heard[1]
        tokens: int = self._prompt.tokens.shape[1]
        return tokens * len(text.encode()) / len(said.encode())
