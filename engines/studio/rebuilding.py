"""Bringing clips back from their files, as a job: for a data folder whose database was lost."""

from __future__ import annotations

import logging
from pathlib import Path

from engines.audio import measure
from engines.base import Report, StudioError, Task
from engines.registry import Registry
from engines.studio.jobs import JobContext
from engines.studio.runner import Errand, Runner
from engines.studio.sounds import IMPORTED
from storage import Embedded, JobRow, StorageError, Store
from storage.audio.files import MAX_BYTES
from storage.clips.rebuild import adopt, count_lost, sounds_without_rows, tags_of

log = logging.getLogger(__name__)

REBUILD = "rebuild-clips"
LANE = "archive"


class Rebuilding:
    """``lost`` is how many sounds have no row while there is no clip at all."""

    def __init__(self, store: Store, runner: Runner, registry: Registry):
        self._store = store
        self._runner = runner
        self._registry = registry
        self.lost = count_lost(store.db, store.files)
        runner.adopt(REBUILD, Errand(LANE, self._run))
        if self.lost:
            log.warning(
                "%s holds %s sounds, but %s has no clip: it was lost or replaced. If you have a "
                "backup, stop the studio and put it in its place; otherwise press Rebuild on Home, "
                "or call /rebuild_clips, to bring the clips back from their files.",
                store.files.root, f"{self.lost:,}", store.db.path,
            )  # fmt: skip

    def start(self, owner: str = "") -> JobRow:
        """Queue the job that adds a row for each sound that has none."""
        return self._runner.submit(REBUILD, "", {}, owner)

    def _run(self, job: JobRow, context: JobContext) -> Report:
        paths = sounds_without_rows(self._store.db, self._store.files)
        added = bare = 0
        damaged: list[dict[str, str]] = []
        for number, path in enumerate(paths):
            context.check()
            context.progress(number, len(paths), f"{number:,} of {len(paths):,} sounds")
            try:
                tags = tags_of(path)
                self._add(path, tags or Embedded(engine=IMPORTED, title="Sound without settings"))
            except StorageError as error:
                damaged.append({"file": path.name, "problem": str(error)})
            else:
                added, bare = added + 1, bare + (tags is None)
        self.lost = count_lost(self._store.db, self._store.files)
        values = {
            "sounds without a clip": len(paths),
            "added": added,
            "without settings": bare,
            "damaged": len(damaged),
        }
        return Report(values, damaged)

    def _add(self, path: Path, tags: Embedded) -> None:
        samples, sample_rate = self._store.files.decode(path, float("inf"), MAX_BYTES * 4)
        levels = measure(samples, sample_rate)
        values = {
            "task": self._task(tags.engine),
            "peak_db": levels.peak_db,
            "loudness_lufs": levels.loudness_lufs,
            "duration_s": samples.shape[1] / sample_rate,
            "sample_rate": sample_rate,
            "channels": samples.shape[0],
        }
        adopt(self._store.clips, path, tags, values)

    def _task(self, engine_id: str) -> str:
        """The task of an engine; speech when it is not here, as for sounds that were sent."""
        try:
            return str(self._registry.get(engine_id).card.task)
        except StudioError:
            return str(Task.TTS)
