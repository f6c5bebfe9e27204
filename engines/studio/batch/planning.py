"""From the cells of a table to rows that can be made: each through the door of a single run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from engines.base import Engine, InvalidParams, StudioError
from engines.parameters import Kind, Knob, knobs
from engines.studio.batch.problems import Complaints
from engines.studio.batch.reading import Record, Table
from engines.studio.batch.sending import Sent
from storage import NewRow, StorageError

NAME = "name"
SEPARATOR = "|"  # between the entries of a list in one cell
MAX_NAME_LENGTH = 120
FORBIDDEN = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
SOUND_ENDING = re.compile(r"\.(wav|flac|mp3|ogg)$", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
NUMBERS = (Kind.NUMBER, Kind.INTEGER)

Resolve = Callable[[Mapping[str, Any]], dict[str, Any]]
FindClip = Callable[[str], Path | None]


@dataclass
class Planner:
    """Makes rows of tables for one engine; ``resolve`` and ``clip`` are the studio's."""

    engine: Engine
    resolve: Resolve
    clip: FindClip

    def __post_init__(self) -> None:
        self.knobs = {knob.name: knob for knob in knobs(self.engine.Params)}

    def rows(self, table: Table, sent: Sent, common: Mapping[str, Any]) -> list[NewRow]:
        """A row for each record, with ``common`` where a cell is empty.

        Raises ``BatchProblems`` with everything that is wrong anywhere.
        """
        self._check_columns(table, common)
        complaints = Complaints()
        names = self._names(table.records, complaints)
        probed: dict[Path, str] = {}
        made = []
        for record, name in zip(table.records, names, strict=True):
            wrong: dict[str, str] = {}
            cells = {**common, **record.cells}
            values = {
                column: self._value(self.knobs[column], cell, table, sent, probed, wrong)
                for column, cell in cells.items()
                if column != NAME
            }
            settings = self._resolved(values, wrong)
            for column, message in wrong.items():
                complaints.add(message, column, record.number)
            made.append(NewRow(record.number, name, settings))
        complaints.require_none()
        return made

    def _resolved(self, values: Mapping[str, Any], wrong: dict[str, str]) -> dict[str, Any]:
        """Complete settings; what is refused goes into ``wrong`` by column."""
        try:
            return self.resolve({k: v for k, v in values.items() if k not in wrong})
        except InvalidParams as error:
            for column, message in error.problems.items():
                wrong.setdefault(column, message)
        except (StudioError, StorageError) as error:
            if not wrong:  # else it may be a consequence of what was left out
                wrong[getattr(error, "field", None) or ""] = str(error)
        return {}

    # the head

    def _check_columns(self, table: Table, common: Mapping[str, Any]) -> None:
        complaints = Complaints()
        known = [NAME, *self.knobs]
        for column in table.columns:
            if column not in known:
                complaints.add(_unknown(column, known, self.engine), column, *table.head)
        for column in common:
            if column not in self.knobs:
                complaints.add(
                    f"stands under “for every row”, but {_unknown(column, known, self.engine)}",
                    column,
                )
        for knob in self.knobs.values():
            if knob.required and knob.name not in {*table.columns, *common}:
                words = f"this column is missing; {self.engine.card.title} needs it."
                complaints.add(words, knob.name, *table.head)
        complaints.require_none()

    # names

    def _names(self, records: Iterable[Record], complaints: Complaints) -> list[str]:
        """File names of the rows: those given, and numbers for the others."""
        given: dict[str, int] = {}
        names = []
        for record in records:
            name = SOUND_ENDING.sub("", str(record.cells.get(NAME, "")).strip())
            wrong = _wrong_name(name)
            if wrong:
                complaints.add(wrong, NAME, record.number)
            earlier = given.setdefault(name.casefold(), record.number) if name else record.number
            if earlier != record.number:
                message = f"{name!r} names two rows; rows {earlier} and {record.number} would be one file."
                complaints.add(message, NAME, record.number)
            names.append(name)
        width = max(4, len(str(len(names))))
        for place, name in enumerate(names):
            if not name:
                names[place] = free_name(f"{place + 1:0{width}}", given)
        return names

    # cells

    def _value(
        self,
        knob: Knob,
        cell: Any,
        table: Table,
        sent: Sent,
        probed: dict[Path, str],
        wrong: dict[str, str],
    ) -> Any:
        """What a cell says, as the parameter takes it; what it says wrongly goes into ``wrong``."""
        if knob.kind is Kind.MEDIA:
            return self._media(knob, str(cell), sent, probed, wrong)
        if not isinstance(cell, str):
            return cell
        if knob.kind is Kind.TEXT:
            return cell
        if knob.kind is Kind.LIST:
            return _entries(knob, cell, wrong)
        cell = cell.strip()
        if table.decimal == "," and knob.kind in NUMBERS and DECIMAL_COMMA.fullmatch(cell):
            return cell.replace(",", ".")
        return cell

    def _media(
        self, knob: Knob, cell: str, sent: Sent, probed: dict[Path, str], wrong: dict[str, str]
    ) -> str:
        path = sent.find(cell) or self.clip(cell.strip())
        if path is None:
            listed = sorted({path.name for path in sent.files.values()})
            some = f"; sent were {', '.join(listed[:5])}{'…' * (len(listed) > 5)}" if listed else ""
            wrong[knob.name] = (
                f"there is no sound {cell!r} among the files that were sent, and no clip of that id"
                f"{some}."
            )
            return ""
        if knob.media == "audio":
            if path not in probed:
                probed[path] = _unplayable(path)
            if probed[path]:
                wrong[knob.name] = probed[path]
        return str(path)


def from_sounds(engine: Engine, sent: Sent, parameter: str = "") -> Table:
    """A table with a row for each sound that was sent, named like it.

    ``parameter`` is where the sounds go; "" takes the engine's first one, a required one first.
    Raises ``StudioError`` when the engine takes no sound.
    """
    parameters = media_parameters(engine)
    if not parameters:
        raise StudioError(
            f"{engine.card.title} takes no sound, and no table was sent. Send a table whose columns "
            "are its parameters; the template shows them."
        )
    chosen = parameter or parameters[0]
    if chosen not in parameters:
        raise StudioError(f"{chosen!r} takes no sound; there are {', '.join(parameters)}.")
    records: list[Record] = []
    used: dict[str, int] = {}
    for number, name in enumerate(sent.sounds, 1):
        title = free_name(
            FORBIDDEN.sub("-", Path(name).stem)[:MAX_NAME_LENGTH].strip(". ") or "sound", used
        )
        records.append(Record(number, {NAME: title, chosen: name}))
    return Table((NAME, chosen), tuple(records))


def media_parameters(engine: Engine) -> list[str]:
    """The parameters that take a sound, required ones first."""
    found = [knob for knob in knobs(engine.Params) if knob.media == "audio"]
    return [knob.name for knob in sorted(found, key=lambda knob: not knob.required)]


def _unknown(column: str, known: Sequence[str], engine: Engine) -> str:
    close = get_close_matches(column.strip().lower().replace(" ", "_"), known, 1, 0.6)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"is not a parameter of {engine.card.title}. {hint}Known are {', '.join(known)}."


def _wrong_name(name: str) -> str:
    if len(name) > MAX_NAME_LENGTH:
        return f"the name has {len(name)} characters; at most {MAX_NAME_LENGTH} fit."
    if found := FORBIDDEN.search(name):
        return f"the name {name!r} holds {found[0]!r}, which no file name may."
    return f"{name!r} is no file name." if name and not name.strip(". ") else ""


def free_name(name: str, used: dict[str, int]) -> str:
    """``name``, with a number behind it if it is taken; takes it."""
    chosen, number = name, 1
    while chosen.casefold() in used:
        number += 1
        chosen = f"{name}-{number}"
    used[chosen.casefold()] = 0
    return chosen


def _entries(knob: Knob, cell: str, wrong: dict[str, str]) -> list[Any]:
    """The entries of a list in one cell: parted by ``|``, or as JSON."""
    if cell.strip().startswith("["):
        try:
            found = json.loads(cell)
        except ValueError as error:
            wrong[knob.name] = f"{knob.title} is no list in JSON: {error}."
            return []
        return found
    return [part.strip() for part in cell.split(SEPARATOR) if part.strip()]


def _unplayable(path: Path) -> str:
    """Why a file is no sound; "" when its head says it is one."""
    import soundfile

    try:
        frames = soundfile.info(path).frames
    except (soundfile.SoundFileError, OSError) as error:
        return f"{path.name} cannot be decoded ({error})."
    return "" if frames else f"{path.name} is empty."
