"""The page of a family of engines: their forms on the left, what they made on the right.

Most families need no more than this; Speech and Music bring controls of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr

from engines.studio import Studio
from engines.tasks import Family
from tabs.make import results
from tabs.ui import task
from tabs.ui.page import Page


@dataclass
class MakePage:
    """The parts of a family's page: its forms, its results, and what to refresh when it is opened."""

    tab: task.TaskTab
    results: results.Results
    pages: list[Page] = field(default_factory=list)


def build(
    studio: Studio,
    family: Family,
    page: gr.Tab,
    job_ids: gr.BrowserState,
    who: gr.BrowserState,
) -> MakePage:
    """Lay out the page in the current block."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=360) as left:
            pass
        with gr.Column(scale=5, min_width=360):
            made = results.build(studio, family.task, job_ids, who)
    tab = task.build(studio, family.task, {}, left)
    for panel in tab.panels.values():
        made.connect(panel)
    return MakePage(tab, made)
