"""The controls of the Adapters tab: importing one, and all that is done with the chosen one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from tabs.learn.steps import bases
from tabs.ui import live
from training.lab.lab import Lab

MAX_SEEDS = 16


@dataclass
class Shown:
    """The parts of the page of one adapter."""

    column: gr.Column
    head: gr.HTML
    use: gr.HTML
    scale: gr.Slider
    activate: gr.Button
    deactivate: gr.Button
    clips: gr.HTML
    tests: gr.HTML
    prompts: gr.Textbox
    seeds: gr.Number
    test_scale: gr.Slider
    duration: gr.Number
    compare: gr.Button
    name: gr.Textbox
    notes: gr.Textbox
    origin: gr.HTML
    merged: gr.Textbox
    merge: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What ``chosen_html`` draws, in order."""
        return [
            self.column, self.head, self.use, self.scale, self.deactivate, self.clips, self.tests,
            self.prompts, self.name, self.notes, self.origin,
        ]  # fmt: skip


def importer(lab: Lab) -> list[Any]:
    gr.HTML(
        '<section class="card"><h3>An adapter from elsewhere</h3><p>A zip of a PEFT folder: '
        "<code>adapter_config.json</code> and <code>adapter_model.safetensors</code>, trained on "
        "the decoder of the base you choose. It is checked against that base before it is accepted; "
        "pickled files are refused.</p></section>",
        apply_default_css=False,
    )
    file = gr.File(
        file_types=[".zip"], label="Zip of an adapter", height=120, elem_id="adapters-import-file"
    )
    with gr.Row(equal_height=True):
        base = gr.Dropdown(bases(lab), label="Base", min_width=200, elem_id="adapters-import-base")
        name = gr.Textbox(
            label="Name", max_lines=1, min_width=200, elem_id="adapters-import-name",
            placeholder="as the zip is called",
        )  # fmt: skip
    button = gr.Button("Import", variant="primary", elem_id="adapters-import-button")
    return [file, base, name, button]


def shown() -> Shown:
    with gr.Column(visible=False) as column:
        head, use = live.listing("adapters-detail"), live.listing("adapters-use")
        with gr.Row(equal_height=True):
            scale = gr.Slider(
                0, 2, 1, step=0.05, label="Scale", min_width=220, scale=4, elem_id="adapters-scale"
            )
            activate = gr.Button(
                "Activate", variant="primary", min_width=110, scale=1, elem_id="adapters-activate"
            )
            deactivate = gr.Button(
                "Deactivate", min_width=110, scale=1, elem_id="adapters-deactivate"
            )
        clips, tests = live.listing("adapters-clips"), live.listing("adapters-tests")
        with gr.Accordion("Compare with base", open=True, elem_id="adapters-compare"):
            prompts, seeds, test_scale, duration, compare = _comparing()
        with gr.Accordion("Name, notes, merge", open=False, elem_id="adapters-more"):
            name = gr.Textbox(label="Name", max_lines=1, elem_id="adapters-name")
            notes = gr.Textbox(label="Notes", lines=2, elem_id="adapters-notes")
            with gr.Row(equal_height=True):
                merged = gr.Textbox(
                    label="Merge into a full model called", max_lines=1, min_width=200, scale=4,
                    info="Base and adapter at the scale above, as own weights to choose in Music.",
                    elem_id="adapters-merged",
                )  # fmt: skip
                merge = gr.Button("Merge", min_width=110, scale=1, elem_id="adapters-merge")
        with gr.Accordion("Where it comes from", open=False):
            origin = live.listing("adapters-origin")
    return Shown(
        column, head, use, scale, activate, deactivate, clips, tests, prompts, seeds, test_scale,
        duration, compare, name, notes, origin, merged, merge,
    )  # fmt: skip


def _comparing() -> list[Any]:
    """Prompts, seeds and scale of a blind test."""
    prompts = gr.Textbox(
        label="Prompts", lines=4, info="One a line. Each is made by the base and with the adapter.",
        elem_id="adapters-prompts",
    )  # fmt: skip
    with gr.Row(equal_height=True):
        seeds = gr.Number(
            1, label="Seeds a prompt", precision=0, minimum=1, maximum=MAX_SEEDS, min_width=120,
            elem_id="adapters-seeds",
        )  # fmt: skip
        scale = gr.Slider(
            0, 2, 1, step=0.05, label="Scale", min_width=180, elem_id="adapters-test-scale"
        )
        duration = gr.Number(
            10, label="Length (s)", minimum=1, maximum=120, min_width=120,
            elem_id="adapters-test-duration",
        )  # fmt: skip
    compare = gr.Button("Make the blind test", variant="primary", elem_id="adapters-compare-start")
    return [prompts, seeds, scale, duration, compare]
