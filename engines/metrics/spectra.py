"""Short-time spectra in blocks, so that long sounds need no more memory than short ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK_VALUES = 1 << 21  # samples windowed together: 8 MB of float32


def magnitudes(
    samples: np.ndarray, n_fft: int, hop_length: int, win_length: int = 0
) -> Iterator[np.ndarray]:
    """Magnitude spectra of ``(T,)`` samples in blocks ``(frames, n_fft // 2 + 1)``.

    Periodic Hann window of ``win_length`` (0: ``n_fft``) in the middle of ``n_fft``, frames centred
    on multiples of ``hop_length`` with mirrored edges: the frames of ``torch.stft`` and, but for the
    edges, ``librosa.stft``. Samples must be longer than ``n_fft // 2``.
    """
    from scipy import fft

    window = _hann(win_length or n_fft, n_fft)
    padded = np.pad(samples.astype(np.float32, copy=False), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    block = max(1, BLOCK_VALUES // n_fft)
    for start in range(0, len(frames), block):
        yield np.abs(fft.rfft(frames[start : start + block] * window, axis=1))


def _hann(length: int, n_fft: int) -> np.ndarray:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    before = (n_fft - length) // 2
    return np.pad(window, (before, n_fft - length - before)).astype(np.float32)
