"""Rows of the store and cards of engines as the JSON that endpoints return."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from engines.base import Engine
from engines.studio import Studio
from storage import ClipRow, JobRow, JobState


def clip_json(clip: ClipRow) -> dict[str, Any]:
    """A clip's row with its sound as ``file``, which ``gradio_client`` downloads."""
    values = asdict(clip)
    path = values.pop("path")
    return {**values, "file": file_json(path)}


def file_json(path: object) -> dict[str, Any]:
    """A file as Gradio's clients recognise it."""
    return gr.FileData(path=str(path)).model_dump()


def job_json(job: JobRow) -> dict[str, Any]:
    """A job's row."""
    return asdict(job)


def result_json(studio: Studio, job: JobRow) -> dict[str, Any]:
    """A job with the clips it made so far; ``file`` is the first clip's sound, or None."""
    clips = [clip_json(studio.clip(clip_id)) for clip_id in job.clip_ids]
    file = clips[0]["file"] if clips else None
    return {"job": job_json(job), "file": file, "clips": clips, "report": job.report}


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


def status_json(studio: Studio) -> dict[str, Any]:
    """Device, memory, engines in memory, and the queue."""
    counts = studio.jobs.counts()
    return {
        "device": studio.runtime.device,
        "dtype": studio.runtime.dtype,
        "memory": asdict(studio.memory()),
        "loaded": [entry.engine.card.id for entry in studio.runtime.loaded()],
        "busy": studio.runtime.busy,
        "queued": counts[JobState.QUEUED],
        "running": counts[JobState.RUNNING],
    }
