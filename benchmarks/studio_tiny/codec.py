"""How well a model's codec carries true renders: distances, and how much of each codebook is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.studio_tiny import sound
from benchmarks.studio_tiny.clips import Maker
from engines.metrics.separation import ratio_db
from training.recipes.codec import perplexity, usage


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
    rebuilt, codes = [one for one, _ in through], [k for _, k in through]
    pairs = list(zip(rebuilt, sounds, strict=True))
    distances = [sound.log_mel_distance_db(*pair, maker.sample_rate) for pair in pairs]
    together = torch.from_numpy(np.concatenate(codes, axis=1).astype(np.int64))[None]
    return CodecScores(
        clips=len(sounds),
        log_mel_db=float(np.mean(distances)),
        si_sdr_db=float(np.mean([si_sdr_db(*pair) for pair in pairs])),
        used=tuple(usage(together, maker.entries)),
        perplexity=tuple(p / maker.entries for p in perplexity(together, maker.entries)),
    ), rebuilt


def si_sdr_db(made: np.ndarray, wanted: np.ndarray) -> float:
    """The studio's SI-SDR of mono sounds ``(T,)``, the longer one cut."""
    length = min(len(made), len(wanted))
    return ratio_db(wanted[:length].astype(np.float64), made[:length].astype(np.float64))
