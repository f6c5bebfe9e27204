"""A chord chart as text: sections, four bars a line."""

from __future__ import annotations

from engines.music.composer.score import Score

PER_LINE = 4
NAMES = {"break": "Breakdown", "build": "Build-up"}


def chart(score: Score) -> str:
    """Key, tempo and form, then the chords of each bar."""
    brief = score.brief
    title = " ".join(word for word in (brief.mood, brief.style) if word).capitalize()
    lines = [f"{title}, {brief.key}, {brief.tempo:g} bpm, {brief.meter}/4", ""]
    for section in score.sections:
        lines.append(f"[{NAMES.get(section.kind, section.kind.capitalize())}]")
        bars = [_bar(score, bar) for bar in range(section.start, section.end)]
        for first in range(0, len(bars), PER_LINE):
            lines.append(
                "| " + " | ".join(f"{text:<9}" for text in bars[first : first + PER_LINE]) + " |"
            )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _bar(score: Score, bar: int) -> str:
    meter, key = score.brief.meter, score.brief.tonality
    inside = [c for c in score.changes if bar * meter <= c.start + 1e-6 < (bar + 1) * meter]
    return " ".join(each.chord.symbol(key) for each in inside)
