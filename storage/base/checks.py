"""Checks of what people type: names, raters, choices and dates, with errors that help."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar

from storage.base.db import clean
from storage.base.errors import StorageError

MAX_NAME_LENGTH = 100

Choice = TypeVar("Choice", bound=StrEnum)


def proper_name(what: str, name: str) -> str:
    """``name`` of ``what`` ("a preset") without superfluous blanks.

    Raises ``StorageError`` when nothing is left or it is too long.
    """
    name = " ".join(clean(name).split())
    if not name or len(name) > MAX_NAME_LENGTH:
        raise StorageError(
            f"The name of {what} has 1 to {MAX_NAME_LENGTH} characters, not {len(name)}."
        )
    return name


def choice(kind: type[Choice], value: str, what: str) -> Choice:
    """The member of an enum. Raises ``StorageError`` that lists the members."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise StorageError(f"{value!r} is no {what}; there are {known}.") from None


def a_date(value: date | str | None) -> date | None:
    """A day or moment from its ISO 8601 text; "" and None are None.

    Raises ``StorageError`` for other texts.
    """
    if not value:
        return None
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
    except ValueError:
        raise StorageError(
            f"{value!r} is no date; write year, month and day, such as 2026-03-31."
        ) from None
