"""Sound from a mel without a vocoder: magnitudes by non-negative least squares, phases by Griffin-Lim.

Perraudin et al. 2013 (with momentum). A trained vocoder sounds better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from engines.networks.blocks.mel import MelRecipe

MOMENTUM = 0.99
FITTING = 60  # updates of the magnitudes
TINY = 1e-8


def magnitudes(log_mel: torch.Tensor, recipe: MelRecipe) -> torch.Tensor:
    """Linear magnitudes (B, n_fft/2+1, T) whose mels are nearest to (B, n_mels, T), never negative."""
    from engines.networks.blocks.mel import mel_filters

    filters = mel_filters(
        recipe.sample_rate, recipe.n_fft, recipe.n_mels, recipe.fmin, recipe.fmax
    ).to(log_mel)
    mel = log_mel.exp()
    wanted = filters.T @ mel
    found = wanted / filters.sum(0).clamp(min=TINY)[:, None]
    for _ in range(FITTING):
        found = found * wanted / (filters.T @ (filters @ found)).clamp(min=TINY)
    return found


def griffin_lim(
    log_mel: torch.Tensor,
    recipe: MelRecipe,
    iterations: int,
    generator: torch.Generator,
    step: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Samples (B, T * hop) of natural-log mels (B, n_mels, T); ``step`` is called each iteration."""
    import torch

    target = magnitudes(log_mel, recipe)
    phase = 2 * torch.pi * torch.rand(target.shape, generator=generator)
    spectrum = torch.polar(torch.ones_like(target), phase.to(target))
    before = torch.zeros_like(spectrum)
    for _ in range(iterations):
        step()
        now = _spectrum(_samples(target * spectrum, recipe), recipe)
        ahead = now - MOMENTUM / (1 + MOMENTUM) * before
        spectrum, before = ahead / ahead.abs().clamp(min=TINY), now
    return _samples(target * spectrum, recipe)


def _window(recipe: MelRecipe, like: torch.Tensor) -> torch.Tensor:
    import torch

    win = recipe.win or recipe.n_fft
    left = (recipe.n_fft - win) // 2
    window = torch.hann_window(win, device=like.device)
    return torch.nn.functional.pad(window, (left, recipe.n_fft - win - left))


def _spectrum(samples: torch.Tensor, recipe: MelRecipe) -> torch.Tensor:
    import torch

    pad = (recipe.n_fft - recipe.hop) // 2
    padded = torch.nn.functional.pad(samples[:, None], (pad, pad), mode="reflect")[:, 0]
    window = _window(recipe, samples)
    return torch.stft(
        padded, recipe.n_fft, recipe.hop, window=window, center=False, return_complex=True
    )


def _samples(spectrum: torch.Tensor, recipe: MelRecipe) -> torch.Tensor:
    import torch

    window = _window(recipe, spectrum.real)
    frames = torch.fft.irfft(spectrum, n=recipe.n_fft, dim=1) * window[:, None]
    weights = window.square()[:, None].expand(1, -1, frames.shape[2]).contiguous()
    length = recipe.n_fft + recipe.hop * (frames.shape[2] - 1)

    def added(parts: torch.Tensor) -> torch.Tensor:
        whole = torch.nn.functional.fold(
            parts, (1, length), (1, recipe.n_fft), stride=(1, recipe.hop)
        )
        return whole[:, 0, 0]

    pad = (recipe.n_fft - recipe.hop) // 2
    return (added(frames) / added(weights).clamp(min=1e-4))[:, pad : length - pad]
