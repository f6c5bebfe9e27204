"""What a column of a project file may hold: how it is written as JSON, and how it is believed again.

A value that was written is read as the very same value of the database. Anything else is refused
with ``ValueError``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")  # names a folder too
SHA_256 = re.compile("[0-9a-f]{64}")
MAX_WHOLE = 2**63 - 1
MAX_TEXT = 2**22
MAX_SHORT = 1000


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Column:
    """``write`` makes JSON of what the database holds, ``read`` the inverse, with checks."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = _same

    def or_null(self) -> Column:
        """The same column where nothing is allowed too."""
        read, write = self.read, self.write
        return Column(
            lambda value: None if value is None else read(value),
            lambda value: None if value is None else write(value),
        )


def text(most: int = MAX_SHORT, pattern: re.Pattern[str] | None = None) -> Column:
    """A text of at most so many characters that UTF-8 can hold, matching ``pattern`` as a whole."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"expected a text, not {brief(value)}")
        if len(value) > most:
            raise ValueError(f"the text has {len(value):,} characters; at most {most:,} fit")
        value.encode()  # a lone surrogate is a ValueError too
        if pattern is not None and not pattern.fullmatch(value):
            raise ValueError(f"{brief(value)} is not of the form {pattern.pattern}")
        return value

    return Column(read)


def whole(low: int = 0, high: int = MAX_WHOLE) -> Column:
    """A whole number between two others, included."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, not {brief(value)}")
        return value

    return Column(read)


def real(low: float = -math.inf, high: float = math.inf) -> Column:
    """A number between two others, included; never NaN."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"expected a number, not {brief(value)}")
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low} to {high}, not {brief(value)}")
        return float(value)

    return Column(read)


def flag() -> Column:
    """Yes or no; 1 or 0 in the database."""

    def read(value: Any) -> int:
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, not {brief(value)}")
        return int(value)

    return Column(read, bool)


def one_of(choices: Iterable[str]) -> Column:
    """One of these texts."""
    known = [str(choice) for choice in choices]

    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f"expected one of {', '.join(map(repr, known))}, not {brief(value)}")
        return str(value)

    return Column(read)


def moment() -> Column:
    """A time in ISO 8601."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value) > 40:
            raise ValueError(f"expected a time, not {brief(value)}")
        datetime.fromisoformat(value)
        return value

    return Column(read)


def document(check: Callable[[dict[str, Any]], object] = _same) -> Column:
    """A JSON object, which the database holds as the text that ``json.dumps`` makes of it.

    ``check`` may raise ``ValueError``, or ``StorageError`` in words of its own.
    """

    def read(value: Any) -> str:
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, not {brief(value)}")
        check(value)
        written = json.dumps(value)
        if len(written) > MAX_TEXT:
            raise ValueError(
                f"the object has {len(written):,} characters; at most {MAX_TEXT:,} fit"
            )
        return written

    return Column(read, json.loads)


def brief(value: Any) -> str:
    """A value for a message, not too long."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"
