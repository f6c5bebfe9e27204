"""The words that the composer knows, and where they stand in a text, with what is denied of them."""

from __future__ import annotations

import functools
import json
import re
from difflib import get_close_matches
from typing import Any

from engines.music.composer.instruments import ASSETS

SAID, HINTED, SCENE = 3, 2, 1  # how plainly a value is asked for
TOKEN = re.compile(r"[^\W_]+(?:[-'&][^\W_]+)*|[^\s\w]", re.UNICODE)
TYPO = 0.86
SHORTEST_TYPO = 5
TABLES = ("style", "mood", "energy", "pace", "instruments", "scenes", "groups", "sections", "curve")


@functools.cache
def words() -> dict[str, Any]:
    """The file of words."""
    loaded: dict[str, Any] = json.loads((ASSETS / "words.json").read_text(encoding="utf-8"))
    return loaded


def grammar(name: str) -> tuple[str, ...]:
    """The small words of one kind, such as negations."""
    return tuple(words()["grammar"][name])


@functools.cache
def phrases(attribute: str) -> dict[tuple[str, ...], tuple[Any, int]]:
    """Phrases of an attribute, as tokens, with their value and how plainly they say it."""
    table: dict[tuple[str, ...], tuple[Any, int]] = {}
    for value, listed in words()[attribute].items():
        if isinstance(listed, dict):
            table[_tokens(value)] = (listed, SCENE)
            continue
        own = [value.replace("-", " "), value] if attribute in ("style", "instruments") else []
        for phrase in [*listed, *own]:
            weight = HINTED if phrase.startswith("~") else SAID
            table.setdefault(_tokens(phrase.lstrip("~")), (value, weight))
    return table


def _tokens(text: str) -> tuple[str, ...]:
    return tuple(TOKEN.findall(text))


@functools.cache
def _known_words() -> dict[str, list[str]]:
    """Words long enough to be misspelt, by their first letter."""
    known = {word for name in TABLES for phrase in phrases(name) for word in phrase}
    table: dict[str, list[str]] = {}
    for word in sorted(known):
        if len(word) >= SHORTEST_TYPO:
            table.setdefault(word[0], []).append(word)
    return table


@functools.lru_cache(maxsize=4096)
def _corrected(word: str) -> str:
    """A misspelt word as it is known; others as they are."""
    known = _known_words().get(word[:1], [])
    if (
        len(word) < SHORTEST_TYPO
        or word in known
        or not word.isalpha()
        or word in grammar("common")
    ):
        return word
    near = get_close_matches(word, known, n=1, cutoff=TYPO)
    return near[0] if near else word


class Text:
    """A text as tokens, misspelt ones corrected, and for each token the negation it stands under."""

    def __init__(self, text: str):
        self.text = text
        spans = [(m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)]
        self.starts, self.ends = [s for _, s, _ in spans], [e for _, _, e in spans]
        self.tokens = [_corrected(word) for word, _, _ in spans]
        self._known: dict[str, list[tuple[int, int, Any, int]]] = {}
        self.denied = self._denials()

    def matches(self, attribute: str, taken: set[int]) -> list[tuple[int, int, Any, int]]:
        """First token, end, value and weight of each phrase, the longest first at each place."""
        table = phrases(attribute)
        longest = max(len(phrase) for phrase in table)
        matches, at = [], 0
        while at < len(self.tokens):
            for size in range(min(longest, len(self.tokens) - at), 0, -1):
                phrase = tuple(self.tokens[at : at + size])
                if phrase in table and not taken & set(range(at, at + size)):
                    matches.append((at, at + size, *table[phrase]))
                    at += size - 1
                    break
            at += 1
        return matches

    def said(self, first: int, end: int) -> str:
        """The words from one token to another."""
        return self.text[self.starts[first] : self.ends[end - 1]]

    def _denials(self) -> list[str]:
        """For each token the negation it stands under, or nothing: it holds for one phrase, and for those
        that are listed after it."""
        denied, negations = [""] * len(self.tokens), grammar("negations")
        for at, word in enumerate(self.tokens):
            pair = " ".join(self.tokens[at : at + 2])
            how = pair if pair in negations else word
            following = self.tokens[at + 1 : at + 2]
            if how not in negations or following in (["only"], ["but"], ["else"]):
                continue
            place = at + len(how.split())
            listed = True
            while place < len(self.tokens):
                size = self._phrase_at(place)
                if size and listed:
                    denied[place : place + size] = [how] * size
                    place, listed = place + size, False
                elif self.tokens[place] in grammar("joins"):
                    place, listed = place + 1, True
                elif listed and self.tokens[place] in grammar("fillers"):
                    place += 1
                else:
                    break
        return denied

    def _phrase_at(self, place: int) -> int:
        """How many tokens the longest known phrase has that begins here."""
        for size in range(min(4, len(self.tokens) - place), 0, -1):
            phrase = tuple(self.tokens[place : place + size])
            if any(phrase in phrases(name) for name in grammar("deniable")):
                return size
        return 0
