"""Endpoints for datasets; see ``api_training.py`` and ``api_adapters.py`` for what they lead to."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import gradio as gr
from pydantic import Field

from engines.base import StudioError
from engines.studio import Studio
from storage.learning.dataset_filter import DatasetFilter
from storage.learning.datasets import DatasetItem, DatasetRow
from tabs.http.threads import heavy
from tabs.http.uploads import export_folder, uploaded
from tabs.learn.steps import lab_of

Kind = Literal["supervised", "preference"]
Share = Annotated[float, Field(ge=0, lt=1)]
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
                min_strength, favorites, max_duration_s, and score_min and score_max (measures with
                a number each, such as {"wer": 10}).

        Returns:
            Items, clips, prompts, seconds, and warnings about the quality in plain sentences.
        """
        wanted = filter_of(kind, filter)
        return {
            **asdict(self._lab.count(wanted)),
            "warnings": list(self._lab.quality(wanted).warnings),
        }

    @heavy
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

    @heavy
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

    @heavy
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


def offered(path: Path) -> gr.FileData:
    """A file that was made for one download, moved to where clients may fetch it."""
    if not path.is_file():
        raise StudioError(f"{path.name} could not be written; look at the disk's free space.")
    folder = Path(tempfile.mkdtemp(dir=export_folder()))
    return gr.FileData(path=str(shutil.copy2(path, folder / path.name)))
