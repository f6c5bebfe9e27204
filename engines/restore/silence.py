"""Where a sound is silent, and what can be cut by it: ends, long pauses, pieces.

Levels are those of 10 ms of the loudest channel. ``threshold_db`` is relative to the loudest 10 ms, so
that it means the same in quiet and in loud recordings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engines.audio import as_channels

FRAME_S = 0.01
THRESHOLD_DB = -40.0
FADE_S = 0.005  # of every cut


@dataclass(frozen=True)
class Span:
    """A stretch of a sound in seconds."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return self.end_s - self.start_s


def levels_db(samples: np.ndarray, rate: int) -> np.ndarray:
    """Level of each 10 ms in dBFS, ``(F,)``, of the loudest channel; at least -120."""
    channels = as_channels(samples)
    hop = max(1, round(FRAME_S * rate))
    padded = np.pad(channels, [(0, 0), (0, -channels.shape[1] % hop)])
    power = (padded.reshape(len(channels), -1, hop) ** 2).mean(axis=2, dtype=np.float64).max(axis=0)
    return 10 * np.log10(np.maximum(power, 1e-12))


def sounding(
    samples: np.ndarray,
    rate: int,
    threshold_db: float = THRESHOLD_DB,
    min_pause_s: float = 0.3,
    pad_s: float = 0.05,
) -> list[Span]:
    """The stretches that are not silent, in order, with ``pad_s`` around each.

    Silence shorter than ``min_pause_s`` belongs to what is around it. Empty for a silent sound.
    """
    levels = levels_db(samples, rate)
    if not len(levels) or levels.max() <= -100:
        return []
    loud = np.flatnonzero(levels > levels.max() + threshold_db)
    breaks = np.flatnonzero(np.diff(loud) * FRAME_S > min_pause_s)
    firsts = loud[np.concatenate([[0], breaks + 1])]
    lasts = loud[np.concatenate([breaks, [len(loud) - 1]])]
    end_s = as_channels(samples).shape[1] / rate
    spans: list[Span] = []
    for first, last in zip(firsts, lasts, strict=True):
        start_s = max(0.0, first * FRAME_S - pad_s)
        stop_s = min(end_s, (last + 1) * FRAME_S + pad_s)
        if spans and start_s <= spans[-1].end_s:
            spans[-1] = Span(spans[-1].start_s, stop_s)
        else:
            spans.append(Span(float(start_s), float(stop_s)))
    return spans


def trimmed(
    samples: np.ndarray, rate: int, threshold_db: float = THRESHOLD_DB, pad_s: float = 0.05
) -> np.ndarray:
    """``samples`` without the silence at both ends; empty for a silent sound."""
    spans = sounding(samples, rate, threshold_db, math.inf, pad_s)
    return _cut(samples, rate, spans[0]) if spans else np.asarray(samples, np.float32)[..., :0]


def shortened(
    samples: np.ndarray,
    rate: int,
    max_pause_s: float = 0.5,
    threshold_db: float = THRESHOLD_DB,
) -> np.ndarray:
    """``samples`` with each longer pause inside cut to ``max_pause_s``; the ends are kept."""
    spans = sounding(samples, rate, threshold_db, max_pause_s, max_pause_s / 2)
    if not spans:
        return np.asarray(samples, np.float32)
    end_s = as_channels(samples).shape[1] / rate
    spans[0] = Span(0.0, spans[0].end_s)
    spans[-1] = Span(spans[-1].start_s, end_s)
    if len(spans) == 1:
        return np.asarray(samples, np.float32)
    return np.concatenate([_cut(samples, rate, span) for span in spans], axis=-1)


def pieces(
    samples: np.ndarray,
    rate: int,
    min_pause_s: float = 0.5,
    threshold_db: float = THRESHOLD_DB,
) -> list[tuple[Span, np.ndarray]]:
    """The sounding stretches of ``samples``, each with its place."""
    spans = sounding(samples, rate, threshold_db, min_pause_s)
    return [(span, _cut(samples, rate, span)) for span in spans]


def _cut(samples: np.ndarray, rate: int, span: Span) -> np.ndarray:
    """One stretch, faded where it was cut."""
    length = as_channels(samples).shape[1]
    first, last = round(span.start_s * rate), min(length, round(span.end_s * rate))
    out = np.array(samples[..., first:last], dtype=np.float32)
    fade = min(round(FADE_S * rate), out.shape[-1] // 2)
    rise = np.linspace(0, 1, fade, dtype=np.float32)
    if first > 0:
        out[..., :fade] *= rise
    if last < length and fade:
        out[..., -fade:] *= rise[::-1]
    return out
