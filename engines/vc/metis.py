"""Metis as a voice conversion engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.base import AudioFile, Seed, Task
from engines.parts import masked
from engines.parts.metis import (
    MetisEngine,
    MetisParams,
    card_of,
    reference_field,
    reference_length,
    weights_of,
)

if TYPE_CHECKING:
    from engines.networks.metis.pipeline import Task as MetisTask

WEIGHTS = weights_of("vc", 16, "Metis VC")


class MetisVcParams(MetisParams):
    """Parameters of one conversion."""

    reference: AudioFile = reference_field(
        "Reference", "The voice to convert to: some seconds of clean speech of one person."
    )
    reference_s: float = reference_length()
    steps: int = masked.steps(20)
    guidance: float = masked.guidance(1.0, "the voice of the reference")
    seed: Seed = -1


class MetisVc(MetisEngine):
    """What the source says, in the voice of the reference."""

    published = WEIGHTS
    card = card_of(
        WEIGHTS,
        Task.VC,
        "Zero-shot voice conversion: says the source in the voice of a few seconds of reference.",
        "Keeps the words and the timing of the source. Shares its codecs with MaskGCT.",
    )
    Params = MetisVcParams

    @property
    def task(self) -> MetisTask:
        """Voice conversion."""
        from engines.networks.metis.pipeline import Task as MetisTask

        return MetisTask.CONVERSION
