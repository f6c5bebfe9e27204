"""What must be right before a run is queued, so that it does not fail minutes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.base import StudioError
from storage import DatasetKind, DatasetRow, Split
from storage.base.errors import free_bytes
from training.bases import Base, find_base
from training.config import Method, RunConfig

if TYPE_CHECKING:
    from engines.studio import Studio

MIN_ITEMS = 2
ROOM_BYTES = 300 * 10**6  # logs, samples and the cache of a small dataset
ROOM_PER_RANK = 12 * 10**6  # a checkpoint's weights and optimizer state, of the largest base
NEEDED_KIND = {
    Method.SFT: DatasetKind.SUPERVISED,
    Method.DPO: DatasetKind.PREFERENCE,
    Method.RANK: DatasetKind.PREFERENCE,
}


def check_run(studio: Studio, config: RunConfig) -> tuple[Base, DatasetRow]:
    """The base and dataset of a run. Raises ``StudioError`` naming the field that is at fault."""
    base = find_base(studio, config.base)
    dataset = _dataset(studio, config)
    room = ROOM_BYTES + config.keep_last * config.lora_r * ROOM_PER_RANK
    free = free_bytes(studio.store.folder("runs"))
    if free < room:
        raise StudioError(
            f"Training needs about {room / 1e6:,.0f} MB for its checkpoints and the disk has "
            f"{free / 1e6:,.0f} MB free. Free some space, or keep fewer checkpoints."
        )
    return base, dataset


def _dataset(studio: Studio, config: RunConfig) -> DatasetRow:
    if not config.dataset:
        raise StudioError("Choose a dataset to learn from.", "dataset")
    row = studio.store.datasets.get(config.dataset)
    if row.items < MIN_ITEMS:
        raise StudioError(
            f"The dataset {row.name!r} has {row.items} item; at least {MIN_ITEMS} are needed. Judge "
            "more clips and make another one.",
            "dataset",
        )
    kind = NEEDED_KIND[config.method]
    if row.kind is not kind:
        raise StudioError(
            f"The method {config.method} learns from a {kind} dataset, and {row.name!r} is a "
            f"{row.kind} one. Choose another method or dataset.",
            "method",
        )
    if not studio.store.datasets.items(row.id, Split.TRAIN):
        raise StudioError(
            f"All items of {row.name!r} are kept for validation; nothing is left to learn from.",
            "dataset",
        )
    return row
