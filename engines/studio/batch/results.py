"""The results of a batch as a zip that is written while it is read: sounds and a table of them."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines.base import Engine
from engines.parameters import Kind, knobs
from engines.studio.batch.planning import NAME, SEPARATOR, free_name
from storage import BatchItem, BatchRow, ClipRow, Format, NotFound, StorageError, Store
from storage.base.csv_tables import csv_table

TABLE = "results.csv"
FACTS = (
    "file", "state", "error", "clip_id", "duration_s", "loudness_lufs", "peak_db", "sample_rate",
)  # fmt: skip
PAGE = 200
STORED_AT = (1980, 1, 1, 0, 0, 0)  # no time of writing: the same results give the same bytes


class _Pipe(io.RawIOBase):
    """What a zip writes, to be taken away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        """Everything since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(
    store: Store, engine: Engine | None, batch: BatchRow, format: Format | str = Format.FLAC
) -> Iterator[bytes]:
    """The zip of a batch in pieces: a sound for each clip, named after its row, and a table.

    A clip that the format cannot hold is added as the file that it is. Never more than one sound is
    in memory. ``engine`` is None when it is not here any more.
    """
    pipe = _Pipe()
    lines: list[dict[str, Any]] = []
    used: dict[str, int] = {}
    with (
        tempfile.TemporaryDirectory(dir=store.folder("cache")) as folder,
        zipfile.ZipFile(pipe, "w") as archive,
    ):
        for item in _items(store, batch.id):
            for clip, name in _named(store, item):
                if isinstance(clip, str):
                    lines.append(_line(store, engine, item, None, "", clip))
                    continue
                path = _exported(store, clip, Format(format), Path(folder))
                member = f"{free_name(name, used)}{path.suffix}"
                _put(archive, member, path.read_bytes())
                lines.append(_line(store, engine, item, clip, member, item.error))
                yield pipe.take()
        _put(archive, TABLE, _table(engine, lines), zipfile.ZIP_DEFLATED)
    yield pipe.take()


def table(store: Store, engine: Engine | None, batch: BatchRow) -> bytes:
    """The table of the results alone, as CSV."""
    lines = [
        _line(store, engine, item, None, "", clip)
        if isinstance(clip, str)
        else _line(store, engine, item, clip, name, item.error)
        for item in _items(store, batch.id)
        for clip, name in _named(store, item)
    ]
    return _table(engine, lines)


def _items(store: Store, batch_id: str) -> Iterator[BatchItem]:
    after = 0
    while page := store.batches.rows(batch_id, limit=PAGE, after=after):
        yield from page
        after = page[-1].position


def _named(store: Store, item: BatchItem) -> Iterator[tuple[ClipRow | str, str]]:
    """The clips of a row with their names in the zip; words where there is none."""
    found = {clip.id: clip for clip in store.clips.some(item.clip_ids)}
    if not item.clip_ids:
        yield item.error, ""
    for number, clip_id in enumerate(item.clip_ids, 1):
        name = item.name if len(item.clip_ids) == 1 else f"{item.name}-{number}"
        clip = found.get(clip_id)
        if clip is None:
            yield f"The clip {clip_id} was deleted.", name
        elif not clip.path.exists():
            yield f"The sound of clip {clip_id} is gone from the audio folder.", name
        else:
            yield clip, name


def _exported(store: Store, clip: ClipRow, format: Format, folder: Path) -> Path:
    if clip.path.suffix == f".{format}":
        return clip.path
    try:
        return store.files.export(clip.path, format, folder / f"sound.{format}")
    except StorageError:  # beyond full scale, or a rate or channels that the format cannot hold
        return clip.path


def _put(
    archive: zipfile.ZipFile, name: str, content: bytes, method: int = zipfile.ZIP_STORED
) -> None:
    info = zipfile.ZipInfo(name, STORED_AT)
    info.compress_type, info.external_attr = method, 0o644 << 16
    archive.writestr(info, content)


# the table


def _line(
    store: Store,
    engine: Engine | None,
    item: BatchItem,
    clip: ClipRow | None,
    file: str,
    error: str,
) -> dict[str, Any]:
    settings = clip.settings if clip and item.state == "done" else item.settings
    facts: dict[str, Any] = {NAME: item.name, "file": file, "state": item.state, "error": error}
    if clip:
        facts |= {
            "clip_id": clip.id,
            "duration_s": round(clip.duration_s, 3),
            "loudness_lufs": "" if clip.loudness_lufs is None else round(clip.loudness_lufs, 2),
            "peak_db": round(clip.peak_db, 2),
            "sample_rate": clip.sample_rate,
        }
    facts |= _reported(store, item)
    media = {k.name for k in knobs(engine.Params) if k.kind is Kind.MEDIA} if engine else set()
    shown = {
        name: _sound(store, value) if name in media and value else _cell(value)
        for name, value in settings.items()
    }
    return {**{name: value for name, value in shown.items() if name not in facts}, **facts}


def _reported(store: Store, item: BatchItem) -> dict[str, Any]:
    """What the engine of a row said instead of a sound, such as a transcript, by column."""
    if item.clip_ids or not item.job_id:
        return {}
    with suppress(NotFound):  # the job was removed since
        report = store.jobs.get(item.job_id).report or {}
        return {f"result_{name}": _cell(value) for name, value in report.get("values", {}).items()}
    return {}


def _sound(store: Store, path: Any) -> str:
    """A sound among the settings as the id of its clip, or by its file's name."""
    clip = store.clips.find_by_hash(Path(str(path)).stem)
    return clip.id if clip else Path(str(path)).name


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return SEPARATOR.join(str(entry) for entry in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value


def _table(engine: Engine | None, lines: Sequence[dict[str, Any]]) -> bytes:
    known = [knob.name for knob in knobs(engine.Params)] if engine else []
    others = {name: None for line in lines for name in line if name not in (NAME, *FACTS)}
    columns = [NAME, *FACTS, *dict.fromkeys([*known, *others])]
    rows = ([line.get(name, "") for name in columns] for line in lines)
    return csv_table(columns, rows, "\r\n").encode("utf-8-sig")
