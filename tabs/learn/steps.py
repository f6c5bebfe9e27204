"""What the tabs of the learning loop share: the lab, the strip of steps, links from tab to tab."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from storage import ClipQuery, NotFound
from tabs.ui.chosen import counted
from tabs.ui.page import Page
from training.lab.lab import Lab

_labs: WeakKeyDictionary[Studio, Lab] = WeakKeyDictionary()
_making = threading.Lock()


def lab_of(studio: Studio) -> Lab:
    """The lab of a studio, started when first asked for and closed with the studio."""
    with _making:
        lab = _labs.get(studio)
        if lab is None:
            lab = _labs[studio] = Lab(studio)
            lab.start()
            studio.at_close(lab.close)
        return lab


# the strip of steps


@dataclass(frozen=True)
class Step:
    """One step of the loop: the tab it is done in and what one does there."""

    tab: str
    title: str
    text: str


STEPS = (
    Step("music", "Make", "clips from prompts"),
    Step("judge", "Judge", "rate and compare them"),
    Step("datasets", "Dataset", "freeze what was judged"),
    Step("training", "Train", "an adapter learns from it"),
    Step("adapters", "Adapter", "use it, test it blind"),
)


def strip_html(studio: Studio, lab: Lab, here: str, intro: str) -> str:
    """The steps of the loop with how much of each is here; ``here`` is the tab that is shown, and
    ``intro`` says what it is for."""
    counts = _counts(studio, lab)
    items = "".join(
        f'<li><button type="button" class="loop-step{" here" if step.tab == here else ""}" '
        f'data-action="tab" data-id="{step.tab}"{" aria-current=step" * (step.tab == here)}>'
        f'<b><i>{number}</i>{step.title}</b><span class="quiet">{step.text}</span>'
        f'<span class="loop-count">{counts[step.tab]}</span></button></li>'
        for number, step in enumerate(STEPS, 1)
    )
    return (
        f'<ol class="loop" aria-label="The learning loop">{items}</ol>'
        f'<p class="welcome">{escape(intro)}</p>'
    )


def _counts(studio: Studio, lab: Lab) -> dict[str, str]:
    stats = studio.store.judgements.stats()
    return {
        "music": counted(studio.clips.search(ClipQuery(task="music", page_size=1)).total, "clip"),
        "judge": counted(stats.ratings + stats.preferences + stats.marks, "judgement"),
        "datasets": counted(len(lab.datasets()), "dataset"),
        "training": counted(len(lab.runs()), "run"),
        "adapters": counted(len(lab.adapters()), "adapter"),
    }


def bases(lab: Lab) -> list[str]:
    """Weights here that can be trained; none where the engine itself is missing."""
    try:
        return lab.bases()
    except StudioError:
        return []


def example_prompts(lab: Lab, dataset_id: str) -> list[str]:
    """Prompts of a dataset to listen to: those that are never learned from come first."""
    try:
        items = lab.dataset_items(dataset_id) if dataset_id else []
    except NotFound:
        return []
    held_out = [item.prompt for item in items if item.split == "validation"]
    return list(dict.fromkeys([*held_out, *(item.prompt for item in items)]))


# a tab of the loop


@dataclass
class LoopPage(Page):
    """A tab of the loop: its view and its lists, which report clicks. ``fill`` gives the updates of
    the controls ``filled`` when another tab says to train with a dataset."""

    tab: str = ""
    view: Any = None
    lists: list[gr.HTML] = field(default_factory=list)
    filled: list[Any] = field(default_factory=list)
    fill: Callable[[str], list[Any]] = lambda dataset_id: []
