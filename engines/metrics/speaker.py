"""Speaker similarity: the cosine of two voices, pair by pair or all to all."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from pydantic import Field

from engines.metrics.base import Better, Card, Measured, Need, Settings, metric
from engines.metrics.case import Case
from engines.metrics.sound import Sound
from engines.metrics.voices import NEWEST, RATE, WAVLM, resemblyzer, wavlm


class WavlmSettings(Settings):
    """Which weights."""

    model: str = Field(
        WAVLM, title="Model", description="WavLM with an x-vector head: hub name or folder."
    )
    revision: str = Field(
        NEWEST,
        title="Revision",
        description="Branch, tag or commit of the model; only a commit makes numbers repeatable.",
    )


@metric(
    Card(
        id="speaker_resemblyzer",
        title="Speaker similarity (Resemblyzer)",
        measures="Cosine of the voices of generated and reference; its embeddings are not negative, "
        "so strangers of one sex often reach 0.6.",
        group="Speaker",
        low=0,
        high=1,
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper="Wan et al., Generalized End-to-End Loss, ICASSP 2018",
        license_code="Apache-2.0",
        weights="Resemblyzer 0.1.4, embedded",
        license_weights="Apache-2.0",
        requires=("resemblyzer", "webrtcvad", "torch"),
        pip_extra="resemblyzer webrtcvad-wheels",
        shortest_s=0.5,
    )
)
def speaker_resemblyzer(case: Case, settings: Settings) -> Measured:
    """From 0 to 1."""
    return Measured(float(resemblyzer(case.target) @ resemblyzer(case.generated)))


@metric(
    Card(
        id="speaker_wavlm",
        title="Speaker similarity (WavLM)",
        measures="Cosine of the x-vectors of generated and reference; above about 0.86 the model's "
        "authors call it the same speaker.",
        group="Speaker",
        low=-1,
        high=1,
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper="Chen et al., WavLM, IEEE JSTSP 16 (2022)",
        license_code="Apache-2.0",
        weights=f"{WAVLM}, revision {NEWEST} unless pinned, to download",
        license_weights="see the model's page",
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
        shortest_s=0.5,
    ),
    WavlmSettings,
)
def speaker_wavlm(case: Case, settings: WavlmSettings) -> Measured:
    """From -1 to 1."""
    one, other = (
        wavlm(sound, settings.model, settings.revision) for sound in (case.target, case.generated)
    )
    return Measured(float(one @ other))


def similarity_matrix(
    sounds: Iterable[Sound], embed: Callable[[Sound], np.ndarray] = resemblyzer
) -> np.ndarray:
    """Cosines ``(N, N)`` of every voice with every other."""
    voices = np.stack([embed(sound) for sound in sounds])
    return voices @ voices.T
