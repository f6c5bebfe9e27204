"""From a clip back into the tab that makes such clips: its settings again, or the sound to go on from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.facade import Restored
from storage import ClipRow
from tabs.ui.errors import as_gradio_error
from tabs.ui.task import TaskTab

CONTINUE = "continue_from"


@dataclass(frozen=True)
class Reuse:
    """``makers`` maps a task to the id and parts of the tab that makes its clips."""

    studio: Studio
    tabs: gr.Tabs
    makers: dict[str, tuple[str, TaskTab]]

    @property
    def outputs(self) -> list[Any]:
        """What the methods update: the row of tabs, then the parts of every maker."""
        return [self.tabs, *(part for _, maker in self.makers.values() for part in maker.outputs)]

    def again(self, clip_id: str) -> list[Any]:
        """Fill in the settings that made a clip."""
        with as_gradio_error():
            return self._fill(self.studio.settings_of(clip_id))

    def go_on(self, clip_id: str) -> list[Any]:
        """Fill in the settings that made a clip, with its sound to continue from."""
        with as_gradio_error():
            found = self.studio.settings_of(clip_id)
            start = {CONTINUE: str(self.studio.clip(clip_id).path)}
            return self._fill(Restored(found.engine, found.settings | start, found.missing))

    def restore(self, path: str) -> list[Any]:
        """Fill in the settings that a sound file carries."""
        with as_gradio_error():
            updates = self._fill(self.studio.restore(Path(path)))
        gr.Success("Settings restored. Press Generate to make the same sound again.", duration=5)
        return updates

    def _fill(self, found: Restored) -> list[Any]:
        task = str(self.studio.engine(found.engine).card.task)
        if task not in self.makers:
            raise StudioError(f"There is no tab that makes {task} clips yet.")
        if found.missing:
            gr.Warning(found.missing)
        updates: list[Any] = [gr.update(selected=self.makers[task][0])]
        for name, (_, maker) in self.makers.items():
            if name == task:
                updates += maker.show(found.engine, found.settings)
            else:
                updates += [gr.skip()] * len(maker.outputs)
        return updates


def can_go_on(studio: Studio, clip: ClipRow) -> bool:
    """Whether the engine that made a clip can go on from a sound."""
    engine = next((each for each in studio.engines() if each.card.id == clip.engine), None)
    return engine is not None and CONTINUE in engine.Params.model_fields
