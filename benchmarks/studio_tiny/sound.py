"""What can be measured of a clip without a trained model: tempo, mode, faults, distances.

Samples are float32, mono ``(T,)``, within [-1, 1].
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

TEMPO_TOLERANCE = 0.06
OCTAVES = (0.5, 1.0, 2.0)
ONSET_HOP_S, ONSET_WINDOW_S = 0.01, 8.0
TEMPI, USUAL_TEMPO, PRIOR_OCTAVES = (55.0, 190.0), 110.0, 0.9
COMB = (1, 2, 4, 8)  # beats
CHROMA_WINDOW, CHROMA_HZ = 8192, (60.0, 1000.0)
SILENT_DB = -60.0
CLIPPED, CLIPPED_SHARE = 0.999, 1e-3
CONSTANT_DB = 0.5  # white noise has 0.3, the steadiest of 256 true renders 0.7
SAME_CORRELATION = 0.98
MEL_FLOOR_DB = -80.0

# Temperley 1999, What's key for key?, Music Perception 17(1): weights of the twelve pitch classes from the
# tonic up. By these, major and minor are named right of 77 % of 256 true renders; by the probe-tone
# ratings of Krumhansl and Kessler (1982) of 68 %
PROFILES = {
    "major": (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0),
    "minor": (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0),
}


class Fault(StrEnum):
    """What makes a clip useless, whatever was asked for."""

    SILENT = "silent"
    CLIPPED = "clipped"
    CONSTANT = "constant"


# --- tempo ------------------------------------------------------------------------------------


def tempo(samples: np.ndarray, sample_rate: int) -> float:
    """Beats per minute (55 to 190), 0 where there is no beat.

    The autocorrelation of the onset strength (Grosche, Müller and Kurth 2010, as librosa has it),
    summed over lags of 1, 2, 4 and 8 beats as by a comb filter (Scheirer 1998), and weighed by
    librosa's prior for tempi (log-normal around 110). librosa's own tracker looks at 1 beat alone
    and is off by 3/2 or 5/4 where the drums are syncopated.
    """
    import librosa

    hop = round(ONSET_HOP_S * sample_rate)
    onsets = librosa.onset.onset_strength(y=samples, sr=sample_rate, hop_length=hop)
    if not onsets.any():
        return 0.0
    window = min(round(ONSET_WINDOW_S / ONSET_HOP_S), len(onsets))
    strength = librosa.feature.tempogram(
        onset_envelope=onsets, sr=sample_rate, hop_length=hop, win_length=window
    ).mean(axis=1)
    lags = np.arange(len(strength)) * ONSET_HOP_S
    tempi = np.exp(np.arange(np.log(TEMPI[0]), np.log(TEMPI[1]), 0.005))
    comb = sum(np.interp(beats * 60 / tempi, lags, strength, right=0) for beats in COMB)
    prior = np.exp(-0.5 * (np.log2(tempi / USUAL_TEMPO) / PRIOR_OCTAVES) ** 2)
    return float(tempi[np.argmax(comb * prior)])


def tempo_fits(found: float, asked: float) -> bool:
    """Whether ``found`` is within 6 % of ``asked``, of half or of twice of it."""
    return any(abs(found / (asked * octave) - 1) <= TEMPO_TOLERANCE for octave in OCTAVES)


# --- mode -------------------------------------------------------------------------------------


def chroma(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Strength of the pitch classes ``(12,)``, C first: mean of the frames, each of length 1.

    From what is left of the spectrum without drums (Fitzgerald 2010), below 1 kHz, where the
    fundamentals are.
    """
    import librosa

    size = CHROMA_WINDOW
    spectrum = np.abs(librosa.stft(samples, n_fft=size, hop_length=size // 4))
    tonal, _ = librosa.decompose.hpss(spectrum)
    tuning = librosa.estimate_tuning(S=tonal, sr=sample_rate)
    bank = librosa.filters.chroma(sr=sample_rate, n_fft=size, tuning=tuning, octwidth=None)
    hertz = librosa.fft_frequencies(sr=sample_rate, n_fft=size)
    kept = (hertz >= CHROMA_HZ[0]) & (hertz <= CHROMA_HZ[1])
    frames = bank[:, kept] @ tonal[kept]
    return (frames / np.maximum(np.linalg.norm(frames, axis=0), 1e-9)).mean(axis=1)


def mode(found: np.ndarray) -> str:
    """``major`` or ``minor`` by chroma ``(12,)``: that of the key whose profile correlates best
    (Krumhansl 1990, the key-finding algorithm)."""
    return max(PROFILES, key=lambda name: _fits(found, name).max())


def mode_on(found: np.ndarray, tonic: int) -> str:
    """``major`` or ``minor`` by chroma ``(12,)`` when the tonic is known (C is 0)."""
    return max(PROFILES, key=lambda name: _fits(found, name)[tonic])


def _fits(found: np.ndarray, name: str) -> np.ndarray:
    """Correlations of chroma ``(12,)`` with a profile on each tonic ``(12,)``, times the chroma's own
    norm, which is the same for all keys."""
    profile = np.array(PROFILES[name])
    profile = (profile - profile.mean()) / profile.std()
    return np.stack([np.roll(profile, tonic) for tonic in range(12)]) @ found


# --- faults -----------------------------------------------------------------------------------


def faults(samples: np.ndarray, sample_rate: int) -> tuple[Fault, ...]:
    """What is wrong with a clip: under -60 dBFS; more than a thousandth of its samples at full
    scale; the same spectrum from its first half second to its last, within half a dB."""
    found = []
    power = float(np.sqrt(np.mean(samples**2)))
    if 20 * np.log10(max(power, 1e-12)) < SILENT_DB:
        return (Fault.SILENT,)
    if np.mean(np.abs(samples) >= CLIPPED) > CLIPPED_SHARE:
        found.append(Fault.CLIPPED)
    if _change_db(samples, sample_rate) < CONSTANT_DB:
        found.append(Fault.CONSTANT)
    return tuple(found)


def _change_db(samples: np.ndarray, sample_rate: int) -> float:
    """Spread over half seconds of the level of 16 mel bands, mean over the bands; what is 40 dB below
    the loudest does not count."""
    size = sample_rate // 2
    pieces = samples[: len(samples) // size * size].reshape(-1, size)
    if len(pieces) < 2:
        return np.inf
    levels = np.stack([log_mel_db(piece, sample_rate, 16).mean(axis=1) for piece in pieces])
    return float(np.maximum(levels, levels.max() - 40).std(axis=0).mean())


# --- distances --------------------------------------------------------------------------------


def log_mel_db(samples: np.ndarray, sample_rate: int, bands: int = 64) -> np.ndarray:
    """Mel power in dB ``(bands, T)``, nothing below -80 dB."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples, sr=sample_rate, n_fft=1024, hop_length=256, n_mels=bands
    )
    return librosa.power_to_db(power, ref=1.0, amin=10 ** (MEL_FLOOR_DB / 10), top_db=None)


def log_mel_distance_db(made: np.ndarray, wanted: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of 64 mel bands in dB."""
    length = min(len(made), len(wanted))
    one, other = (log_mel_db(sound[:length], sample_rate) for sound in (made, wanted))
    return float(np.abs(one - other).mean())


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two clips are one and the same sound, at whatever level."""
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return norm == 0 or abs(float(one @ other)) / norm > SAME_CORRELATION
