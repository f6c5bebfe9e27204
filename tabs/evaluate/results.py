"""Results of an evaluation as HTML: means, box plots, tests of two systems, the table of all sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

from engines.base import StudioError
from engines.metrics.base import Align, Better, Score
from engines.studio import Studio
from engines.studio.evaluation import drawings
from engines.studio.evaluation.exports import (
    column_digits,
    digits,
    half_of,
    number_text,
    value_text,
)
from engines.studio.evaluation.plan import card
from engines.studio.evaluation.results import SIGNIFICANT, Results, Tested
from engines.studio.judging.results import probability
from storage import EvaluationRow, JobState
from tabs.evaluate.html import PAGE, drawing_html, scores_html, sound_html
from tabs.ui import jobs, live
from tabs.ui.chosen import counted, said_html, sure_button
from tabs.ui.player import when
from tabs.ui.plots import table, themed

if TYPE_CHECKING:
    from tabs.evaluate.runs import RunsView

PARTS = ("head", "means", "boxes", "tests", "table", "detail")
PAGE_SIZE = 25
MOST_PAIRS = 15
MOST_MISSING = 50
ARROWS = {Better.HIGHER: " ↑", Better.LOWER: " ↓", Better.NEITHER: ""}
NOTHING = "Nothing was evaluated yet. The first one is made on the right."


def list_html(studio: Studio, view: RunsView) -> str:
    """All evaluations, newest first, and the way to the form."""
    rows = studio.evaluation.evaluations()
    new = live.button("New evaluation", "open", "", "primary" if view.chosen else "")
    lines = "".join(_line(studio, row, row.id == view.chosen) for row in rows)
    listed = f'<ul class="plain-list evaluations">{lines}</ul>' if lines else live.empty(NOTHING)
    return f'<div class="buttons">{new}</div>{listed}'


def _line(studio: Studio, row: EvaluationRow, chosen: bool) -> str:
    job = studio.evaluation.job(row)
    state = jobs.state_html(job) if job and job.state is not JobState.DONE else ""
    return (
        f'<li><button type="button" class="queue-item{" here" * chosen}" data-action="open" '
        f'data-id="{row.id}"><span></span><span>{escape(row.name)}</span>{state}'
        f'<span class="quiet">{counted(row.items, "sound")}</span></button></li>'
    )


def parts_html(studio: Studio, row: EvaluationRow, view: RunsView) -> list[str]:
    """All parts of one evaluation, in the order of ``PARTS``; results when nothing more is measured.

    The page asks every few seconds, so what has not changed is not drawn again.
    """
    head = head_html(studio, row, view)
    if studio.evaluation.running(row) or not row.measured:
        return [head, *[""] * (len(PARTS) - 1)]
    found = studio.evaluation.results(row.id)
    same = (row.id, row.job_id, row.measured)

    def part(name: str, make: Callable[[], str], *chosen: object) -> str:
        key = (*same, *chosen)
        if view.kept.get(name, (None, ""))[0] != key:
            view.kept[name] = (key, make())
        return view.kept[name][1]

    return [
        head,
        part("means", lambda: means_html(found)),
        part("boxes", lambda: boxes_html(row, found, view), view.metric),
        part("tests", lambda: tests_html(found, view), view.pair),
        part(
            "table", lambda: table_html(found, view),
            view.sort, view.descending, view.page, view.row,
        ),
        part("detail", lambda: detail_html(studio, row, found, view), view.row),
    ]  # fmt: skip


def head_html(studio: Studio, row: EvaluationRow, view: RunsView) -> str:
    """Name, state, what can be done, and what is missing."""
    job = studio.evaluation.job(row)
    running = studio.evaluation.running(row)
    state = jobs.state_html(job) if job else ""
    bar = f'<div class="job-bar">{jobs.bar_html(studio, job)}</div>' if job and running else ""
    error = f'<pre class="problem">{escape(job.error)}</pre>' if job and job.error else ""
    buttons = [live.button("Cancel", "cancel", "", "stop")] if running else []
    if studio.evaluation.unfinished(row):
        buttons.append(live.button("Go on", "resume", "", "primary"))
    if row.measured:
        buttons += [
            f'<a class="act" href="evaluations/{row.id}/results.{suffix}" download>{title}</a>'
            for suffix, title in (("csv", "CSV"), ("json", "JSON"), ("tex", "LaTeX"))
        ]
    if not running:
        buttons.append(sure_button(view, "Delete", "delete", "Really delete?"))
    done = "" if row.measured == row.items else f"{row.measured} of "
    facts = f"{done}{counted(row.items, 'sound')} · {when(row.created_at)}"
    return (
        f'<section class="card"><header><h3>{escape(row.name)}</h3>{state}'
        f'<span class="quiet">{facts}</span></header>{said_html(view)}{bar}{error}'
        f'<div class="buttons">{"".join(buttons)}</div>{missing_html(row)}</section>'
    )


def missing_html(row: EvaluationRow) -> str:
    """Files without a partner."""
    parts = []
    for side, names in row.missing.items():
        more = f" and {len(names) - MOST_MISSING} more" if len(names) > MOST_MISSING else ""
        listed = escape(", ".join(names[:MOST_MISSING])) + more
        parts.append(
            f'<details class="missing"><summary>{counted(len(names), "file")} {escape(side)}</summary>'
            f'<p class="quiet">{listed}</p></details>'
        )
    return "".join(parts)


# means


def means_html(found: Results) -> str:
    """Mean and 95 % interval of each system on each metric; the best in bold."""
    columns = ("Measure", *(escape(system) or "sounds" for system in found.systems))
    rows = [
        [
            f'<span title="{escape(of.measures, quote=True)}">{escape(of.title)}</span>'
            f"<small>{escape(of.unit)}{ARROWS[of.better]}</small>",
            *(mean_cell(found, system, of.id) for system in found.systems),
        ]
        for of in found.cards
    ]
    return (
        '<section class="card"><h3>Means with 95 % intervals</h3>'
        f"{table(columns, rows, 'means')}"
        '<p class="quiet">Bold: the best mean. ↑ higher is better, ↓ lower is better.</p></section>'
    )


def mean_cell(found: Results, system: str, metric: str) -> str:
    """``9.5 ± 0.9``, and for how many sounds there is no number, and why."""
    value, places = found.value(system, metric), column_digits(found, metric)
    line = found.lines.get((system, metric))
    score = found.set_scores.get((system, metric))
    why = line.reasons if line else {}
    gaps = "".join(
        f"<small>{count} without: {escape(reason)}</small>" for reason, count in why.items()
    )
    if value is None:
        message = escape(score.message) if score else ""
        return f'<span class="quiet">–</span><small>{message}</small>{gaps}'
    half = half_of(found, system, metric)
    interval = "" if half is None else f' <span class="quiet">± {half:.{places}f}</span>'
    number = f"{value:.{places}f}"
    shown = f"<b>{number}</b>" if system in found.best(metric) else number
    return f"{shown}{interval}{gaps}"


# plots


def boxes_html(row: EvaluationRow, found: Results, view: RunsView) -> str:
    """Box plots of one metric, and chips to choose another."""
    metrics = [m for m in found.metrics if any(found.lines[s, m].values for s in found.systems)]
    if not metrics:
        return ""
    metric = view.metric if view.metric in metrics else metrics[0]
    svg = drawings.boxes(found, metric, PAGE).decode()
    links = "".join(
        f'<a class="act small" href="evaluations/{row.id}/{metric}.{form}?theme=light" download>'
        f"{form.upper()}</a>"
        for form in ("svg", "png")
    )
    chips = chips_html("metric", [(each, card(each).title) for each in metrics], metric)
    return (
        '<section class="card"><h3>Spread by system</h3>'
        f'{chips}<figure class="plot" data-metric="{metric}">{themed(svg)}</figure>'
        '<div class="buttons"><span class="quiet">Box: middle half; line: median; dot: mean; whiskers: '
        f"up to 1.5 boxes further.</span>{links}</div></section>"
    )


def chips_html(action: str, offered: Sequence[tuple[str, str]], chosen: str) -> str:
    """Buttons of which one is pressed; none for a single choice."""
    if len(offered) < 2:
        return ""
    return (
        '<div class="chips" role="group">'
        + "".join(
            f'<button type="button" class="chip" data-action="{action}" '
            f'data-id="{escape(value, quote=True)}" aria-pressed="{str(value == chosen).lower()}">'
            f"{escape(title)}</button>"
            for value, title in offered
        )
        + "</div>"
    )


# tests


def tests_html(found: Results, view: RunsView) -> str:
    """Whether two systems differ by more than chance, on each metric."""
    pairs = {f"{a}\n{b}": (a, b) for a, b in found.pairs[:MOST_PAIRS]}
    if not pairs:
        return ""
    key = view.pair if view.pair in pairs else next(iter(pairs))
    a, b = pairs[key]
    tested = found.tested(a, b)
    chips = chips_html("pair", [(name, " and ".join(of)) for name, of in pairs.items()], key)
    body = live.empty(f"{a} and {b} have no sound of the same name.")
    if tested:
        columns = ("Measure", f"{escape(b)} − {escape(a)}", "95 % interval", "p (Wilcoxon)",
                   "p (Holm)", "Pairs", "Better")  # fmt: skip
        body = table(columns, [test_row(each) for each in tested])
    return (
        f'<section class="card"><h3>Do {escape(a)} and {escape(b)} differ?</h3>{chips}{body}'
        '<p class="quiet">Sounds of one name are compared with each other (two-sided signed-rank test, '
        "from six pairs on). Holm’s p takes into account how many measures were tested; a system is "
        f"called better below {SIGNIFICANT:g}.</p></section>"
    )


def test_row(each: Tested) -> list[str]:
    """One metric's line."""
    of = each.comparison
    estimate = of.difference
    places = digits((estimate.high - estimate.low) / 2) if estimate.low is not None and (
        estimate.high is not None and estimate.high > estimate.low
    ) else digits(estimate.mean / 10)  # fmt: skip
    span = "–"
    if estimate.low is not None and estimate.high is not None:
        span = f"{estimate.low:+.{places}f} to {estimate.high:+.{places}f}"
    return [
        escape(card(of.metric).title),
        f"<b>{estimate.mean:+.{places}f}</b>",
        span,
        "–" if of.p is None else probability(of.p),
        "–" if each.adjusted is None else probability(each.adjusted),
        str(of.pairs) + (f" <small>{of.left_out} left out</small>" if of.left_out else ""),
        verdict_html(each),
    ]


def verdict_html(each: Tested) -> str:
    """Which system is better, or whether they differ where no way is better."""
    if each.better:
        return f"<b>{escape(each.better)}</b>"
    differs = each.adjusted is not None and each.adjusted < SIGNIFICANT
    return (
        f'<span class="quiet">{"neither, but they differ" if differs else "no sign of it"}</span>'
    )


# all sounds


def table_html(found: Results, view: RunsView) -> str:
    """A page of the table of all sounds; a click on a heading sorts it, one on a row opens it."""
    order = found.ordered(view.sort, view.descending)
    pages = max(1, -(-len(order) // PAGE_SIZE))
    view.page = min(max(1, view.page), pages)
    some = order[(view.page - 1) * PAGE_SIZE : view.page * PAGE_SIZE]
    heads = [("name", "Sound"), ("system", "System")]
    heads += [(metric, card(metric).title) for metric in found.metrics]
    head = "".join(f"<th>{sort_button(name, title, view)}</th>" for name, title in heads)
    body = "".join(row_html(found, place, place == view.row) for place in some)
    older = live.button("Next ›", "page", str(view.page + 1)) if view.page < pages else ""
    newer = live.button("‹ Back", "page", str(view.page - 1)) if view.page > 1 else ""
    where = f", page {view.page} of {pages}" if pages > 1 else ""
    return (
        '<section class="card"><h3>All sounds</h3><div class="table-scroll">'
        f'<table class="jobs all-sounds"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<div class="pages"><span class="quiet">{counted(len(order), "sound")}{where}. Click a row for '
        f"its picture.</span>{newer}{older}</div></section>"
    )


def sort_button(name: str, title: str, view: RunsView) -> str:
    """A heading that sorts."""
    here = view.sort == name
    arrow = (" ▾" if view.descending else " ▴") if here else ""
    return (
        f'<button type="button" class="plain" data-action="sort" data-id="{name}" '
        f'aria-pressed="{str(here).lower()}">{escape(title)}{arrow}</button>'
    )


def row_html(found: Results, place: int, chosen: bool) -> str:
    """One sound."""
    row = found.rows[place]
    cells = "".join(f"<td>{cell_html(score)}</td>" for score in row.scores)
    return (
        f'<tr data-action="row" data-id="{place}" class="{"selected" * chosen}">'
        f'<td><button type="button" class="plain" data-action="row" data-id="{place}">'
        f"{escape(live.short(row.item.name, 60))}</button></td>"
        f'<td class="quiet">{escape(row.item.system)}</td>{cells}</tr>'
    )


def cell_html(score: Score) -> str:
    """A number, or why there is none."""
    if score.value is None:
        return (
            f'<span class="quiet" title="{escape(score.message, quote=True)}">{score.reason}</span>'
        )
    text = value_text(score) if score.label else number_text(score.value)
    return f'<span title="{escape(value_text(score), quote=True)}">{escape(text)}</span>'


# one row


def detail_html(studio: Studio, row: EvaluationRow, found: Results, view: RunsView) -> str:
    """The players, the picture and all scores of the row that is open."""
    if not 0 <= view.row < len(found.rows):
        return ""
    result, position = found.rows[view.row], found.positions[view.row]
    item, desk = result.item, studio.evaluation.desk
    try:
        case = desk.case(item.generated, item.reference, item.text, item.language)
    except StudioError as error:
        return (
            f'<section class="card">{live.empty(str(error))}{scores_html(result.scores)}</section>'
        )
    address = f"evaluations/{row.id}/items/{position}"
    one = case.reference is None
    picture = drawings.picture_of(case, PAGE) if one else ""
    players = [sound_html(item.name, f"{address}/generated", case.generated, picture, item.system)]
    drawn = ""
    if case.reference is not None:
        players.insert(
            0, sound_html(item.name, f"{address}/reference", case.reference, "", "reference")
        )
        align = Align.DTW if found.wishes.options.align == "dtw" else Align.CUT
        drawn = drawing_html(drawings.picture_of_pair(case, PAGE, align))
    text = f'<p class="quiet">“{escape(item.text)}”</p>' if item.text else ""
    both = "" if one else " both"
    return (
        f'<section class="card open-row"><h3>{escape(item.name)}</h3>{text}'
        f'<div class="sounds{both}">{"".join(players)}</div>{drawn}{scores_html(result.scores)}</section>'
    )
