"""What is good and bad about a dataset before somebody trains on it, in numbers and sentences."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engines.statistics import Scale, krippendorff_alpha
from storage import DatasetKind

if TYPE_CHECKING:
    from storage import ClipRow, DatasetFilter, DatasetItem, PreferenceRow, Store

CLIPPED_DB = -0.01  # a sample at full scale, in dBFS
SILENT_DB = -60.0
SHORT_S, LONG_S = 1.0, 30.0
ALPHA_GOOD, ALPHA_TENTATIVE = 0.8, 0.667  # Krippendorff, Content Analysis (2004), p. 241
FEW_ITEMS, FEW_PROMPTS = 20, 5
DOMINANT_SHARE = 0.5
MAX_LISTED = 50


@dataclass(frozen=True)
class Spread:
    """Lowest, middle and highest of some durations in seconds."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Quality:
    """The report. Lists hold clip ids, each group or list at most 50 of them.

    ``agreement`` is Krippendorff's alpha between raters: of the ratings (interval scale), or of the
    choices in pairs; None where no two people judged the same. ``contradictions`` are pairs about
    which people disagree, ``cycles`` groups of clips that beat one another in a circle.
    ``balance`` maps "prompt", "engine" and "rating" to how many items have each value.
    """

    items: int
    clips: int
    prompts: int
    seconds: float
    raters: int
    agreement: float | None
    contradictions: tuple[tuple[str, str], ...]
    cycles: tuple[tuple[str, ...], ...]
    duplicates: tuple[tuple[str, ...], ...]
    clipped: tuple[str, ...]
    silent: tuple[str, ...]
    short: tuple[str, ...]
    long: tuple[str, ...]
    lengths: Spread | None
    balance: dict[str, dict[str, int]]
    warnings: tuple[str, ...]


def report(store: Store, source: DatasetFilter | str) -> Quality:
    """The quality of what a filter finds now, or of a frozen dataset by its id."""
    if isinstance(source, str):
        row = store.datasets.get(source)
        kind, filter, items = row.kind, row.filter, store.datasets.items(source)
    else:
        kind, filter, items = source.kind, source, store.datasets.select(source, limit=None)
    ids = {id for item in items for id in (item.clip_id, item.rejected_id) if id}
    pairs = kind is DatasetKind.PREFERENCE
    if pairs:
        # also pairs that are left out because people disagree about them
        near = ids if isinstance(source, str) else store.datasets.candidates(source)
        table = store.judgements.preference_table()
        judgement = _of_preferences([p for p in table if {p.chosen_id, p.rejected_id} <= near])
    else:
        criterion = str(filter.criterion) if filter else "overall"
        judgement = _of_ratings(
            (rating.clip_id, rating.rater, rating.value)
            for rating in store.judgements.ratings_table(criterion)
            if rating.clip_id in ids
        )
    return _report(items, store.clips.some(ids), len(ids), judgement, pairs)


@dataclass(frozen=True)
class _Judgement:
    raters: int
    agreement: float | None
    contradictions: tuple[tuple[str, str], ...] = ()
    cycles: tuple[tuple[str, ...], ...] = ()


def _of_ratings(values: Iterable[tuple[str, str, float]]) -> _Judgement:
    listed = list(values)
    return _Judgement(len({rater for _, rater, _ in listed}), agreement(listed))


def _of_preferences(preferences: Sequence[PreferenceRow]) -> _Judgement:
    """Each pair is a unit; a rater's value is 1 or -1 for the clip chosen, 0 for a tie."""
    signs: dict[tuple[str, str], list[int]] = defaultdict(list)
    values = []
    for one in preferences:
        first, second = sorted((one.chosen_id, one.rejected_id))
        sign = 0 if one.tie else 1 if one.chosen_id == first else -1
        signs[first, second].append(sign)
        values.append((f"{first} {second}", one.rater, float(sign)))
    against = [pair for pair, given in signs.items() if 1 in given and -1 in given]
    edges = [pair if sum(given) > 0 else pair[::-1] for pair, given in signs.items() if sum(given)]
    raters = len({one.rater for one in preferences})
    return _Judgement(raters, agreement(values), tuple(sorted(against)), circles(edges))


def agreement(values: Sequence[tuple[str, str, float]]) -> float | None:
    """Krippendorff's alpha of (unit, rater, value) triples on the interval scale."""
    by_unit = Counter(unit for unit, _, _ in values)
    paired = [value for value in values if by_unit[value[0]] > 1]
    if not paired:
        return None
    units = {unit: place for place, unit in enumerate(dict.fromkeys(v[0] for v in paired))}
    raters = {rater: place for place, rater in enumerate(dict.fromkeys(v[1] for v in paired))}
    scores = np.full((len(raters), len(units)), np.nan)
    for unit, rater, value in paired:
        scores[raters[rater], units[unit]] = value
    return krippendorff_alpha(scores, Scale.INTERVAL)


def circles(edges: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Groups of clips in which each beats each other directly or through others: the strongly
    connected components, of at least two clips, of the graph "was preferred to"."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not edges:
        return ()
    names = sorted({name for edge in edges for name in edge})
    place = {name: number for number, name in enumerate(names)}
    rows, columns = zip(*((place[a], place[b]) for a, b in edges), strict=True)
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(len(names), len(names)))
    _, labels = connected_components(graph.tocsr(), directed=True, connection="strong")
    groups: dict[int, list[str]] = defaultdict(list)
    for name, label in zip(names, labels, strict=True):
        groups[int(label)].append(name)
    return tuple(tuple(group[:MAX_LISTED]) for group in groups.values() if len(group) > 1)


def _report(
    items: Sequence[DatasetItem],
    clips: Sequence[ClipRow],
    number: int,
    judgement: _Judgement,
    pairs: bool,
) -> Quality:
    durations = [clip.duration_s for clip in clips]
    found = Quality(
        items=len(items),
        clips=number,
        prompts=len({item.prompt for item in items}),
        seconds=sum(durations),
        raters=judgement.raters,
        agreement=judgement.agreement,
        contradictions=judgement.contradictions[:MAX_LISTED],
        cycles=judgement.cycles[:MAX_LISTED],
        duplicates=duplicates(clips)[:MAX_LISTED],
        clipped=_those(clips, lambda clip: clip.peak_db >= CLIPPED_DB),
        silent=_those(clips, lambda clip: clip.peak_db < SILENT_DB),
        short=_those(clips, lambda clip: clip.duration_s < SHORT_S),
        long=_those(clips, lambda clip: clip.duration_s > LONG_S),
        lengths=Spread(min(durations), statistics.median(durations), max(durations))
        if durations
        else None,
        balance=_balance(items, clips, pairs),
        warnings=(),
    )
    return replace(found, warnings=tuple(_warnings(found, pairs)))


def _those(clips: Sequence[ClipRow], wrong: Callable[[ClipRow], bool]) -> tuple[str, ...]:
    return tuple(clip.id for clip in clips if wrong(clip))


def duplicates(clips: Sequence[ClipRow]) -> tuple[tuple[str, ...], ...]:
    """Groups of clips with the very same samples, whatever their captions and settings say."""
    groups: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        groups[_sound(clip)].append(clip.id)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _sound(clip: ClipRow) -> str:
    """The MD5 of the samples that FLAC keeps in its header (RFC 9639, 8.2), else the file's hash."""
    if clip.path.suffix != ".flac":
        return clip.hash
    try:
        with clip.path.open("rb") as file:
            head = file.read(42)
    except FileNotFoundError:
        return clip.hash
    md5 = head[26:42]
    return md5.hex() if head[:4] == b"fLaC" and any(md5) else clip.hash


def _balance(
    items: Sequence[DatasetItem], clips: Sequence[ClipRow], pairs: bool
) -> dict[str, dict[str, int]]:
    """How many items a prompt and a rating have, and how many clips an engine with its adapter."""
    counts = {
        "prompt": Counter(item.prompt for item in items),
        "engine": Counter(" + ".join(filter(None, (c.engine, c.adapter))) for c in clips),
        "strength" if pairs else "rating": Counter(_level(item, pairs) for item in items),
    }
    return {name: dict(counter.most_common(MAX_LISTED)) for name, counter in counts.items()}


def _level(item: DatasetItem, pairs: bool) -> str:
    value = item.strength if pairs else item.rating
    return "none" if value is None else f"{value:.1f}".removesuffix(".0")


# --- in sentences ---------------------------------------------------------------------------


def _warnings(found: Quality, pairs: bool) -> Iterator[str]:
    what = "pairs" if pairs else "clips"
    if not found.items:
        yield f"Nothing is found: there are no {what} like this yet. Loosen the filter or judge more."
        return
    if found.items < FEW_ITEMS:
        yield f"Only {_count(found.items, what[:-1])}: a model learns little from fewer than {FEW_ITEMS}."
    if found.prompts < FEW_PROMPTS:
        yield (
            f"Only {_count(found.prompts, 'prompt')}: what is learned may hold for "
            f"{'it' if found.prompts == 1 else 'them'} alone"
            + (", and nothing can be kept for validation." if found.prompts == 1 else ".")
        )
    yield from _warnings_of_raters(found, pairs)
    yield from _warnings_of_sound(found)
    for name, counts in found.balance.items():
        top, number = next(iter(counts.items()))
        total = sum(counts.values())
        if name != "strength" and len(counts) > 1 and number > DOMINANT_SHARE * total:
            yield f"{number} of {total} have the same {name}: {_short(top)}."
    ratings = found.balance.get("rating", {})
    if len(ratings) == 1 and "none" not in ratings and found.items > 1:
        yield f"All ratings are {next(iter(ratings))}: weighting by rating will change nothing."


def _warnings_of_raters(found: Quality, pairs: bool) -> Iterator[str]:
    if found.raters == 1:
        yield "One person judged alone; the model will learn one taste."
    alpha = found.agreement
    if alpha is not None and alpha < ALPHA_TENTATIVE:
        yield (
            f"Raters agree little (alpha {alpha:.2f}; {ALPHA_TENTATIVE} allows tentative conclusions, "
            f"{ALPHA_GOOD} is good). Ask for more raters a {'pair' if pairs else 'clip'}, or agree on "
            "what is judged."
        )
    if found.contradictions:
        number = _count(len(found.contradictions), "pair")
        yield f"People disagree about {number}; where as many chose either, the pair is left out."
    if found.cycles:
        clips = sum(map(len, found.cycles))
        circles_ = _count(len(found.cycles), "circle")
        yield f"{clips} clips beat one another in {circles_}; in each, none is best."


def _warnings_of_sound(found: Quality) -> Iterator[str]:
    for clips, text in (
        (found.silent, f"silent (peak below {SILENT_DB:.0f} dBFS)"),
        (found.clipped, "clipped (at full scale)"),
        (found.short, f"shorter than {SHORT_S:.0f} s"),
        (found.long, f"longer than {LONG_S:.0f} s; training uses the start"),
    ):
        if clips:
            yield f"{_count(len(clips), 'clip')} {'is' if len(clips) == 1 else 'are'} {text}."
    if found.duplicates:
        number = sum(map(len, found.duplicates))
        yield f"{number} clips are the same {_count(len(found.duplicates), 'sound')} under other words."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
