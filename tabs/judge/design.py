"""The form for a new listening test, with a live account of what it will be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.judging import own_sounds
from engines.studio.judging.designs import (
    BY_ADAPTER,
    BY_ENGINE,
    BY_SYSTEM,
    REFERENCE_SYSTEM,
    Design,
)
from engines.studio.judging.judging import config
from storage import StorageError, TestRow
from tabs.http.sent_sounds import SENDABLE, folders_allowed, received
from tabs.ui.clip_filter import filters
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET, refresher

APART = [
    ("Engine and adapter", BY_SYSTEM),
    ("Engine", BY_ENGINE),
    ("Adapter", BY_ADAPTER),
]


@dataclass
class Form:
    """The controls; ``inputs`` are the values that ``create`` takes."""

    studio: Studio
    name: Any = None
    kind: Any = None
    criterion: Any = None
    by: Any = None
    systems: Any = None
    reference: Any = None
    anchor: Any = None
    per_prompt: Any = None
    max_prompts: Any = None
    ids: Any = None
    plan: Any = None
    create: Any = None
    own: list[Any] = field(default_factory=list)
    take: Any = None
    filters: list[Any] = field(default_factory=list)

    @property
    def inputs(self) -> list[Any]:
        """In the order of ``design_of``."""
        return [
            self.name, self.kind, self.criterion, self.by, self.systems, self.reference,
            self.anchor, self.per_prompt, self.max_prompts, self.ids, *self.filters,
        ]  # fmt: skip

    @property
    def refreshed(self) -> list[Any]:
        """What ``offered`` updates."""
        return [self.by, self.systems, self.reference, self.plan]

    @property
    def refresh_name(self) -> dict[str, Any]:
        """After a test was made: an empty name."""
        return refresher(lambda: "", None, self.name)

    def offered(self) -> list[Any]:
        """What there is to compare, before anything was chosen."""
        return offer(self.studio, BLANK)


BLANK: tuple[Any, ...] = ("", "ab", "overall", BY_SYSTEM, [], "", True, 1, 0, "", "", "", "")


def build(studio: Studio) -> Form:
    """Lay out the form in the current block."""
    form = Form(studio)
    kinds = config()["kinds"]
    with gr.Accordion("New listening test", open=False, elem_id="tests-form"):
        with gr.Row():
            form.name = gr.Textbox(
                label="Name", placeholder="e.g. warm v1 against base", max_lines=1, min_width=220,
                elem_id="test-name",
            )  # fmt: skip
            form.criterion = gr.Dropdown(
                [(of["title"], name) for name, of in config()["criteria"].items()],
                value="overall",
                label="What is asked",
                min_width=160,
                elem_id="test-criterion",
            )
        form.kind = gr.Radio(
            [(of["title"], name) for name, of in kinds.items()],
            value="ab",
            label="Kind of test",
            info=kinds["ab"]["about"],
            elem_id="test-kind",
        )
        gr.HTML('<h4 class="form-head">Which clips</h4>', apply_default_css=False)
        with gr.Row():
            choose = filters("test")
        form.filters = choose.parts
        with gr.Accordion("Or name them", open=False):
            form.ids = gr.Textbox(
                label="Ids of clips",
                info="One a line; the filters above are then not used.",
                lines=2,
                elem_id="test-ids",
            )
        with gr.Accordion("Or use sounds of your own", open=False, elem_id="test-own"):
            with gr.Row():
                form.own = [
                    gr.File(
                        file_count="multiple", file_types=list(SENDABLE), label=label, height=150,
                        elem_id=f"test-own-{name}",
                    )
                    for name, label in (
                        ("generated", "A zip for each system, named after it"),
                        ("reference", "Reference: files of the same names (may be left out)"),
                    )
                ]  # fmt: skip
            form.own += [
                gr.Textbox(
                    label="Or folders of this machine, one for each system", lines=2,
                    info="One a line; all as name=folder to name the systems.",
                    visible=folders_allowed(studio.settings), elem_id="test-own-folders",
                ),
                gr.Textbox(
                    label="Folder of the reference", max_lines=1,
                    visible=folders_allowed(studio.settings), elem_id="test-own-reference-folder",
                ),
            ]  # fmt: skip
            form.take = gr.Button("Use these sounds", elem_id="test-own-take")
        gr.HTML('<h4 class="form-head">What is compared</h4>', apply_default_css=False)
        with gr.Row(equal_height=False):
            form.by = gr.Dropdown(
                APART,
                value=BY_SYSTEM,
                label="Told apart by",
                info="What the listener votes on",
                min_width=180,
                elem_id="test-by",
            )
            form.reference = gr.Dropdown(
                [], label="Reference", info="The truth that the others are held against. Choose it.",
                visible=False, min_width=180, elem_id="test-reference",
            )  # fmt: skip
            form.per_prompt = gr.Number(
                1, label="Clips of each", info="for one prompt", precision=0, minimum=1, maximum=10,
                min_width=120, elem_id="test-per-prompt",
            )  # fmt: skip
            form.max_prompts = gr.Number(
                0, label="Prompts", info="at most; 0 is all", precision=0, minimum=0,
                min_width=120, elem_id="test-max-prompts",
            )  # fmt: skip
        form.systems = gr.CheckboxGroup(
            [],
            label="Only these",
            info="None ticked: all, where there are two to compare.",
            elem_id="test-systems",
        )
        form.anchor = gr.Checkbox(
            value=True, label="Add a dull anchor (everything above 3.5 kHz taken away)",
            visible=False, elem_id="test-anchor",
        )  # fmt: skip
        form.plan = gr.HTML(elem_id="test-plan", apply_default_css=False)
        form.create = gr.Button("Make the test", variant="primary", elem_id="test-create")
    _connect(studio, form, choose)
    return form


def _connect(studio: Studio, form: Form, choose: Any) -> None:
    """What is chosen above decides what can be chosen below."""
    kinds = config()["kinds"]

    def by_kind(kind: str) -> list[Any]:
        mushra = kind == "mushra"
        return [
            gr.update(info=kinds[kind]["about"]),
            gr.update(visible=mushra),
            gr.update(visible=mushra),
        ]

    wide = refresher(lambda *values: offer(studio, values), form.inputs, form.refreshed)
    narrow = refresher(lambda *values: plan_html(studio, values), form.inputs, form.plan)
    form.kind.select(
        **refresher(by_kind, form.kind, [form.kind, form.reference, form.anchor])
    ).then(**narrow)
    form.take.click(
        lambda *values: take_own(studio, *values),
        [*form.own, *form.inputs],
        [form.ids, *form.refreshed],
        **QUIET,
    )
    choose.on_change(wide)
    form.by.select(**wide)
    form.ids.change(**wide, trigger_mode="multiple")
    for control in (form.systems, form.per_prompt, form.max_prompts, form.anchor):
        control.input(**narrow)
    form.reference.select(**narrow)


def design_of(values: Sequence[Any]) -> Design:
    """The form's values as a design."""
    _, kind, _, by, systems, reference, anchor, per_prompt, most, ids, task, engine, words = values
    return Design(
        kind=kind,
        clip_ids=tuple(re.split(r"[\s,;]+", ids.strip())) if ids and ids.strip() else (),
        task=task or "",
        engine=engine or "",
        text=words or "",
        by=by or BY_SYSTEM,
        systems=tuple(systems or ()),
        reference=(reference or "") if kind == "mushra" else "",
        anchor=bool(anchor),
        per_prompt=int(per_prompt or 1),
        max_prompts=int(most or 0),
    )


def offer(studio: Studio, values: Sequence[Any]) -> list[Any]:
    """Choices of ``by``, ``systems`` and ``reference`` for the clips chosen, and the plan."""
    design = design_of(values)
    designer = studio.judging.designer
    try:
        known = designer.systems_of(design)
        settings = designer.differences(design)
    except StorageError as error:
        return [gr.skip(), gr.update(choices=[]), gr.update(choices=[]), _refusal(error)]
    systems = [(f"{name} ({count})", name) for name, count in known.items()]
    # which system is the truth is for the maker to say
    sent = REFERENCE_SYSTEM if REFERENCE_SYSTEM in known else None
    reference = design.reference if design.reference in known else sent
    kept = [name for name in design.systems if name in known]
    now = list(values)
    now[4], now[5] = kept, reference
    apart = [*APART, *((f"Setting: {name}", name) for name in settings)]
    return [
        gr.update(choices=apart),
        gr.update(choices=systems, value=kept),
        gr.update(choices=list(known), value=reference),
        plan_html(studio, now),
    ]


def take_own(
    studio: Studio, sent: Any, originals: Any, folders: str, reference_folder: str, *values: Any
) -> list[Any]:
    """Store sounds of one's own as clips and choose them; the rest of the form follows."""
    lines = (folders or "").splitlines()
    with (
        as_gradio_error(),
        received(studio, sent or (), originals or (), lines, reference_folder or "") as sources,
    ):
        ids = own_sounds.add(studio.store, sources, values[10] or "tts")
    now = list(values)
    now[3], now[4], now[5], now[9] = BY_SYSTEM, [], "", "\n".join(ids)
    by, *others = offer(studio, now)
    return [now[9], {**by, "value": BY_SYSTEM}, *others]


def plan_html(studio: Studio, values: Sequence[Any]) -> str:
    """What the test will be, or what is missing."""
    try:
        design = design_of(values)
        plan = studio.judging.designer.plan(design)
    except (StudioError, StorageError) as error:
        return _refusal(error)
    trials = len(plan.trials)
    reference = f" Reference: <b>{escape(design.reference)}</b>." if design.reference else ""
    left = f" {plan.left_out} more have nothing to compare." if plan.left_out else ""
    return (
        f'<p class="state ok">{plan.prompts} {"prompt" if plan.prompts == 1 else "prompts"}, '
        f"{len(plan.systems)} {'system' if len(plan.systems) == 1 else 'systems'}: "
        f"<b>{trials} {'trial' if trials == 1 else 'trials'}</b>, about "
        f"{max(1, round(plan.minutes))} min for each listener.{reference}{left}</p>"
    )


def _refusal(error: Exception) -> str:
    return f'<p class="state">{escape(str(error))}</p>'


def create(studio: Studio, values: Sequence[Any]) -> TestRow:
    """Make the test; raises ``StudioError`` or ``StorageError``."""
    name, _, criterion, *_ = values
    if not (name or "").strip():
        raise StudioError("Give the test a name, so that you find it again.", "name")
    return studio.judging.create_test(name, design_of(values), criterion=criterion)
