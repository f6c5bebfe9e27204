"""Results of listening as tables and plots. Plots are SVG that takes its colours from the page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

from engines.statistics import Share, Strengths
from engines.studio.judging.judging import config, criterion
from engines.studio.judging.results import PairResult, Results, SystemScore, probability
from tabs.ui import live

# stand-ins that no plot draws with by itself, exchanged for the page's own colours
INK, LINE, FAINT = "#010203", "#040506", "#070809"
COLOURS = {INK: "currentColor", LINE: "var(--primary-500)", FAINT: "var(--border-color-primary)"}
ROLES = {"reference": "hidden reference", "anchor": "anchor", "": ""}
ROW_IN, WIDTH_IN = 0.42, 7.2


def results_html(found: Results) -> str:
    """Everything that is known of one test."""
    test = found.test
    title = config()["kinds"][str(test.kind)]["title"]
    listeners = len(found.raters)
    head = (
        '<div class="trial-head">'
        f"<h3>{escape(test.name)}</h3>{live.badge(title)}"
        f"{live.badge(criterion(str(test.criterion)).title)}"
        f'<span class="quiet">{found.votes} answers by {listeners} '
        f"{'listener' if listeners == 1 else 'listeners'}, {len(found.finished)} to the end</span>"
        '<span class="grow"></span>'
        f'<a class="act" id="tests-csv" href="judgements/tests/{test.id}.csv" download>Votes (CSV)</a>'
        '<button type="button" class="act" data-judge="list">All tests</button></div>'
    )
    parts = [f'<p class="test-verdict">{escape(found.verdict)}</p>', flagged_html(found)]
    if found.scores:
        low, high = (1, 5) if test.kind == "mos" else (0, 100)
        scores = [within(score, low, high) for score in found.scores]
        digits = 2 if test.kind == "mos" else 1
        parts += [scores_plot(scores, low, high), scores_table(scores, digits)]
    if found.pairs:
        parts += [pairs_plot(found.pairs), pairs_table(found.pairs)]
    if found.strengths and len(found.strengths.rows) > 1 and found.votes:
        parts += [strengths_html(found.strengths)]
    if found.votes:
        parts.append(agreement_html(found.alpha, listeners))
    return f'{head}<section class="card results">{"".join(parts)}</section>'


def within(score: SystemScore, low: float, high: float) -> SystemScore:
    """A score whose interval ends where its scale ends; Student's t knows of no ends."""
    found = score.estimate
    if found.low is None or found.high is None:
        return score
    return replace(
        score, estimate=replace(found, low=max(found.low, low), high=min(found.high, high))
    )


def flagged_html(found: Results) -> str:
    """Listeners who did not hear the hidden reference, and the switch that leaves them out."""
    if not found.flagged:
        return ""
    names = ", ".join(
        f"{escape(rater)} ({share:.0%} of trials)" for rater, share in found.flagged.items()
    )
    word = "Count them again" if found.screened else "Leave them out"
    state = "are left out" if found.screened else "are counted"
    return (
        f'<p class="state warn">Gave the hidden reference less than 90 in more than 15 % of trials '
        f"(ITU-R BS.1534): {names}. They {state}. "
        f'<button type="button" class="act small" data-judge="screen">{word}</button></p>'
    )


# tables


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """A table of HTML cells."""
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="table-scroll"><table class="results-table {kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """An interval as text."""
    return "–" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def scores_table(scores: Sequence[SystemScore], digits: int = 2) -> str:
    """Means with intervals."""
    return table(
        ("System", "Mean", "95 % interval", "Answers"),
        [
            (
                escape(score.system) + (f" {live.badge(ROLES[score.role])}" if score.role else ""),
                f"<b>{score.estimate.mean:.{digits}f}</b>",
                interval(score.estimate.low, score.estimate.high, digits),
                str(score.estimate.count),
            )
            for score in scores
        ],
    )


def pairs_table(pairs: Sequence[PairResult]) -> str:
    """Counts and exact tests."""
    return table(
        (
            "Pair",
            "Preferred",
            "Ties",
            "Share of the first",
            "95 % interval",
            "p (exact)",
            "How much",
        ),
        [
            (
                f"{escape(pair.first)} <i>or</i> {escape(pair.second)}",
                f"<b>{pair.first_wins}</b> : <b>{pair.second_wins}</b>",
                str(pair.ties),
                f"{pair.share.share:.0%}" if pair.share else "–",
                f"{pair.share.low:.0%} to {pair.share.high:.0%}" if pair.share else "–",
                probability(pair.share.p) if pair.share else "–",
                f"{pair.strength:.1f} of 3" if pair.strength else "–",
            )
            for pair in pairs
        ],
    )


def strengths_html(strengths: Strengths) -> str:
    """Bradley-Terry strengths as plot and table."""
    notes = []
    if not strengths.connected:
        notes.append("Some were never compared, even through others; their numbers stand apart.")
    if strengths.smoothed:
        notes.append(
            "Someone won or lost every time, so half a win was added to each side; take the size of "
            "the lead lightly."
        )
    rows = [
        (
            escape(row.name),
            f"<b>{row.strength:+.2f}</b>",
            interval(row.low, row.high),
            f"{row.chance:.0%}",
            f"{row.wins:g} : {row.losses:g}",
        )
        for row in strengths.rows
    ]
    return (
        "<h4>Strength over all pairs (Bradley-Terry)</h4>"
        + strengths_plot(strengths)
        + table(
            (
                "System",
                "Strength (log odds)",
                "95 % interval",
                "Beats an average one",
                "Won : lost",
            ),
            rows,
        )
        + "".join(f'<p class="quiet">{note}</p>' for note in notes)
    )


def agreement_html(alpha: float | None, raters: int) -> str:
    """Krippendorff's alpha in words."""
    if alpha is None:
        return (
            '<p class="quiet">Agreement between listeners: needs answers of two people to the same '
            "trials that are not all the same.</p>"
        )
    return (
        f'<p class="quiet">Agreement between the {raters} listeners, Krippendorff’s alpha: '
        f"<b>{alpha:.2f}</b> (1 is perfect, 0 is chance; from 0.67 on one may draw conclusions).</p>"
    )


# plots


def scores_plot(scores: Sequence[SystemScore], low: float, high: float) -> str:
    """Means as dots with intervals as whiskers."""
    rows = [
        (score.system, score.estimate.mean, score.estimate.low, score.estimate.high)
        for score in scores
    ]
    return dots(rows, "Mean score", (low, high))


def strengths_plot(strengths: Strengths) -> str:
    """Strengths as dots with intervals."""
    rows = [(row.name, row.strength, row.low, row.high) for row in strengths.rows]
    return dots(rows, "Strength, log odds", None, 0.0)


def pairs_plot(pairs: Sequence[PairResult]) -> str:
    """Shares of decided votes with exact intervals, against chance."""
    rows = []
    for pair in pairs:
        share: Share | None = pair.share
        if share:
            rows.append(
                (
                    f"{pair.first} over {pair.second}",
                    100 * share.share,
                    100 * share.low,
                    100 * share.high,
                )
            )
    return dots(rows, "Preferred in … % of decided votes", (0, 100), 50.0) if rows else ""


def dots(
    rows: Sequence[tuple[str, float, float | None, float | None]],
    label: str,
    limits: tuple[float, float] | None = None,
    middle: float | None = None,
) -> str:
    """A dot with whiskers for each ``(name, value, low, high)``, as inline SVG."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": label}):
        figure = Figure(figsize=(WIDTH_IN, 0.75 + ROW_IN * len(rows)))
        FigureCanvasSVG(figure)
        axes: Any = figure.subplots()
        for place, (_, value, low, high) in enumerate(rows):
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=LINE, linewidth=2.5, alpha=0.55)
            axes.plot([value], [place], "o", color=LINE, markersize=9)
        if middle is not None:
            axes.axvline(middle, color=INK, linewidth=1, linestyle=(0, (4, 4)), alpha=0.5)
        axes.set_yticks(range(len(rows)))
        axes.set_yticklabels([live.short(row[0], 34) for row in rows], parse_math=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        if limits:
            span = limits[1] - limits[0]
            axes.set_xlim(limits[0] - 0.02 * span, limits[1] + 0.02 * span)
        axes.set_xlabel(label, color=INK, fontsize=9)
        axes.grid(axis="x", color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK, labelsize=9, length=0)
        for name, spine in axes.spines.items():
            spine.set_visible(name == "bottom")
            spine.set_color(FAINT)
        figure.tight_layout()
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return f'<figure class="plot">{themed(text.getvalue())}</figure>'


def themed(svg: str) -> str:
    """An SVG file as an element of a page that follows its theme."""
    svg = svg[svg.index("<svg") :]
    for stand_in, colour in COLOURS.items():
        svg = svg.replace(stand_in, colour)
    return svg
