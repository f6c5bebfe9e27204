"""Reads a table of settings: CSV, JSON (a list of objects) or JSON Lines.

A cell is told by the row that the person's own program shows: in CSV the head is row 1, in JSON Lines
a row is a line, in JSON the number of the object.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import StudioError
from engines.studio.batch.problems import BatchProblems, Complaints, Problem
from storage.base.csv_tables import plain

MAX_ROWS = 100_000
MAX_CELL = 2**20
DELIMITERS = ",;\t"
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
EXCEL_HINT = "sep="


@dataclass(frozen=True)
class Record:
    """One row: its number in the file and its cells that are not empty, by column."""

    number: int
    cells: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """All rows of a file. ``columns`` are those of the head, or all that occur; cells are text in CSV
    and any value in JSON; ``decimal`` is the mark in the numbers of a text, and ``head`` the row that
    names the columns, where there is one."""

    columns: tuple[str, ...]
    records: tuple[Record, ...]
    decimal: str = "."
    head: tuple[int, ...] = ()


def read(path: Path) -> Table:
    """The table in a file, by its name's ending.

    Raises ``BatchProblems`` for what is wrong with its form, ``StudioError`` for other files.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise StudioError(
            f"{path.name} is no table; expected a CSV, JSON or JSON Lines file "
            f"({', '.join(TABLES)}). Save a spreadsheet as “CSV UTF-8”."
        )
    text = _text(path)
    if suffix == ".json":
        table = _json(text, path.name)
    elif suffix in (".jsonl", ".ndjson"):
        table = _json_lines(text)
    else:
        table = _csv(text)
    if not table.records:
        raise BatchProblems([Problem(f"{path.name} has no rows to make, only a head or nothing.")])
    if len(table.records) > MAX_ROWS:
        raise BatchProblems(
            [
                Problem(
                    f"{path.name} has {len(table.records):,} rows; at most {MAX_ROWS:,} are taken. "
                    "Split it."
                )
            ]
        )
    return table


def _text(path: Path) -> str:
    """The file as text; Excel's byte order marks are understood."""
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        message = (
            f"{path.name} is not in UTF-8, so its letters cannot be told. In a spreadsheet choose "
            "“CSV UTF-8” when saving."
        )
        raise BatchProblems([Problem(message, "", (row,))]) from None


# CSV


def _csv(text: str) -> Table:
    delimiter = _delimiter(text)
    if text[: len(EXCEL_HINT)].lower() == EXCEL_HINT:
        text = text.partition("\n")[2]
    lines = _parsed(text, delimiter)
    head = next(lines, (1, []))[1]
    columns = tuple(plain(cell.strip()) for cell in head)
    _check_head(columns)
    complaints, records = Complaints(), []
    for number, cells in lines:
        if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
            complaints.add(
                f"there are {len(cells)} cells under {len(columns)} columns; put quotes around "
                f"text that holds a {_named(delimiter)}.",
                "",
                number,
            )
        cells = [plain(cell) for cell in cells]
        given = {name: cell for name, cell in zip(columns, cells, strict=False) if cell.strip()}
        if given:
            records.append(Record(number, given))
    complaints.require_none()
    return Table(columns, tuple(records), "," if delimiter == ";" else ".", (1,))


def _parsed(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with their numbers as a spreadsheet counts them, empty ones too."""
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            message = f"the quotes do not match, or a cell is too long ({error})."
            raise BatchProblems([Problem(message, "", (number,))]) from None
        yield number, cells


def _delimiter(text: str) -> str:
    """What parts the cells: told by ``sep=``, else what the head has most of outside quotes."""
    first = text.partition("\n")[0].rstrip("\r")
    if first[: len(EXCEL_HINT)].lower() == EXCEL_HINT and len(first) == len(EXCEL_HINT) + 1:
        return first[-1]
    outside = "".join(first.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _named(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}.get(delimiter, repr(delimiter))


def _check_head(columns: tuple[str, ...]) -> None:
    complaints = Complaints()
    if not any(columns):
        complaints.add("the head is missing; the first row names the columns.", "", 1)
    for place, name in enumerate(columns, 1):
        if not name and any(columns):
            complaints.add(f"column {place} has no name.", "", 1)
        if name and name in columns[: place - 1]:
            complaints.add("stands in the head more than once.", name, 1)
    complaints.require_none()


# JSON


def _json(text: str, name: str) -> Table:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        row = getattr(error, "lineno", 1)
        raise BatchProblems([Problem(f"is not JSON: {error}.", "", (row,))]) from None
    if not isinstance(content, list):
        message = f"{name} must hold a list of objects: [{{…}}, {{…}}]."
        raise BatchProblems([Problem(message)])
    return _objects(enumerate(content, 1), Complaints())


def _json_lines(text: str) -> Table:
    complaints, found = Complaints(), []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append((number, json.loads(line)))
        except (ValueError, RecursionError) as error:
            complaints.add(f"is not JSON: {error}.", "", number)
    return _objects(iter(found), complaints)


def _objects(found: Iterator[tuple[int, Any]], complaints: Complaints) -> Table:
    columns: dict[str, None] = {}
    records = []
    for number, item in found:
        if not isinstance(item, dict):
            complaints.add("is no object; write {…} with the columns as names.", "", number)
            continue
        columns |= dict.fromkeys(item)
        records.append(Record(number, {k: v for k, v in item.items() if v not in (None, "")}))
    complaints.require_none()
    return Table(tuple(columns), tuple(records))
