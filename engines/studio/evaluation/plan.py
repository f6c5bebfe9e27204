"""What a person wants measured: metrics by name, and how. Declared once for form, endpoint and shell."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field

from engines.base import Availability, Params, StudioError
from engines.metrics.base import Card, Need
from engines.metrics.contours import Tracker
from engines.metrics.distribution import SET_CARDS
from engines.metrics.embeddings import EMBEDDERS
from engines.metrics.evaluate import Planned, plan
from engines.metrics.recognition import EMBEDDED
from engines.metrics.registry import get, metrics

CONFIG = Path(__file__).parents[3] / "configs" / "evaluation.json"
RECOGNISING = ("wer", "cer")


class AlignChoice(StrEnum):
    """How sounds of different lengths meet; ``OWN`` leaves it to each metric."""

    OWN = "own"
    CUT = "cut"
    PAD = "pad"
    DTW = "dtw"


class Embedding(StrEnum):
    """What distances of sets look at, by the ids of ``EMBEDDERS``."""

    LOG_MEL = "log-mel"
    RESEMBLYZER = "resemblyzer"
    CLAP = "clap"


class Options(Params):
    """What several metrics share. Settings of one metric alone go under its name."""

    align: AlignChoice = Field(
        AlignChoice.OWN,
        title="Alignment",
        description="How sounds of different lengths meet: as each metric is published, cut the longer, "
        "pad the shorter with silence, or pair frames by dynamic time warping.",
        json_schema_extra={
            "labels": {
                "own": "As published",
                "cut": "Cut the longer",
                "pad": "Pad the shorter",
                "dtw": "Time warping (DTW)",
            }
        },
    )
    tracker: Tracker = Field(
        Tracker.HARVEST,
        title="F0 tracker",
        description="Who finds F0: WORLD Harvest, Praat (needs praat-parselmouth), or the neural "
        "SwiftF0 (needs swift-f0).",
        json_schema_extra={
            "labels": {"harvest": "WORLD Harvest", "praat": "Praat", "swift-f0": "SwiftF0"}
        },
    )
    embedding: Embedding = Field(
        Embedding.LOG_MEL,
        title="Embedding of set distances",
        description="What the Fréchet distance and KL look at. Numbers of different embeddings cannot be "
        "compared.",
        json_schema_extra={"labels": {each.id: each.title for each in EMBEDDERS.values()}},
    )
    recogniser: str = Field(
        EMBEDDED,
        max_length=200,
        title="Recogniser",
        description="Who listens for WER and CER: a Whisper size or folder (openai:small and the like "
        "for openai-whisper). tiny.en is embedded and knows English alone.",
    )


@dataclass(frozen=True)
class Wishes:
    """Metrics by id, the common options, and settings by metric, such as ``{"mcd": {"order": 34}}``."""

    metrics: tuple[str, ...]
    options: Options = field(default_factory=Options)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def of_sets(self) -> tuple[str, ...]:
        """The wanted metrics that compare whole sets."""
        return tuple(each for each in self.metrics if each in SET_CARDS)

    def planned(self) -> list[Planned]:
        """The wanted metrics of single cases with their settings; raises ``StudioError``.

        An option that was left at its default, or that no wanted metric knows, changes nothing.
        """
        single = [each for each in self.metrics if each not in SET_CARDS]
        known = {name for each in single for name in get(each).Settings.model_fields}
        common: dict[str, Any] = {}
        if self.options.align is not AlignChoice.OWN and "align" in known:
            common["align"] = str(self.options.align)
        if "tracker" in known:
            common["tracker"] = str(self.options.tracker)
        own = {name: dict(values) for name, values in self.settings.items()}
        if self.options.recogniser != EMBEDDED:
            for name in set(RECOGNISING) & set(single):
                own[name] = {"model": self.options.recogniser, **own.get(name, {})}
        return plan(single, {**common, **own})

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; ``wishes`` reads them."""
        return {
            "metrics": list(self.metrics),
            "options": self.options.model_dump(mode="json"),
            "settings": {name: dict(values) for name, values in self.settings.items()},
        }


def wishes(
    metric_names: Iterable[str],
    options: Mapping[str, Any] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Wishes:
    """Wishes that can be followed: names resolved, everything checked before work starts.

    Raises ``StudioError`` for an unknown metric, ``InvalidParams`` for a wrong option or setting.
    """
    from engines.parameters import parse

    chosen = parse(Options, dict(options or {}))
    assert isinstance(chosen, Options)
    found = Wishes(named(metric_names), chosen, dict(settings or {}))
    if not found.metrics:
        raise StudioError("Choose at least one metric.", "metrics")
    found.planned()
    return found


def named(names: Iterable[str]) -> tuple[str, ...]:
    """Ids of metrics. ``pesq`` means all that begin with ``pesq_``; a preset's name means its metrics.

    Raises ``StudioError`` that lists the known ones.
    """
    ids = [card.id for card in cards()]
    presets = config()["presets"]
    found: list[str] = []
    for name in filter(None, (each.strip() for each in names)):
        family = [each for each in ids if each.startswith(f"{name}_")]
        if name in ids:
            found.append(name)
        elif name in presets:
            found += presets[name]["metrics"]
        elif family:
            found += family
        else:
            raise StudioError(
                f"There is no metric {name!r}. Known: {', '.join(ids)}. Groups: "
                f"{', '.join(presets)}.",
                "metrics",
            )
    return tuple(dict.fromkeys(found))


# cards


@functools.cache
def config() -> dict[str, Any]:
    """Presets and words of ``configs/evaluation.json``."""
    return json.loads(CONFIG.read_text(encoding="utf-8"))


def cards(needs: Iterable[Need] = tuple(Need)) -> list[Card]:
    """The cards of all metrics with one of these needs, those of whole sets last."""
    wanted = set(needs)
    sets = [card for card in SET_CARDS.values() if card.needs in wanted]
    return [each.card for each in metrics(wanted)] + sets


def card(metric_id: str) -> Card:
    """One card; raises ``StudioError`` that lists the known metrics."""
    return SET_CARDS.get(metric_id) or get(metric_id).card


def availability(metric_id: str) -> tuple[Availability, tuple[str, ...]]:
    """Whether a metric can run here, and the Python modules that are missing."""
    if metric_id in SET_CARDS:
        return Availability.READY, ()
    metric = get(metric_id)
    return metric.availability(), metric.missing()


def ready(needs: Iterable[Need]) -> list[str]:
    """Ids of the metrics with one of these needs that are installed, without those that a download
    of weights comes before."""
    return [
        each.id
        for each in cards(needs)
        if availability(each.id)[0] is Availability.READY and "to download" not in each.weights
    ]


def value_range(of: Card) -> str:
    """Its possible values in words: ``0 to 1``, ``from 0``, ``any``."""
    low = "" if of.low is None else f"{of.low:g}"
    high = "" if of.high is None else f"{of.high:g}"
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else "any"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)


def cards_markdown() -> str:
    """All cards as the table of ``docs/evaluation.md``; a test compares the two."""
    rows = [
        (
            f"`{each.id}`",
            each.title,
            each.measures,
            f"{value_range(each)} {each.unit}".strip(),
            str(each.better),
            str(each.needs),
            f"{each.sample_rate:,} Hz" if each.sample_rate else "own",
            each.paper or "–",
            "; ".join(filter(None, (each.weights, each.license_weights))) or "none",
        )
        for each in cards()
    ]
    columns = (
        "metric",
        "title",
        "measures",
        "range",
        "better",
        "needs",
        "rate",
        "source",
        "weights",
    )
    return table(columns, rows)
