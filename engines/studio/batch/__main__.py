"""Make a batch without the page: ``python -m engines.studio.batch TABLE --engine piper --output out.zip``.

The same command again goes on with a batch that was stopped or broke off.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.base import StudioError
from engines.studio import logs
from engines.studio.batch.batches import Batches, Place
from engines.studio.batch.problems import BatchProblems
from engines.studio.batch.templates import TableFormat
from engines.studio.facade import Studio
from engines.studio.runner import ENDED
from engines.studio.settings import Settings
from storage import Format, JobRow, StorageError

MADE, SOME_FAILED, REFUSED, IN_USE, STOPPED = 0, 1, 2, 3, 130
API_HINT = (
    "A studio that runs takes batches through its API: see /check_batch and /start_batch in "
    "docs/api.md. Or stop it first."
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "python -m engines.studio.batch", description=__doc__.split("\n")[0]
    )
    made.add_argument("input", nargs="*", type=Path, help="table, sounds, zip or folder of sounds")
    made.add_argument("--engine", required=True, help="id of the engine, such as piper")
    made.add_argument("--data", type=Path, default=Path("data"), help="data folder")
    made.add_argument("--output", type=Path, help="the zip to write")
    made.add_argument("--format", choices=list(Format), default=Format.FLAC, help="of the sounds")
    made.add_argument("--executor", choices=list(Place), default=Place.LOCAL, help="where to run")
    made.add_argument("--workers", type=int, default=0, help="processes on the cluster; 0: all")
    made.add_argument(
        "--set", action="append", default=[], metavar="COLUMN=VALUE", help="value for empty cells"
    )
    made.add_argument("--into", default="", help="parameter that sounds without a table go into")
    made.add_argument("--new", action="store_true", help="do not go on with an earlier batch")
    made.add_argument("--check", action="store_true", help="check the table, and make nothing")
    made.add_argument(
        "--template", choices=list(TableFormat), help="write a table to start from to --output"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 1 where rows failed, 2 where the input is wrong, 3 where the
    data folder is in use, 130 when stopped."""
    given = parser().parse_args(arguments)
    logs.configure("text", "WARNING")
    try:
        studio = Studio(Settings(_cli_parse_args=[], data=given.data))
    except StorageError as error:
        print(f"{error}\n{API_HINT}", file=sys.stderr)
        return IN_USE
    with studio:
        try:
            return _run(studio, given)
        except BatchProblems as error:
            print(f"The table is wrong; nothing was started.\n{error}", file=sys.stderr)
        except (StudioError, StorageError) as error:
            print(error, file=sys.stderr)
        return REFUSED


def _run(studio: Studio, given: argparse.Namespace) -> int:
    batches = studio.batches
    if given.template:
        content = batches.template(given.engine, given.template)
        if given.output:
            given.output.write_bytes(content)
        else:
            print(content.decode("utf-8-sig"), end="")
        return MADE
    if not given.input:
        raise StudioError("Name a table, sounds, a zip or a folder; or use --template csv.")
    common = dict(_pair(entry) for entry in given.set)
    earlier = "" if given.new else batches.unfinished(given.engine, given.input, common)
    batch_id = earlier or batches.check(given.engine, given.input, "", common, given.into).id
    batch = studio.store.batches.get(batch_id)
    print(f"{batch.name}: {batch.total:,} rows, {batch.open:,} to make", file=sys.stderr)
    if given.check:
        if not earlier:
            batches.delete(batch_id)
        return MADE
    job = batches.start(batch_id, given.executor, given.workers)
    return _followed(studio, batches, batch_id, job, given)


def _followed(
    studio: Studio, batches: Batches, batch_id: str, job: JobRow, given: argparse.Namespace
) -> int:
    try:
        note = ""
        for update in studio.follow(job.id):
            if update.note != note and sys.stderr.isatty():
                print(f"\r\x1b[K{update.note}", end="", file=sys.stderr, flush=True)
            note = update.note
    except KeyboardInterrupt:
        batches.stop(batch_id)
        with contextlib.suppress(TimeoutError):
            studio.wait(job.id, 30)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    ended, batch = studio.job(job.id), studio.store.batches.get(batch_id)
    print(
        f"{batch.done:,} made, {batch.reused:,} reused, {batch.failed:,} failed, "
        f"{batch.open:,} to do",
        file=sys.stderr,
    )
    if ended.state not in ENDED or batch.open:
        print(f"{ended.error} The same command goes on.".strip(), file=sys.stderr)
        return STOPPED
    if given.output:
        batches.save_zip(batch_id, given.output, given.format)
    for item in batches.rows(batch_id, "failed", limit=20):
        print(f"row {item.number}, {item.name}: {item.error}", file=sys.stderr)
    return SOME_FAILED if batch.failed else MADE


def _pair(entry: str) -> tuple[str, str]:
    column, equals, value = entry.partition("=")
    if not equals:
        raise StudioError(f"--set takes COLUMN=VALUE, not {entry!r}.")
    return column.strip(), value


if __name__ == "__main__":
    sys.exit(main())
