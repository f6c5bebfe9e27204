"""Endpoints for batches: any engine from a table whose columns are its parameters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import gradio as gr
from pydantic import Field

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.batch.problems import BatchProblems, Problem
from tabs.http.threads import heavy
from tabs.http.uploads import export_folder, uploaded
from tabs.ui.rater import user_of

Executor = Literal["", "local", "ray"]
Workers = Annotated[int, Field(ge=0, le=10_000)]
SHOWN = 10


class BatchEndpoints:
    """Tables of runs: checked as a whole, run as one job, stopped, resumed, taken away as a zip."""

    def __init__(self, studio: Studio):
        self._studio = studio

    def batch_template(
        self, engine: str, format: Literal["csv", "json", "jsonl"] = "csv"
    ) -> gr.FileData:
        """Get a table to start from: its columns are the parameters of an engine.

        Args:
            engine: Id of the engine; /engines lists them.
            format: CSV for spreadsheets, a JSON list of objects, or JSON Lines.

        Returns:
            The file, with two rows that show how it is filled in.
        """
        path = export_folder() / f"{self._studio.engine(engine).card.id}-template.{format}"
        path.write_bytes(self._studio.batches.template(engine, format))
        return gr.FileData(path=str(path))

    @heavy
    def check_batch(
        self,
        file: gr.FileData,
        engine: str,
        name: str = "",
        common: dict[str, Any] | None = None,
        sound_parameter: str = "",
    ) -> dict[str, Any]:
        """Check a table as a whole and keep it as a batch that is not started.

        Args:
            file: The table (CSV, JSON or JSON Lines), or a zip of a table and its sounds, or of
                sounds alone, each of which becomes a row.
            engine: Id of the engine.
            name: Name of the batch; empty takes the file's.
            common: Values for every row whose own cell is empty.
            sound_parameter: Where sounds without a table go; empty takes the engine's first.

        Returns:
            Whether it is right ("ok"); all problems with rows and columns, or the batch with its
            first rows, how many are here already, and the seconds it may take where that is known.
        """
        try:
            batch = self._studio.batches.check(
                engine, [uploaded(file.path)], name, common, sound_parameter
            )
        except BatchProblems as error:
            return {"ok": False, "problems": [problem_json(each) for each in error.problems]}
        found = self._studio.batches
        return {
            "ok": True,
            "problems": [],
            "batch": self._batch(batch.id),
            "rows": [asdict(item) for item in found.preview(batch.id, SHOWN)],
            "reusable": found.reusable(batch.id),
            "estimate_s": found.estimate(batch.id).seconds,
        }

    def start_batch(
        self,
        batch_id: str,
        executor: Executor = "",
        workers: Workers = 0,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Start a batch that was checked, or let a stopped or interrupted one go on.

        Args:
            batch_id: Id of the batch.
            executor: Make the rows on this machine (local) or on a Ray cluster (ray); empty for
                where they were made last, at first this machine.
            workers: Processes on the cluster; 0 for one on each of its GPUs or cores.

        Returns:
            The batch; /wait takes its job_id.
        """
        self._studio.batches.start(batch_id, executor, workers, user_of(request))
        return self._batch(batch_id)

    def batches(self, limit: Annotated[int, Field(ge=1, le=1000)] = 50) -> list[dict[str, Any]]:
        """List the batches that were started, newest first.

        Args:
            limit: At most so many.

        Returns:
            The batches.
        """
        return [self._batch(row.id) for row in self._studio.batches.list(limit)]

    def batch(self, batch_id: str) -> dict[str, Any]:
        """Look at one batch.

        Args:
            batch_id: Id of the batch.

        Returns:
            Its state, how many rows are open, done, reused and failed, and the seconds left.
        """
        return self._batch(batch_id)

    def batch_rows(
        self,
        batch_id: str,
        state: Literal["", "open", "done", "reused", "failed"] = "",
        limit: Annotated[int, Field(ge=1, le=1000)] = 100,
        offset: Annotated[int, Field(ge=0)] = 0,
    ) -> list[dict[str, Any]]:
        """List rows of a batch in the order of its file.

        Args:
            batch_id: Id of the batch.
            state: Only rows in this state.
            limit: At most so many, 1 to 1000.
            offset: Rows to leave out at the beginning.

        Returns:
            The rows with their settings, state, error and the ids of their clips.
        """
        rows = self._studio.batches.rows(batch_id, state or None, limit, offset)
        return [asdict(item) for item in rows]

    def stop_batch(self, batch_id: str) -> dict[str, Any]:
        """Stop a batch. What is finished stays; /start_batch lets it go on.

        Args:
            batch_id: Id of the batch.

        Returns:
            The batch.
        """
        self._studio.batches.stop(batch_id)
        return self._batch(batch_id)

    def retry_batch(
        self,
        batch_id: str,
        executor: Executor = "",
        workers: Workers = 0,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Run the rows of a batch that failed once more.

        Args:
            batch_id: Id of the batch.
            executor: Make the rows on this machine (local) or on a Ray cluster (ray); empty for
                where they were made last, at first this machine.
            workers: Processes on the cluster; 0 for one on each of its GPUs or cores.

        Returns:
            The batch.
        """
        self._studio.batches.retry_failed(batch_id, executor, workers, user_of(request))
        return self._batch(batch_id)

    @heavy
    def batch_zip(
        self, batch_id: str, format: Literal["flac", "wav", "mp3", "ogg"] = "flac"
    ) -> gr.FileData:
        """Take the results of a batch away.

        Args:
            batch_id: Id of the batch.
            format: Format of the sounds.

        Returns:
            A zip of the sounds, named after their rows, and results.csv.
        """
        batch = self._studio.store.batches.get(batch_id)
        if not batch.done + batch.reused:
            raise StudioError("No row of this batch is made yet.")
        path = export_folder() / f"{batch.id}-{format}.zip"
        return gr.FileData(path=str(self._studio.batches.save_zip(batch_id, path, format)))

    def delete_batch(self, batch_id: str) -> dict[str, str]:
        """Forget a batch; its clips stay.

        Args:
            batch_id: Id of the batch.

        Returns:
            What became of it.
        """
        self._studio.batches.delete(batch_id)
        return {"result": "deleted"}

    def _batch(self, batch_id: str) -> dict[str, Any]:
        found = self._studio.batches.state(batch_id)
        error = found.job.error if found.job else ""
        return {
            **asdict(found.batch),
            "total": found.batch.total,
            "state": found.state,
            "error": error,
            "left_s": found.left_s,
        }


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem as JSON."""
    return {
        "rows": list(problem.rows),
        "column": problem.column,
        "message": problem.message,
        "text": str(problem),
    }
