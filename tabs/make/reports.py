"""What a job found out beside clips: text to read and to save, facts, and rows in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from storage import JobRow

FILES = {
    "text": ("txt", "text/plain"),
    "srt": ("srt", "application/x-subrip"),
    "vtt": ("vtt", "text/vtt"),
}
LONGEST_FACT = 120  # characters; longer values are for scripts, which read the report whole
ROWS_SHOWN = 500
NO_SPEECH = "No speech was heard."


def html(job: JobRow) -> list[str]:
    """The report of a job as one element; none where there is no report."""
    if not job.report:
        return []
    values, rows = job.report.get("values") or {}, job.report.get("rows") or []
    is_text = isinstance(values.get("text"), str)
    inside = (_text(values, job.id) if is_text else "") + _facts(values)
    if is_text:
        inside += _rows(rows)
    return [f'<div class="card report">{inside}</div>'] if inside else []


def _text(values: Mapping[str, Any], job_id: str) -> str:
    """The text and a link for each file that can be made of it."""
    if not values["text"].strip():
        return f'<p class="empty">{NO_SPEECH}</p>'
    links = "".join(
        _saved(values[name], f"transcript-{job_id[:8]}.{ending}", kind, f"Save .{ending}")
        for name, (ending, kind) in FILES.items()
        if isinstance(values.get(name), str)
    )
    language = values.get("language")
    lang = f' lang="{escape(str(language), quote=True)}"' if language else ""
    return (
        f'<p class="report-text" dir="auto"{lang}>{escape(values["text"])}</p>'
        f'<div class="buttons">{links}</div>'
    )


def _saved(text: str, name: str, kind: str, label: str) -> str:
    """A link that saves ``text`` as a file."""
    return (
        f'<a class="act small" download="{escape(name, quote=True)}" '
        f'href="data:{kind};charset=utf-8,{quote(text)}">{label}</a>'
    )


def _facts(values: Mapping[str, Any]) -> str:
    """Short values, in a line each."""
    facts = [
        f"<dt>{escape(_named(name))}</dt><dd>{escape(_shown(value))}</dd>"
        for name, value in values.items()
        if name not in FILES
        and isinstance(value, str | int | float)
        and 0 < len(_shown(value)) <= LONGEST_FACT
    ]
    return f'<dl class="facts-grid">{"".join(facts)}</dl>' if facts else ""


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Words or segments with their times, folded away at first."""
    if not rows:
        return ""
    names = list(rows[0])
    head = "".join(f'<th scope="col">{escape(_named(name))}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(row.get(name)))}</td>" for name in names) + "</tr>"
        for row in rows[:ROWS_SHOWN]
    )
    count = f"{len(rows):,} {names[0]}{'s' if len(rows) != 1 else ''}"
    more = f", the first {ROWS_SHOWN} of them" if len(rows) > ROWS_SHOWN else ""
    return (
        f"<details><summary>{escape(count)} with times{more}</summary>"
        f'<table class="facts-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>'
    )


def _named(name: str) -> str:
    """A name as people read it: ``start_s`` is "Start (s)"."""
    words = name.removesuffix("_s").replace("_", " ")
    unit = " (s)" if name.endswith("_s") else ""
    return words[:1].upper() + words[1:] + unit


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
