"""The Adapters tab in HTML: the list, one adapter with where it comes from, its blind tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from storage import ClipRow
from storage.learning.adapters import AdapterRow
from tabs.learn.runs_html import shown
from tabs.ui import live
from tabs.ui.chosen import ChosenView, counted, said_html, sure_button
from tabs.ui.curves import number
from tabs.ui.live import badge, button
from tabs.ui.player import clock, progress_bar, table, when
from training.lab.trials import AdapterTest
from training.lab.verdicts import Verdict

NO_ADAPTERS = "None yet. Each training run that ends well puts one here."
SHOWN_METRICS = 6


# the list on the left


def list_html(rows: Sequence[AdapterRow], view: ChosenView, archived: bool) -> str:
    """A button to import one, and all adapters by name."""
    imports = button("Import", "open", "").replace(
        "<button ", f'<button aria-pressed="{str(not view.chosen).lower()}" ', 1
    )
    put_away = button("Archive", "archived", "").replace(
        "<button ", f'<button aria-pressed="{str(archived).lower()}" ', 1
    )
    head = f'<div class="side"><div class="buttons">{imports}{put_away}</div>'
    if not rows:
        return f"{head}{live.empty('Nothing is archived.' if archived else NO_ADAPTERS)}</div>"
    return f'{head}<ul class="picks">{"".join(_pick(row, view) for row in rows)}</ul></div>'


def _pick(row: AdapterRow, view: ChosenView) -> str:
    adapter_id = escape(row.id, quote=True)
    active = badge(f"active ×{row.scale:g}", "ok") if row.active else ""
    best = next(iter(numbers(row.metrics)), None)
    about = f"{row.base} · {when(row.created_at)}"
    if best:
        about += f" · {words(best[0])} {number(best[1])}"
    return (
        f'<li data-action="open" data-id="{adapter_id}" '
        f'class="{"selected" if row.id == view.chosen else ""}">'
        f'<button type="button" class="plain" data-action="open" data-id="{adapter_id}">'
        f"{escape(row.label)}</button>{active}"
        f'<span class="about">{escape(about)}</span></li>'
    )


def numbers(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The metrics that are numbers, those of the checks first."""
    found = [
        (name, float(value))
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return sorted(found, key=lambda item: not item[0].startswith("validation"))


def words(name: str) -> str:
    """A metric's name for people."""
    return name.replace("_", " ").replace("/", " ")


# one adapter


def head_html(row: AdapterRow, links: str, view: ChosenView) -> str:
    """Name, whether it is in use, what can be done with it."""
    marks = badge(f"active ×{row.scale:g}", "ok") if row.active else badge("not active")
    if row.archived:
        marks = badge("archived")
    adapter_id = escape(row.id, quote=True)
    archive = button("Take out of the archive" if row.archived else "Archive", "archive", row.id)
    delete = sure_button(view, "Delete", "delete", f"Really delete {live.short(row.label, 30)}?")
    return f"""
<section class="card"><header><h3>{escape(row.label)}</h3>{marks}</header>{said_html(view)}
<p>Changes <b>{escape(row.base)}</b>, and fits no other base.{links}</p>
<div class="buttons"><a class="act" href="adapters/{adapter_id}/adapter.zip" download>Export (zip)</a>
{archive}{delete}</div></section>"""


def use_html(row: AdapterRow) -> str:
    """What activating means."""
    if row.active:
        return (
            '<p class="state ok">In use: Music chooses it, with this scale, whenever its base is '
            f"used. {button('Make music', 'tab', 'music', 'small')}</p>"
        )
    return (
        '<p class="quiet">Active adapters are chosen in Music by themselves. A scale of 0 sounds '
        "like the base, 1 as trained, up to 2 exaggerates it.</p>"
    )


def links_html(run: str, run_id: str, dataset: str, dataset_id: str) -> str:
    """Buttons to the run and dataset it comes from, where those are still here."""
    found = []
    if run:
        found.append(f" Trained by {button(run, 'open-run', run_id, 'small')}")
    if dataset:
        found.append(f" from {button(dataset, 'open-dataset', dataset_id, 'small')}")
    return "".join(found) + ("." if found else "")


def origin_html(row: AdapterRow) -> str:
    """Provenance: base and revision, metrics, configuration."""
    facts: list[tuple[str, object]] = [
        ("Came", "from a training run here" if str(row.source) == "trained" else "by import"),
        ("Made", when(row.created_at)),
        ("Base", row.base),
        ("Base revision", row.base_revision or "–"),
        ("Fingerprint", f"sha256 {row.hash[:16]}…" if row.hash else "–"),
        *(
            (words(name).capitalize(), number(v))
            for name, v in numbers(row.metrics)[:SHOWN_METRICS]
        ),
    ]
    config = ""
    if row.config:
        lines = table((name, shown(value)) for name, value in row.config.items())
        config = f"<h4>Configuration of the run</h4>{lines}"
    return table(facts) + config


def clips_html(clips: Sequence[ClipRow]) -> str:
    """Sounds made with it at the end of training."""
    if not clips:
        return ""
    lines = "".join(
        f'<li><button class="icon" data-play="clips/{escape(clip.id, quote=True)}/audio" '
        f'aria-label="Play">▶</button><span class="name">{escape(clip.text or clip.title)}</span>'
        f'<span class="quiet">{clock(clip.duration_s)}</span></li>'
        for clip in clips
    )
    return (
        '<section class="card"><header><h3>What it sounds like</h3></header>'
        f'<ul class="rows-list">{lines}</ul></section>'
    )


# is it better than the base?


def tests_html(tests: Sequence[AdapterTest], verdict: Verdict) -> str:
    """The verdict of all votes, and each test with a link to vote in it."""
    body = "".join(_test(test) for test in tests)
    if not tests:
        body = live.empty("Not tested yet. The form below makes a blind test in one click.")
    return (
        '<section class="card"><header><h3>Is it better than the base?</h3></header>'
        f'{verdict_html(verdict)}<ul class="plain-list">{body}</ul></section>'
    )


def verdict_html(verdict: Verdict) -> str:
    """How often listeners chose it, and whether that could be chance."""
    total = verdict.wins + verdict.losses + verdict.ties
    if not total:
        return ""
    parts = "".join(
        f'<span class="{kind}" style="flex:{count}">{count} {word}</span>'
        for kind, count, word in (
            ("won", verdict.wins, "adapter"),
            ("tied", verdict.ties, "no difference"),
            ("lost", verdict.losses, "base"),
        )
        if count
    )
    return f'<p><b>{escape(verdict.sentence)}</b></p><div class="verdict">{parts}</div>'


def _test(test: AdapterTest) -> str:
    name = f'<span class="name">{escape(test.name)}</span>'
    if test.test_id:
        vote = button("Listen and vote", "open-test", test.test_id, "small primary")
        return f'<li><div class="line">{name}{vote}</div></li>'
    if test.error:
        again = button("Try again", "retry-test", test.id, "small")
        told = f'<p class="state bad">{escape(test.error)}</p>'
        return f'<li><div class="line">{name}{again}</div>{told}</li>'
    share = test.done / test.of if test.of else 0.0
    bar = progress_bar(share, f"{test.done} of {counted(test.of, 'clip')} made")
    return f'<li><div class="line">{name}</div>{bar}</li>'
