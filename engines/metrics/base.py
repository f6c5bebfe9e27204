"""The contract of a metric: a card (data), settings (a parameter model) and a function.

A metric gives a number or a stated reason why it does not apply; never a made-up number. Modules with
metrics import heavy libraries inside functions only, so that all cards can be listed at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from engines.base import Availability, NotReady, Params

if TYPE_CHECKING:
    from engines.metrics.case import Case


class Better(StrEnum):
    """Which way is better; ``NEITHER`` for what describes and does not judge."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Need(StrEnum):
    """What a metric compares the generated sound with."""

    NOTHING = "nothing"
    REFERENCE = "reference"
    TEXT = "text"
    TEXT_OR_REFERENCE = "text or reference"
    SET = "set"


class Reason(StrEnum):
    """Why there is no number."""

    NO_REFERENCE = "no reference"
    NO_TEXT = "no text"
    UNVOICED = "unvoiced"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    TOO_FEW = "too few"
    SILENT = "silent"
    CONSTANT = "constant"
    NO_PAUSES = "no pauses"
    NOT_FINITE = "not finite"
    UNREADABLE = "unreadable"
    LANGUAGE = "language"
    CHANNELS = "channels"
    NOT_READY = "not ready"


class Align(StrEnum):
    """How two sounds of different lengths meet.

    ``CUT`` drops the end of the longer one. ``PAD`` adds silence to the shorter one. ``DTW`` pairs
    frames along the cheapest path through their mel-cepstra; metrics on samples cannot use it.
    """

    CUT = "cut"
    PAD = "pad"
    DTW = "dtw"


class NotApplicable(Exception):
    """Raised inside a metric that has no number to give."""

    def __init__(self, reason: Reason, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Card:
    """What a person should know of a metric before believing it.

    ``low`` and ``high`` bound its values (None: unbounded). ``sample_rate`` is what sounds are
    resampled to, 0 for their own (of a pair, the lower one). ``version`` grows with every change of
    the numbers. ``requires`` names modules that must import and ``pip_extra`` what installs them.
    ``weights`` names a model that is used and ``license_weights`` its licence. ``takes_silence`` says
    that silence has a value. ``all_channels`` metrics measure every channel, others their mean.
    ``shortest_s`` and ``longest_s`` (0: any) bound the sounds that have a value.
    """

    id: str
    title: str
    measures: str
    group: str
    better: Better
    needs: Need
    unit: str = ""
    low: float | None = None
    high: float | None = None
    sample_rate: int = 0
    paper: str = ""
    license_code: str = "MIT"
    weights: str = ""
    license_weights: str = ""
    requires: tuple[str, ...] = ()
    pip_extra: str = ""
    takes_silence: bool = False
    all_channels: bool = False
    shortest_s: float = 0.0
    longest_s: float = 0.0
    version: int = 1


class Settings(Params):
    """Base of every metric's settings: none."""


AlignBy = Annotated[
    Align,
    Field(
        title="Alignment",
        description="How sounds of different lengths meet: cut the longer, pad the shorter, or pair "
        "frames by dynamic time warping over mel-cepstra.",
    ),
]


class SampleAlign(StrEnum):
    """The alignments that metrics on samples can use."""

    CUT = "cut"
    PAD = "pad"


class SampleSettings(Settings):
    """Settings of metrics that compare sample with sample."""

    align: SampleAlign = Field(
        SampleAlign.CUT,
        title="Alignment",
        description="Cut the longer sound, or pad the shorter one with silence.",
    )


class FrameSettings(Settings):
    """Settings of metrics that compare frame with frame."""

    align: AlignBy = Align.CUT


@dataclass(frozen=True)
class Measured:
    """What a metric's function returns: the number, a name where the answer is one (such as a key),
    JSON values to look closer, and notes a reader must know."""

    value: float
    label: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """A metric's answer on one case: ``value``, or None with ``reason`` and a sentence in ``message``.

    ``notes`` say what was done to the sounds: resampled, mixed to mono, cut.
    """

    metric: str
    value: float | None
    reason: Reason | None = None
    message: str = ""
    label: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; ``Score.of_json`` reads them."""
        return {**self.__dict__, "details": dict(self.details), "notes": list(self.notes)}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Score:
        """The score that ``as_json`` wrote."""
        reason = Reason(values["reason"]) if values["reason"] else None
        return cls(**{**values, "reason": reason, "notes": tuple(values["notes"])})


# inside ``Metric`` the name ``Settings`` means the metric's own model
AnySettings: TypeAlias = Settings

Function = Callable[["Case", Any], "Measured | float"]


@dataclass(frozen=True)
class Metric:
    """A card with its function and settings model."""

    card: Card
    function: Function
    Settings: type[Settings]

    def missing(self) -> tuple[str, ...]:
        """Names of required Python modules that are not installed."""
        return tuple(m for m in self.card.requires if importlib.util.find_spec(m) is None)

    def availability(self) -> Availability:
        """Whether what the metric needs is installed; models to download are found missing in use."""
        return Availability.INSTALL if self.missing() else Availability.READY

    def measure(self, case: Case, settings: AnySettings) -> Measured:
        """The answer on ``case``; raises ``NotApplicable`` or ``NotReady``."""
        answer = self.function(case, settings)
        measured = answer if isinstance(answer, Measured) else Measured(float(answer))
        if not math.isfinite(measured.value):
            raise NotApplicable(Reason.NOT_FINITE, f"{self.card.title} has no finite value here.")
        return measured


METRICS: dict[str, Metric] = {}


def metric(card: Card, settings: type[Settings] = Settings) -> Callable[[Function], Function]:
    """Decorator that registers a function as the metric of ``card``."""

    def register(function: Function) -> Function:
        if card.id in METRICS:
            raise ValueError(f"a metric with the id {card.id!r} is registered already")
        METRICS[card.id] = Metric(card, function, settings)
        return function

    return register


def need(module: str, extra: str) -> ModuleType:
    """Import an optional module; raises ``NotReady`` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotReady(
            f"{module} cannot be imported ({error}). Install it: pip install {extra}"
        ) from error
