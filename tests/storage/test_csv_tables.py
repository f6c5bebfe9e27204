"""CSV that no spreadsheet runs, and that is read here as it was."""

import csv
import io

import pytest

from storage.base.csv_tables import csv_table, plain


@pytest.mark.parametrize(
    "text", ["=1+2", "+cmd", "-x", "@sum", "\t=1", "\r=1", "'=x", "=HYPERLINK(1)"]
)
def test_formulas_get_a_quote_that_reading_takes_away(text):
    lines = list(csv.reader(io.StringIO(csv_table(["a", text], [[1, text]]), newline="")))
    assert lines == [["a", f"'{text}"], ["1", f"'{text}"]]
    assert plain(lines[1][1]) == text


@pytest.mark.parametrize("value", [-5, -0.25, "-5", "+1.5e-3", "a=b", "it's", "", "'quoted'"])
def test_numbers_and_plain_text_stay(value):
    line = csv_table(["a"], [[value], ["end"]]).splitlines()[1]
    assert next(csv.reader([line]), [""]) == ([str(value)] if value != "" else [""])
    assert plain(str(value)) == str(value)
