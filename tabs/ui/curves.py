"""Curves of training as SVG: drawn by us so that they grow in place while a run goes on.

Colours come from ``learning.css``; ``learning.js`` shows the values under the pointer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, HEIGHT = 430, 190
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 24
MOST_POINTS = 240
SMOOTH_FROM = 24
COLOURS = 8
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: its name, its points by rising x, and which of the colours it has."""

    name: str
    points: Sequence[Point]
    colour: int = 0


@dataclass(frozen=True)
class Curve:
    """What one chart shows: a column of the metrics of a split, over optimizer steps."""

    id: str
    title: str
    split: str
    column: str
    hint: str
    noisy: bool = False


CURVES = (
    Curve("train-loss", "Training loss", "train", "loss", "on what it learns from", True),
    Curve("validation-loss", "Validation loss", "validation", "loss", "on prompts it never saw"),
    Curve(
        "validation-accuracy", "Pair accuracy", "validation", "accuracy", "0.5 is a coin, 1 is best"
    ),
    Curve("validation-margin", "Reward margin", "validation", "margin", "chosen over rejected"),
    Curve("lr", "Learning rate", "train", "lr", "warms up, then falls"),
    Curve("grad-norm", "Gradient norm", "train", "grad_norm", "before it is clipped", True),
)


def points(metrics: Sequence[Mapping[str, Any]], curve: Curve) -> list[Point]:
    """The finite values of a curve by optimizer step."""
    found = []
    for row in metrics:
        value = row.get(curve.column)
        if row.get("split") != curve.split or not isinstance(value, int | float):
            continue
        if math.isfinite(value):
            found.append((float(row.get("step", 0)), float(value)))
    return found


def charts_html(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> str:
    """One chart for every curve that any of the runs (name, metrics) has points of."""
    charts = []
    for curve in CURVES:
        lines = [
            Series(name, points(metrics, curve), number % COLOURS)
            for number, (name, metrics) in enumerate(runs)
        ]
        if any(line.points for line in lines):
            charts.append(chart_html(curve, [line for line in lines if line.points]))
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def chart_html(curve: Curve, lines: Sequence[Series]) -> str:
    """One chart with its title, its last values and, for several lines, a legend."""
    last = lines[0].points[-1][1]
    value = f"<b>{number(last)}</b>" if len(lines) == 1 else ""
    legend = ""
    if len(lines) > 1:
        entries = "".join(
            f'<span><i class="line-{line.colour}"></i>{escape(line.name)}'
            f" <b>{number(line.points[-1][1])}</b></span>"
            for line in lines
        )
        legend = f'<p class="legend">{entries}</p>'
    return (
        f'<figure class="chart" data-chart="{curve.id}"><figcaption>{curve.title}'
        f'<span class="quiet">{curve.hint}</span>{value}</figcaption>'
        f"{svg(lines, curve.title, curve.noisy)}{legend}</figure>"
    )


def svg(lines: Sequence[Series], title: str, noisy: bool = False) -> str:
    """The lines on common axes. Long ones are means of neighbours; noisy ones are smoothed too."""
    drawn = [Series(line.name, thinned(line.points), line.colour) for line in lines]
    every = [point for line in drawn for point in line.points]
    x_ticks = ticks(min(x for x, _ in every), max(x for x, _ in every), 6)
    y_ticks = ticks(min(y for _, y in every), max(y for _, y in every), 4)
    across, up = _scale(x_ticks, LEFT, WIDTH - RIGHT), _scale(y_ticks, HEIGHT - BOTTOM, TOP)
    marks = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}"></line>'
        f'<text x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{number(y)}</text>'
        for y in y_ticks
    ) + "".join(
        f'<text x="{across(x):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{number(x)}</text>'
        for x in x_ticks
        if LEFT < across(x) < WIDTH - RIGHT or x == x_ticks[0]
    )
    paths = "".join(_paths(line, across, up, noisy) for line in drawn)
    data = json.dumps(
        [
            {
                "name": line.name,
                "points": [
                    [round(across(x), 1), round(up(y), 1), number(x), number(y)]
                    for x, y in line.points
                ],
            }
            for line in drawn
        ]
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}" '
        f'data-lines="{escape(data, quote=True)}"><g class="axes">{marks}</g>{paths}'
        '<g class="probe"></g></svg>'
    )


def _paths(line: Series, across: Any, up: Any, noisy: bool) -> str:
    def path(found: Sequence[Point], kind: str) -> str:
        dots = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in found)
        return f'<polyline class="line-{line.colour} {kind}" points="{dots}"></polyline>'

    if len(line.points) == 1:
        x, y = line.points[0]
        return f'<circle class="line-{line.colour}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5"></circle>'
    if not noisy or len(line.points) < SMOOTH_FROM:
        return path(line.points, "")
    return path(line.points, "faint") + path(smoothed(line.points), "")


def thinned(line: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most ``most`` points: means of neighbours where there are more."""
    if len(line) <= most:
        return list(line)
    size = -(-len(line) // most)
    groups = [line[start : start + size] for start in range(0, len(line), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def smoothed(line: Sequence[Point]) -> list[Point]:
    """A running mean over about an eighth of the line."""
    reach = max(1, len(line) // 16)
    means = []
    for place, (x, _) in enumerate(line):
        near = line[max(0, place - reach) : place + reach + 1]
        means.append((x, sum(y for _, y in near) / len(near)))
    return means


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that span ``low`` to ``high``."""
    if low == high:
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _scale(marks: Sequence[float], start: float, end: float) -> Any:
    low, high = marks[0], marks[-1]
    return lambda value: start + (value - low) / (high - low) * (end - start)


def number(value: float) -> str:
    """A number as short as its size allows."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.2g}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
