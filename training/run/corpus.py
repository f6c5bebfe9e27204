"""What a run learns from: the items of a dataset folder, read and checked before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import StudioError
from training import folders
from training.config import Method

SHOWN_PROBLEMS = 5
FEWEST_ITEMS = 2


@dataclass(frozen=True)
class Item:
    """A prompt and its sound, or the preferred and the other one. ``rating`` is None where none was
    given, ``strength`` how clear the preference was (1 to 3)."""

    prompt: str
    files: tuple[Path, ...]
    rating: float | None = None
    strength: float = 1.0

    @property
    def name(self) -> str:
        """The item in words, for messages."""
        return f"{' over '.join(path.name for path in self.files)} ({self.prompt!r})"


@dataclass(frozen=True)
class Corpus:
    """The two splits. ``validation`` may be empty."""

    train: tuple[Item, ...]
    validation: tuple[Item, ...]
    content_hash: str = ""

    @property
    def items(self) -> tuple[Item, ...]:
        """Both splits."""
        return self.train + self.validation


def read(folder: Path, method: Method) -> Corpus:
    """The items of a dataset folder (see ``training.folders``).

    Raises ``StudioError`` for a folder with nothing in it, fewer than two items, items that cannot
    be used, the wrong kind for ``method``, or no item to train on.
    """
    if not folder.is_dir():
        raise StudioError(f"The dataset folder {folder} is not here.", "dataset")
    tables = [path for name in folders.METADATA for path in folder.rglob(name)]
    if tables and not any(path.stat().st_size for path in tables):
        raise StudioError(
            f"The dataset {folder.name} is empty. Rate or compare clips first.", "dataset"
        )
    entries, problems = folders.read(folder)
    wrong = [f"{problem.where}: {problem.reason}" for problem in problems]
    wrong += [
        f"{entry.where}: {path.name} is missing"
        for entry in entries
        for path in entry.files
        if not path.is_file()
    ]
    if wrong:
        raise StudioError(_listed(folder, wrong), "dataset")
    _check(folder, entries, method)
    split: dict[bool, list[Item]] = {False: [], True: []}
    for entry in entries:
        item = Item(entry.prompt, entry.files, entry.rating, entry.strength or 1.0)
        split[entry.split == folders.VALIDATION].append(item)
    if not split[False]:
        raise StudioError(
            f"{folder.name} has a validation split and nothing to train on.", "dataset"
        )
    return Corpus(tuple(split[False]), tuple(split[True]), _content_hash(folder))


def _check(folder: Path, entries: list[folders.Entry], method: Method) -> None:
    """Enough items, of the kind that the method learns from."""
    if not entries:
        raise StudioError(
            f"The dataset {folder.name} is empty. Rate or compare clips first.", "dataset"
        )
    if len(entries) < FEWEST_ITEMS:
        raise StudioError(
            f"The dataset {folder.name} has one item; training needs at least two. Rate more clips "
            "or loosen the filter.",
            "dataset",
        )
    pairs = len(entries[0].files) == 2
    if pairs != (method is not Method.SFT):
        kind, wanted = ("preference", "dpo or rank") if pairs else ("supervised", "sft")
        raise StudioError(
            f"{folder.name} is a {kind} dataset; method {method} cannot learn from it. Choose "
            f"{wanted}, or another dataset.",
            "method",
        )


def _listed(folder: Path, wrong: list[str]) -> str:
    shown = "\n".join(f"  {line}" for line in wrong[:SHOWN_PROBLEMS])
    more = f"\n  and {len(wrong) - SHOWN_PROBLEMS} more" if len(wrong) > SHOWN_PROBLEMS else ""
    return f"{len(wrong)} of the rows of {folder.name} cannot be used; mend or remove them:\n{shown}{more}"


def _content_hash(folder: Path) -> str:
    """What the dataset's card says it holds, or "" where it has none."""
    card = folder / folders.CARD
    if not card.is_file():
        return ""
    try:
        values: Any = json.loads(card.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise StudioError(f"{card} is damaged: {error}.", "dataset") from error
    return str(values.get("content_hash", "")) if isinstance(values, Mapping) else ""


def weights(items: Sequence[Item], power: float) -> list[float]:
    """Weights of items: rating (1 to 5) to ``power``, scaled to a mean of 1.

    Items without a rating weigh as the mean of those with one.
    """
    rated = {
        item: min(max(item.rating, 1.0), 5.0) ** power for item in items if item.rating is not None
    }
    usual = sum(rated.values()) / len(rated) if rated else 1.0
    raw = [rated.get(item, usual) for item in items]
    return [value * len(raw) / sum(raw) for value in raw]
