"""One job in words: what it does, its state, its progress. Every page that shows jobs reads this."""

from __future__ import annotations

from engines.studio import Studio
from storage import JobRow, JobState, StorageError
from storage.work.batches import OWNER as BATCH_ROWS
from tabs.ui import live
from tabs.ui.live import badge
from tabs.ui.player import progress_bar

RECENT = 200
ACTIVE = (JobState.QUEUED, JobState.RUNNING)
STATE_LOOKS = {
    JobState.QUEUED: ("", "waiting"),
    JobState.RUNNING: ("busy", "running"),
    JobState.DONE: ("ok", "done"),
    JobState.FAILED: ("bad", "failed"),
    JobState.CANCELLED: ("", "cancelled"),
    JobState.INTERRUPTED: ("warn", "interrupted"),
}
PROJECT_JOBS = {
    "export-project": "Export the project",
    "check-project": "Check the project",
    "import-project": "Import the project",
}


def active(studio: Studio) -> list[JobRow]:
    """Jobs that wait or run, in the order of the queue; a batch counts as one."""
    return studio.jobs.list(ACTIVE, limit=RECENT, without=BATCH_ROWS)[::-1]


def engine_title(studio: Studio, engine_id: str) -> str:
    """The engine's title, or its id when it is not here any more."""
    titles = {engine.card.id: engine.card.title for engine in studio.engines()}
    return titles.get(engine_id, engine_id)


def what(studio: Studio, job: JobRow) -> str:
    """What the job does, in a few words."""
    if job.kind == "load":
        return "Load into memory"
    if job.kind == "download":
        return f"Download {weights_title(studio, job.engine, str(job.settings.get('weights', '')))}"
    if job.kind == "evaluate":
        return (
            f"Evaluate “{job.settings.get('title', '')}”, {job.settings.get('sounds', 0):,} sounds"
        )
    if job.kind == "batch":
        return batch_title(studio, job)
    if job.kind in PROJECT_JOBS:
        file = job.settings.get("name") or job.settings.get("file", "")
        return f"{PROJECT_JOBS[job.kind]} {file}"
    if job.kind == "rebuild-clips":
        return "Rebuild clips from their files"
    words = job.settings.get("text") or job.settings.get("prompt")
    return str(words) if words else f"Run {engine_title(studio, job.engine)}"


def batch_title(studio: Studio, job: JobRow) -> str:
    """The name of a batch, with how many rows it has."""
    try:
        batch = studio.store.batches.get(str(job.settings.get("batch", "")))
    except StorageError:
        return "Batch that was deleted"
    return f"Batch “{batch.name}”, {batch.total:,} rows"


def weights_title(studio: Studio, engine_id: str, weights_id: str) -> str:
    """The title of one set of weights, or its id when the engine does not know it."""
    for engine in studio.engines():
        if engine.card.id == engine_id:
            titles = {weights.id: weights.title for weights in engine.weights()}
            return titles.get(weights_id, weights_id)
    return weights_id


def state_html(job: JobRow) -> str:
    """The state as a badge."""
    kind, text = STATE_LOOKS[job.state]
    return badge(text, kind)


def bar_html(studio: Studio, job: JobRow) -> str:
    """The progress of a job that waits or runs, with its note and the time left."""
    if job.state is JobState.QUEUED:
        ahead = studio.jobs.ahead_of(job.id)
        return progress_bar(0, f"Waiting, {ahead} ahead" if ahead else "Starting")
    now = studio.runner.live(job.id)
    share, note = (now.progress, now.note) if now else (job.progress, job.note)
    left = now.left_s if now else None
    text = "Working" if share == 0 else f"{share:.0%}"
    if left is not None:
        text += f", about {live.span(max(1, round(left)))} left"
    return progress_bar(share, text, note)


def latest(studio: Studio) -> dict[tuple[str, str, str], JobRow]:
    """The newest job of each kind, engine and set of weights ("" where none), among recent ones."""
    recent = studio.jobs.list(limit=RECENT)
    return {
        (job.kind, job.engine, str(job.settings.get("weights", ""))): job
        for job in reversed(recent)
        if job.kind != "run"
    }
