"""Rows of the store and cards of engines as the JSON that endpoints return."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

import gradio as gr

from engines.base import Engine
from engines.studio import Studio
from storage import ClipRow, JobRow, JobState, NotFound

Result = tuple[gr.FileData | None, dict[str, Any]]


def clip_json(clip: ClipRow) -> dict[str, Any]:
    """A clip's row; ``url`` is where this server plays it."""
    values = asdict(clip)
    del values["path"]
    return {**values, "url": f"/clips/{clip.id}/audio"}


def clip_file(clip: ClipRow) -> gr.FileData:
    """A clip's sound as Gradio's clients recognise and download it."""
    return gr.FileData(path=str(clip.path))


def clips_of(studio: Studio, job: JobRow) -> list[ClipRow]:
    """The clips that a job made, without those deleted since."""
    found = []
    for clip_id in job.clip_ids:
        with suppress(NotFound):
            found.append(studio.clips.get(clip_id))
    return found


def job_json(studio: Studio, job: JobRow) -> dict[str, Any]:
    """A job's row with the clips it made so far."""
    return {**asdict(job), "clips": [clip_json(clip) for clip in clips_of(studio, job)]}


def result_json(studio: Studio, job: JobRow) -> Result:
    """The first sound of a job, None before there is one, and the job."""
    first = next(iter(clips_of(studio, job)), None)
    return clip_file(first) if first else None, job_json(studio, job)


def engine_json(studio: Studio, engine: Engine) -> dict[str, Any]:
    """Everything known of an engine: card, state, weights, and the JSON schema of its parameters.

    ``choices`` holds the values that only this machine knows, such as installed voices.
    """
    card = asdict(engine.card)
    names = engine.Params.model_fields
    return {
        **card,
        "task": str(engine.card.task),
        "state": str(engine.availability()),
        "loaded": studio.runtime.is_loaded(engine.card.id),
        "missing": list(engine.missing()),
        "weights": [
            {**asdict(entry.weights), "state": str(entry.state), "bytes_here": entry.bytes_here}
            for entry in studio.weights(engine.card.id)
        ],
        "parameters": engine.Params.model_json_schema(),
        "choices": {
            name: [asdict(choice) for choice in found]
            for name in names
            if (found := engine.choices(name))
        },
    }


def loaded_ids(studio: Studio) -> list[str]:
    """Engines in memory. Asks without the runtime's lock, which a running job holds."""
    ids = [engine.card.id for engine in studio.engines()]
    return [engine_id for engine_id in ids if studio.runtime.is_loaded(engine_id)]


def status_json(studio: Studio) -> dict[str, Any]:
    """Device, memory, engines in memory, and the queue."""
    counts = studio.jobs.counts()
    return {
        "device": studio.runtime.device,
        "dtype": studio.runtime.dtype,
        "memory": asdict(studio.memory()),
        "loaded": loaded_ids(studio),
        "busy": studio.runtime.busy,
        "queued": counts[JobState.QUEUED],
        "running": counts[JobState.RUNNING],
    }
