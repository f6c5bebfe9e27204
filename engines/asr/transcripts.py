"""What was heard: text, segments and words with their times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word; ``text`` begins with the space that separates it, where the language has one."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True)
class Segment:
    """A phrase as the recogniser cut it; ``words`` is empty unless word times were asked for."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """The words in a sound; ``language`` is a code such as ``"fr"``, ``""`` where nothing was heard.

    ``language_probability`` is 1 where the language was given.
    """

    segments: tuple[Segment, ...] = ()
    language: str = ""
    language_probability: float = 0.0
    duration_s: float = 0.0

    @property
    def text(self) -> str:
        """All segments in one line."""
        return " ".join(" ".join(segment.text.split()) for segment in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order."""
        return tuple(word for segment in self.segments for word in segment.words)
