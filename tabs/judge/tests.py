"""Listening tests: the list, taking one trial after the other, results; each saved as one goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from engines.studio import Studio
from engines.studio.judging.judging import config, criterion
from engines.studio.settings import LOOPBACK
from storage import TestRow
from tabs.judge import design as judge_design
from tabs.judge import links as judge_links
from tabs.judge.pairs import require_heard
from tabs.judge.trials import button, trial_html
from tabs.ui import live
from tabs.ui import plots as judge_results
from tabs.ui.clip_filter import JUDGE_JS
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET, Page, refresher
from tabs.ui.player import when
from tabs.ui.rater import rater_name

NO_TESTS = "No listening test yet. Make the first one below."


@dataclass(frozen=True)
class Where:
    """What one browser sees: the list, a trial of ``test``, its results, or its links."""

    mode: str = "list"
    test: str = ""
    position: int | None = None
    archived: bool = False
    screened: bool = False
    sure: str = ""
    who: str = ""


def build(studio: Studio, remembered: gr.BrowserState) -> Page:
    """Lay out the page in the current block."""
    where = gr.State(Where())
    stage = gr.HTML(elem_id="tests-stage", js_on_load=JUDGE_JS, apply_default_css=False)
    with gr.Column(elem_id="tests-new") as new:
        form = judge_design.build(studio)
    outputs = [where, stage, new]

    def draw(now: Where, who: str) -> list[Any]:
        now = replace(now, who=who)
        return [now, stage_html(studio, now, who), gr.update(visible=now.mode == "list")]

    def opened(request: gr.Request, now: Where, kept: str) -> list[Any]:
        who = rater_name(request, kept)
        if now.mode == "take" and now.who == who:  # a trial in progress stays as it is
            return [gr.skip()] * len(outputs)
        with as_gradio_error():
            return draw(now if now.mode == "take" else Where(archived=now.archived), who)

    def act(event: gr.EventData, request: gr.Request, now: Where, kept: str) -> list[Any]:
        who = rater_name(request, kept)
        with as_gradio_error():
            return draw(after(studio, now, event, who), who)

    def made(request: gr.Request, kept: str, *values: Any) -> list[Any]:
        with as_gradio_error():
            test = judge_design.create(studio, values)
        gr.Success(f"“{test.name}” is ready: {test.trials} trials.", duration=5)
        return draw(Where(), rater_name(request, kept))

    stage.select(**refresher(act, [where, remembered], outputs))
    form.create.click(made, [remembered, *form.inputs], outputs, **QUIET).success(
        **form.refresh_name
    )
    page = refresher(opened, [where, remembered], outputs)
    page["outputs"] = [*outputs, *form.refreshed]
    page["fn"] = _with_form(opened, form)
    return Page(page)


def _with_form(opened: Any, form: judge_design.Form) -> Any:
    """``opened`` followed by what the form offers now."""

    def both(request: gr.Request, now: Where, kept: str) -> list[Any]:
        return [*opened(request, now, kept), *form.offered()]

    return both


def after(studio: Studio, now: Where, event: Any, who: str) -> Where:
    """Where a click or an answer leads; stores answers."""
    action, given = str(event.action), str(getattr(event, "id", "") or "")
    if action in judge_links.ACTIONS:
        text = str(getattr(event, "text", "") or "")
        return Where("share", judge_links.after(studio, action, given, now.test, text))
    tests = studio.store.tests
    if action == "take":
        return Where("take", given)
    if action == "results":
        return Where("results", given or now.test)
    if action == "list":
        return Where(archived=now.archived)
    if action == "archived":
        return Where(archived=not now.archived)
    if action == "archive":
        tests.archive(given, not now.archived)
        return replace(now, sure="")
    if action == "delete" and now.sure != given:
        return replace(now, sure=given)
    if action == "delete":
        tests.delete(given)
        return replace(now, sure="")
    if action == "screen":
        return replace(now, screened=not now.screened)
    if action == "goto":
        return replace(now, position=int(given))
    if action == "vote":
        return answered(studio, now, event, who)
    return now


def answered(studio: Studio, now: Where, event: Any, who: str) -> Where:
    """Store the answer to the trial shown; raises ``StudioError`` when sounds were not heard."""
    shown = studio.judging.present(now.test, who, now.position)
    if shown is None or shown.trial.id != str(event.trial) or now.who != who:
        return replace(now, position=None)
    heard = list(event.heard)
    clips = ([shown.reference] if shown.reference else []) + list(shown.clips)
    require_heard(clips, heard)
    answer = (
        {"choice": int(event.choice), "strength": int(event.strength)}
        if shown.test.kind == "ab"
        else {"scores": [int(score) for score in event.scores]}
    )
    studio.judging.vote(shown.trial.id, who, answer, round(float(event.seconds), 1))
    return replace(now, position=None)


# HTML


def stage_html(studio: Studio, now: Where, who: str) -> str:
    """The list, the trial, the results or the links."""
    if now.mode == "share":
        settings = studio.settings
        reachable = settings.host not in LOOPBACK or settings.protected or settings.public
        return judge_links.links_html(studio, studio.store.tests.get(now.test), reachable)
    if now.mode == "results":
        found = studio.judging.results(now.test, screened=now.screened)
        return judge_results.results_html(found)
    if now.mode == "take":
        shown = studio.judging.present(now.test, who, now.position)
        if shown is None:
            return thanks_html(studio.store.tests.get(now.test))
        return trial_html(shown, who)
    return list_html(studio, now, who)


def list_html(studio: Studio, now: Where, who: str) -> str:
    """All tests with how far this rater is."""
    tests = studio.store.tests.list(now.archived)
    cards = "".join(test_card(studio, test, who, now) for test in tests)
    others = len(studio.store.tests.list(not now.archived))
    switch = ""
    if now.archived or others:
        switch = button(
            "Back to the open tests" if now.archived else f"Archive ({others})",
            "archived",
            "",
            "small",
        )
    heading = "Archive" if now.archived else "Open tests"
    empty = live.empty("The archive is empty." if now.archived else NO_TESTS)
    return (
        f'<header class="tests-head"><h3>{heading}</h3>{switch}</header>'
        f'<div class="tests-list">{cards or empty}</div>'
    )


def test_card(studio: Studio, test: TestRow, who: str, now: Where) -> str:
    """One test: what it is, how far one is, what can be done."""
    done = len(studio.store.tests.votes(test.id, who))
    title = config()["kinds"][str(test.kind)]["title"]
    systems = ", ".join(test.config.get("systems", [])) or "clips"
    reference = escape(test.config.get("reference") or "")
    reference = f" · reference: {reference}" if reference else ""
    mine = live.meter("You", done / test.trials, f"{done} of {test.trials}")
    word = "Take the test" if not done else "Go on" if done < test.trials else "My answers"
    kind = "primary" if done < test.trials else ""
    take = "" if test.archived else button(word, "take", test.id, kind)
    share = "" if test.archived else button("Share", "share", test.id)
    sure = now.sure == test.id
    delete = button(
        "Really delete?" if sure else "Delete", "delete", test.id, f"stop small{' sure' * sure}"
    )
    return f"""
<section class="card test" data-test="{test.id}">
  <header><h3>{escape(test.name)}</h3>{live.badge(title)}
    {live.badge(criterion(str(test.criterion)).title)}</header>
  <p class="quiet">{escape(live.short(systems, 120))}{reference}<br>{test.trials} trials, {test.raters}
    {"listener" if test.raters == 1 else "listeners"} · {when(test.created_at)}</p>
  {mine}
  <div class="buttons">{take}{button("Results", "results", test.id)}{share}<span class="grow"></span>
    {button("Take out" if test.archived else "Archive", "archive", test.id, "small")}
    {delete}
  </div>
</section>"""


def thanks_html(test: TestRow) -> str:
    """After the last trial."""
    return (
        '<div class="rate-done"><p class="thanks">✓ All trials answered. Thank you.</p>'
        '<div class="buttons centre">'
        f"{button('Look at my answers', 'goto', '1')}{button('All tests', 'list')}"
        f"{button('Results', 'results', test.id, 'primary')}</div></div>"
    )
