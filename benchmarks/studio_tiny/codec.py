"""How well a model's codec carries true renders: distances, and how much of each codebook is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.studio_tiny import sound
from benchmarks.studio_tiny.clips import Maker


@dataclass(frozen=True)
class CodecScores:
    """Means over clips: log-mel distance and SI-SDR in dB. For each codebook the share of entries
    that occur, and the perplexity as a share of the entries."""

    clips: int
    log_mel_db: float
    si_sdr_db: float
    used: tuple[float, ...]
    perplexity: tuple[float, ...]


def measure(maker: Maker, sounds: Sequence[np.ndarray]) -> tuple[CodecScores, list[np.ndarray]]:
    """Scores, and the reconstructions of mono ``sounds (T,)`` at the maker's sample rate."""
    through = [maker.through_codec(samples) for samples in sounds]
    rebuilt, codes = [one for one, _ in through], np.concatenate([k for _, k in through], axis=1)
    pairs = list(zip(rebuilt, sounds, strict=True))
    distances = [sound.log_mel_distance_db(*pair, maker.sample_rate) for pair in pairs]
    used, perplexity = usage(codes, maker.entries)
    return CodecScores(
        clips=len(sounds),
        log_mel_db=float(np.mean(distances)),
        si_sdr_db=float(np.mean([sound.si_sdr_db(*pair) for pair in pairs])),
        used=used,
        perplexity=perplexity,
    ), rebuilt


def usage(codes: np.ndarray, entries: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """For each codebook of ``codes (K, T)``: the share of its entries that occur, and the perplexity
    (exp of the entropy of how often each does) as a share of the entries."""
    used, spread = [], []
    for row in codes:
        share = np.bincount(row, minlength=entries) / len(row)
        share = share[share > 0]
        used.append(len(share) / entries)
        spread.append(float(np.exp(-(share * np.log(share)).sum()) / entries))
    return tuple(used), tuple(spread)
