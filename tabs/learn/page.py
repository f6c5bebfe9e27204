"""Lays out the Datasets, Training and Adapters tabs, and what leads from one to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from engines.studio import Studio
from tabs.learn import adapters, datasets, training
from tabs.learn.steps import LoopPage, lab_of
from tabs.ui.page import QUIET

OPENS = {
    "open-dataset": "datasets",
    "open-run": "training",
    "train-with": "training",
    "open-adapter": "adapters",
}
TABS = (("Datasets", datasets), ("Training", training), ("Adapters", adapters))


def build(studio: Studio, tabs: gr.Tabs) -> None:
    """Lay out the three tabs inside ``tabs``."""
    lab, pages = lab_of(studio), []
    for title, module in TABS:
        name = title.lower()
        with gr.Tab(title, id=name, elem_id=f"tab-{name}") as tab:
            page = module.build(studio, lab)
            tab.select(**page.refresh)
            pages.append(page)
    _link(tabs, pages)


def _link(tabs: gr.Tabs, pages: Sequence[LoopPage]) -> None:
    """Make the buttons of one tab open something in another."""
    views = [page.view for page in pages]
    filled = [component for page in pages for component in page.filled]

    def follow(first: Any, second: Any, third: Any, event: gr.EventData) -> Any:
        target = OPENS.get(str(event.action))
        if target is None:
            return gr.skip()
        seen = dict(zip((page.tab for page in pages), (first, second, third), strict=True))
        trains = event.action == "train-with"
        seen[target].show("" if trains else str(event.id))
        values = [update for page in pages for update in page.fill(str(event.id))]
        updates = values if trains else [gr.skip()] * len(filled)
        return [gr.Tabs(selected=target), *seen.values(), *updates]

    for page in pages:
        for item in page.lists:
            item.select(follow, views, [tabs, *views, *filled], queue=False, **QUIET)
