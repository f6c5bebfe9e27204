"""Endpoints for datasets and training runs; those for adapters are in ``api_adapters.py``."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import gradio as gr
from anyio import to_thread
from pydantic import Field

from engines.base import StudioError
from engines.studio import Studio
from storage.dataset_filter import DatasetFilter
from storage.datasets import DatasetItem, DatasetRow
from storage.runs import RunRow
from tabs.learning import bases, lab_of
from tabs.uploads import export_folder, uploaded
from training.lab import Lab

Kind = Literal["supervised", "preference"]
Share = Annotated[float, Field(ge=0, lt=1)]
LONGEST_WAIT_S = 24 * 3600
FIRST_ITEMS = 50


class DatasetEndpoints:
    """What was judged, frozen, so that training can learn from it."""

    def __init__(self, studio: Studio):
        self._lab = lab_of(studio)

    def dataset_count(
        self, kind: Kind = "supervised", filter: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """How much a dataset with a filter would hold now, before it is made.

        Args:
            kind: Clips that were rated well (supervised), or pairs of which one was preferred.
            filter: Any of criterion, min_rating, min_raters, tags_in, tags_out, engine, task,
                adapter (an id, or "none" for the base alone), date_from, date_to, text,
                min_strength, favorites and max_duration_s.

        Returns:
            Items, clips, prompts, seconds, and warnings about the quality in plain sentences.
        """
        wanted = filter_of(kind, filter)
        return {
            **asdict(self._lab.count(wanted)),
            "warnings": list(self._lab.quality(wanted).warnings),
        }

    def create_dataset(
        self,
        name: str,
        kind: Kind = "supervised",
        filter: dict[str, Any] | None = None,
        validation_share: Share = 0.1,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Freeze what a filter finds now: its rows, its sounds and a split by prompt.

        Args:
            name: Name of the dataset.
            kind: Clips that were rated well (supervised), or pairs of which one was preferred.
            filter: As for /dataset_count.
            validation_share: Share of the prompts that is kept to check with.
            seed: Decides which prompts those are.

        Returns:
            The dataset.
        """
        row = self._lab.create_dataset(name, filter_of(kind, filter), validation_share, seed)
        return dataset_json(row)

    def datasets(self, archived: bool = False) -> list[dict[str, Any]]:
        """List the datasets, newest first.

        Args:
            archived: List those that were archived instead.

        Returns:
            The datasets.
        """
        return [dataset_json(row) for row in self._lab.datasets(archived)]

    def dataset(
        self,
        dataset_id: str,
        split: Literal["", "train", "validation"] = "",
        limit: Annotated[int, Field(ge=0)] = FIRST_ITEMS,
        offset: Annotated[int, Field(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Look at one dataset.

        Args:
            dataset_id: Id of the dataset.
            split: Rows of this part only.
            limit: The most rows to list.
            offset: Rows to leave out at the beginning.

        Returns:
            The dataset, its rows, how many there are, and its quality report.
        """
        row = self._lab.dataset(dataset_id)
        rows = self._lab.dataset_items(dataset_id, split)
        return {
            **dataset_json(row),
            "rows": [item_json(item) for item in rows[offset : offset + limit]],
            "total": len(rows),
            "quality": asdict(self._lab.quality(dataset_id)),
        }

    def export_dataset(
        self, dataset_id: str, format: Literal["audiofolder", "jsonl", "csv"] = "audiofolder"
    ) -> gr.FileData:
        """Save a dataset as a file.

        Args:
            dataset_id: Id of the dataset.
            format: A zip of the sounds that Hugging Face's datasets library reads (audiofolder),
                or the rows alone.

        Returns:
            The file.
        """
        return offered(self._lab.export_dataset(dataset_id, format))

    def import_dataset(
        self, file: gr.FileData, name: str, validation_share: Share = 0.1, seed: int = 0
    ) -> dict[str, Any]:
        """Make a dataset of a zip of sounds with captions.

        Args:
            file: The zip: sounds with metadata.jsonl, metadata.csv, or a text file beside each.
            name: Name of the dataset.
            validation_share: Share of the prompts that is kept to check with.
            seed: Decides which prompts those are.

        Returns:
            The dataset, how many clips were added, and what was left out and why.
        """
        found = self._lab.import_folder(uploaded(file.path), name, validation_share, seed)
        return {
            "dataset": dataset_json(found.dataset),
            "clips": found.clips,
            "skipped": [asdict(problem) for problem in found.skipped],
        }

    def rename_dataset(self, dataset_id: str, name: str) -> dict[str, Any]:
        """Give a dataset another name.

        Args:
            dataset_id: Id of the dataset.
            name: The new name.

        Returns:
            The dataset.
        """
        return dataset_json(self._lab.rename_dataset(dataset_id, name))

    def delete_dataset(self, dataset_id: str) -> dict[str, str]:
        """Delete a dataset, or archive it when a run or an adapter learned from it. Clips stay.

        Args:
            dataset_id: Id of the dataset.

        Returns:
            Whether it was deleted or archived.
        """
        return {"result": str(self._lab.delete_dataset(dataset_id))}


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
            preset: Where the settings start from.
            name: Name of the run and of the adapter it makes.
            experiment: Group of runs it belongs to.
            settings: Any other settings, see /training_options.

        Returns:
            The id of the run.
        """
        presets = self._lab.presets()
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

        def waited() -> dict[str, Any]:
            with suppress(TimeoutError):  # the answer says that it still goes on
                self._lab.wait_run(run_id, timeout_s)
            return run_details(self._lab, run_id, FIRST_ITEMS)

        return await to_thread.run_sync(waited)

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


# what is answered


def filter_of(kind: str, values: dict[str, Any] | None) -> DatasetFilter:
    """The filter of a request."""
    return DatasetFilter.from_dict({**(values or {}), "kind": kind})


def dataset_json(row: DatasetRow) -> dict[str, Any]:
    """A dataset's row."""
    return {**asdict(row), "filter": row.filter.to_dict() if row.filter else None}


def item_json(item: DatasetItem) -> dict[str, Any]:
    """A dataset's item without places on this disk."""
    values = asdict(item)
    del values["file"], values["rejected_file"]
    return values


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


def offered(path: Path) -> gr.FileData:
    """A file that was made for one download, moved to where clients may fetch it."""
    if not path.is_file():
        raise StudioError(f"{path.name} could not be written; look at the disk's free space.")
    folder = Path(tempfile.mkdtemp(dir=export_folder()))
    return gr.FileData(path=str(shutil.copy2(path, folder / path.name)))
