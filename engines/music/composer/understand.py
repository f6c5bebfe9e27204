"""Reads a free text as people type it: which attributes it asks for, and which words say so.

Phrases are looked up longest first, each word belongs to one phrase for each attribute, a negation holds
for the list that follows it, and what a text says outright beats what it only hints at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from engines.music.composer.instruments import instrument
from engines.music.composer.numbers import (
    Span,
    bare_tempo_spans,
    key_spans,
    length_spans,
    meter_spans,
    tempo_spans,
)
from engines.music.composer.phrases import HINTED, SAID, SCENE, Text, grammar, phrases

GUITARS = {
    "rock": "electric-guitar-distorted",
    "metal": "electric-guitar-distorted",
    "punk": "electric-guitar-distorted",
    "funk": "electric-guitar-clean",
    "disco": "electric-guitar-clean",
    "blues": "electric-guitar-clean",
    "soul": "electric-guitar-clean",
    "reggae": "electric-guitar-clean",
    "gospel": "electric-guitar-clean",
    "rhythm and blues": "electric-guitar-clean",
    "jazz": "electric-guitar-clean",
}
ORCHESTRAL = ("orchestral", "cinematic", "classical")


@dataclass(frozen=True)
class Found:
    """One value, the attribute it is of, and the words of the text that say it."""

    attribute: str
    value: Any
    words: str
    at: int = 0
    weight: int = SAID


@dataclass(frozen=True)
class Attributes:
    """What a text asks for; what it leaves open is empty. ``pace`` is -1 (slowest) to 1, ``without``
    names instruments, families and parts that must not sound, ``only`` leaves out all that is not named."""

    style: str = ""
    mood: str = ""
    energy: str = ""
    key: str = ""
    mode: str = ""
    tempo: float | None = None
    pace: float | None = None
    lead: tuple[str, ...] = ()
    support: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    only: bool = False
    duration_s: float | None = None
    form: tuple[str, ...] = ()
    meter: int | None = None
    curve: str = ""
    loop: bool = False


@dataclass(frozen=True)
class Understanding:
    """The attributes of a text and, in the order of the text, what they were understood from."""

    attributes: Attributes
    found: tuple[Found, ...] = field(default=())


def understand(text: str) -> Understanding:
    """Read a text. Nothing in it is an error: what is not understood is left open."""
    plain = text.lower().replace("’", "'")
    reader = _Reader(plain)
    reader.read()
    return Understanding(reader.attributes(), tuple(sorted(reader.kept, key=lambda each: each.at)))


class _Reader:
    """One text while it is read."""

    def __init__(self, text: str):
        self.read_text = Text(text)
        self.text, self.tokens, self.denied = text, self.read_text.tokens, self.read_text.denied
        self.starts = self.read_text.starts
        self.kept: list[Found] = []
        self.without: list[str] = []
        self.only = False

    def read(self) -> None:
        """Collect everything that the text says."""
        self._numbers()
        self._instruments()
        for attribute in ("style", "mood", "energy", "pace", "tempo", "curve", "scenes"):
            self._attribute(attribute)
        self._flags()
        self._form()

    def _keep(self, attribute: str, value: Any, first: int, end: int, weight: int = SAID) -> None:
        self.kept.append(
            Found(attribute, value, self.read_text.said(first, end), self.starts[first], weight)
        )

    # attributes

    def _numbers(self) -> None:
        finders: tuple[tuple[str, Any], ...] = (
            ("key", key_spans), ("tempo", tempo_spans), ("duration_s", length_spans), ("meter", meter_spans),
        )  # fmt: skip
        for attribute, find in finders:
            spans: list[Span] = find(self.text)
            for span in spans[:1]:
                name = (
                    "mode" if attribute == "key" and span.value in ("major", "minor") else attribute
                )
                self.kept.append(
                    Found(name, span.value, self.text[span.start : span.end], span.start)
                )

        if not any(each.attribute == "tempo" for each in self.kept):
            for span in bare_tempo_spans(self.text)[:1]:
                words = self.text[span.start : span.end]
                self.kept.append(Found("tempo", span.value, words, span.start))

    def _instruments(self) -> None:
        self.taken: set[int] = set()
        for first, end, value, _ in self.read_text.matches("instruments", set()):
            if value == "fiddle":
                value = "violin"
            if self.denied[first]:
                self._deny(first, end, value)
                self.taken |= set(range(first, end))
                continue
            if self._is_style(first, end):
                continue
            self.taken |= set(range(first, end))
            self._keep("support" if self._is_behind(first, end) else "lead", value, first, end)
        for first, end, value, _ in self.read_text.matches("groups", self.taken):
            if self.denied[first]:
                self.without.append(value)
                self._keep("without", value, first, end)
                self.taken |= set(range(first, end))

    def _deny(self, first: int, end: int, value: str) -> None:
        phrase = tuple(self.tokens[first:end])
        group = phrases("groups").get(phrase)
        self.without.append(group[0] if group else value)
        self._keep("without", self.without[-1], first, end)

    def _is_style(self, first: int, end: int) -> bool:
        """Whether a longer name of a style has the word in it, as in drum and bass, or of a scene."""
        for name in ("style", "scenes"):
            for at, until, _, _ in self.read_text.matches(name, set()):
                if at <= first and end <= until and until - at > end - first:
                    return True
        return False

    def _in_longer(self, first: int, end: int) -> bool:
        """Whether a longer scene has the words in it, as the house that is haunted."""
        return any(
            at <= first and end <= until and until - at > end - first
            for at, until, _, _ in self.read_text.matches("scenes", set())
        )

    def _is_behind(self, first: int, end: int) -> bool:
        after = " ".join(self.tokens[end : end + 4])
        if after.startswith(grammar("after")):
            return True
        before = " ".join(self.tokens[max(first - 4, 0) : first])
        return any(
            re.search(rf"\b{re.escape(phrase)}\b[^,.]*$", before)
            for phrase in grammar("background")
        )

    def _attribute(self, attribute: str) -> None:
        taken = self.taken if attribute in ("mood", "energy") else set()
        for first, end, value, weight in self.read_text.matches(attribute, taken):
            how = self.denied[first]
            if attribute == "style" and self._in_longer(first, end):
                continue
            if attribute == "scenes" and set(range(first, end)) <= self.taken and not how:
                continue
            if first in self.taken or (
                self.tokens[first] in grammar("touches") and end in self.taken
            ):
                weight = min(weight, HINTED)  # it is said of an instrument
            if attribute == "scenes":
                if not how:
                    self._scene(value, first, end)
            elif how and attribute in ("pace", "energy"):
                self._keep(*_softened(attribute, value), first - 1 if first else first, end, HINTED)
            elif how:
                self._keep("without", value, first, end)
            else:
                value = float(value) if attribute in ("pace", "tempo") else value
                self._keep(attribute, value, first, end, weight)

    def _scene(self, values: dict[str, Any], first: int, end: int) -> None:
        for name, value in values.items():
            if name == "instruments":
                for each in value:
                    self._keep("lead", each, first, end, SCENE)
            else:
                self._keep(name, value, first, end, SCENE)

    def _flags(self) -> None:
        joined = " ".join(self.tokens)
        for phrase in grammar("only"):
            match = re.search(rf"\b{re.escape(phrase)}\b", joined)
            if match and not self.denied[joined[: match.start()].count(" ")]:
                if phrase == "solo" and not (self._names_player(joined, match) or phrase == joined):
                    continue
                behind = joined[: match.start()].count(" ") - 1 in self.taken
                if phrase in ("only", "just") and not (
                    behind or self._lists_players(joined[match.end() :])
                ):
                    continue
                self.only = True
        if any(re.search(rf"\b{phrase}\b", joined) for phrase in grammar("loops")):
            first = next(
                at
                for at, word in enumerate(self.tokens)
                if word.startswith(("loop", "seamless", "endless"))
            )
            self._keep("loop", True, first, first + 1)

    def _names_player(self, joined: str, match: re.Match[str]) -> bool:
        """Whether "solo" stands before an instrument (solo piano), not behind one (a guitar solo)."""
        rest = joined[match.end() :].split()[:3]
        until = next(
            (n for n, word in enumerate(rest) if word in ("with", "over", "and", "by", ",")), 3
        )
        return self._lists_players(" ".join(rest[:until]))

    @staticmethod
    def _lists_players(rest: str, near: int = 6) -> bool:
        words = rest.split()[:near]
        table = phrases("instruments")
        return any(
            tuple(words[a:b]) in table
            for a in range(len(words))
            for b in range(a + 1, len(words) + 1)
        )

    def _form(self) -> None:
        """Sections in the order in which they are named, where at least two are."""
        letters = re.search(r"\b([ab]{3,6})\b(?= form| structure|\b)", self.text)
        if letters and re.search(r"\b(form|structure)\b", self.text):
            kinds = tuple({"a": "verse", "b": "bridge"}[letter] for letter in letters.group(1))
            self.kept.append(Found("form", kinds, letters.group(1), letters.start()))
            return
        sections = self.read_text.matches("sections", self.taken)
        named = [(first, end, value) for first, end, value, _ in sections
                 if not self.denied[first]]  # fmt: skip
        order = [value for _, _, value in named]
        if len(order) >= 3 and {"verse", "chorus"} & set(order):
            first, end = named[0][0], named[-1][1]
            self._keep("form", tuple(order), first, end)

    # the whole

    def attributes(self) -> Attributes:
        """The plainest value of each attribute, the first of equally plain ones."""
        barred = {each.value for each in self.kept if each.attribute == "without"}
        best: dict[str, Found] = {}
        for each in sorted(self.kept, key=lambda found: (-found.weight, found.at)):
            if each.attribute in ("lead", "support", "without"):
                continue
            if isinstance(each.value, str) and each.value in barred:
                continue
            best.setdefault(each.attribute, each)
        if "mood" in best and "mode" in best and best["mood"].weight > best["mode"].weight == SCENE:
            del best["mode"]
        if "tempo" in best and best["tempo"].weight == SAID:
            best.pop("pace", None)
        style = str(best["style"].value) if "style" in best else ""
        self.kept = [_of_style(each, style) for each in self.kept]
        lead, support = self._players(barred)
        values = {name: each.value for name, each in best.items() if name != "only"}
        only = self.only or ("only" in best and not any(
            each.attribute == "lead" and each.weight > SCENE for each in self.kept))  # fmt: skip
        key = values.get("key", "")
        if not key and "mode" in best:
            values["mode"] = best["mode"].value
        without = tuple(
            dict.fromkeys(each.value for each in self.kept if each.attribute == "without")
        )
        self.kept = [each for each in self.kept if self._counts(each, best, (*lead, *support))]
        return Attributes(
            **values, lead=lead, support=support, without=without, only=bool(only and lead)
        )

    def _players(self, barred: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        said = [each for each in self.kept if each.attribute == "lead" and each.weight > SCENE]
        scene = [each for each in self.kept if each.attribute == "lead" and each.weight == SCENE]
        chosen = said or ([] if any(each.attribute == "support" for each in self.kept) else scene)
        lead = [
            each.value
            for each in sorted(chosen, key=lambda found: found.at)
            if not _barred(each.value, barred)
        ]
        behind = [
            each.value
            for each in self.kept
            if each.attribute == "support" and not _barred(each.value, barred)
        ]
        return tuple(dict.fromkeys(lead)), tuple(
            name for name in dict.fromkeys(behind) if name not in lead
        )

    @staticmethod
    def _counts(each: Found, best: dict[str, Found], players: tuple[str, ...]) -> bool:
        if each.attribute in ("lead", "support"):
            return each.value in players
        return each.attribute == "without" or best.get(each.attribute) is each


def _of_style(each: Found, style: str) -> Found:
    """What a bare "guitar" or "horns" is in a style."""
    if each.attribute in ("lead", "support"):
        if each.words in ("guitar", "guitars"):
            return replace(each, value=GUITARS.get(style, each.value))
        if each.words in ("horn", "horns") and style and style not in ORCHESTRAL:
            return replace(each, value="brass-section")
    return each


def _softened(attribute: str, value: Any) -> tuple[str, Any]:
    """What "not too fast" and "not loud" mean: the other side, not all the way."""
    if attribute == "energy":
        return "energy", {"high": "medium", "low": "medium", "medium": "medium"}[value]
    return "pace", -0.25 * (1 if float(value) > 0 else -1) if float(value) else 0.0


def _barred(name: str, barred: set[str]) -> bool:
    facts = instrument(name)
    parts = {"drums": facts.kit, "bass": facts.family == "bass"}
    return (
        name in barred or facts.family in barred or any(parts.get(each, False) for each in barred)
    )
