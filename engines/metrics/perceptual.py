"""Quality and intelligibility as listeners would rate them: PESQ, STOI, ESTOI."""

from __future__ import annotations

import numpy as np

from engines.metrics.base import (
    Better,
    Card,
    Measured,
    Need,
    NotApplicable,
    Reason,
    SampleSettings,
    metric,
    need,
)
from engines.metrics.case import Case, same_length
from engines.metrics.sound import Sound

PESQ_LONGEST_S = 60.0  # the ITU's code holds 50 utterances; it was validated up to 30 s
STOI_RATE = 10_000
STOI_LONGEST_S = 600.0  # pystoi keeps all segments in memory: 2 GB
STOI_FRAMES = 30  # 384 ms of speech, pauses left out
ITU_NOTE = "MIT; the ITU-T reference code inside has the terms of P.862 and P.862.2"


def _pesq(case: Case, settings: SampleSettings, sample_rate: int, mode: str) -> Measured:
    library = need("pesq", "pesq")
    reference, generated = case.samples(sample_rate, settings.align)
    try:
        value = library.pesq(sample_rate, reference, generated, mode)
    except library.BufferTooShortError as error:
        raise NotApplicable(Reason.TOO_SHORT, "PESQ needs at least 0.25 s.") from error
    except library.NoUtterancesError as error:
        raise NotApplicable(Reason.SILENT, "PESQ found no speech in one of the sounds.") from error
    return Measured(float(value))


def _pesq_card(id: str, title: str, sample_rate: int, measures: str, paper: str) -> Card:
    return Card(
        id=id,
        title=title,
        measures=measures,
        group="Perceptual",
        unit="MOS-LQO",
        low=1.0,
        high=4.65,
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        sample_rate=sample_rate,
        paper=paper,
        license_code=ITU_NOTE,
        requires=("pesq",),
        pip_extra="pesq",
        shortest_s=0.25,
        longest_s=PESQ_LONGEST_S,
    )


@metric(
    _pesq_card(
        "pesq_nb",
        "PESQ, narrow band",
        8_000,
        "Predicted listening quality of telephone-band speech against the reference.",
        "ITU-T P.862 (2001), mapped by P.862.1",
    ),
    SampleSettings,
)
def pesq_nb(case: Case, settings: SampleSettings) -> Measured:
    """At 8 kHz."""
    return _pesq(case, settings, 8_000, "nb")


@metric(
    _pesq_card(
        "pesq_wb",
        "PESQ, wide band",
        16_000,
        "Predicted listening quality of wide-band speech against the reference.",
        "ITU-T P.862.2 (2007)",
    ),
    SampleSettings,
)
def pesq_wb(case: Case, settings: SampleSettings) -> Measured:
    """At 16 kHz."""
    return _pesq(case, settings, 16_000, "wb")


def _at_stoi_rate(sound: Sound) -> np.ndarray:
    """Mono at 10 kHz by pystoi's own filter, which is part of the published definition."""

    def make() -> np.ndarray:
        signal = sound.mono().astype(np.float64)
        if sound.sample_rate == STOI_RATE:
            return signal
        return need("pystoi.utils", "pystoi").resample_oct(signal, STOI_RATE, sound.sample_rate)

    return sound.once("stoi", make)


def _stoi(case: Case, settings: SampleSettings, extended: bool) -> Measured:
    import warnings

    library = need("pystoi", "pystoi")
    reference, generated = same_length(
        _at_stoi_rate(case.target), _at_stoi_rate(case.generated), settings.align
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return Measured(float(library.stoi(reference, generated, STOI_RATE, extended)))
        except RuntimeWarning as warning:
            raise NotApplicable(
                Reason.TOO_SHORT,
                f"STOI needs {STOI_FRAMES} frames (0.4 s) of speech in the reference.",
            ) from warning


def _stoi_card(id: str, title: str, measures: str, paper: str) -> Card:
    return Card(
        id=id,
        title=title,
        measures=measures,
        group="Perceptual",
        low=-1,
        high=1,
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        sample_rate=STOI_RATE,
        paper=paper,
        requires=("pystoi",),
        pip_extra="pystoi",
        shortest_s=0.4,
        longest_s=STOI_LONGEST_S,
    )


@metric(
    _stoi_card(
        "stoi",
        "STOI",
        "Correlation of third-octave envelopes over 384 ms: predicts how many words are understood.",
        "Taal et al., IEEE TASLP 19 (2011)",
    ),
    SampleSettings,
)
def stoi(case: Case, settings: SampleSettings) -> Measured:
    """From -1 to 1, in practice above 0."""
    return _stoi(case, settings, extended=False)


@metric(
    _stoi_card(
        "estoi",
        "ESTOI",
        "STOI that also fits noise which comes and goes: correlation of whole spectrograms.",
        "Jensen & Taal, IEEE TASLP 24 (2016)",
    ),
    SampleSettings,
)
def estoi(case: Case, settings: SampleSettings) -> Measured:
    """From -1 to 1."""
    return _stoi(case, settings, extended=True)
