"""Mels as vocoders want them: how each is made, and whether a file holds one of that kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.base import StudioError

if TYPE_CHECKING:
    import torch

    from engines.networks.blocks.mel import MelRecipe

LONGEST_S = 3600.0
NEAR = 2e-3  # a value so near a floor was cut there
FLOORS = {
    math.log(1e-5): "the natural logarithm of magnitudes from 1e-5 on",
    math.log(1e-7): "the natural logarithm of magnitudes from 1e-7 on",
    -5.0: "a decimal logarithm (from -5 on)",
    -10.0: "a decimal logarithm (from -10 on)",
    -80.0: "decibels (from -80 on)",
    -100.0: "decibels (from -100 on)",
}


@dataclass(frozen=True)
class Recipe:
    """``n_mels`` bands at ``rate`` Hz, a frame each ``hop`` samples, values from ``floor`` to ``top``.

    ``mel`` makes them of samples (1, L). ``scale`` says in words what the values are. ``extra`` frames
    stand behind the last whole one.
    """

    rate: int
    hop: int
    n_mels: int
    floor: float
    top: float
    scale: str
    mel: Callable[[torch.Tensor], torch.Tensor]
    extra: int = 0

    @property
    def words(self) -> str:
        """The recipe in a sentence's words."""
        return f"{self.n_mels} bands at {self.rate:,} Hz, hop {self.hop}, {self.scale}"


def log_mels(recipe: MelRecipe, mean: float = 0.0, deviation: float = 1.0) -> Recipe:
    """Natural logarithms of magnitudes from 1e-5 on, less ``mean`` and divided by ``deviation``."""
    from engines.networks.blocks.mel import FLOOR

    scale = "natural logarithm of the magnitude"
    if (mean, deviation) != (0.0, 1.0):
        scale += f" with mean {mean:g} and deviation {deviation:.2f} taken off"
    return Recipe(
        recipe.sample_rate,
        recipe.hop,
        recipe.n_mels,
        (math.log(FLOOR) - mean) / deviation,
        (4.0 - mean) / deviation,
        scale,
        lambda wav: (recipe.log_mel(wav) - mean) / deviation,
    )


def read_mel(path: Path, recipe: Recipe) -> np.ndarray:
    """The mel ``(n_mels, T)`` of a ``.npy`` file, float32; nothing in the file is executed.

    Raises ``StudioError`` saying why it is no mel of ``recipe``.
    """
    try:
        given = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise StudioError(f"{path.name} is no .npy file of numbers: {error}", "mel") from error
    if not isinstance(given, np.ndarray) or given.dtype.kind != "f":
        raise _refused(path, "it holds no floating-point numbers", recipe)
    shape = given.shape
    if given.ndim == 3 and shape[0] == 1:
        given = given[0]
    if given.ndim != 2 or not given.size:
        raise _refused(path, f"its shape is {shape}, not (bands, frames)", recipe)
    if recipe.n_mels not in given.shape:
        raise _refused(
            path, f"its shape is {shape}, and neither side has {recipe.n_mels} bands", recipe
        )
    mel = given if given.shape[0] == recipe.n_mels else given.T
    if mel.shape[1] * recipe.hop > LONGEST_S * recipe.rate:
        raise _refused(path, f"it lasts longer than {LONGEST_S / 60:.0f} minutes", recipe)
    mel = np.array(mel, np.float32, order="C")
    if reason := other_scale(mel, recipe):
        raise _refused(path, reason, recipe)
    return mel


def other_scale(mel: np.ndarray, recipe: Recipe) -> str:
    """Why the values of ``mel`` are not those of ``recipe``; empty where they may be."""
    if not np.isfinite(mel).all():
        return "it holds values that are no numbers"
    low, high = float(mel.min()), float(mel.max())
    span = f"its values go from {low:.2f} to {high:.2f}"
    for floor, what in FLOORS.items():
        if abs(low - floor) < NEAR and abs(floor - recipe.floor) > NEAR:
            return f"{span}, as in {what}"
    if low >= 0:
        return f"{span}, as in magnitudes without a logarithm"
    if low < recipe.floor - NEAR:
        return f"{span}, below the least value of this recipe, {recipe.floor:.2f}"
    if high > recipe.top:
        return f"{span}, above what a sound can have here, {recipe.top:.1f}"
    if low >= -1 - NEAR and high <= 1 + NEAR and recipe.floor < -3:
        return f"{span}, as in mels scaled to -1 to 1"
    return ""


def _refused(path: Path, reason: str, recipe: Recipe) -> StudioError:
    return StudioError(
        f"{path.name} is no mel of this vocoder: {reason}. It wants {recipe.words}.", "mel"
    )


class MelOfSound:
    """Mels of a sound, made when they are asked for."""

    def __init__(self, samples: np.ndarray, recipe: Recipe, device: str):
        self.samples, self._recipe, self._device = samples, recipe, device
        self.length = len(samples)
        self.frames = -(-self.length // recipe.hop)

    def part(self, first: int, last: int) -> Any:
        """Frames ``first`` to ``last`` and the recipe's extra ones, ``(1, n_mels, T)``."""
        import torch

        hop, wanted = self._recipe.hop, last - first + self._recipe.extra
        heard = self.samples[first * hop : last * hop]
        least = max((last - first) * hop, 4096)  # longer than any frame
        heard = np.pad(heard, (0, least - len(heard))) if len(heard) < least else heard
        wave = torch.from_numpy(np.ascontiguousarray(heard))[None].to(self._device)
        return self._recipe.mel(wave)[..., :wanted]


class MelOfFile:
    """Mels as they were read."""

    def __init__(self, mel: np.ndarray, recipe: Recipe, device: str):
        self._mel, self._recipe, self._device = mel, recipe, device
        self.frames = max(1, mel.shape[1] - recipe.extra)
        self.length = self.frames * recipe.hop

    def part(self, first: int, last: int) -> Any:
        """Frames ``first`` to ``last`` and the recipe's extra ones, ``(1, n_mels, T)``."""
        import torch

        mel = np.ascontiguousarray(self._mel[:, first : last + self._recipe.extra])
        return torch.from_numpy(mel)[None].to(self._device)
