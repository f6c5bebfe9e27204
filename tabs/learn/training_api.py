"""Endpoints for training runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from anyio import to_thread
from pydantic import Field

from engines.studio import Studio
from storage.learning.runs import RunRow
from tabs.http.waiting import wait_for_run
from tabs.learn.steps import bases, lab_of
from training.lab.lab import Lab

LONGEST_WAIT_S = 24 * 3600
LOG_LINES = 50


class TrainingEndpoints:
    """Runs that make adapters, each in a process of its own."""

    def __init__(self, studio: Studio):
        self._lab = lab_of(studio)

    def training_options(self) -> dict[str, Any]:
        """What a run can be started with.

        Returns:
            The bases that are here, the presets, and the JSON schema of all settings.
        """
        from training.config import RunConfig

        return {
            "bases": bases(self._lab),
            "presets": self._lab.presets(),
            "settings": RunConfig.model_json_schema(),
        }

    def train(
        self,
        dataset: str,
        base: str,
        method: Literal["sft", "dpo", "rank"] = "sft",
        preset: Literal["quick", "balanced", "quality"] = "balanced",
        name: str = "",
        experiment: str = "",
        settings: dict[str, Any] | None = None,
    ) -> str:
        """Start training an adapter. It waits when another run goes on.

        Args:
            dataset: Id of the dataset to learn from.
            base: Id of the weights it starts from, see /training_options.
            method: Learn the sounds of a supervised dataset (sft), or the preferences of a
                preference dataset (dpo, rank).
            preset: Where the settings start from; its epochs are made to suit the base's width.
            name: Name of the run and of the adapter it makes.
            experiment: Group of runs it belongs to.
            settings: Any other settings, see /training_options.

        Returns:
            The id of the run.
        """
        presets = self._lab.presets(base)
        stated = {"dataset": dataset, "base": base, "method": method}
        stated |= {
            key: value for key, value in (("name", name), ("experiment", experiment)) if value
        }
        return self._lab.train({**presets[preset], **(settings or {}), **stated}).id

    def runs(
        self, experiment: str = "", state: Literal["", "queued", "running", "done", "failed",
                                                   "stopped", "interrupted"] = ""
    ) -> list[dict[str, Any]]:  # fmt: skip
        """List runs, newest first.

        Args:
            experiment: Only runs of this experiment, by its name.
            state: Only runs in this state.

        Returns:
            The runs.
        """
        names = {row.id: row.name for row in self._lab.experiments()}
        return [
            run_json(row, names)
            for row in self._lab.runs()
            if experiment in ("", names.get(row.experiment_id)) and state in ("", str(row.state))
        ]

    def run(self, run_id: str, log_lines: Annotated[int, Field(ge=0)] = 20) -> dict[str, Any]:
        """Look at one run: state, progress, curves, samples, the end of its log.

        Args:
            run_id: Id of the run.
            log_lines: How many lines of the log.

        Returns:
            The run with its series of metrics and its samples.
        """
        return run_details(self._lab, run_id, log_lines)

    async def wait_run(
        self, run_id: str, timeout_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S)] = 600
    ) -> dict[str, Any]:
        """Wait until a run ended.

        Args:
            run_id: Id of the run.
            timeout_s: Answer after so many seconds even if it still goes on.

        Returns:
            The run as it is then, as /run answers it.
        """

        row = await wait_for_run(self._lab, run_id, timeout_s)
        return await to_thread.run_sync(run_details, self._lab, row.id, LOG_LINES)

    def stop_run(self, run_id: str) -> dict[str, Any]:
        """Stop a run: at once when it waits, else after its step, saved.

        Args:
            run_id: Id of the run.

        Returns:
            The run.
        """
        return run_json(self._lab.stop_run(run_id))

    def resume_run(self, run_id: str) -> dict[str, Any]:
        """Let a run that was stopped, interrupted or failed go on where it was.

        Args:
            run_id: Id of the run.

        Returns:
            The run.
        """
        return run_json(self._lab.resume_run(run_id))

    def compare_runs(self, run_ids: list[str]) -> dict[str, Any]:
        """Put runs side by side.

        Args:
            run_ids: Ids of the runs.

        Returns:
            The settings in which they differ, and the best metrics of each.
        """
        found = self._lab.compare(run_ids)
        return {
            "runs": [row.id for row in found.runs],
            "differences": {name: list(values) for name, values in found.differences.items()},
            "metrics": list(found.metrics),
        }

    def delete_run(self, run_id: str) -> dict[str, str]:
        """Stop a run if it goes on, and delete its files. Its adapter stays.

        Args:
            run_id: Id of the run.

        Returns:
            What became of it.
        """
        self._lab.delete_run(run_id)
        return {"result": "deleted"}


def run_json(row: RunRow, experiments: dict[str, str] | None = None) -> dict[str, Any]:
    """A run's row, with the name of its experiment where that is known."""
    values = asdict(row)
    if experiments:
        values["experiment"] = experiments.get(row.experiment_id, "")
    return values


def run_details(lab: Lab, run_id: str, log_lines: int) -> dict[str, Any]:
    """A run with everything it wrote so far."""
    row = lab.run(run_id)
    samples = [
        {"epoch": sample.epoch, "prompt": sample.prompt, "seed": sample.seed,
         "url": f"/runs/{row.id}/samples/{sample.epoch}/{sample.path.name}"}
        for sample in lab.samples(run_id)
    ]  # fmt: skip
    return {
        **run_json(row, {found.id: found.name for found in lab.experiments()}),
        "series": lab.metrics(run_id),
        "samples": samples,
        "log": lab.log(run_id, log_lines) if log_lines else "",
    }
