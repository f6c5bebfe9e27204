"""A table to start from, made of an engine's parameters."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from engines.base import Engine
from engines.parameters import Kind, Knob, knobs
from engines.studio.batch.planning import NAME, SEPARATOR
from storage.base.csv_tables import csv_table

EXAMPLES = ("first", "second")
WORDS = (
    "Good morning. This is the first row.",
    "And this is the second one, with a seed of its own.",
)


class TableFormat(StrEnum):
    """Kinds of tables."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


def template(engine: Engine, format: TableFormat | str = TableFormat.CSV) -> bytes:
    """A table of two rows as a file: every default written out, and only what is required.

    It can be sent as it is, except where an engine needs a sound.
    """
    rows = examples(engine)
    match TableFormat(format):
        case TableFormat.JSON:
            return (json.dumps(rows, ensure_ascii=False, indent=2) + "\n").encode()
        case TableFormat.JSONL:
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return "".join(lines).encode()
    table = csv_table(list(rows[0]), ([_cell(v) for v in row.values()] for row in rows), "\r\n")
    return table.encode("utf-8-sig")  # the mark lets Excel read it as UTF-8


def examples(engine: Engine) -> list[dict[str, Any]]:
    """The rows of the template, with typed values; None is an empty cell."""
    full: dict[str, Any] = {NAME: EXAMPLES[0]}
    spare: dict[str, Any] = {NAME: EXAMPLES[1]}
    here = engine.defaults()
    for knob in knobs(engine.Params):
        drawn, default = knob.kind is Kind.SEED, here.get(knob.name, knob.default)
        full[knob.name] = None if drawn else _example(knob, 0) if knob.required else default
        spare[knob.name] = 7 if drawn else _example(knob, 1) if knob.required else None
    return [full, spare]


def _example(knob: Knob, number: int) -> Any:
    if knob.kind is Kind.MEDIA:
        return f"{EXAMPLES[number]}.wav"
    if knob.choices:
        return knob.choices[0]
    if knob.suggestions:
        return knob.suggestions[number % len(knob.suggestions)]
    if knob.kind in (Kind.NUMBER, Kind.INTEGER):
        return knob.minimum if knob.minimum is not None else 1
    return WORDS[number]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return SEPARATOR.join(str(entry) for entry in value)
    return value
