"""Endpoints that make something and follow it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

import gradio as gr
from anyio import to_thread
from pydantic import Field

from engines.base import Engine, StudioError, Task
from engines.parameters import Kind, Knob, knobs
from engines.studio import Studio
from storage import JobRow, JobState
from tabs.http.rows import Result, job_json, result_json
from tabs.http.uploads import with_media
from tabs.http.waiting import require_done, wait_for
from tabs.http.wishes import speech_settings
from tabs.ui.rater import user_of

LONGEST_WAIT_S = 24 * 3600


class MakeEndpoints:
    """Running engines."""

    def __init__(self, studio: Studio):
        self._studio = studio

    async def tts(
        self,
        text: str,
        engine: str = "piper",
        voice: str = "default",
        seed: int = -1,
        settings: dict[str, Any] | None = None,
        wait: bool = True,
        request: gr.Request | None = None,
    ) -> Result:
        """Speak a text with any speech engine.

        Args:
            text: What to say.
            engine: Id of the speech engine; /engines lists them.
            voice: A voice of the engine, or "default".
            seed: The same seed and settings give the same sound; -1 draws a new one.
            settings: Other parameters of the engine by name; /engine describes them.
            wait: Wait for the sound. Without it the answer is the queued job.

        Returns:
            The sound, and the job with its clips.
        """
        speaker = self._studio.engine(engine)
        if speaker.card.task is not Task.TTS:
            raise StudioError(f"{speaker.card.title} makes no speech; use /submit.", "engine")
        values = (settings or {}) | speech_settings(speaker, text, voice)
        if "seed" in speaker.Params.model_fields and seed != -1:
            values["seed"] = seed
        return await _made(self._studio, speaker, values, wait, user_of(request))

    async def submit(
        self,
        engine: str,
        settings: dict[str, Any],
        wait: bool = False,
        request: gr.Request | None = None,
    ) -> Result:
        """Run any engine.

        Args:
            engine: Id of the engine; /engines lists them.
            settings: Parameters by name, see /engine. A sound is the id of a clip, or a sent file.
            wait: Wait for the result. Without it the answer is the queued job.

        Returns:
            The first sound, and the job with its clips.
        """
        return await _made(
            self._studio, self._studio.engine(engine), settings, wait, user_of(request)
        )


class JobEndpoints:
    """Following and steering jobs."""

    def __init__(self, studio: Studio):
        self._studio = studio

    def jobs(
        self,
        state: Literal["", "queued", "running", "done", "failed", "cancelled", "interrupted"] = "",
        limit: Annotated[int, Field(ge=1, le=1000)] = 50,
    ) -> list[dict[str, Any]]:
        """List jobs, the newest first.

        Args:
            state: Only jobs in this state; empty for all.
            limit: At most so many, 1 to 1000.

        Returns:
            The jobs.
        """
        chosen = [JobState(state)] if state else None
        return [asdict(job) for job in self._studio.jobs.list(chosen, limit=limit)]

    def job(self, job_id: str) -> dict[str, Any]:
        """Look at one job.

        Args:
            job_id: Id of the job.

        Returns:
            The job with its progress and the clips it made so far.
        """
        found = job_json(self._studio, self._studio.job(job_id))
        live = self._studio.runner.live(job_id)
        if live is not None and found["state"] == JobState.RUNNING:
            found |= {"progress": live.progress, "note": live.note, "left_s": live.left_s}
        return found

    async def wait(
        self, job_id: str, timeout_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S)] = 600
    ) -> Result:
        """Wait until a job ended.

        Args:
            job_id: Id of the job.
            timeout_s: Answer after so many seconds even if it still runs.

        Returns:
            The first sound if there is one, and the job as it is then.
        """
        ended = await wait_for(self._studio, job_id, timeout_s)
        return await to_thread.run_sync(result_json, self._studio, ended)

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Stop a job: at once when it waits, at its next step when it runs.

        Args:
            job_id: Id of the job.

        Returns:
            The job.
        """
        return asdict(self._studio.cancel(job_id))

    def retry(self, job_id: str) -> dict[str, Any]:
        """Queue an ended job again with the same settings.

        Args:
            job_id: Id of the job.

        Returns:
            The new job.
        """
        return asdict(self._studio.retry(job_id))


async def _made(
    studio: Studio, engine: Engine, values: dict[str, Any], wait: bool, owner: str
) -> Result:
    def submitted() -> JobRow:
        return studio.submit(engine.card.id, with_media(studio, engine, values), owner)

    job = await to_thread.run_sync(submitted)
    if wait:
        job = require_done(await wait_for(studio, job.id))
    return await to_thread.run_sync(result_json, studio, job)


# --- one endpoint an engine, made from its parameter model ----------------------------------


def engine_endpoint(studio: Studio, engine: Engine) -> Callable[..., Any]:
    """A function with the parameters of ``engine``, their types, defaults and descriptions."""

    async def run(*args: Any, **kwargs: Any) -> Result:
        values = signature.bind(*args, **kwargs).arguments
        request = values.pop("request", None)
        return await _made(studio, engine, values, True, user_of(request))

    here = engine.defaults()
    listed = [
        replace(knob, default=here[knob.name]) if knob.name in here else knob
        for knob in knobs(engine.Params)
    ]
    parameters = [_parameter(knob) for knob in listed]
    # required ones first, as Python wants it; Gradio fills in the request because of its type
    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    asked = inspect.Parameter("request", kind, default=None, annotation=gr.Request)
    signature = inspect.Signature([*parameters, asked], return_annotation=Result)
    run.__name__ = engine.card.id.replace("-", "_")
    run.__doc__ = _docstring(engine, listed)
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*parameters, asked)}
    run.__annotations__["return"] = Result
    return run


def _parameter(knob: Knob) -> inspect.Parameter:
    annotation: Any = {
        Kind.MEDIA: gr.FileData,
        Kind.SEED: int,
        Kind.INTEGER: int,
        Kind.NUMBER: float,
        Kind.BOOLEAN: bool,
        Kind.LIST: list[str],
    }.get(knob.kind, str)
    if knob.choices and knob.kind is not Kind.LIST:
        annotation = Literal[knob.choices]
    if not knob.required and knob.default is None:
        annotation = annotation | None
    return inspect.Parameter(
        knob.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if knob.required else knob.default,
        annotation=annotation,
    )


def _docstring(engine: Engine, listed: list[Knob]) -> str:
    lines = [engine.card.summary, "", "Args:"]
    for knob in listed:
        unit = f" In {knob.unit}." if knob.unit else ""
        bounds = f" Allowed: {knob.bounds}." if knob.bounds != "any" else ""
        lines.append(f"    {knob.name}: {' '.join(knob.description.split())}{unit}{bounds}")
    lines += ["", "Returns:", "    The sound, and the job with its clips."]
    return "\n".join(lines)
