"""Checkpoints as Amphion's trainers leave them, for tests, and the samples of stored clips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def save_checkpoint(folder: Path, network: Any, args: Mapping[str, Any], step: int = 10) -> Path:
    """A folder with ``args.json`` and ``checkpoint/epoch-…/pytorch_model.bin``."""
    import torch

    place = folder / "checkpoint" / f"epoch-0001_step-{step:07d}_loss-1.000000"
    place.mkdir(parents=True)
    (folder / "args.json").write_text(json.dumps(args), encoding="utf-8")
    torch.save(dict(network.state_dict()), place / "pytorch_model.bin")
    return folder


def samples(studio: Any, clip: Any) -> np.ndarray:
    """The samples ``(C, T)`` of a stored clip."""
    return studio.store.files.decode(clip.path)[0]
