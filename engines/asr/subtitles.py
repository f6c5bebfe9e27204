"""Subtitles from a transcript: SubRip (.srt) and WebVTT (.vtt).

WebVTT: https://www.w3.org/TR/webvtt1/. Lines of at most 42 characters and cues of at most 7 s are what
broadcasters' guides ask for.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engines.asr.transcripts import Segment, Transcript, Word

MAX_CHARS, MAX_LINES, MAX_CUE_S = 42, 2, 7.0
SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")


@dataclass(frozen=True)
class Cue:
    """What is shown at once, and when."""

    text: str
    start_s: float
    end_s: float


def cues(
    transcript: Transcript, max_chars: int = MAX_CHARS, max_lines: int = MAX_LINES
) -> list[Cue]:
    """The cues of a transcript, in order and without overlap.

    With word times a segment is cut where it gets too long; without them a segment is one cue.
    """
    made: list[Cue] = []
    for segment in transcript.segments:
        parts = _by_words(segment, max_chars, max_lines) if segment.words else [_whole(segment)]
        for cue in parts:
            if not cue.text:
                continue
            start_s = max(cue.start_s, made[-1].end_s) if made else cue.start_s
            lines = _lines(cue.text, max_chars)
            made.append(Cue(lines, start_s, max(cue.end_s, start_s)))
    return made


def to_srt(shown: Iterable[Cue]) -> str:
    """Cues as the text of a SubRip file."""
    return "".join(
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(shown, 1)
    )


def to_vtt(shown: Iterable[Cue]) -> str:
    """Cues as the text of a WebVTT file; ``&``, ``<`` and ``>`` are escaped, as the format asks."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{_escaped(cue.text)}\n\n"
        for cue in shown
    )


def _whole(segment: Segment) -> Cue:
    return Cue(segment.text.strip(), segment.start_s, segment.end_s)


def _by_words(segment: Segment, max_chars: int, max_lines: int) -> Iterator[Cue]:
    taken: list[Word] = []
    for word in segment.words:
        longer = _lines(_joined([*taken, word]), max_chars).count("\n") >= max_lines
        if taken and (longer or word.end_s - taken[0].start_s > MAX_CUE_S or _ended(taken)):
            yield _cue(taken)
            taken = []
        taken.append(word)
    if taken:
        yield _cue(taken)


def _ended(words: Sequence[Word]) -> bool:
    return words[-1].text.rstrip().endswith(SENTENCE_ENDS)


def _cue(words: Sequence[Word]) -> Cue:
    return Cue(_joined(words), words[0].start_s, words[-1].end_s)


def _joined(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words).strip()


def _lines(text: str, max_chars: int) -> str:
    """Text in lines, and no empty one: it would end the cue."""
    plain = " ".join(text.split())
    return "\n".join(textwrap.wrap(plain, max_chars, break_long_words=" " not in plain))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    total_ms = max(0, round(seconds * 1000))
    minutes, ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"
