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
from tabs import live
from tabs.page import Page
from training.lab import Lab

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


def counted(count: int, thing: str, things: str = "") -> str:
    """``3 clips``, ``1 clip``, ``no clips``."""
    many = things or f"{thing}s"
    return f"no {many}" if count == 0 else f"1 {thing}" if count == 1 else f"{count:,} {many}"


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


# a page of a list and what is chosen in it


@dataclass
class LoopView(live.View):
    """What one browser has chosen: an id, or "" for the form that makes a new one. ``sure`` is what
    waits for a second click; ``said`` is what the last click did, ``wrong`` whether that failed."""

    chosen: str = ""
    opened: bool = False
    sure: str = ""
    said: str = ""

    def show(self, chosen: str) -> None:
        """Open ``chosen``; what was said before goes away."""
        self.chosen, self.opened, self.sure, self.said = chosen, True, "", ""

    def confirmed(self, name: str) -> bool:
        """Whether ``name`` was clicked a second time; the first click only asks."""
        if self.sure == name:
            self.sure = ""
            return True
        self.sure = name
        return False


@dataclass
class LoopPage(Page):
    """A tab of the loop: its view and its lists, which report clicks. ``fill`` gives the updates of
    the controls ``filled`` when another tab says to train with a dataset."""

    tab: str = ""
    view: Any = None
    lists: list[gr.HTML] = field(default_factory=list)
    filled: list[Any] = field(default_factory=list)
    fill: Callable[[str], list[Any]] = lambda dataset_id: []


def said_html(view: LoopView) -> str:
    """What the last click did."""
    return f'<p class="state ok" role="status">{escape(view.said)}</p>' if view.said else ""


def sure_button(view: LoopView, text: str, action: str, question: str) -> str:
    """A button that asks once more before it acts."""
    asks = view.sure == action
    return live.button(question if asks else text, action, "", "stop sure" if asks else "stop")


def redrawer(draw: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """A function that draws a whole page for its view, and remembers what was sent."""

    def redraw(view: LoopView) -> list[Any]:
        drawn = draw(view)
        view.seen = [repr(item) for item in drawn]
        return [view, *drawn]

    return redraw
