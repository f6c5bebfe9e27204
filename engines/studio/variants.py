"""More clips to compare one with: its text by other models, its settings with other seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from engines.base import Availability, Engine, StudioError
from engines.parameters import Kind, knobs
from engines.studio.facade import Studio
from storage import ClipRow, JobRow, Stimulus, StorageError, TestRow

WORDS = ("text", "prompt")  # the parameters that say what is made
VARIATIONS = "variations"
FEWEST, MOST = 2, 8


@dataclass(frozen=True)
class Variants:
    """Jobs that make more clips, and why some models were left out."""

    jobs: tuple[JobRow, ...]
    refused: tuple[str, ...]


def by_models(studio: Studio, clip: ClipRow, most: int, owner: str = "") -> Variants:
    """Queue the text of a clip for every other model of its task that is ready, at most ``most``.

    Other models of the same engine keep its settings; other engines have their defaults. Raises
    ``StudioError`` when there is no other.
    """
    jobs: list[JobRow] = []
    refused: list[str] = []
    for title, engine_id, values in _models(studio, clip):
        if len(jobs) >= most:
            break
        try:
            jobs.append(studio.submit(engine_id, values, owner))
        except (StudioError, StorageError) as problem:
            refused.append(f"{title}: {problem}")
    if not jobs:
        why = f" ({'; '.join(refused)})" if refused else ""
        raise StudioError(
            f"There is no other model here that can make this{why}. Get one in Models, or choose "
            "other seeds."
        )
    return Variants(tuple(jobs), tuple(refused))


def _models(studio: Studio, clip: ClipRow) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Title, engine and values of every other model: those of other engines come first."""
    own = studio.engine(clip.engine)
    for engine in studio.engines(own.card.task):
        word = _word(engine)
        if engine is own or word is None or engine.availability() is not Availability.READY:
            continue
        yield engine.card.title, engine.card.id, {word: _said(clip)}
    found = studio.settings_of(clip.id)
    for knob in knobs(own.Params):
        weights = {w.id: w for w in own.weights() if own.state_of(w) is Availability.READY}
        chosen = str(clip.settings.get(knob.name, ""))
        if chosen not in {w.id for w in own.weights()}:
            continue
        for id, each in weights.items():
            if id != chosen:
                yield each.title, own.card.id, {**_single(own, found.settings), knob.name: id}


def _word(engine: Engine) -> str | None:
    names = {knob.name for knob in knobs(engine.Params)}
    return next((word for word in WORDS if word in names), None)


def _said(clip: ClipRow) -> str:
    """What the clip was asked to be: the typed words, or all of its text."""
    return next((str(clip.settings[word]) for word in WORDS if clip.settings.get(word)), clip.text)


def _single(engine: Engine, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that make one clip."""
    several = any(knob.name == VARIATIONS for knob in knobs(engine.Params))
    return {**settings, VARIATIONS: 1} if several else dict(settings)


def by_seeds(studio: Studio, clip: ClipRow, count: int, owner: str = "") -> Variants:
    """Queue the settings of a clip ``count`` times with new seeds.

    Raises ``StudioError`` where a seed changes nothing.
    """
    found = studio.settings_of(clip.id)
    engine = studio.engine(found.engine)
    seeds = [knob.name for knob in knobs(engine.Params) if knob.kind is Kind.SEED]
    if not seeds:
        raise StudioError(f"{engine.card.title} draws nothing: other seeds give the same sound.")
    values = {**_single(engine, found.settings), seeds[0]: -1}
    return Variants(tuple(studio.submit(engine.card.id, values, owner) for _ in range(count)), ())


def blind_test(studio: Studio, clip_ids: list[str], name: str = "") -> TestRow:
    """A blind A/B test of every pair of these clips. Each clip is a system of its own.

    Raises ``StudioError`` for fewer than two clips and more than eight.
    """
    if not FEWEST <= len(set(clip_ids)) <= MOST:
        raise StudioError(f"A blind test needs {FEWEST} to {MOST} different clips.")
    clips = [studio.clip(clip_id) for clip_id in dict.fromkeys(clip_ids)]
    names = [f"{number}: {_name(studio, clip)}" for number, clip in enumerate(clips, 1)]
    trials = [
        (clips[a].text, [Stimulus(clips[a].id, names[a]), Stimulus(clips[b].id, names[b])])
        for a, b in combinations(range(len(clips)), 2)
    ]
    tests = studio.store.tests
    taken = {test.name.lower() for test in [*tests.list(), *tests.list(archived=True)]}
    title = name.strip() or f"Compare: {clips[0].title or 'clips'}"[:80]
    number, free = 1, title
    while free.lower() in taken:
        number += 1
        free = f"{title} {number}"
    return tests.create(free, "ab", trials, config={"systems": names})


def _name(studio: Studio, clip: ClipRow) -> str:
    seed = "" if clip.seed is None else f", seed {clip.seed}"
    return f"{studio.judging.system_of(clip)}{seed}"
