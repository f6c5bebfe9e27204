"""Listening tests by link: what a rater who has nothing but the link is shown, and what is kept.

Names in addresses are drawn from the rater's key, so nothing that reaches the browser tells which trial
of the test, which clip or which system it is.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from engines.base import StudioError
from engines.studio.judging.listening import Listening, Presentation
from storage import ClipRow, LinkRater, LinkRow, NotFound, Store, TestRow

NAME_LENGTH = 24
REFERENCE_PLACE = -1
CLOSED = "This listening test is closed. Thank you for your interest."


class TestLinks:
    """Taking the tests of one store by link."""

    __test__ = False

    def __init__(self, store: Store, listening: Listening):
        self._store = store
        self._listening = listening

    def open(self, token: str) -> tuple[LinkRow, TestRow]:
        """The link and its test. Raises ``NotFound`` without one, ``StudioError`` when it is closed."""
        link = self._store.links.get(token)
        test = self._store.tests.get(link.test_id)
        if link.closed or test.archived:
            raise StudioError(CLOSED)
        return link, test

    def begin(
        self, token: str, name: str, again: bool = False, taken: Sequence[str] = ()
    ) -> LinkRater:
        """A new rater, or with ``again`` the one of this name who began before.

        Raises ``StorageError`` for a name that somebody else has, of whom ``taken`` are names too.
        """
        link, _ = self.open(token)
        name = " ".join(name.split())
        known = self._store.links.named(link.token, name)
        if again and known:
            return known
        if name.casefold() in {each.casefold() for each in taken}:
            raise StudioError(
                f"The name {name!r} is kept for somebody else; choose another.", "name"
            )
        return self._store.links.begin(link.token, name)

    def present(self, rater: LinkRater, trial: str = "") -> Presentation | None:
        """The rater's next trial, or the one called ``trial``; None when all are answered.

        Raises ``NotFound`` for a trial that is not in the test.
        """
        test_id = self._store.links.get(rater.token).test_id
        if not trial:
            return self._listening.present(test_id, rater.name)
        for position, row in enumerate(self._listening.order(test_id, rater.name), 1):
            if hmac.compare_digest(trial_name(rater, row.id), trial):
                return self._listening.present(test_id, rater.name, position)
        raise NotFound("There is no such trial in this test.")

    def sound(self, rater: LinkRater, trial: str, place: int) -> ClipRow:
        """The clip at ``place`` of a trial as the rater sees it; ``REFERENCE_PLACE`` is the reference."""
        shown = self.present(rater, trial)
        clip = None
        if shown is not None and place == REFERENCE_PLACE:
            clip = shown.reference
        elif shown is not None and 0 <= place < len(shown.clips):
            clip = shown.clips[place]
        if clip is None:
            raise NotFound("There is no such sound in this trial.")
        return clip

    def vote(
        self, rater: LinkRater, trial: str, answer: Mapping[str, Any], seconds: float | None = None
    ) -> None:
        """Keep the answer to a trial. Raises ``StudioError`` when it has one already."""
        shown = self.present(rater, trial or "-")
        if shown is None or shown.answer is not None:
            raise StudioError("This trial is answered already; each is answered once.", "trial")
        self._listening.vote(shown.trial.id, rater.name, answer, seconds)


def trial_name(rater: LinkRater, trial_id: str) -> str:
    """What a trial is called in the addresses of one rater."""
    digest = hashlib.sha256(f"{rater.key} {trial_id}".encode())
    return digest.hexdigest()[:NAME_LENGTH]
