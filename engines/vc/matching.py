"""Envelopes of a reference for each step of a source, by nearest neighbours of the content.

Whisper's features tell sounds apart whoever says them, cepstra tell which neighbour is closest in
sound; both are centred speaker by speaker first. Neighbours alone jump from step to step and wash out
consonants, so what they would change is averaged over steps of similar content, and a little over
time, before it is applied: the source keeps its fine movement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.vc.content import Centre, Content
from engines.vc.voices import Voice
from engines.world.envelopes import ORDER, from_cepstra, to_cepstra
from engines.world.frames import level

CEPSTRA = slice(1, 21)  # that are compared
CEPSTRA_WEIGHT = 0.5  # beside Whisper's 1
VOICING_WEIGHT = 0.3
NEIGHBOUR_SPREAD = 0.1  # of similarities, in the weights of neighbours
CONTENT_SPREAD = 0.05  # of similarities, in the mean over similar content
MOST_CONTRAST = 2.0  # by which averaged envelopes are sharpened at most
SMOOTHING = 1.0  # steps, of the change over time
BLOCK = 1024  # steps compared at a time


@dataclass(frozen=True)
class Keys:
    """What is compared: unit rows of centred features and cepstra."""

    features: np.ndarray
    cepstra: np.ndarray
    voicing: np.ndarray

    def likeness(self, other: Keys) -> np.ndarray:
        """Similarity ``(N, M)`` of content, up to 1."""
        alike = self.features @ other.features.T
        alike += CEPSTRA_WEIGHT * (self.cepstra @ other.cepstra.T)
        return alike / (1 + CEPSTRA_WEIGHT)


def keys(of: Content, by: Centre) -> Keys:
    """The keys of ``of``, centred by what its speaker has in common."""
    return Keys(
        _unit(of.features - by.features),
        _unit(((of.cepstra - by.cepstra) / by.deviation)[:, CEPSTRA]),
        of.voicing,
    )


def change(
    source: Content, own: Centre, voice: Voice, neighbours: int = 8, mix: float = 0.75
) -> np.ndarray:
    """What to add to the log envelope of each step ``(N, B)`` to sound like ``voice``; levels stay.

    ``mix`` 0 moves the source's own envelopes by the difference of the voices' means, 1 takes those
    of the ``neighbours`` nearest steps.
    """
    asked, stored = keys(source, own), keys(voice.steps, voice.centre)
    shifted = source.envelope + _shift(source, own, voice)
    wanted = shifted
    if mix > 0:
        nearest = _nearest(source, asked, voice, stored, neighbours)
        wanted = mix * nearest + (1 - mix) * shifted
    wanted = wanted - level(wanted) + level(source.envelope)
    return _settled(wanted - source.envelope, source, asked)


def _shift(source: Content, own: Centre, voice: Voice) -> np.ndarray:
    """The difference of the mean cepstra of both voices, voiced and unvoiced apart."""
    whole = voice.centre.cepstra - own.cepstra
    moved = np.empty_like(source.cepstra)
    for kind, mine, theirs in (
        (source.voiced, own.voiced, voice.centre.voiced),
        (~source.voiced, own.unvoiced, voice.centre.unvoiced),
    ):
        moved[kind] = whole if mine is None or theirs is None else theirs - mine
    moved[:, 0] = 0
    return from_cepstra(moved, source.envelope.shape[1], voice.rate)


def _nearest(
    source: Content, asked: Keys, voice: Voice, stored: Keys, neighbours: int
) -> np.ndarray:
    """Mean envelopes of the nearest steps of the reference, with the contrast that averaging took."""
    count = min(neighbours, len(voice.steps))
    parts = []
    for start in range(0, len(source), BLOCK):
        some = slice(start, start + BLOCK)
        here = Keys(asked.features[some], asked.cepstra[some], asked.voicing[some])
        alike = (1 + CEPSTRA_WEIGHT) * here.likeness(stored)
        alike -= VOICING_WEIGHT * np.abs(here.voicing[:, None] - stored.voicing[None])
        index = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        best = np.take_along_axis(alike, index, axis=1)
        weights = np.exp((best - best.max(axis=1, keepdims=True)) / NEIGHBOUR_SPREAD)
        weights /= weights.sum(axis=1, keepdims=True)
        parts.append(np.einsum("nk,nkb->nb", weights, voice.steps.envelope[index]))
    made = np.concatenate(parts)
    return made + _contrast(made, source.active, voice)


def _contrast(made: np.ndarray, active: np.ndarray, voice: Voice) -> np.ndarray:
    """What gives averaged envelopes the deviation that the voice has, cepstrum by cepstrum."""
    cepstra = to_cepstra(made, voice.rate, ORDER)
    some = cepstra[active] if active.sum() > 1 else cepstra
    gain = np.clip(voice.centre.deviation / (some.std(axis=0) + 1e-6), 1, MOST_CONTRAST)
    sharper = (cepstra - some.mean(axis=0)) * (gain - 1)
    sharper[:, 0] = 0
    return from_cepstra(sharper, made.shape[1], voice.rate)


def _settled(wanted: np.ndarray, source: Content, asked: Keys) -> np.ndarray:
    """The change, averaged over steps of similar content and over time; loud steps count more."""
    from scipy.ndimage import gaussian_filter1d

    loud = 10 ** ((source.level_db - source.level_db.max(initial=-200.0)) / 40)
    closeness = np.exp((asked.likeness(asked) - 1) / CONTENT_SPREAD) * loud[None]
    closeness *= np.where(source.voiced[:, None] == source.voiced[None], 1, 0.05)
    closeness /= closeness.sum(axis=1, keepdims=True)
    even = (closeness @ wanted).astype(np.float64)
    weight = np.maximum(loud, 1e-3)[:, None]
    smooth = gaussian_filter1d(even * weight, SMOOTHING, axis=0)
    return (smooth / gaussian_filter1d(weight, SMOOTHING, axis=0)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
