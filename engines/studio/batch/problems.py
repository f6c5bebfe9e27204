"""What is wrong with a table: every problem with the row and the column it stands in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engines.base import StudioError

NAMED_ROWS = 6
TOLD = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in ``column`` of ``rows``, as the person's own program counts them:
    the head of a table is row 1. No rows: the file as a whole; no column: the row as a whole."""

    message: str
    column: str = ""
    rows: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """Where it is, in words: ``rows 3, 5 and 7 more, column pitch_hz``."""
        column = f"column {self.column}" if self.column else ""
        return ", ".join(filter(None, (self.where, column)))

    @property
    def where(self) -> str:
        """The rows, in words."""
        if not self.rows:
            return ""
        if len(self.rows) == 1:
            return f"row {self.rows[0]}"
        named = ", ".join(str(row) for row in self.rows[:NAMED_ROWS])
        rest = len(self.rows) - NAMED_ROWS
        if rest > 0:
            return f"rows {named} and {rest:,} more"
        head, _, last = named.rpartition(", ")
        return f"rows {head} and {last}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class BatchProblems(StudioError):
    """A table that cannot be made as it is; ``problems`` are all of them, in the order of rows."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        told = [str(problem) for problem in self.problems[:TOLD]]
        rest = len(self.problems) - TOLD
        if rest > 0:
            told.append(f"and {rest:,} more problems")
        super().__init__("\n".join(told))


@dataclass
class Complaints:
    """Collects problems; those with the same words in the same column become one."""

    _found: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, message: str, column: str = "", *rows: int) -> None:
        """Note one problem."""
        self._found.setdefault((column, message), []).extend(rows)

    def __bool__(self) -> bool:
        return bool(self._found)

    def require_none(self) -> None:
        """Raise ``BatchProblems`` if anything was noted."""
        if self._found:
            raise BatchProblems(
                sorted(
                    (
                        Problem(message, column, tuple(rows))
                        for (column, message), rows in self._found.items()
                    ),
                    key=lambda problem: problem.rows[:1],
                )
            )
