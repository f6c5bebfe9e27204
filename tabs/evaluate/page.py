"""The Evaluation tab: measure one sound, a pair, or the sounds of many systems; what each measure is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines.studio import Studio
from engines.studio.evaluation.plan import cards
from tabs.evaluate import one as evaluate_one
from tabs.evaluate import pair as evaluate_pair
from tabs.evaluate import runs as evaluate_runs
from tabs.evaluate.html import cards_html
from tabs.ui.page import QUIET, Page

WELCOME = (
    "Numbers for what you hear: quality, pitch, words, likeness. What a measure cannot say of a sound, it "
    "says why. All of it runs on this machine."
)


@dataclass
class EvaluatePage:
    """The tab: ``pages`` are redrawn when it is opened."""

    pages: Sequence[Page]
    inner: gr.Tabs
    one: evaluate_one.OnePage

    def link(self, button: gr.Button, clip_id: Any, tabs: gr.Tabs) -> None:
        """Make ``button`` measure the clip whose id ``clip_id`` holds."""
        button.click(
            lambda chosen: [gr.Tabs(selected="evaluation"), gr.Tabs(selected="one"), chosen, None],
            clip_id,
            [tabs, self.inner, self.one.clip, self.one.sound],
            queue=False,
            **QUIET,
        ).then(**self.one.measure)


def build(studio: Studio) -> EvaluatePage:
    """Lay out the tab in the current block."""
    gr.HTML(f'<p class="welcome">{WELCOME}</p>', apply_default_css=False)
    pages: list[Page] = []
    with gr.Tabs(elem_id="evaluate-tabs", selected="one") as inner:
        for title, key, module in (
            ("One sound", "one", evaluate_one),
            ("Against a reference", "pair", evaluate_pair),
            ("Many sounds", "runs", evaluate_runs),
        ):
            with gr.Tab(title, id=key, elem_id=f"tab-evaluate-{key}") as tab:
                page = module.build(studio)
                pages.append(page)
                tab.select(**page.refresh)
        with gr.Tab("Measures", id="measures", elem_id="tab-evaluate-measures"):
            gr.HTML(cards_html(cards()), elem_id="evaluate-cards", apply_default_css=False)
    one = pages[0]
    assert isinstance(one, evaluate_one.OnePage)
    return EvaluatePage(pages, inner, one)
