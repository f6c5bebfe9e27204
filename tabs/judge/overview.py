"""How things stand over all judgements: how much was said, means, strengths, CSV files."""

from __future__ import annotations

from collections import defaultdict
from html import escape

import gradio as gr

from engines.statistics import mean_interval
from engines.studio import Studio
from engines.studio.judging.judging import criterion
from engines.studio.judging.results import SystemScore
from tabs.ui import live
from tabs.ui.page import refresher
from tabs.ui.plots import dots, pairs_table, strengths_html, table

NOTHING = (
    "Nothing was judged yet. Rate a clip or compare two; the numbers appear here, and Datasets can "
    "make training material of them."
)

# all judgements are read for this page: only when somebody looks at it
SIGHT_JS = """
new IntersectionObserver((entries) => {
  if (entries[0].isIntersecting) trigger('select', {});
}).observe(element);
"""


def build(studio: Studio) -> None:
    """Lay out the page in the current block."""
    shown = gr.HTML(elem_id="judge-overview", js_on_load=SIGHT_JS, apply_default_css=False)
    shown.select(**refresher(lambda: overview_html(studio), None, shown))


def overview_html(studio: Studio) -> str:
    """Counts, means by criterion and system, strengths."""
    stats = studio.judging.judgements.stats()
    if not (stats.ratings or stats.preferences or stats.marks):
        return live.empty(NOTHING)
    numbers = (
        (stats.clips_rated, "clips rated"),
        (stats.ratings, "ratings"),
        (stats.preferences, "comparisons"),
        (stats.ties, "of them ties"),
        (stats.marks, "tags"),
        (stats.raters, "listener" if stats.raters == 1 else "listeners"),
    )
    tiles = "".join(f"<div><b>{count:,}</b><span>{what}</span></div>" for count, what in numbers)
    parts = [f'<div class="tiles">{tiles}</div>']
    if stats.ratings:
        parts.append(ratings_html(studio))
    pairs, strengths = studio.judging.standing()
    if strengths:
        parts.append(
            '<section class="card results"><header><h3>Comparisons</h3></header>'
            f"{strengths_html(strengths)}<h4>Pairs</h4>{pairs_table(pairs)}</section>"
        )
    if stats.marks:
        parts.append(tags_html(studio))
    parts.append(
        '<p class="buttons"><a class="act" href="judgements/ratings.csv" download>Ratings (CSV)</a>'
        '<a class="act" href="judgements/comparisons.csv" download>Comparisons (CSV)</a></p>'
    )
    return "".join(parts)


def ratings_html(studio: Studio) -> str:
    """Overall means of the systems, and the means by criterion."""
    values: dict[str, list[float]] = defaultdict(list)
    name_of = studio.judging.designer.system_name
    for row in studio.judging.judgements.ratings_table("overall"):
        values[name_of(row.engine, row.adapter)].append(row.value)
    scores = sorted(
        (SystemScore(system, "", mean_interval(given)) for system, given in values.items()),
        key=lambda score: -score.estimate.mean,
    )
    stats = studio.judging.judgements.stats()
    by_criterion = table(
        ("Criterion", "Mean", "Ratings"),
        [
            (escape(criterion(name).title), f"<b>{mean:.2f}</b>", str(count))
            for name, (count, mean) in stats.by_criterion.items()
        ],
    )
    rows = [(s.system, s.estimate.mean, s.estimate.low, s.estimate.high) for s in scores]
    plot = (
        f"<h4>Overall, by system</h4>{dots(rows, 'Mean of overall ratings', (1, 5))}"
        if rows
        else ""
    )
    return (
        '<section class="card results"><header><h3>Ratings</h3></header>'
        f"{by_criterion}{plot}</section>"
    )


def tags_html(studio: Studio) -> str:
    """The tags in use."""
    counts = studio.clips.tags()[:24]
    chips = " ".join(
        f'<span class="tag">{escape(count.name)} · {count.clips}</span>' for count in counts
    )
    return f'<section class="card"><header><h3>Tags</h3></header><p class="tag-cloud">{chips}</p></section>'
