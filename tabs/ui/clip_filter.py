"""What the pages of the Judge tab share: filters, and how the script reports to Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines.studio import Studio
from engines.studio.judging.designs import ANCHOR_ENGINE
from engines.studio.judging.judging import ClipFilter
from engines.tasks import FAMILIES

TASKS = {family.task: family.clips for family in FAMILIES}
# what a page's HTML tells Python: see ``tell`` in judge.js
JUDGE_JS = "element.addEventListener('judge', (event) => trigger('select', event.detail));"


@dataclass
class Filters:
    """The controls that say which clips are judged."""

    task: gr.Dropdown
    engine: gr.Dropdown
    words: gr.Textbox

    @property
    def parts(self) -> list[Any]:
        """All of them, for ``inputs``."""
        return [self.task, self.engine, self.words]

    def on_change(self, listener: dict[str, Any]) -> None:
        """Call ``listener`` (keyword arguments of an event) when one is changed."""
        self.task.select(**listener)
        self.engine.select(**listener)
        self.words.change(**listener, trigger_mode="multiple")


def filters(name: str) -> Filters:
    """The filters, in the current row."""
    task = gr.Dropdown(
        [("Any", ""), *((title, str(task)) for task, title in TASKS.items())],
        value="",
        label="Kind of clip",
        min_width=130,
        elem_id=f"{name}-task",
    )
    engine = gr.Dropdown(
        [("Any", "")], value="", label="Engine", min_width=130, elem_id=f"{name}-engine"
    )
    words = gr.Textbox(
        label="Words of the prompt",
        placeholder="any",
        max_lines=1,
        min_width=160,
        elem_id=f"{name}-words",
    )
    return Filters(task, engine, words)


def clip_filter(task: str, engine: str, words: str) -> ClipFilter:
    """The values of ``Filters`` as a filter."""
    return ClipFilter(task or "", engine or "", words or "")


def engine_choices(studio: Studio) -> Any:
    """The engines that made clips, for ``Filters.engine``."""
    names = [count.name for count in studio.clips.engines() if count.name != ANCHOR_ENGINE]
    return gr.update(choices=[("Any", ""), *((name, name) for name in names)])
