"""Reference against generated: contours over each other, where they differ, every pair measure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from engines.metrics.base import Align, Score
from engines.metrics.case import Case
from engines.studio import Studio
from engines.studio.evaluation import drawings
from engines.studio.evaluation.desk import IN_PAIRS
from engines.studio.evaluation.plan import Options, Wishes, cards
from tabs.evaluate.html import PAGE, choices, drawing_html, scores_html, sound_html
from tabs.evaluate.one import clip_choices, clip_menu, language_box, metric_menu, opened, sound_file
from tabs.http.sent_sounds import guarded
from tabs.ui import form, live
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET, Page, refresher

HINT = (
    "Send a reference and what was generated after it, then press Compare: contours, differences and "
    "every number appear here."
)


def build(studio: Studio) -> Page:
    """Lay out the page in the current block."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            reference = sound_file("Reference: what it should be", "evaluate-pair-reference")
            true_clip = clip_menu("Or a clip as the reference", "evaluate-pair-reference-clip")
            generated = sound_file("Generated: what is judged", "evaluate-pair-generated")
            made_clip = clip_menu("Or a clip to judge", "evaluate-pair-generated-clip")
            with gr.Accordion("Which measures, and how", open=False):
                metrics = metric_menu(choices(cards(IN_PAIRS)), "evaluate-pair-metrics")
                text = gr.Textbox(
                    label="Text",
                    info="What both say. Without one, WER and CER compare with what is heard in the "
                    "reference.",
                    lines=2,
                    elem_id="evaluate-pair-text",
                )
                language = language_box("evaluate-pair-language")
                options = form.controls(
                    Options, "evaluate-pair", only=["align", "tracker", "recogniser"]
                )
            go = gr.Button("Compare", variant="primary", elem_id="evaluate-pair-go")
        with gr.Column(scale=7, min_width=440):
            shown = gr.HTML(
                live.empty(HINT), elem_id="evaluate-pair-result", apply_default_css=False
            )

    def compare(
        true: str | None, true_id: str | None, made: str | None, made_id: str | None,
        only: list[str], said: str, spoken: str, *given: Any,
    ) -> Iterator[str]:  # fmt: skip
        with as_gradio_error():
            desk = studio.evaluation.desk
            wanted = guarded(studio, desk.paired(only or (), options=options.values(given)))
            target, target_source, target_name = opened(studio, true, true_id or "")
            case, source, name = opened(studio, made, made_id or "", said, spoken)
            case = replace(case, reference=target.generated)
            players = [
                sound_html(target_name, target_source, target.generated, badge="reference"),
                sound_html(name, source, case.generated, badge="generated"),
            ]
            clip_id = "" if made else made_id or ""
            yield from compared(studio, case, players, wanted, clip_id)

    go.click(
        compare,
        [reference, true_clip, generated, made_clip, metrics, text, language, *options.inputs],
        shown,
        **QUIET,
    )
    for sent, menu in ((reference, true_clip), (generated, made_clip)):
        sent.upload(lambda: "", None, menu, queue=False, **QUIET)
    return Page(refresher(lambda: [clip_choices(studio)] * 2, None, [true_clip, made_clip]))


def compared(
    studio: Studio, case: Case, players: list[str], wanted: Wishes, clip_id: str
) -> Iterator[str]:
    """The page as it fills: players, picture, one measure after the other."""
    waiting, found = list(wanted.metrics), list[Score]()
    both = f'<div class="both">{"".join(players)}</div>'
    yield both + live.empty("Drawing …")
    head = both + pair_picture(case, wanted)
    yield head + scores_html(found, waiting)
    for score in studio.evaluation.desk.score(case, wanted, clip_id):
        found.append(score)
        waiting.remove(score.metric)
        yield head + scores_html(found, waiting)


def pair_picture(case: Case, wanted: Wishes) -> str:
    """Waveforms, contours and the difference of the spectrograms."""
    align = Align.DTW if wanted.options.align == "dtw" else Align.CUT
    return drawing_html(drawings.picture_of_pair(case, PAGE, align))
