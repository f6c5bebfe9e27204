"""Features brought to mean 0 and deviation 1, with the constants that published models were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from engines.networks.weights import read_weights

CONSTANTS = Path(__file__).parents[1] / "constants"


@dataclass(frozen=True)
class Normalisation:
    """Mean and deviation (C,) of each channel of features (..., C)."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def read(cls, file: Path) -> Normalisation:
        """From a file of ``mean`` and either ``std`` or ``var``."""
        kept = read_weights(file)
        return cls(kept["mean"], kept["std"] if "std" in kept else kept["var"].sqrt())

    @classmethod
    def of(cls, file: Path, name: str) -> Normalisation:
        """From ``file`` where weights came with one, else the published ``name`` of ``constants``."""
        return cls.read(file if file.is_file() else CONSTANTS / f"{name}.safetensors")

    def __call__(self, features: Tensor) -> Tensor:
        return (features - self.mean.to(features)) / self.deviation.to(features)
