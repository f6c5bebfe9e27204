"""Running metrics on one case: which, with what settings, and what stands in the way of a number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engines.base import InvalidParams, NotReady
from engines.metrics.base import Card, Metric, Need, NotApplicable, Reason, Score, Settings
from engines.metrics.cache import Cache, NoCache, key_of
from engines.metrics.case import Case
from engines.metrics.registry import get
from engines.metrics.sound import Sound

# answers that another day can change
PASSING = {Reason.NOT_READY, Reason.UNREADABLE}


@dataclass(frozen=True)
class Planned:
    """A metric with its resolved settings, and what of the wishes it could not follow."""

    metric: Metric
    settings: Settings
    notes: tuple[str, ...] = ()


def plan(metric_ids: Iterable[str], settings: Mapping[str, Any] | None = None) -> list[Planned]:
    """Metrics with their settings, in the order asked for, each once.

    ``settings`` holds common values, such as ``{"align": "dtw"}``, which go to every metric that
    knows them, and those of one metric under its id, such as ``{"mcd": {"order": 34}}``. Raises
    ``StudioError`` for an unknown metric and ``InvalidParams`` for a value that no metric takes.
    """
    chosen = [get(each) for each in dict.fromkeys(metric_ids)]
    own = {name: value for name, value in (settings or {}).items() if isinstance(value, Mapping)}
    common = {name: value for name, value in (settings or {}).items() if name not in own}
    ids = {each.card.id for each in chosen}
    if unknown := own.keys() - ids:
        raise InvalidParams(dict.fromkeys(sorted(unknown), "this metric was not asked for"))
    used: set[str] = set()
    planned = [_settled(each, common, own.get(each.card.id, {}), used) for each in chosen]
    if unused := common.keys() - used:
        raise InvalidParams(dict.fromkeys(sorted(unused), "no chosen metric takes this"))
    return planned


def _settled(
    metric: Metric, common: Mapping[str, Any], own: Mapping[str, Any], used: set[str]
) -> Planned:
    """One metric's settings; adds the common names it took to ``used``."""
    taken, notes = dict(own), []
    for name, value in common.items():
        if name not in metric.Settings.model_fields or name in own:
            continue
        try:
            metric.Settings.model_validate({name: value})
        except ValidationError:
            default = metric.Settings.model_fields[name].default
            notes.append(f"{name} {value!r} cannot be used here: {str(default)!r} was")
            continue
        used.add(name)
        taken[name] = value
    try:
        return Planned(metric, metric.Settings.model_validate(taken), tuple(notes))
    except ValidationError as error:
        raise InvalidParams(
            {
                ".".join([metric.card.id, *map(str, each["loc"])]): each["msg"]
                for each in error.errors()
            }
        ) from error


def measure(case: Case, planned: Iterable[Planned], cache: Cache | None = None) -> list[Score]:
    """Scores of one case, in the order planned; known ones come from ``cache``, new ones go there."""
    planned, cache = list(planned), cache or NoCache()
    reference = case.reference.hash if case.reference is not None else ""
    keys = keys_of(planned, case.generated.hash, reference, case.text, case.language)
    known = cache.get(keys)
    new: dict[str, Score] = {}
    for key, each in zip(keys, planned, strict=True):
        if key not in known and key not in new:
            new[key] = _score(case, each)
    cache.put({key: score for key, score in new.items() if score.reason not in PASSING})
    return [known.get(key) or new[key] for key in keys]


def measure_files(
    planned: Iterable[Planned],
    generated: Path | str,
    reference: Path | str | None = None,
    text: str = "",
    language: str = "en",
    cache: Cache | None = None,
) -> list[Score]:
    """As ``measure``, on files. A file that is no sound is the reason of every score it is needed for."""
    planned = list(planned)
    try:
        judged = Sound.open(generated)
    except NotApplicable as why:
        return [_no_score(each, why.reason, str(why)) for each in planned]
    target, problem = None, None
    if reference is not None:
        try:
            target = Sound.open(reference)
        except NotApplicable as why:
            problem = why
    scores = measure(Case(judged, target, text, language), planned, cache)
    if problem is None:
        return scores
    return [
        _no_score(each, problem.reason, str(problem))
        if score.reason in (Reason.NO_REFERENCE, Reason.NO_TEXT)
        else score
        for each, score in zip(planned, scores, strict=True)
    ]


def keys_of(
    planned: Iterable[Planned], generated: str, reference: str, text: str, language: str
) -> list[str]:
    """Cache keys; what a metric does not look at is no part of its key."""
    keys = []
    for each in planned:
        need = each.metric.card.needs
        uses_text = need in (Need.TEXT, Need.TEXT_OR_REFERENCE)
        uses_reference = need is Need.REFERENCE or (
            need is Need.TEXT_OR_REFERENCE and not text.strip()
        )
        keys.append(
            key_of(
                each.metric.card.id,
                each.metric.card.version,
                json.dumps(each.settings.model_dump(mode="json"), sort_keys=True),
                json.dumps(each.notes),
                generated,
                reference if uses_reference else "",
                json.dumps([text, language]) if uses_text else "",
            )
        )
    return keys


def _score(case: Case, each: Planned) -> Score:
    try:
        _check(case, each)
        found = each.metric.measure(case, each.settings)
    except NotApplicable as why:
        return _no_score(each, why.reason, str(why))
    except NotReady as error:
        return _no_score(each, Reason.NOT_READY, str(error))
    return Score(
        each.metric.card.id,
        found.value,
        label=found.label,
        details=found.details,
        notes=(*each.notes, *_notes(case, each), *found.notes),
        settings=each.settings.model_dump(mode="json"),
        version=each.metric.card.version,
    )


def _no_score(each: Planned, reason: Reason, message: str) -> Score:
    return Score(
        each.metric.card.id,
        None,
        reason,
        message,
        notes=each.notes,
        settings=each.settings.model_dump(mode="json"),
        version=each.metric.card.version,
    )


def _looks_at_reference(case: Case, card: Card) -> bool:
    if card.needs is Need.TEXT_OR_REFERENCE:
        return case.reference is not None and not case.text.strip()
    return card.needs is Need.REFERENCE


def _check(case: Case, each: Planned) -> None:
    """Raise ``NotApplicable`` for what the card rules out, before any work is done."""
    card = each.metric.card
    if missing := each.metric.missing():
        raise NotReady(f"{card.title} needs {', '.join(missing)}: pip install {card.pip_extra}")
    sounds = [("The generated sound", case.generated)]
    if _looks_at_reference(case, card):
        sounds.append(("The reference", case.target))
    for whose, sound in sounds:
        if not sound.finite:
            raise NotApplicable(Reason.NOT_FINITE, f"{whose} holds samples that are no numbers.")
        if sound.duration_s < max(card.shortest_s, 1 / sound.sample_rate):
            raise NotApplicable(
                Reason.TOO_SHORT,
                f"{whose} lasts {sound.duration_s:.3f} s; {card.title} needs {card.shortest_s} s.",
            )
        if card.longest_s and sound.duration_s > card.longest_s:
            raise NotApplicable(
                Reason.TOO_LONG,
                f"{whose} lasts {sound.duration_s:.0f} s; {card.title} takes {card.longest_s:.0f} s.",
            )
        if sound.silent(card.all_channels) and not card.takes_silence:
            raise NotApplicable(Reason.SILENT, f"{whose} is silent.")


def _notes(case: Case, each: Planned) -> list[str]:
    """What was done to the sounds before they were measured."""
    card = each.metric.card
    pair = _looks_at_reference(case, card)
    if card.all_channels:
        return []  # measured as they are
    rate = card.sample_rate or (case.common_rate if pair else 0)
    notes = [f"generated: {change}" for change in case.generated.changes(rate)]
    if pair:
        notes += [f"reference: {change}" for change in case.target.changes(rate)]
        if apart := case.length_note():
            notes.append(f"{apart}; align: {getattr(each.settings, 'align', 'none')}")
    return notes
