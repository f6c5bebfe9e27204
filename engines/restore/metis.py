"""Metis as restoration engines: extraction of one speaker from a mixture, and speech enhancement."""

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

EXTRACTION = weights_of("tse", 32, "Metis TSE")
ENHANCEMENT = weights_of("se", 32, "Metis SE")


class MetisTseParams(MetisParams):
    """Parameters of one extraction."""

    reference: AudioFile = reference_field(
        "Reference", "The person to extract: some seconds in which nobody else speaks."
    )
    reference_s: float = reference_length()
    steps: int = masked.steps(10)
    guidance: float = masked.guidance(0.0, "the voice of the reference")
    seed: Seed = -1


class MetisTse(MetisEngine):
    """One speaker of a mixture, spoken anew."""

    published = EXTRACTION
    card = card_of(
        EXTRACTION,
        Task.RESTORE,
        "Target-speaker extraction: takes one person out of a mixture, by a reference of the voice.",
        "Speaks the person's words anew instead of filtering the mixture. Shares its codecs with MaskGCT.",
    )
    Params = MetisTseParams

    @property
    def task(self) -> MetisTask:
        """Target-speaker extraction."""
        from engines.networks.metis.pipeline import Task as MetisTask

        return MetisTask.EXTRACTION


class MetisSeParams(MetisParams):
    """Parameters of one enhancement."""

    steps: int = masked.steps(10)
    guidance: float = masked.guidance(0.0, "the source")
    seed: Seed = -1


class MetisSe(MetisEngine):
    """Noisy speech, spoken anew without the noise."""

    published = ENHANCEMENT
    card = card_of(
        ENHANCEMENT,
        Task.RESTORE,
        "Speech enhancement: speaks noisy or reverberant speech anew, clean, at 24 kHz.",
        "Generative: what the noise covers is guessed. Shares its codecs with MaskGCT.",
    )
    Params = MetisSeParams

    @property
    def task(self) -> MetisTask:
        """Speech enhancement."""
        from engines.networks.metis.pipeline import Task as MetisTask

        return MetisTask.ENHANCEMENT
