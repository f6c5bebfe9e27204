"""CSV files that a spreadsheet can open: text that it would run as a formula gets a quote before it.

``plain`` takes the quote away, so that what was saved here is read as it was. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def csv_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], line_end: str = "\n"
) -> str:
    """A table as CSV with its head."""
    return "".join(_line(cells) + line_end for cells in (columns, *rows))


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO(newline="")
    # both marks, because the writer puts quotes only around those that end its lines
    csv.writer(out, lineterminator="\r\n").writerow([harmless(cell) for cell in cells])
    return out.getvalue()[:-2]


def harmless(value: object) -> object:
    """``value`` as a cell that no spreadsheet runs."""
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def plain(text: str) -> str:
    """A cell without the quote that ``harmless`` put before it."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
