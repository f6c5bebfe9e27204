"""What listeners said, in numbers: the results of one test, and the standing over all comparisons."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from engines.statistics import (
    Estimate,
    Scale,
    Share,
    Strengths,
    binomial,
    bradley_terry,
    krippendorff_alpha,
    mean_interval,
    missed_references,
)
from engines.studio.judging.designs import REFERENCE
from storage import Stimulus, TestRow, TrialRow, VoteRow
from storage.base.csv_tables import csv_table

CHANCE = 0.05


@dataclass(frozen=True)
class SystemScore:
    """Mean opinion of one system; ``role`` is "", ``reference`` or ``anchor``."""

    system: str
    role: str
    estimate: Estimate


@dataclass(frozen=True)
class PairResult:
    """How often ``first`` was preferred to ``second``; ``share`` is None without a decided vote."""

    first: str
    second: str
    first_wins: int
    second_wins: int
    ties: int
    strength: float | None
    share: Share | None


@dataclass(frozen=True)
class Results:
    """What a test has shown so far.

    ``finished`` are the raters who answered every trial; ``flagged`` maps raters who did not hear the
    hidden reference (ITU-R BS.1534) to the share of trials they missed it in; ``screened`` says that
    their votes are left out. ``verdict`` is the result in one or two sentences.
    """

    test: TestRow
    votes: int
    raters: tuple[str, ...]
    finished: tuple[str, ...]
    scores: tuple[SystemScore, ...] = ()
    pairs: tuple[PairResult, ...] = ()
    strengths: Strengths | None = None
    alpha: float | None = None
    flagged: dict[str, float] = field(default_factory=dict)
    screened: bool = False
    verdict: str = ""


def results(
    test: TestRow, trials: Sequence[TrialRow], votes: Sequence[VoteRow], screened: bool = False
) -> Results:
    """Evaluate a test; ``screened`` leaves out the votes of raters who missed the reference."""
    by_id = {trial.id: trial for trial in trials}
    flagged = _flagged(by_id, votes) if test.kind == "mushra" else {}
    if screened:
        votes = [vote for vote in votes if vote.rater not in flagged]
    counts = Counter(vote.rater for vote in votes)
    raters = tuple(sorted(counts))
    finished = tuple(rater for rater in raters if counts[rater] == len(trials))
    common = (test, len(votes), raters, finished)
    if not votes:
        return Results(*common, flagged=flagged, screened=screened, verdict="Nobody has voted yet.")
    if test.kind == "ab":
        pairs, strengths = _preferences(by_id, votes)
        alpha = _agreement(_choices(votes), Scale.NOMINAL)
        verdict = " ".join(filter(None, [_pair_verdict(pairs), _alpha_verdict(alpha, raters)]))
        return Results(*common, pairs=pairs, strengths=strengths, alpha=alpha, verdict=verdict)
    scores = _scores(by_id, votes)
    scale = Scale.ORDINAL if test.kind == "mos" else Scale.INTERVAL
    alpha = _agreement(_scored(by_id, votes), scale)
    verdict = " ".join(filter(None, [_score_verdict(scores), _alpha_verdict(alpha, raters)]))
    return Results(
        *common, scores=scores, alpha=alpha, flagged=flagged, screened=screened, verdict=verdict
    )


# A/B


def _preferences(
    trials: Mapping[str, TrialRow], votes: Sequence[VoteRow]
) -> tuple[tuple[PairResult, ...], Strengths]:
    """Counts of each pair of systems, and the strength of all."""
    compared = [
        (_winner_first(trials[vote.trial_id].stimuli, vote.answer["choice"]), vote.answer)
        for vote in votes
    ]
    names = list(
        dict.fromkeys(s.system for trial in trials.values() for s in trial.stimuli)
    )  # in the order of the test
    comparisons = [
        Comparison(one, other, answer["choice"] is None, answer.get("strength", 1))
        for (one, other), answer in compared
    ]
    return pair_results(names, comparisons), strengths_of(names, comparisons)


def _winner_first(stimuli: Sequence[Stimulus], choice: int | None) -> tuple[str, str]:
    first, second = stimuli[0].system, stimuli[1].system
    return (second, first) if choice == 1 else (first, second)


@dataclass(frozen=True)
class Comparison:
    """One vote between two systems; in a ``tie`` which is ``chosen`` means nothing."""

    chosen: str
    rejected: str
    tie: bool
    strength: int


def pair_results(names: Sequence[str], comparisons: Sequence[Comparison]) -> tuple[PairResult, ...]:
    """Exact tests of all pairs that were compared, in the order of ``names``."""
    found = []
    for first, second in combinations(names, 2):
        those = [c for c in comparisons if {c.chosen, c.rejected} == {first, second}]
        if not those:
            continue
        decided = [c for c in those if not c.tie]
        wins = sum(c.chosen == first for c in decided)
        losses = len(decided) - wins
        mean = sum(c.strength for c in decided) / len(decided) if decided else None
        share = binomial(wins, losses) if decided else None
        found.append(
            PairResult(first, second, wins, losses, len(those) - len(decided), mean, share)
        )
    return tuple(found)


def strengths_of(names: Sequence[str], comparisons: Iterable[Comparison]) -> Strengths:
    """Bradley-Terry strengths; a tie is half a win for both."""
    place = {name: index for index, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for each in comparisons:
        one, other = place[each.chosen], place[each.rejected]
        wins[one, other] += 0.5 if each.tie else 1
        wins[other, one] += 0.5 if each.tie else 0
    return bradley_terry(list(names), wins)


def _choices(votes: Sequence[VoteRow]) -> dict[str, dict[str, float]]:
    """For each trial what each rater chose: the index of the stimulus, 2 for a tie."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for vote in votes:
        choice = vote.answer["choice"]
        found[vote.trial_id][vote.rater] = 2 if choice is None else choice
    return found


# scores


def _scores(trials: Mapping[str, TrialRow], votes: Sequence[VoteRow]) -> tuple[SystemScore, ...]:
    """Means of the systems, the best first."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for vote in votes:
        stimuli = trials[vote.trial_id].stimuli
        for stimulus, score in zip(stimuli, vote.answer["scores"], strict=True):
            values[stimulus.system, stimulus.role].append(score)
    scores = [
        SystemScore(system, role, mean_interval(given)) for (system, role), given in values.items()
    ]
    return tuple(sorted(scores, key=lambda score: (-score.estimate.mean, score.system)))


def _scored(
    trials: Mapping[str, TrialRow], votes: Sequence[VoteRow]
) -> dict[str, dict[str, float]]:
    """For each stimulus of each trial the score of each rater."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for vote in votes:
        for index, score in enumerate(vote.answer["scores"]):
            found[f"{vote.trial_id} {index}"][vote.rater] = score
    return found


def _flagged(trials: Mapping[str, TrialRow], votes: Sequence[VoteRow]) -> dict[str, float]:
    """Raters who scored the hidden reference below 90 too often."""
    given: dict[str, list[float]] = defaultdict(list)
    for vote in votes:
        for stimulus, score in zip(
            trials[vote.trial_id].stimuli, vote.answer["scores"], strict=True
        ):
            if stimulus.role == REFERENCE:
                given[vote.rater].append(score)
    return missed_references(given)


def _agreement(units: Mapping[str, Mapping[str, float]], scale: Scale) -> float | None:
    """Krippendorff's alpha of ``{unit: {rater: value}}``."""
    raters = sorted({rater for of in units.values() for rater in of})
    table = [[of.get(rater, np.nan) for of in units.values()] for rater in raters]
    return krippendorff_alpha(np.array(table, dtype=float).reshape(len(raters), len(units)), scale)


# words


def _pair_verdict(pairs: Sequence[PairResult]) -> str:
    sentences = []
    for pair in pairs[:3]:
        if pair.share is None:
            sentences.append(f"{pair.first} and {pair.second}: every vote was a tie.")
            continue
        ahead = pair.first_wins >= pair.second_wins
        better, worse = (pair.first, pair.second) if ahead else (pair.second, pair.first)
        wins = max(pair.first_wins, pair.second_wins)
        share = f"{wins} of {pair.share.count} decided votes ({wins / pair.share.count:.0%})"
        if wins * 2 == pair.share.count:
            sentences.append(f"{better} and {worse} are level: {share} each.")
        elif pair.share.p < CHANCE:
            sentences.append(
                f"{better} was preferred to {worse} in {share}; chance alone would do so with a "
                f"probability of {probability(pair.share.p)}."
            )
        else:
            sentences.append(
                f"{better} leads {worse} with {share}, which chance alone explains easily "
                f"(p = {probability(pair.share.p)}); more votes are needed."
            )
    return " ".join(sentences)


def probability(p: float) -> str:
    """A p-value as people write it."""
    return "less than 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _score_verdict(scores: Sequence[SystemScore]) -> str:
    ranked = [score for score in scores if score.role == ""]
    if not ranked:
        return ""
    best = ranked[0]
    words = f"{best.system} has the best mean, {best.estimate.mean:.2f}."
    if len(ranked) > 1 and best.estimate.low is not None:
        second = ranked[1]
        if second.estimate.high is not None and second.estimate.high < best.estimate.low:
            words += f" Its interval lies above that of {second.system}."
        else:
            words += (
                f" Its interval overlaps that of {second.system}; more votes may separate them."
            )
    return words


def _alpha_verdict(alpha: float | None, raters: Sequence[str]) -> str:
    if alpha is None or len(raters) < 2:
        return ""
    # the customary limits are Krippendorff's: 0.8 reliable, 0.667 for tentative conclusions
    how = (
        "agree well" if alpha >= 0.8
        else "agree fairly" if alpha >= 0.667
        else "agree little" if alpha > 0.2
        else "hardly agree"
    )  # fmt: skip
    return f"The {len(raters)} listeners {how} (alpha {alpha:.2f})."


# CSV

VOTE_COLUMNS = (
    "test", "kind", "criterion", "trial", "prompt", "rater", "clip", "system", "role", "score",
    "chosen", "tie", "strength", "seconds", "created_at",
)  # fmt: skip


def votes_csv(test: TestRow, trials: Sequence[TrialRow], votes: Sequence[VoteRow]) -> str:
    """Every vote as CSV, one line for each clip that was judged in it."""
    by_id = {trial.id: trial for trial in trials}
    lines = []
    for vote in votes:
        trial = by_id[vote.trial_id]
        for index, stimulus in enumerate(trial.stimuli):
            line = {
                "test": test.name, "kind": str(test.kind), "criterion": str(test.criterion),
                "trial": trial.position, "prompt": trial.prompt, "rater": vote.rater,
                "clip": stimulus.clip_id, "system": stimulus.system, "role": str(stimulus.role),
                "seconds": vote.seconds, "created_at": vote.created_at,
            }  # fmt: skip
            if test.kind == "ab":
                choice = vote.answer["choice"]
                line |= {
                    "chosen": int(choice == index),
                    "tie": int(choice is None),
                    "strength": vote.answer.get("strength", 1),
                }
            else:
                line["score"] = vote.answer["scores"][index]
            lines.append([line.get(name, "") for name in VOTE_COLUMNS])
    return csv_table(VOTE_COLUMNS, lines)
