"""What the Projects tab shows: how much is chosen, the files that are here, what an import brings."""

from __future__ import annotations

from html import escape
from typing import Any

from engines.studio import Studio
from engines.studio.projects import CHECK, EXPORT, IMPORT, ProjectFile
from engines.studio.runner import ENDED
from storage import JobRow, JobState
from storage.project.exporting import Contents
from storage.project.tables import BY_NAME
from tabs.ui import jobs, live
from tabs.ui.live import button
from tabs.ui.player import when

STAGES = {EXPORT: "Exporting", CHECK: "Checking", IMPORT: "Importing"}
KEPT_TEXT = "Nothing here is overwritten: a row that differs stays as it is here."


def size_html(contents: Contents) -> str:
    """How much is chosen, in one line."""
    counts = [
        f"<b>{count:,}</b> {escape(_one(BY_NAME[name].title, count))}"
        for name, count in contents.rows.items()
        if count and BY_NAME[name].title
    ]
    if not counts:
        return live.empty("Nothing is chosen, or nothing is here yet.")
    return (
        f'<p class="project-size"><b>About {megabytes(contents.bytes)}</b><br>'
        f"{' · '.join(counts)}</p>"
    )


def _one(title: str, count: int) -> str:
    return title.removesuffix("s") if count == 1 else title


def megabytes(size: int) -> str:
    """A size in words."""
    if size < 1e6:
        return f"{max(size, 1000) / 1e3:,.0f} kB"
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"


def files_html(studio: Studio, sure: str, closed: set[str]) -> str:
    """The export that goes on, and the project files of the data folder."""
    job = studio.projects.latest(EXPORT)
    going = job is not None and job.state is not JobState.DONE and job.id not in closed
    head = _going(studio, job) if job is not None and going else ""
    files = studio.projects.files()
    if not files:
        return head or live.empty("No project file here yet. Export one; it is listed here.")
    made = job.settings["file"] if job is not None and job.state is JobState.DONE else ""
    left_out = str((job.report or {}).get("values", {}).get("left out", "")) if job else ""
    note = f'<p class="state bad">Left out: {escape(left_out)}.</p>' if made and left_out else ""
    lines = "".join(_file(file, file.name == made, sure) for file in files)
    return f'{head}{note}<ul class="plain-list project-files">{lines}</ul>'


def _file(file: ProjectFile, new: bool, sure: str) -> str:
    name = escape(file.name, quote=True)
    asked = sure == file.name
    delete = button("Delete for good?" if asked else "Delete", "delete", file.name,
                    "small sure" if asked else "small stop")  # fmt: skip
    mark = live.badge("new", "ok") if new else ""
    return (
        f'<li class="line"><span class="name" title="{name}">{name} {mark}'
        f'<br><span class="quiet">{megabytes(file.bytes)} · {when(file.made_at)}</span></span>'
        f'<a class="act small primary" href="projects/{name}" download>Download</a>'
        f"{button('Import…', 'check', file.name, 'small', 'See what importing it here would bring')}"
        f"{delete}</li>"
    )


def _going(studio: Studio, job: JobRow) -> str:
    """An export or import that has not ended well: its progress, or why it ended."""
    stage = STAGES[job.kind]
    name = escape(str(job.settings.get("name") or job.settings.get("file")))
    if job.state not in ENDED:
        return (
            f'<section class="card"><header><h3>{stage} {name}</h3></header>'
            f"{jobs.bar_html(studio, job)}"
            f'<div class="buttons">{button("Cancel", "cancel", job.id, "stop")}</div></section>'
        )
    why = job.error or f"It was {job.state}."
    done = "Nothing was changed."
    if job.kind == IMPORT and job.state is JobState.INTERRUPTED:
        done = "All of it is here, or nothing; try again to be sure."
    return (
        f'<section class="card"><header><h3>{stage} {name}</h3>{jobs.state_html(job)}</header>'
        f'<p class="state bad">{escape(why)} {done}</p>'
        f'<div class="buttons">{button("Try again", "again", job.id)}'
        f"{button('Close', 'close', job.id)}</div></section>"
    )


def import_html(studio: Studio, job: JobRow | None) -> str:
    """The check or the import that is the last: going on, its report, or why it failed."""
    if job is None:
        return ""
    if job.state is not JobState.DONE:
        return _going(studio, job)
    report: dict[str, Any] = job.report or {"values": {}, "rows": []}
    values = report["values"]
    checked = job.kind == CHECK
    title = f"{'What importing' if checked else 'Imported'} {values.get('file', '')}"
    title += " would bring" if checked else ""
    made, version = str(values.get("made at", "")), str(values.get("made by version", ""))
    facts = f"Made {escape(made[:16].replace('T', ' '))} UTC by version {escape(version)}."
    return (
        f'<section class="card project-report"><header><h3>{escape(title)}</h3></header>'
        f'<p class="quiet">{facts} All checksums are right.</p>{_table(report["rows"], checked)}'
        f"{_conflicts(report['rows'], int(values.get('conflicts', 0)))}"
        f'<div class="buttons">{_buttons(studio, job, int(values.get("new", 0)))}</div></section>'
    )


def _buttons(studio: Studio, job: JobRow, new: int) -> str:
    if job.kind == IMPORT:
        return (
            '<button type="button" class="act primary" data-action="tab" data-id="history">'
            f"See them in History</button>{button('Close', 'close', job.id)}"
        )
    if not studio.projects.waits(job):
        return button("Close", "close", job.id)
    if not new:
        text = '<span class="quiet">Everything in this file is here already.</span>'
        return text + button("Close", "discard", job.id)
    many = "1 new row" if new == 1 else f"{new:,} new rows"
    return button(f"Import {many}", "confirm", job.id, "primary") + button(
        "Don't import", "discard", job.id
    )


def _table(rows: list[dict[str, Any]], checked: bool) -> str:
    lines = "".join(
        f"<tr><th>{escape(str(row['what']))}</th><td>{row['new']:,}</td><td>{row['here']:,}</td>"
        f'<td class="{"bad" if row["conflicts"] else ""}">{row["conflicts"]:,}</td></tr>'
        for row in rows
        if "what" in row
    )
    new = "New" if checked else "Added"
    return (
        f'<table class="project-table"><thead><tr><th></th><td>{new}</td><td>Here already</td>'
        f"<td>Differ here</td></tr></thead><tbody>{lines}</tbody></table>"
    )


def _conflicts(rows: list[dict[str, Any]], count: int) -> str:
    found = [row for row in rows if "conflict" in row]
    if not found:
        return ""
    lines = "".join(
        f"<li><b>{escape(live.short(str(row['name'])))}</b> "
        f'<span class="quiet">{escape(_one(str(row["conflict"]), 1))}: '
        f"{escape(', '.join(row['fields']))}</span></li>"
        for row in found
    )
    more = f'<p class="quiet">and {count - len(found):,} more</p>' if count > len(found) else ""
    return (
        f'<details open><summary>What differs here ({count:,})</summary><p class="quiet">'
        f'{KEPT_TEXT}</p><ul class="plain-list">{lines}</ul>{more}</details>'
    )
