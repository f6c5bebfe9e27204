"""One sound: its waveform, spectrogram and F0, and every measure that needs no reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from engines.base import StudioError
from engines.metrics.base import Score
from engines.metrics.case import Case
from engines.metrics.pairing import SUFFIXES
from engines.studio import Studio
from engines.studio.evaluation import drawings
from engines.studio.evaluation.desk import ALONE
from engines.studio.evaluation.plan import Options, Wishes, cards
from storage import ClipQuery
from tabs.evaluate.html import PAGE, choices, scores_html, sound_html
from tabs.http.sent_sounds import guarded
from tabs.http.uploads import uploaded
from tabs.ui import form, live
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET, Page, refresher

SOUNDS = sorted(SUFFIXES)
LISTED = 100
HINT = (
    "Send a sound or choose a clip, then press Measure: its picture and every number appear here."
)


@dataclass
class OnePage(Page):
    """The page; ``clip`` and ``measure`` let the history send a clip here."""

    clip: Any = None
    sound: Any = None
    measure: Any = None


def build(studio: Studio) -> OnePage:
    """Lay out the page in the current block."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            sound = sound_file("Sound", "evaluate-one-file")
            clip = clip_menu("Or a clip of the history", "evaluate-one-clip")
            text = gr.Textbox(
                label="Text",
                info="What it says, for WER and CER, or a description, for CLAP. A clip brings its own.",
                lines=2,
                elem_id="evaluate-one-text",
            )
            with gr.Accordion("Which measures, and how", open=False):
                metrics = metric_menu(choices(cards(ALONE)), "evaluate-one-metrics")
                language = language_box("evaluate-one-language")
                options = form.controls(Options, "evaluate-one", only=["recogniser"])
            go = gr.Button("Measure", variant="primary", elem_id="evaluate-one-go")
        with gr.Column(scale=7, min_width=440):
            shown = gr.HTML(
                live.empty(HINT), elem_id="evaluate-one-result", apply_default_css=False
            )

    def measure(
        path: str | None, clip_id: str | None, said: str, only: list[str], spoken: str, *given: Any
    ) -> Iterator[str]:
        with as_gradio_error():
            desk = studio.evaluation.desk
            wanted = guarded(studio, desk.alone(only or (), options=options.values(given)))
            case, source, name = opened(studio, path, clip_id or "", said, spoken)
            yield from measured(studio, case, source, name, wanted, "" if path else clip_id or "")

    inputs = [sound, clip, text, metrics, language, *options.inputs]
    arguments: dict[str, Any] = {"fn": measure, "inputs": inputs, "outputs": shown, **QUIET}
    go.click(**arguments)
    sound.upload(lambda: "", None, clip, queue=False, **QUIET)
    refresh = refresher(lambda: clip_choices(studio), None, clip)
    return OnePage(refresh, None, clip, sound, arguments)


def opened(
    studio: Studio, path: str | None, clip_id: str, text: str = "", language: str = "en"
) -> tuple[Case, str, str]:
    """A case of the file that was sent, or of a clip; the address it is played from and its name."""
    desk = studio.evaluation.desk
    if path:
        file = uploaded(path)
        return desk.case(file, None, text or "", language), file_address(file), file.name
    if clip_id.strip():
        clip = studio.clip(clip_id.strip())
        case = desk.clip_case(clip.id)
        if (text or "").strip():
            case.text = text
        return case, f"clips/{clip.id}/audio", clip.title or "Untitled"
    raise StudioError("Send a sound, or choose a clip of the history.", "sound")


def measured(
    studio: Studio, case: Case, source: str, name: str, wanted: Wishes, clip_id: str
) -> Iterator[str]:
    """The page as it fills: first the picture, then one measure after the other."""
    waiting, found = list(wanted.metrics), list[Score]()
    yield sound_html(name, source, case.generated) + live.empty("Drawing …")
    head = sound_html(name, source, case.generated, drawings.picture_of(case, PAGE))
    yield head + scores_html(found, waiting)
    for score in studio.evaluation.desk.score(case, wanted, clip_id):
        found.append(score)
        waiting.remove(score.metric)
        yield head + scores_html(found, waiting)


# controls that the pages share


def sound_file(label: str, name: str) -> gr.File:
    """A control that takes one sound."""
    return gr.File(label=label, file_types=list(SOUNDS), height=120, elem_id=name)


def clip_menu(label: str, name: str) -> gr.Dropdown:
    """The newest clips to choose from; any id can be typed."""
    return gr.Dropdown(
        [("None", "")], value="", label=label, allow_custom_value=True, filterable=True, elem_id=name
    )  # fmt: skip


def clip_choices(studio: Studio) -> Any:
    """The newest clips for ``clip_menu``."""
    found = studio.clips.search(ClipQuery(page_size=LISTED)).rows
    named = [
        (f"{live.short(clip.title or 'Untitled', 50)} · {clip.engine}", clip.id) for clip in found
    ]
    return gr.update(choices=[("None", ""), *named])


def metric_menu(offered: list[tuple[str, Any]], name: str) -> gr.Dropdown:
    """Metrics to choose from; none chosen means all."""
    return gr.Dropdown(
        offered,
        value=[],
        multiselect=True,
        label="Only these measures",
        info="Empty: all of them.",
        elem_id=name,
    )


def language_box(name: str) -> gr.Textbox:
    """The language of a text."""
    return gr.Textbox(
        "en",
        label="Language of the text",
        info="A code such as en, de or zh.",
        max_lines=1,
        elem_id=name,
    )


def file_address(path: Path) -> str:
    """Where a file that was sent is played from."""
    return f"gradio_api/file={quote(str(path))}"
