"""Sounds with captions from elsewhere, as clips and a dataset: all that is good, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engines.audio import measure
from engines.base import StudioError, Task
from engines.studio.settings import VERSION
from storage import (
    DatasetKind,
    DiskFull,
    Embedded,
    NewItem,
    NotFound,
    Split,
    StorageError,
    read_tags,
)
from training.bases import file_hash
from training.folders import CARD, METADATA, SOUNDS, Entry, Problem, read
from training.lab.archives import scratch, unpack

if TYPE_CHECKING:
    from storage import ClipRow, DatasetRow, Store

ENGINE = "import"
CAPTION_SUFFIXES = {".txt", ".jsonl", ".csv", ".json"}
MAX_LISTED = 5
TITLE_CHARS = 60


@dataclass(frozen=True)
class Imported:
    """What came of an import: ``clips`` were added (those here already are used again), ``skipped``
    rows and files were left out, each with the reason."""

    dataset: DatasetRow
    clips: int
    skipped: tuple[Problem, ...]


@dataclass
class _Import:
    """The state of one import: clips by sound and caption, and the ids of those that are new."""

    store: Store
    known: dict[tuple[str, str], ClipRow] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)

    def clip(self, file: Path, stated_hash: str, prompt: str) -> ClipRow:
        """The clip of a sound with this caption, added if it is not here.

        Raises ``StorageError`` for what is no sound, with nothing added.
        """
        content = file_hash(file) if file.is_file() else stated_hash
        if not content:
            raise NotFound("there is no such file")
        found = self.known.get((content, prompt)) or self._here(content, prompt)
        if found is None and not file.is_file():
            raise NotFound("there is no such file, and no clip here has this sound and caption")
        if found is None:
            found = self._add(file, prompt)
        self.known[content, prompt] = found
        return found

    def _here(self, content: str, prompt: str) -> ClipRow | None:
        clip = self.store.clips.find_by_hash(content)
        return clip if clip is not None and clip.text == prompt else None

    def _add(self, file: Path, prompt: str) -> ClipRow:
        samples, sample_rate = self.store.files.decode(file)
        short = prompt if len(prompt) <= TITLE_CHARS else prompt[: TITLE_CHARS - 1] + "…"
        fresh = Embedded(engine=ENGINE, title=short, app_version=VERSION)
        tags = read_tags(file) or fresh  # of our own making: kept, so that the file stays the same
        levels = measure(samples, sample_rate)
        parents = [clip.id for clip in map(self.store.clips.find_by_hash, tags.parents) if clip]
        clip = self.store.clips.add(
            samples,
            sample_rate,
            engine=tags.engine,
            task=Task.MUSIC,
            text=prompt,
            title=tags.title,
            settings=tags.settings,
            seed=tags.seed,
            revision=tags.revision,
            adapter=tags.adapter,
            adapter_scale=tags.adapter_scale,
            parents=parents,
            peak_db=levels.peak_db,
            loudness_lufs=levels.loudness_lufs,
            app_version=tags.app_version,
        )
        self.added.append(clip.id)
        return clip

    def undo(self) -> None:
        """Remove the clips of an import that failed."""
        if self.added:
            self.store.clips.purge(self.store.clips.delete(self.added))


def import_folder(
    store: Store,
    written: Callable[[DatasetRow], DatasetRow],
    path: Path,
    name: str,
    validation_share: float,
    seed: int,
) -> Imported:
    """See ``Lab.import_folder``. ``written`` writes the folder of the new dataset."""
    if path.is_file() and path.suffix.lower() == ".zip":
        with scratch(store.folder("work")) as folder:
            unpack(path, folder, _wanted)
            return import_folder(store, written, folder, name, validation_share, seed)
    entries, problems = read(path)
    if not (path / CARD).is_file() and {entry.split for entry in entries} == {Split.TRAIN}:
        entries = [replace(entry, split="") for entry in entries]  # no validation: ours to choose
    work = _Import(store)
    try:
        items = [item for entry in entries if (item := _item(work, entry, problems))]
        if not items:
            raise StudioError(f"Nothing here can be used. {listed(problems)}", "path")
        kind = DatasetKind.PREFERENCE if items[0].rejected_id else DatasetKind.SUPERVISED
        notes = f"Left out: {listed(problems)}" if problems else ""
        row = store.datasets.add_items(name, kind, items, validation_share, seed, notes)
        row = written(row)
    except BaseException:
        work.undo()
        raise
    return Imported(row, len(work.added), tuple(problems))


def _item(work: _Import, entry: Entry, problems: list[Problem]) -> NewItem | None:
    """The item of a row with its clips; None, and a problem more, when a sound cannot be used."""
    clips = []
    for file, stated in zip(entry.files, entry.hashes, strict=True):
        try:
            clips.append(work.clip(file, stated, entry.prompt))
        except DiskFull:
            raise
        except StorageError as error:
            problems.append(Problem(entry.where, f"{file.name}: {error}"))
            return None
    chosen, *rejected = clips
    return NewItem(
        clip_id=chosen.id,
        rejected_id=rejected[0].id if rejected else "",
        rating=entry.rating,
        raters=entry.raters,
        strength=entry.strength or 1.0 if rejected else None,
        split=entry.split,
    )


def _wanted(name: str) -> bool:
    """Whether a file of a zip is one that an import reads."""
    path = Path(name)
    return path.suffix.lower() in SOUNDS | CAPTION_SUFFIXES or path.name in METADATA


def listed(problems: list[Problem]) -> str:
    """The first problems in a sentence."""
    first = "; ".join(map(str, problems[:MAX_LISTED]))
    more = len(problems) - MAX_LISTED
    return f"{first}; and {more} more." if more > 0 else f"{first}."
