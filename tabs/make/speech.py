"""The Speech tab: text in, speech out, with any text-to-speech engine."""

from __future__ import annotations

import gradio as gr

from engines.studio import Studio
from engines.tasks import Family
from tabs.make import results
from tabs.make.family import MakePage
from tabs.ui import task

EXAMPLE = "The studio is ready. Type something, choose a voice, and listen."


def build(
    studio: Studio,
    family: Family,
    page: gr.Tab,
    job_ids: gr.BrowserState,
    who: gr.BrowserState,
) -> MakePage:
    """Lay out the tab in the current block."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=360) as left:
            text = gr.Textbox(
                EXAMPLE,
                label="Text",
                info="Long texts are spoken in parts; the first is heard while the rest is made.",
                lines=6,
                max_lines=20,
                elem_id="speech-text",
                interactive=True,  # forms, whose events read it, come later
            )
        with gr.Column(scale=5, min_width=360):
            made = results.build(studio, family.task, job_ids, who)
    tab = task.build(studio, family.task, {"text": text}, left)
    for panel in tab.panels.values():
        made.connect(panel)
    return MakePage(tab, made)
