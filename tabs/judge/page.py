"""The Judge tab: rate clips, compare them blind, take listening tests, see how things stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines.studio import Studio
from tabs.judge import overview as judge_overview
from tabs.judge import pairs as judge_compare
from tabs.judge import rate as judge_rate
from tabs.judge import tests as judge_tests
from tabs.ui import rater
from tabs.ui.page import Page, refresher

WELCOME = (
    "Say what you hear. It chooses the clips that train the next adapter, and tells whether that one "
    "is any better."
)


@dataclass
class JudgePage:
    """The tab: ``pages`` are redrawn when it is opened, ``name`` follows the login or the browser."""

    pages: Sequence[Page]
    name: gr.Textbox
    remembered: gr.BrowserState
    mirror: gr.HTML

    def on_load(self, demo: gr.Blocks) -> None:
        """Say who judges when the page is loaded."""

        def recall(kept: str | None, request: gr.Request) -> list[Any]:
            name = rater.rater_name(request, kept)
            if request.username:
                shown = gr.update(value=name, interactive=False)
            else:  # a name may have been typed by now
                shown = gr.update(value=kept) if kept else gr.skip()
            return [shown, rater.mirror_html(name)]

        demo.load(**refresher(recall, self.remembered, [self.name, self.mirror]))


def build(studio: Studio, remembered: gr.BrowserState, mirror: gr.HTML) -> JudgePage:
    """Lay out the tab in the current block; ``remembered`` and ``mirror`` are those of ``rater``."""
    with gr.Row(elem_classes="judge-head"):
        gr.HTML(f'<p class="welcome">{WELCOME}</p>', apply_default_css=False)
        name = gr.Textbox(
            label="You judge as",
            placeholder="me",
            max_lines=1,
            min_width=260,
            scale=0,
            elem_id="judge-name",
        )
    pages: list[Page] = []
    with gr.Tabs(elem_id="judge-tabs"):
        for title, key, make in (
            ("Rate", "rate", judge_rate.build),
            ("Compare", "compare", judge_compare.build),
            ("Listening tests", "tests", judge_tests.build),
        ):
            with gr.Tab(title, id=key, elem_id=f"tab-judge-{key}") as tab:
                page = make(studio, remembered)
                pages.append(page)
                tab.select(**page.refresh)
        with gr.Tab("Overview", id="overview", elem_id="tab-judge-overview"):
            judge_overview.build(studio)
    _connect_name(name, remembered, mirror, pages)
    return JudgePage(pages, name, remembered, mirror)


def _connect_name(
    name: gr.Textbox, remembered: gr.BrowserState, mirror: gr.HTML, pages: Sequence[Page]
) -> None:
    """Another name is another person: all pages are drawn anew for them."""

    def rename(typed: str, request: gr.Request) -> list[Any]:
        return [typed.strip(), rater.mirror_html(rater.rater_name(request, typed))]

    for event in (name.blur, name.submit):
        event(**refresher(rename, name, [remembered, mirror]))
    for page in pages:  # once for each new name; leaving the field alone draws nothing anew
        mirror.change(**page.refresh)
