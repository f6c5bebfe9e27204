"""What WORLD gives: F0 by Harvest and mel-cepstra of the CheapTrick envelope, on one 5 ms grid.

M. Morise, F. Yokomori, K. Ozawa, "WORLD", IEICE Trans. Inf. & Syst. E99-D (2016).
"""

from __future__ import annotations

import functools

import numpy as np

from engines.metrics.base import NotApplicable, Reason
from engines.metrics.case import Case
from engines.metrics.dtw import align_frames
from engines.metrics.sound import Sound

RATE = 24_000  # Hz, of all frame features
FRAME_MS = 5.0
LONGEST_S = 300.0  # Harvest keeps 180 candidates a millisecond: 430 MB
F0_FLOOR = 50.0  # Hz
F0_CEILING = 1100.0  # Hz
ORDER = 24
BLOCK = 4096  # frames whose envelopes are kept at a time: 17 MB
FFT_SIZE = 1024  # CheapTrick's choice at 24 kHz for an F0 floor of 71 Hz
# all-pass constants that come closest to the mel scale, by sample rate (SPTK)
ALPHAS = {16_000: 0.41, 22_050: 0.455, 24_000: 0.466, 44_100: 0.544, 48_000: 0.554}


def harvest(sound: Sound) -> np.ndarray:
    """F0 in Hz by Harvest at 24 kHz, ``(F,)`` at 5 ms, 0 where unvoiced.

    Raises ``NotApplicable`` beyond 300 s. M. Morise, "Harvest", Interspeech 2017.
    """
    if sound.duration_s > LONGEST_S:
        raise NotApplicable(
            Reason.TOO_LONG, f"Harvest takes at most {LONGEST_S:.0f} s: split the sound."
        )

    def make() -> np.ndarray:
        import pyworld

        signal = sound.at(RATE).astype(np.float64)
        f0, _times = pyworld.harvest(signal, RATE, F0_FLOOR, F0_CEILING, FRAME_MS)
        return f0

    return sound.once("harvest", make)


def times(frames: int) -> np.ndarray:
    """The moments (F,) of the grid in seconds."""
    return np.arange(frames) * (FRAME_MS / 1000)


def mel_cepstra(sound: Sound, order: int = ORDER) -> np.ndarray:
    """Mel-cepstra ``(F, order + 1)`` of the WORLD envelope at 24 kHz, alpha 0.466; column 0 is c0."""

    def make() -> np.ndarray:
        import pyworld

        f0 = harvest(sound)
        signal = sound.at(RATE).astype(np.float64)
        grid, parts = times(len(f0)), []
        for start in range(0, len(f0), BLOCK):
            some = slice(start, start + BLOCK)
            power = pyworld.cheaptrick(signal, f0[some], grid[some], RATE, fft_size=FFT_SIZE)
            parts.append(np.log(power) @ _to_mel_cepstrum(FFT_SIZE, order, ALPHAS[RATE]))
        return np.concatenate(parts)

    return sound.once(("mel-cepstra", order), make)


def path(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Frames paired by DTW over mel-cepstra c1 to c24: indices into reference and generated."""
    return case.once(
        "path",
        lambda: align_frames(mel_cepstra(case.target)[:, 1:], mel_cepstra(case.generated)[:, 1:]),
    )


@functools.cache
def _to_mel_cepstrum(fft_size: int, order: int, alpha: float) -> np.ndarray:
    """The matrix ``(fft_size // 2 + 1, order + 1)`` from log power spectra to mel-cepstra.

    The cepstrum of the log power spectrum, with c0 halved, is that of the minimum-phase filter
    (Oppenheim & Schafer); frequency is then warped by the all-pass recursion (Oppenheim & Johnson
    1972), as SPTK's ``sp2mc`` and ``freqt`` do.
    """
    bins = fft_size // 2 + 1
    cepstra = np.fft.irfft(np.eye(bins), axis=1)[:, :bins]
    cepstra[:, 0] /= 2
    return cepstra @ _warp(bins, order, alpha).T


def _warp(size: int, order: int, alpha: float) -> np.ndarray:
    """``freqt`` as a matrix ``(order + 1, size)`` on cepstra."""
    warped = np.zeros((order + 1, size))
    for n in reversed(range(size)):
        before = warped.copy()
        warped[0] = alpha * before[0]
        warped[0, n] += 1
        if order >= 1:
            warped[1] = (1 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, order + 1):
            warped[m] = before[m - 1] + alpha * (before[m] - warped[m - 1])
    return warped


def check_voiced(voiced: np.ndarray, whose: str) -> None:
    """Raise ``NotApplicable`` if no frame is voiced."""
    if not voiced.any():
        raise NotApplicable(Reason.UNVOICED, f"{whose} has no voiced frame.")
