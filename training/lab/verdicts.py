"""What listeners of blind tests said of an adapter against its base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.statistics import Share, Strength, binomial, bradley_terry
from storage.learning.listening import TestKind

if TYPE_CHECKING:
    from storage import Store
    from storage.learning.listening import TestRow

BASE = "base"
CERTAIN = 0.05


@dataclass(frozen=True)
class Verdict:
    """What all listeners said. ``share`` is None before anybody decided; ``strengths`` are those of
    Bradley and Terry, of the base and of the adapter; ``sentence`` says it in words."""

    adapter_id: str
    tests: tuple[str, ...]
    raters: int
    wins: int
    losses: int
    ties: int
    share: Share | None
    strengths: tuple[Strength, ...]
    certain: bool
    sentence: str


def verdict(store: Store, adapter_id: str) -> Verdict:
    """The votes of all A/B tests between an adapter and its base, together."""
    adapter = store.adapters.get(adapter_id)
    tests = [
        test
        for archived in (False, True)
        for test in store.tests.list(archived)
        if test.adapter_id == adapter_id and test.kind is TestKind.AB
    ]
    outcomes = [outcome for test in tests for outcome in _outcomes(store, test)]
    raters = {vote.rater for test in tests for vote in store.tests.votes(test.id)}
    counts = Counter(outcomes)
    wins, losses, ties = counts["win"], counts["loss"], counts["tie"]
    share = binomial(wins, losses) if wins + losses else None
    return Verdict(
        adapter_id=adapter_id,
        tests=tuple(test.id for test in tests),
        raters=len(raters),
        wins=wins,
        losses=losses,
        ties=ties,
        share=share,
        strengths=_strengths(adapter.label, wins, losses, ties),
        certain=share is not None and share.p < CERTAIN,
        sentence=sentence(wins, losses, ties),
    )


def _outcomes(store: Store, test: TestRow) -> Iterator[str]:
    """For each vote ``win`` when the adapter was chosen, ``loss``, or ``tie``."""
    systems = {
        trial.id: [stimulus.system for stimulus in trial.stimuli]
        for trial in store.tests.trials(test.id)
    }
    for vote in store.tests.votes(test.id):
        choice = vote.answer["choice"]
        if choice is None:
            yield "tie"
        else:
            yield "loss" if systems[vote.trial_id][choice] == BASE else "win"


def _strengths(label: str, wins: int, losses: int, ties: int) -> tuple[Strength, ...]:
    if not wins + losses + ties:
        return ()
    half = ties / 2
    return bradley_terry([label, BASE], [[0, wins + half], [losses + half, 0]]).rows


def sentence(wins: int, losses: int, ties: int) -> str:
    """The verdict in words: "8 of 10 preferred the adapter, p = 0.11: not yet certain."."""
    drawn = f" {ties} heard no difference." if ties else ""
    if not wins + losses:
        return f"Nobody has decided yet.{drawn}"
    p = binomial(wins, losses).p
    winner, number = ("adapter", wins) if wins >= losses else ("base", losses)
    stated = f"p = {p:.2f}" if p >= 0.1 else f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
    preferred = f"{number} of {wins + losses} preferred the {winner}, {stated}"
    if p < CERTAIN:
        return f"{preferred}: the {winner} is better.{drawn}"
    return f"{preferred}: not yet certain.{drawn}"
