"""Projects: exports and imports of the store as jobs, and the files they make and read.

A project file that was sent waits in ``work/arrivals`` until it is imported or thrown away; those
made here, or put there by hand, lie in ``projects`` of the data folder.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines.base import Report, StudioError
from engines.studio.jobs import JobContext
from engines.studio.runner import ENDED, Errand, Runner
from engines.studio.settings import VERSION
from storage import ClipQuery, JobRow, JobState, NotFound, Store
from storage.base.errors import translated
from storage.base.ids import new_id
from storage.project.exporting import PART_PREFIX, Contents, Selection, export, measure
from storage.project.format import Manifest
from storage.project.importing import dry_run, look, take_in
from storage.project.merge import Merged, all_tables
from storage.project.tables import BY_NAME

log = logging.getLogger(__name__)

EXPORT, CHECK, IMPORT = "export-project", "check-project", "import-project"
KINDS = (EXPORT, CHECK, IMPORT)
LANE = "archive"
KEEP_ARRIVALS_S = 86_400.0
FILE = re.compile(r"[\w.-]{1,120}\.zip")
RECENT = 200
QUERY = ("text", "tag", "engine", "favorite")  # what a selection may say of clips


@dataclass(frozen=True)
class ProjectFile:
    """A project file in the data folder; ``made_at`` is ISO 8601 in UTC."""

    name: str
    path: Path
    bytes: int
    made_at: str


class Projects:
    """Exporting and importing, as jobs that the runner does one after the other."""

    def __init__(self, store: Store, runner: Runner):
        self._store = store
        self._runner = runner
        self.folder = store.data_dir / "projects"
        self._arrivals = store.folder("work") / "arrivals"
        for folder in (self.folder, self._arrivals):
            with translated(folder):
                folder.mkdir(parents=True, exist_ok=True)
        runner.adopt(EXPORT, Errand(LANE, self._export))
        runner.adopt(CHECK, Errand(LANE, self._check))
        runner.adopt(IMPORT, Errand(LANE, self._import))
        self._tidy()

    # exporting

    def measure(self, chosen: Mapping[str, Any] | None = None) -> Contents:
        """How much a selection (see ``selection``) is now; None is everything."""
        return measure(self._store, selection(chosen or {}))

    def export(
        self, chosen: Mapping[str, Any] | None = None, name: str = "", owner: str = ""
    ) -> JobRow:
        """Queue an export to a file ``<name>.zip``, by default named after the time.

        Raises ``StudioError`` for an empty selection, an unknown name in it, and a bad file name.
        """
        wanted = dict(chosen or {})
        if not any(self.measure(wanted).rows.values()):
            raise StudioError("Nothing is chosen, or nothing is here yet; choose something first.")
        stem = name.removesuffix(".zip").strip() or f"project-{datetime.now():%Y-%m-%d-%H%M%S}"
        file = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', stem).strip('.-')[:100]}.zip"
        if not FILE.fullmatch(file):
            raise StudioError(f"{name!r} is no name for a file; use letters and digits.", "name")
        if (self.folder / file).exists():
            raise StudioError(
                f"There is a project file {file} already; choose another name.", "name"
            )
        return self._runner.submit(EXPORT, "", {"file": file, "chosen": wanted}, owner)

    def files(self) -> list[ProjectFile]:
        """The project files of the data folder, newest first."""
        found = []
        for path in self.folder.glob("*.zip"):
            if FILE.fullmatch(path.name) and not path.name.startswith(PART_PREFIX):
                facts = path.stat()
                made = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(
                    timespec="milliseconds"
                )
                found.append(ProjectFile(path.name, path, facts.st_size, made))
        return sorted(found, key=lambda file: file.made_at, reverse=True)

    def file(self, name: str) -> ProjectFile:
        """One of them by its name; raises ``NotFound``."""
        for file in self.files():
            if file.name == name:
                return file
        raise NotFound(f"There is no project file {name!r}; it may have been deleted.")

    def delete(self, name: str) -> None:
        """Remove a project file for good."""
        with translated(self.folder):
            self.file(name).path.unlink()

    # importing

    def check(self, path: Path, name: str = "", owner: str = "") -> JobRow:
        """Queue the check of a project file: what an import would bring, and what stands against it.

        The file is kept until it is imported or discarded. Raises ``StorageError`` at once for
        what is no project file.
        """
        look(path)
        arrival = self._arrivals / f"{new_id()}.zip"
        with translated(arrival):
            try:
                os.link(path, arrival)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path, arrival)
        settings = {"file": arrival.name, "name": name or path.name}
        return self._runner.submit(CHECK, "", settings, owner)

    def confirm(self, job_id: str) -> JobRow:
        """Queue the import of the file that a check found good.

        Raises ``StudioError`` while the check goes on, and when it failed.
        """
        job = self._runner.store.jobs.get(job_id)
        if job.kind != CHECK or job.state is not JobState.DONE:
            raise StudioError("Only a project file that was checked and found good is imported.")
        if not self.waits(job):
            raise StudioError("This file was imported or thrown away already; send it again.")
        return self._runner.submit(IMPORT, "", job.settings, job.owner)

    def discard(self, job_id: str) -> None:
        """Throw away a project file that was sent, once its job has ended."""
        job = self._runner.store.jobs.get(job_id)
        if job.kind not in (CHECK, IMPORT) or job.state not in ENDED:
            raise StudioError("Cancel the job first; its file is in use.")
        (self._arrivals / self._arrival_name(job)).unlink(missing_ok=True)

    def waits(self, job: JobRow) -> bool:
        """Whether the file that a check or import is about is still there."""
        return (self._arrivals / self._arrival_name(job)).is_file()

    def latest(self, *kinds: str) -> JobRow | None:
        """The newest job of these kinds, among recent ones."""
        recent = self._store.jobs.list(limit=RECENT)
        return next((job for job in recent if job.kind in kinds), None)

    # jobs

    def _export(self, job: JobRow, context: JobContext) -> Report:
        wanted = selection(job.settings["chosen"])
        counter = _counter(context, measure(self._store, wanted).bytes, "Writing")
        name = str(job.settings["file"])
        if not FILE.fullmatch(name) or (self.folder / name).exists():
            raise StudioError(f"{name} cannot be written, or is there already; export again.")
        made = export(self._store, wanted, self.folder / name, VERSION, counter)
        values: dict[str, Any] = {"file": name, "bytes": made.bytes}
        values |= {BY_NAME[n].title: c for n, c in made.rows.items() if c and BY_NAME[n].title}
        if made.left_out:
            values["left out"] = "; ".join(made.left_out[:20])
        return Report(values, [{"left_out": what} for what in made.left_out])

    def _check(self, job: JobRow, context: JobContext) -> Report:
        path = self._arrival(job)
        total = sum(member.bytes for member in look(path).members.values())
        return _report(job, *dry_run(self._store, path, _counter(context, total, "Checking")))

    def _import(self, job: JobRow, context: JobContext) -> Report:
        path = self._arrival(job)
        total = sum(member.bytes for member in look(path).members.values())
        report = _report(job, *take_in(self._store, path, _counter(context, total, "Importing")))
        path.unlink(missing_ok=True)
        return report

    def _arrival(self, job: JobRow) -> Path:
        path = self._arrivals / self._arrival_name(job)
        if not path.is_file():
            raise StudioError("The project file is not here any more; send it again.")
        return path

    @staticmethod
    def _arrival_name(job: JobRow) -> str:
        name = str(job.settings.get("file", ""))
        if not FILE.fullmatch(name):
            raise StudioError(f"{name!r} is not the name of a project file.")
        return name

    def _tidy(self) -> None:
        """Remove what a crash left half-written, and files that were sent and forgotten."""
        oldest = time.time() - KEEP_ARRIVALS_S
        forgotten = [path for path in self._arrivals.iterdir() if path.stat().st_ctime < oldest]
        for path in [*self.folder.glob(f"{PART_PREFIX}*"), *forgotten]:
            path.unlink(missing_ok=True)


def selection(chosen: Mapping[str, Any]) -> Selection:
    """A selection from its JSON: ``clips`` (true, false or words, tag, engine and favorite to search
    by), ``datasets`` and ``adapters`` (true, false or ids), ``tests``, ``prompts``, ``runs``.

    What is not named is included. Raises ``StudioError`` for other names and values.
    """
    known = ("clips", "datasets", "adapters", "tests", "prompts", "runs")
    for name in chosen:
        if name not in known:
            raise StudioError(f"{name!r} cannot be chosen; there are {', '.join(known)}.", name)
    return Selection(
        _clips(chosen.get("clips", True)),
        _ids(chosen, "datasets"),
        _ids(chosen, "adapters"),
        tests=_switch(chosen, "tests"),
        prompts=_switch(chosen, "prompts"),
        runs=_switch(chosen, "runs"),
    )


def _clips(wanted: Any) -> ClipQuery | None:
    if isinstance(wanted, bool):
        return ClipQuery() if wanted else None
    if not isinstance(wanted, Mapping) or set(wanted) - set(QUERY):
        raise StudioError(f"Clips are chosen by {', '.join(QUERY)}, not by {wanted!r}.", "clips")
    text, tag, engine = (str(wanted.get(name) or "") for name in QUERY[:3])
    favorite = True if wanted.get("favorite") else None
    return ClipQuery(text=text, tag=tag, engine=engine, favorite=favorite)


def _switch(chosen: Mapping[str, Any], name: str) -> bool:
    wanted = chosen.get(name, True)
    if not isinstance(wanted, bool):
        raise StudioError(f"{name} is true or false, not {wanted!r}.", name)
    return wanted


def _ids(chosen: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    wanted = chosen.get(name, True)
    if isinstance(wanted, bool):
        return None if wanted else ()
    if not isinstance(wanted, list | tuple) or not all(isinstance(id, str) for id in wanted):
        raise StudioError(f"{name} is true, false or a list of ids, not {wanted!r}.", name)
    return tuple(wanted)


def _counter(context: JobContext, total: int, note: str) -> Callable[[int], None]:
    """A step that reports bytes as progress and stops when the job is cancelled."""
    done = 0

    def step(count: int) -> None:
        nonlocal done
        context.check()
        done += count
        megabytes = f"{note}, {done / 1e6:,.0f} of {max(total, done) / 1e6:,.0f} MB"
        context.progress(0.99 * done, max(total, done), megabytes)

    return step


def _report(job: JobRow, manifest: Manifest, merged: Merged) -> Report:
    tallies = all_tables(merged)
    values = {
        "file": job.settings["name"],
        "made at": manifest.created_at,
        "made by version": manifest.app_version,
        "new": sum(tally.new for tally in tallies.values()),
        "here already": sum(tally.here for tally in tallies.values()),
        "conflicts": sum(tally.conflicts for tally in tallies.values()),
    }
    rows: list[dict[str, Any]] = [
        {"what": BY_NAME[name].title, **asdict(tally)} for name, tally in tallies.items()
    ]
    rows += [
        {"conflict": BY_NAME[c.table].title, "name": c.name, "fields": list(c.fields)}
        for c in merged.conflicts
    ]
    return Report(values, rows)
