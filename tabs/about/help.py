"""The Help tab: how to begin, the keys, every engine's page, scripts, files, privacy."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

from engines.base import Availability, StudioError, Task
from engines.studio import Studio, reference
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET
from tabs.ui.shortcuts import SHORTCUTS

TEXT = Path(__file__).parents[2] / "configs" / "help.md"
OPEN_FIRST = 1
NO_ENGINE = "No engine is here; Models says why."


def build(studio: Studio) -> None:
    """Lay out the tab in the current block."""
    sections = texts(studio)
    with gr.Row(equal_height=False, elem_classes="help-page"):
        with gr.Column(scale=3, min_width=400):
            for number, (title, text) in enumerate(sections.items()):
                if number < OPEN_FIRST:
                    gr.Markdown(f"## {title}\n\n{text}")
                    continue
                with gr.Accordion(title, open=False):
                    gr.Markdown(text)
        with gr.Column(scale=2, min_width=340):
            gr.HTML(shortcuts_html(), apply_default_css=False)
    _engine_pages(studio)


def _engine_pages(studio: Studio) -> None:
    engines = [(engine.card.title, engine.card.id) for engine in studio.engines()]
    first = engines[0][1] if engines else None
    with gr.Column(elem_classes="help-engines"):
        gr.Markdown("## Engines\n\nWhat each engine is, and every setting it has.")
        chosen = gr.Dropdown(
            engines, value=first, label="Engine", elem_id="help-engine", interactive=bool(engines)
        )
        page = gr.Markdown(
            engine_page(studio, first) if first else NO_ENGINE, elem_id="help-engine-page"
        )

    def show(engine_id: str) -> str:
        with as_gradio_error():
            return engine_page(studio, engine_id)

    chosen.select(show, chosen, page, queue=False, **QUIET)


def texts(studio: Studio) -> dict[str, str]:
    """The sections of ``configs/help.md`` by title, with this studio's address and folder."""
    text = TEXT.read_text(encoding="utf-8").format(
        address=address(studio),
        data=studio.settings.data.resolve(),
        engine=_speaking(studio),
    )
    parts = [part.partition("\n") for part in text.split("## ")[1:]]
    return {title.strip(): body.strip() for title, _, body in parts}


def address(studio: Studio) -> str:
    """The address that scripts on this machine use."""
    host = studio.settings.host
    host = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"http://{f'[{host}]' if ':' in host else host}:{studio.settings.port}/"


def _speaking(studio: Studio) -> str:
    """The id of a speech engine for the examples, one that is ready if there is any."""
    engines = studio.engines(Task.TTS)
    ready = [engine for engine in engines if engine.availability() is Availability.READY]
    return next((engine.card.id for engine in ready or engines), "piper")


def engine_page(studio: Studio, engine_id: str) -> str:
    """The engine's page as markdown; raises ``StudioError`` for an unknown id."""
    if not engine_id:
        raise StudioError("Choose an engine first.")
    return reference.page(studio.engine(engine_id))


def shortcuts_html() -> str:
    """The keyboard shortcuts as a table."""
    lines = "".join(
        f"<tr><td>{_keys(shortcut.label)}</td><td>{escape(shortcut.description)}</td></tr>"
        for shortcut in SHORTCUTS
    )
    return (
        '<section class="card"><header><h3>Keys</h3></header>'
        '<p class="quiet">Outside text fields; press Esc to leave one.</p>'
        f'<table class="keys">{lines}</table></section>'
    )


def _keys(label: str) -> str:
    return " ".join(f"<kbd>{escape(key)}</kbd>" for key in label.replace("+", " ").split())
