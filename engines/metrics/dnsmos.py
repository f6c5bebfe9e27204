"""DNSMOS: mean opinion scores predicted from one sound, by the networks inside ``speechmos``."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np

from engines.metrics.base import Better, Card, Measured, Need, Settings, metric, need
from engines.metrics.case import Case
from engines.metrics.sound import Sound

RATE = 16_000
P835 = "Reddy, Gopal, Cutler, DNSMOS P.835, ICASSP 2022"
P808 = "Reddy, Gopal, Cutler, DNSMOS, ICASSP 2021"
_lock = threading.Lock()


@functools.cache
def _predictor() -> Any:
    library = need("speechmos.dnsmos", "speechmos requests")
    return library.run


def _scores(sound: Sound) -> dict[str, float]:
    """All four scores; sounds shorter than 9 s are repeated, longer ones averaged over hops of 1 s,
    as the authors' script does."""

    def make() -> dict[str, float]:
        samples = np.clip(sound.at(RATE), -1, 1)
        with _lock:
            return {name: float(value) for name, value in _predictor()(samples, RATE).items()}

    return sound.once("dnsmos", make)


def _card(id: str, title: str, measures: str, paper: str) -> Card:
    return Card(
        id=id,
        title=title,
        measures=measures,
        group="Predicted opinion",
        unit="MOS",
        low=1,
        high=5,
        better=Better.HIGHER,
        needs=Need.NOTHING,
        sample_rate=RATE,
        paper=paper,
        weights="embedded in speechmos",
        license_weights="MIT",
        requires=("speechmos", "requests"),
        pip_extra="speechmos requests",
        shortest_s=0.5,
    )


@metric(_card("dnsmos_ovrl", "DNSMOS overall", "Predicted overall quality of speech.", P835))
def dnsmos_ovrl(case: Case, settings: Settings) -> Measured:
    """From 1 to 5."""
    return Measured(_scores(case.generated)["ovrl_mos"])


@metric(_card("dnsmos_sig", "DNSMOS signal", "Predicted quality of the voice itself.", P835))
def dnsmos_sig(case: Case, settings: Settings) -> Measured:
    """From 1 to 5."""
    return Measured(_scores(case.generated)["sig_mos"])


@metric(_card("dnsmos_bak", "DNSMOS background", "Predicted absence of background noise.", P835))
def dnsmos_bak(case: Case, settings: Settings) -> Measured:
    """From 1 to 5."""
    return Measured(_scores(case.generated)["bak_mos"])


@metric(_card("dnsmos_p808", "DNSMOS P.808", "Predicted overall quality, one question.", P808))
def dnsmos_p808(case: Case, settings: Settings) -> Measured:
    """From 1 to 5."""
    return Measured(_scores(case.generated)["p808_mos"])
