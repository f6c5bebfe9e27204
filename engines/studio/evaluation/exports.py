"""Results as files: CSV and JSON of every number, a LaTeX table of the means."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from engines.metrics.base import Better, Card, Score
from engines.metrics.running import Result
from engines.statistics import Estimate
from engines.studio.evaluation.plan import card
from engines.studio.evaluation.results import Results, Tested
from engines.studio.settings import VERSION
from storage.base.csv_tables import csv_table

ARROWS = {Better.HIGHER: r"$\uparrow$", Better.LOWER: r"$\downarrow$", Better.NEITHER: ""}
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def to_csv(found: Results) -> str:
    """A row for each item with a column for each metric; ``why`` names numbers that there are not.

    Text that a spreadsheet would run as a formula gets a quote before it.
    """
    columns = ["system", "name", "generated", "reference", "text", *found.metrics, "why"]
    lines = []
    for row in found.rows:
        item = row.item
        reference = item.reference.name if item.reference is not None else ""
        texts = [item.system, item.name, item.generated.name, reference, item.text]
        values = ["" if s.value is None else f"{s.value:.10g}" for s in row.scores]
        why = "; ".join(f"{s.metric}: {s.message}" for s in row.scores if s.value is None)
        lines.append([*texts, *values, why])
    return csv_table(columns, lines)


def to_json(found: Results) -> str:
    """Everything: cards, settings, scores with reasons and notes, means, tests, missing partners."""
    whole = {
        "name": found.name,
        "studio": VERSION,
        **found.wishes.as_json(),
        "cards": [asdict(each) for each in found.cards],
        "systems": [_system_json(found, system) for system in found.systems],
        "items": [_row_json(row) for row in found.rows],
        "comparisons": [tested_json(each) for a, b in found.pairs for each in found.tested(a, b)],
        "missing": {side: list(names) for side, names in found.missing.items()},
    }
    return json.dumps(_plain(whole), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """``value`` with numbers that JSON has not as None."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _system_json(found: Results, system: str) -> dict[str, Any]:
    means = {}
    for metric in found.metrics:
        line = found.lines.get((system, metric))
        if line is not None:
            estimate = asdict(line.estimate) if line.estimate else None
            means[metric] = {"estimate": estimate, "median": line.median, "reasons": line.reasons}
    sets = {
        metric: score.as_json() for (of, metric), score in found.set_scores.items() if of == system
    }
    return {"system": system, "means": means, "sets": sets}


def _row_json(row: Result) -> dict[str, Any]:
    item = row.item
    return {
        "name": item.name,
        "system": item.system,
        "generated": item.generated.name,
        "reference": item.reference.name if item.reference is not None else None,
        "text": item.text,
        "language": item.language,
        "scores": [score.as_json() for score in row.scores],
    }


def tested_json(each: Tested) -> dict[str, Any]:
    """Two systems on one metric."""
    values = asdict(each.comparison)
    return {**values, "p_holm": each.adjusted, "better": each.better}


# LaTeX


def to_latex(found: Results) -> str:
    """A booktabs table: mean ± half of the 95 % interval for each system and metric, the best bold."""
    cards = found.cards
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * len(cards)}}}",
        r"\toprule",
        " & ".join(["System", *map(_heading, cards)]) + r" \\",
        r"\midrule",
    ]
    columns = [_column(found, each) for each in cards]
    for place, system in enumerate(found.systems):
        cells = [column[place] for column in columns]
        lines.append(" & ".join([escaped(system or "sounds"), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _column(found: Results, of: Card) -> list[str]:
    """The cells of one metric, all with as many decimals."""
    places, best = column_digits(found, of.id), found.best(of.id)
    cells = []
    for system in found.systems:
        value, half = found.value(system, of.id), half_of(found, system, of.id)
        if value is None:
            cells.append("--")
            continue
        number = f"{value:.{places}f}"
        text = rf"\mathbf{{{number}}}" if system in best else number
        cells.append(f"${text}$" if half is None else f"${text} \\pm {half:.{places}f}$")
    return cells


def _heading(of: Card) -> str:
    unit = f" ({escaped(of.unit)})" if of.unit else ""
    return f"{escaped(of.title)}{unit} {ARROWS[of.better]}".strip()


def half_width(estimate: Estimate) -> float | None:
    """Half of an interval; None where one value allows none."""
    if estimate.low is None or estimate.high is None:
        return None
    return (estimate.high - estimate.low) / 2


def half_of(found: Results, system: str, metric: str) -> float | None:
    """Half of the interval of a system's mean; None for a set or a single value."""
    line = found.lines.get((system, metric))
    return half_width(line.estimate) if line is not None and line.estimate else None


def column_digits(found: Results, metric: str) -> int:
    """Decimal places that fit a metric's means: two digits of the largest interval."""
    halves = [half_of(found, system, metric) or 0.0 for system in found.systems]
    values = [abs(found.value(system, metric) or 0.0) for system in found.systems]
    return digits(max(halves, default=0) or max(values, default=0) / 10)


def digits(size: float) -> int:
    """Decimal places that show two digits of ``size``, at most 4."""
    if not size or not math.isfinite(size):
        return 2
    return min(4, max(0, 1 - math.floor(math.log10(abs(size)))))


def escaped(text: str) -> str:
    """``text`` for LaTeX."""
    return "".join(LATEX.get(letter, letter) for letter in text)


WRITERS: dict[str, Callable[[Results], str]] = {"csv": to_csv, "json": to_json, "latex": to_latex}
SUFFIXES = {"csv": "csv", "json": "json", "latex": "tex"}


def value_text(score: Score) -> str:
    """A score for people: its label, or the number with its unit."""
    if score.value is None:
        return "–"
    number = number_text(score.value)
    if score.label:
        return f"{score.label} ({number})"
    return f"{number} {card(score.metric).unit}".strip()


def number_text(value: float) -> str:
    """A number with as many decimals as its size asks for."""
    return f"{value:.{digits(value / 10 if abs(value) >= 1 else value)}f}"


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for a terminal: columns as wide as their cells."""
    listed = [columns, *rows]
    widths = [max(len(row[place]) for row in listed) for place in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in listed
    )
