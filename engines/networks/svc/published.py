"""Finds the files of a singing voice conversion: ``args.json``, ``singers.json``, the last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from engines.networks.weights import WeightsError, newest_checkpoint, read_config, read_weights

BESIDE = ("model.safetensors", "pytorch_model.bin")


def read_published(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration ``args.json`` of ``folder`` and its weights.

    Weights lie beside ``args.json`` as ``model.safetensors`` or ``pytorch_model.bin``, or in the newest
    checkpoint of the folder ``checkpoint``.

    Raises ``WeightsError`` naming what is missing or can't be read.
    """
    config = read_config(folder / "args.json")
    beside = next((folder / name for name in BESIDE if (folder / name).is_file()), None)
    return config, read_weights(beside or newest_checkpoint(folder / "checkpoint"))


def read_singers(folder: Path) -> dict[str, int]:
    """Row of the singer table for each name in ``singers.json``."""
    singers = read_config(folder / "singers.json")
    if not all(isinstance(row, int) for row in singers.values()):
        raise WeightsError("singers.json should map names to rows of the singer table.")
    return singers
