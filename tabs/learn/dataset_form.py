"""The forms of the Datasets tab: one that builds a dataset with filters, one that imports one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from engines import tasks
from engines.base import Task
from storage.learning.dataset_filter import DatasetFilter
from storage.learning.judgements import Criterion
from tabs.ui import live

KINDS = [
    ("Clips that were rated well", "supervised"),
    ("Pairs of which one was preferred", "preference"),
]
DEFAULTS: dict[str, Any] = {"kind": "supervised", "min_rating": 4.0, "min_raters": 1}
ANY = ""
SCORE, LEAST, MOST = "score", "score_least", "score_most"  # controls of one measure's limits


@dataclass
class Builder:
    """The controls of the form that makes a dataset; ``filters`` by name of the filter's field."""

    column: gr.Column
    filters: dict[str, Any] = field(default_factory=dict)
    supervised: Any = None
    preference: Any = None
    name: Any = None
    share: Any = None
    seed: Any = None
    create: Any = None
    found: list[gr.HTML] = field(default_factory=list)

    @property
    def chosen_from(self) -> list[Any]:
        """Menus whose choices grow with what was made and judged."""
        names = ("tags_in", "tags_out", "engine", "adapter", SCORE)
        return [self.filters[name] for name in names]


@dataclass
class Importer:
    """The controls of the form that imports one."""

    column: gr.Column
    files: Any
    name: Any
    share: Any
    button: Any


def builder() -> Builder:
    with gr.Column() as column:
        parts = Builder(column)
        wanted = parts.filters
        wanted["kind"] = gr.Radio(
            KINDS, value=DEFAULTS["kind"], label="Learn from", elem_id="datasets-kind"
        )
        with gr.Row() as parts.supervised:
            wanted["criterion"] = gr.Dropdown(
                [(item.capitalize(), item.value) for item in Criterion],
                value=Criterion.OVERALL.value, label="Rated for", min_width=150,
                elem_id="datasets-criterion",
            )  # fmt: skip
            wanted["min_rating"] = gr.Slider(
                1, 5, DEFAULTS["min_rating"], step=0.5, label="Rated at least", min_width=150,
                info="Mean of everybody's ratings.", elem_id="datasets-min-rating",
            )  # fmt: skip
        with gr.Row(visible=False) as parts.preference:
            wanted["min_strength"] = gr.Slider(
                1, 3, 1, step=1, label="Preferred at least this clearly",
                info="1 slightly to 3 clearly, the mean of those who agree. Ties are never used, and "
                "where people disagree the majority counts.",
                elem_id="datasets-min-strength",
            )  # fmt: skip
        _narrow(wanted)
        parts.found = [live.listing("datasets-found")]
        with gr.Row(equal_height=True):
            parts.name = gr.Textbox(
                label="Name", placeholder="such as Calm piano, July", max_lines=1, min_width=200,
                scale=3, elem_id="datasets-name",
            )  # fmt: skip
            parts.share = gr.Slider(
                0, 0.5, 0.1, step=0.05, label="Kept to check with", min_width=180, scale=2,
                info="Share of prompts never learned from.", elem_id="datasets-share",
            )  # fmt: skip
            parts.seed = gr.Number(
                0, label="Split seed", precision=0, minimum=0, min_width=110, scale=1,
                elem_id="datasets-seed",
            )  # fmt: skip
        parts.create = gr.Button("Create dataset", variant="primary", elem_id="datasets-create")
        parts.found += [live.listing("datasets-found-quality"), live.listing("datasets-preview")]
    return parts


def _narrow(wanted: dict[str, Any]) -> None:
    """The filters that few need, folded away."""
    with gr.Accordion("Narrow it down", open=False, elem_id="datasets-narrow"):
        wanted["text"] = gr.Textbox(
            label="Words in the prompt", max_lines=1, elem_id="datasets-text"
        )
        with gr.Row():
            wanted["tags_in"] = gr.Dropdown(
                [], multiselect=True, label="Only with all these tags", min_width=180,
                elem_id="datasets-tags-in",
            )  # fmt: skip
            wanted["tags_out"] = gr.Dropdown(
                [], multiselect=True, label="With none of these tags", min_width=180,
                elem_id="datasets-tags-out",
            )  # fmt: skip
        with gr.Row():
            wanted["min_raters"] = gr.Number(
                1, label="Judged by (people)", precision=0, minimum=1, min_width=140,
                elem_id="datasets-min-raters",
            )  # fmt: skip
            for name, label in (("engine", "Engine"), ("adapter", "Adapter")):
                wanted[name] = gr.Dropdown(
                    [("Any", ANY)], value=ANY, label=label, min_width=140,
                    elem_id=f"datasets-{name}",
                )  # fmt: skip
            wanted["task"] = gr.Dropdown(
                [("Any", ANY), *((tasks.title(task), task.value) for task in Task)],
                value=ANY, label="Task", min_width=140, elem_id="datasets-task",
            )  # fmt: skip
        with gr.Row():
            for name, label in (("date_from", "Made from"), ("date_to", "Made until")):
                wanted[name] = gr.Textbox(
                    label=label, placeholder="2026-01-31", max_lines=1, min_width=120,
                    elem_id=f"datasets-{name}",
                )  # fmt: skip
            wanted["max_duration_s"] = gr.Number(
                None,
                label="At most (s)",
                placeholder="any",
                min_width=110,
                elem_id="datasets-max-s",
            )
        with gr.Row():
            wanted[SCORE] = gr.Dropdown(
                [("None", ANY)], value=ANY, label="Score of a measure", min_width=180,
                info="Clips are measured in Evaluation.", elem_id="datasets-score",
            )  # fmt: skip
            for name, label in ((LEAST, "Score at least"), (MOST, "Score at most")):
                wanted[name] = gr.Textbox(
                    label=label, placeholder="any", max_lines=1, min_width=110,
                    elem_id=f"datasets-{name}",
                )  # fmt: skip
        wanted["favorites"] = gr.Checkbox(label="Favourites only", elem_id="datasets-favorites")


def importer() -> Importer:
    with gr.Column(visible=False) as column:
        gr.HTML(
            '<section class="card"><h3>Sounds from elsewhere</h3><p>Send a zip, or all files of a '
            "folder together: sounds with their captions in <code>metadata.jsonl</code> or "
            "<code>metadata.csv</code> (columns <code>file_name</code> and <code>prompt</code>, "
            "<code>text</code> or <code>caption</code>), or a <code>name.txt</code> beside every "
            "<code>name.wav</code>. What the studio exports is read back too.</p></section>",
            apply_default_css=False,
        )
        files = gr.File(
            file_count="multiple", label="A zip, or sounds and captions", height=140,
            elem_id="datasets-import-files",
        )  # fmt: skip
        with gr.Row(equal_height=True):
            name = gr.Textbox(
                label="Name", max_lines=1, min_width=200, scale=3, elem_id="datasets-import-name"
            )
            share = gr.Slider(
                0, 0.5, 0.1, step=0.05, label="Kept to check with", min_width=180, scale=2,
                info="Share of prompts never learned from.",
            )  # fmt: skip
        button = gr.Button("Import", variant="primary", elem_id="datasets-import-button")
    return Importer(column, files, name, share, button)


def filter_from(values: dict[str, Any]) -> DatasetFilter:
    """The form's values as a filter; empty fields are left out.

    Raises ``StorageError`` for a date or number that is none.
    """
    given = {name: value for name, value in values.items() if value not in (None, "", [], False)}
    metric = given.pop(SCORE, "")
    for name, limit in ((LEAST, "score_min"), (MOST, "score_max")):
        value = given.pop(name, None)
        if metric and value is not None:
            given[limit] = {metric: value}
    supervised = given.get("kind") == "supervised"
    for name in ("min_strength",) if supervised else ("min_rating", "criterion"):
        given.pop(name, None)
    return DatasetFilter.from_dict(given)
