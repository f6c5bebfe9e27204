"""Text before speech: cleaning, checking and cutting it into pieces a model can say in one breath.

Languages are BCP 47 or ISO 639 codes; only the part before ``-`` or ``_`` counts here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from engines.base import StudioError


class Break(Enum):
    """What ends a chunk; its value: the pause after it as a share of that after a sentence."""

    PARAGRAPH = 2.0
    SENTENCE = 1.0
    CLAUSE = 0.4
    WORD = 0.0
    CUT = -0.0001  # inside a word: no space was here
    END = -1.0

    def pause_s(self, sentence_pause_s: float) -> float:
        """Seconds of silence after a chunk that ends so."""
        return max(0.0, self.value) * sentence_pause_s


@dataclass(frozen=True)
class Chunk:
    """A piece of text and what follows it."""

    text: str
    end: Break


# --- cleaning and checking ------------------------------------------------------------------

_INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff\u00ad]")
_SPACES = re.compile(r"[^\S\n]+")
SPOKEN_SYMBOLS = "%&@+=#°"


def clean(text: str) -> str:
    """Compose accents (NFC), drop control and invisible characters, straighten spaces and lines."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n").replace("\f", "\n\n")
    text = _INVISIBLE.sub("", text)
    text = "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Co") else " "
        for char in text
    )
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(lines).strip()


def is_spoken(char: str) -> bool:
    """Whether a character is read aloud by itself: letters, digits, currency and a few symbols."""
    return unicodedata.category(char)[0] in "LN" or (
        char in SPOKEN_SYMBOLS or unicodedata.category(char) == "Sc"
    )


def has_speech(text: str) -> bool:
    """Whether anything in ``text`` would be read aloud."""
    return any(is_spoken(char) for char in text)


def check_text(text: str, max_chars: int) -> None:
    """Raise ``StudioError`` on ``text`` that is empty, has nothing to say, or is too long."""
    if not text.strip():
        raise StudioError("There is no text to read. Type at least one word.", "text")
    if not has_speech(text):
        shown = text.strip()[:20]
        raise StudioError(
            f"“{shown}” has no letter or digit to read aloud. Type at least one word.", "text"
        )
    if len(text) > max_chars:
        raise StudioError(
            f"The text has {len(text):,} characters; one job reads at most {max_chars:,}. "
            f"Take {len(text) - max_chars:,} out, or read it in several jobs.",
            "text",
        )


def unspeakable(text: str, known: Callable[[str], bool]) -> list[str]:
    """Letters, digits and symbols of ``text`` for which ``known`` is false, each once, in order."""
    return list(dict.fromkeys(char for char in text if is_spoken(char) and not known(char)))


def check_speakable(text: str, known: Callable[[str], bool], voice: str) -> None:
    """Raise ``StudioError`` naming the characters that ``voice`` cannot say."""
    found = unspeakable(text, known)
    if found:
        names = ", ".join(f"“{char}” ({unicodedata.name(char, 'unnamed')})" for char in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise StudioError(
            f"{voice} cannot say {names}{more}. Take these characters out, spell them in its "
            "language, or choose a voice of their language.",
            "text",
        )


_SCRIPTS = {
    **dict.fromkeys(("ru", "uk", "bg", "kk", "be", "mk", "sr"), ("CYRILLIC", "LATIN")),
    **dict.fromkeys(("ar", "fa", "ur"), ("ARABIC", "LATIN")),
    **dict.fromkeys(("hi", "ne", "mr"), ("DEVANAGARI", "LATIN")),
    "ka": ("GEORGIAN", "LATIN"),
    "ml": ("MALAYALAM", "LATIN"),
    "te": ("TELUGU", "LATIN"),
    "he": ("HEBREW", "LATIN"),
    "zh": ("CJK", "BOPOMOFO", "LATIN"),
    "ja": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "IDEOGRAPHIC", "LATIN"),
    "ko": ("HANGUL", "CJK", "LATIN"),
}
_EVERYWHERE = ("GREEK", "FULLWIDTH", "MODIFIER", "FEMININE", "MASCULINE", "MICRO", "ARABIC-INDIC")


def in_script_of(language: str) -> Callable[[str], bool]:
    """A predicate: whether a letter is of the script that ``language`` is written in.

    eSpeak does not fail on foreign letters, it reads their descriptions ("Chinese letter").
    """
    scripts = (*_SCRIPTS.get(base_language(language), ("LATIN",)), *_EVERYWHERE)

    def known(char: str) -> bool:
        name = unicodedata.name(char, "")
        return not unicodedata.category(char).startswith("L") or name.split(" ")[0] in scripts

    return known


def base_language(code: str) -> str:
    """``en`` of ``en-US``, ``en_GB`` or ``EN``."""
    return re.split("[-_]", code.lower())[0]


# --- chunks ---------------------------------------------------------------------------------

_CLOSERS = "\"'”’»›)\\]」』）】〉》"
_TERMINATOR = re.compile(rf"(?:[.!?…]+[{_CLOSERS}]*(?=\s|$)|[。！？｡।॥؟۔።։]+[{_CLOSERS}]*)")
_CLAUSE = re.compile(rf"(?:[,;:،؛][{_CLOSERS}]*(?=\s)|[、，；：]+[{_CLOSERS}]*|\s[—–-]+(?=\s)|—+)")
_SPACE = re.compile(r"\s+")
_TITLES = re.compile(
    "mr|mrs|ms|dr|prof|st|rev|hon|gen|col|capt|lt|sgt|fr|jr|sr|vs|no|nr|vol|figs?|ch|pp|ed|al|eq|"
    "sec|mt|ft|hr|fru|frl|sra|dra|mme|mlle|bzw|ca|evtl|ggf|z.b|d.h|u.a|i.e|e.g|cf|art|abs|"
    "г|т.е|т.д|ул"
)
_MAY_END = {"jr", "sr", "etc", "inc", "ltd", "co", "corp", "al", "ft", "bros", "dept", "est", "usw"}
_INITIALS = re.compile(r"(?:\w\.)*\w")
_ORDINAL_DOT = {"de", "da", "no", "nb", "nn", "fi", "cs", "sk", "sl", "hu", "hr", "sr", "tr"}
WRAPPED_LINE = 60
LEAST_FIRST = 20


def chunk(text: str, language: str, max_chars: int, first_max_chars: int = 80) -> list[Chunk]:
    """Cut ``text`` into sentences, those longer than ``max_chars`` into clauses, words or less.

    The first chunk is cut at a clause after at most ``first_max_chars`` characters where there is
    one, so that sound starts early. Every character that is not a space is in exactly one chunk, in
    order; no chunk is longer than ``max_chars``. The last chunk ends with ``Break.END``.
    """
    chunks: list[Chunk] = []
    for paragraph in re.split(r"\n\s*\n", text):
        start = len(chunks)
        for sentence in _sentences(paragraph, language):
            limit = max_chars if chunks else min(first_max_chars, max_chars)
            chunks += _fit(sentence, limit, max_chars)
        if len(chunks) > start:
            chunks[-1] = Chunk(chunks[-1].text, Break.PARAGRAPH)
    if chunks:
        chunks[-1] = Chunk(chunks[-1].text, Break.END)
    return chunks


def _sentences(paragraph: str, language: str) -> Iterable[str]:
    for line in _unwrap(paragraph):
        start = 0
        for match in _TERMINATOR.finditer(line):
            if _ends_sentence(line, start, match, base_language(language)):
                yield line[start : match.end()].strip()
                start = match.end()
        if rest := line[start:].strip():
            yield rest


def _unwrap(paragraph: str) -> list[str]:
    """Lines of a paragraph; a line break inside a sentence that was only wrapped is a space."""
    lines: list[str] = []
    last = ""
    for line in filter(None, (line.strip() for line in paragraph.split("\n"))):
        wrapped = bool(last) and (len(last) >= WRAPPED_LINE or line[0].islower())
        if wrapped and has_speech(last) and not _TERMINATOR.search(last[-2:]):
            lines[-1] += " " + line
        else:
            lines.append(line)
        last = line
    return lines


def _ends_sentence(line: str, start: int, match: re.Match[str], language: str) -> bool:
    """Whether the terminator ``match`` ends a sentence that began at ``start``."""
    rest = line[match.end() :].lstrip()
    mark = match.group()
    if not rest:
        return True
    if rest[0].islower() and ("." in mark or "…" in mark):
        return False
    if mark != ".":
        return True
    words = line[start : match.start()].split()
    if not words:
        return True
    word = words[-1].strip("(\"'“‘«[").lower()
    if word in _MAY_END:
        return not rest[0].islower()
    if _TITLES.fullmatch(word) or (_INITIALS.fullmatch(word) and not word.isdigit()):
        return word == "i" or word in ("a.m", "p.m")
    if word.isdigit():
        is_list_number = len(words) == 1
        return not is_list_number and not (language in _ORDINAL_DOT and len(word) <= 2)
    return True


def _fit(sentence: str, limit: int, max_chars: int) -> list[Chunk]:
    """One sentence as chunks of at most ``max_chars``, the first of at most ``limit`` if it can."""
    if len(sentence) <= limit:
        return [Chunk(sentence, Break.SENTENCE)]
    cuts = [match.end() for match in _CLAUSE.finditer(sentence) if match.end() < len(sentence)]
    early = [cut for cut in cuts if LEAST_FIRST <= cut <= limit]
    if limit < max_chars and early:
        head, tail = sentence[: early[-1]].strip(), sentence[early[-1] :].strip()
        return [Chunk(head, Break.CLAUSE), *_fit(tail, max_chars, max_chars)]
    if len(sentence) <= max_chars:
        return [Chunk(sentence, Break.SENTENCE)]
    cut, kind = _last_cut(sentence, cuts, max_chars)
    head, tail = sentence[:cut].strip(), sentence[cut:].strip()
    return [Chunk(head, kind), *_fit(tail, max_chars, max_chars)]


def _last_cut(sentence: str, cuts: list[int], limit: int) -> tuple[int, Break]:
    """Where to cut: the last clause in the second half of the limit, else a word, else anywhere."""
    inside = [cut for cut in cuts if limit // 3 <= cut <= limit]
    if inside:
        return inside[-1], Break.CLAUSE
    spaces = [match.start() for match in _SPACE.finditer(sentence, 1, limit + 1)]
    if spaces:
        return spaces[-1], Break.WORD
    cut = limit
    while cut > 1 and unicodedata.combining(sentence[cut]):
        cut -= 1
    return cut, Break.CUT
