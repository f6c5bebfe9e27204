"""The prompt of music and sound: text and attributes, what the model reads, templates, history."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from engines.base import InvalidParams, StudioError
from engines.prompts import PromptParams, attributes_of, render_prompt
from engines.studio import Studio
from storage import PromptRow, TemplateRow
from tabs.ui import form as forms
from tabs.ui import live
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action, button
from tabs.ui.page import QUIET, Page

EXAMPLE = "slow piano theme over soft strings"
ROWS_OF_ATTRIBUTES = (
    ("style", "mood", "energy"),
    ("tempo", "key"),
    ("primary_instruments", "secondary_instruments"),
)
PAGE_SIZE = 8


@dataclass
class Prompt:
    """The controls of a prompt, and the pages of templates and history that fill them in."""

    form: forms.Form
    pages: list[Page]


def build(studio: Studio) -> Prompt:
    """Lay out text, preview, templates and history, and attributes in the current block."""
    form = forms.Form(PromptParams, "prompt")
    known = form.knobs
    text = forms.control(known["prompt"], "prompt")
    text.value = EXAMPLE
    form.controls["prompt"] = text
    preview = gr.HTML(
        preview_html({"prompt": EXAMPLE}), elem_id="prompt-preview", apply_default_css=False
    )
    with gr.Accordion("Templates and earlier prompts", open=False, elem_id="prompt-sources"):
        with gr.Tabs():
            with gr.Tab("Templates"):
                listed = gr.Column()
            with gr.Tab("Earlier prompts", elem_id="prompts-used"):
                used = gr.Column()
    with gr.Accordion(
        "Style, tempo and instruments", elem_id="prompt-attributes", elem_classes="tight-form"
    ):
        for names in ROWS_OF_ATTRIBUTES:
            with gr.Row(elem_classes="tight-row"):
                for name in names:
                    form.controls[name] = _small(forms.control(known[name], "prompt"))
    gr.on(
        [control.change for control in form.inputs],  # type: ignore[attr-defined]
        lambda *given: preview_html(form.values(given)),
        form.inputs,
        preview,
        queue=False,
        trigger_mode="always_last",
        **QUIET,
    )
    with listed:
        pages = [_templates(studio, form)]
    with used:
        pages.append(_history(studio, form))
    return Prompt(form, pages)


def _small(control: Any) -> Any:
    """``control`` without its help line, which its label says already."""
    control.info, control.min_width = None, 100
    return control


def preview_html(values: dict[str, Any]) -> str:
    """What the model reads, or why it is given nothing."""
    attributes = {name: value for name, value in values.items() if name != "prompt"}
    try:
        prompt = Studio.prompt(values.get("prompt", ""), attributes)
    except InvalidParams as error:
        return f'<p class="preview bad">{escape(" ".join(error.problems.values()))}</p>'
    return f'<p class="preview"><span>The model reads</span> {escape(render_prompt(prompt))}</p>'


def filled(form: forms.Form, text: str, attributes: dict[str, Any]) -> list[Any]:
    """Updates that show a prompt; attributes that it has not become empty."""
    return form.updates(form.defaults() | attributes | {"prompt": text})


# --- templates ------------------------------------------------------------------------------


@dataclass
class TemplateView(live.View):
    """The category that one browser looks at, "" for all."""

    category: str = ""


def _templates(studio: Studio, form: forms.Form) -> Page:
    """Lay out the templates: a click fills ``form``; what stands there can be kept as one's own."""
    listing = live.listing("prompt-templates")
    page = live.connect(
        [listing],
        gr.State(TemplateView()),
        lambda view: [templates_html(studio, view)],
        lambda view, action: act_on_template(studio, view, action),
        [listing],
    )
    with gr.Row(elem_classes="tight-row save-row"):
        name = gr.Textbox(
            label="Save as template",
            placeholder="Name",
            max_lines=1,
            scale=3,
            min_width=150,
            elem_id="template-name",
        )
        category = gr.Dropdown(
            studio.templates.categories(),
            value="",
            label="Category",
            allow_custom_value=True,
            scale=2,
            min_width=110,
            elem_id="template-category",
        )
        save = gr.Button("Save", size="sm", scale=1, min_width=70, elem_id="template-save")

    def keep(name: str, category: str | None, *given: Any) -> Any:
        with as_gradio_error():
            values = form.values(given)
            row = save_template(studio, name or "", category or "", values)
        gr.Success(f"Template “{row.name}” saved.", duration=3)
        return gr.update(value="")

    def apply(event: gr.EventData) -> list[Any]:
        if event.action != "apply":
            return [gr.skip()] * len(form.inputs)
        with as_gradio_error():
            row = studio.templates.get(str(event.id))
        return filled(form, row.text, row.attributes)

    listing.select(apply, None, form.inputs, queue=False, **QUIET)
    save.click(keep, [name, category, *form.inputs], name, **QUIET).success(**page.refresh)
    category.focus(
        lambda: gr.update(choices=studio.templates.categories()), outputs=category, **QUIET
    )
    return page


def save_template(
    studio: Studio,
    name: str,
    category: str,
    values: dict[str, Any],
    description: str = "",
) -> TemplateRow:
    """Keep a valid prompt as an own template; raises ``StudioError`` or ``StorageError``."""
    if not name.strip():
        raise StudioError("Type a name for the template first.", "name")
    prompt = Studio.prompt(
        values.get("prompt", ""), {key: value for key, value in values.items() if key != "prompt"}
    )
    return studio.templates.save(
        name.strip(), category.strip(), prompt.prompt, attributes_of(prompt), description
    )


def act_on_template(studio: Studio, view: TemplateView, action: Action) -> None:
    """Do what was clicked: choose a category, delete an own template."""
    if action.name == "category":
        view.category = action.id
    elif action.name == "delete":
        studio.templates.delete(action.id)


def templates_html(studio: Studio, view: TemplateView) -> str:
    """Categories and the templates of the one chosen."""
    categories = ["", *studio.templates.categories()]
    if view.category not in categories:
        view.category = ""
    chips = "".join(
        f'<button type="button" class="chip" data-action="category" '
        f'data-id="{escape(each, quote=True)}" aria-pressed="{str(each == view.category).lower()}">'
        f"{escape(each.capitalize() or 'All')}</button>"
        for each in categories
    )
    entries = "".join(_template(row) for row in studio.templates.list(view.category))
    return (
        f'<div class="chips" role="group" aria-label="Category">{chips}</div>'
        f'<ul class="template-list">{entries}</ul>'
    )


def _template(row: TemplateRow) -> str:
    about = row.description or row.text
    own = (
        ""
        if row.system
        else '<span class="badge">own</span>'
        + button("Delete", "delete", row.id, "stop small", f"Delete {row.name}")
    )
    return (
        f'<li><button type="button" class="plain" data-action="apply" data-id="{row.id}" '
        f'title="{escape(row.text, quote=True)}"><b>{escape(row.name)}</b>'
        f'<span class="quiet">{escape(about)}</span></button>{own}</li>'
    )


# --- history --------------------------------------------------------------------------------


@dataclass
class HistoryView(live.View):
    """What one browser searches for, and the page (from 1)."""

    text: str = ""
    favorite: bool = False
    page: int = 1


def _history(studio: Studio, form: forms.Form) -> Page:
    """Lay out the prompts used before: search, a click fills ``form``, favourites, delete."""
    with gr.Row(elem_classes="tight-row"):
        search = gr.Textbox(
            label="Search", placeholder="Words of a prompt", max_lines=1, scale=3,
            min_width=160, elem_id="prompt-search",
        )  # fmt: skip
        favorite = gr.Checkbox(
            label="Favourites only", scale=1, min_width=130, elem_id="prompt-favorites"
        )
    listing = live.listing("prompt-history")
    view = gr.State(HistoryView())
    page = live.connect(
        [listing],
        view,
        lambda shown: [history_html(studio, shown)],
        lambda shown, action: act_on_prompt(studio, shown, action),
        [listing],
    )

    def narrow(shown: HistoryView, text: str, only: bool) -> list[Any]:
        shown.text, shown.favorite, shown.page = text or "", bool(only), 1
        return [shown, history_html(studio, shown)]

    for control in (search, favorite):
        control.change(
            narrow,
            [view, search, favorite],
            [view, listing],
            queue=False,
            trigger_mode="always_last",
            **QUIET,
        )

    def use(event: gr.EventData) -> list[Any]:
        if event.action != "use":
            return [gr.skip()] * len(form.inputs)
        with as_gradio_error():
            row = studio.prompts.get(str(event.id))
        return filled(form, row.text, row.attributes)

    listing.select(use, None, form.inputs, queue=False, **QUIET)
    return page


def act_on_prompt(studio: Studio, view: HistoryView, action: Action) -> None:
    """Do what was clicked, other than using a prompt."""
    if action.name == "favorite":
        row = studio.prompts.get(action.id)
        studio.prompts.set_favorite(row.id, not row.favorite)
    elif action.name == "delete":
        studio.prompts.delete(action.id)
    elif action.name == "page":
        view.page = int(action.id)


def history_html(studio: Studio, view: HistoryView) -> str:
    """The prompts that match, the last used first."""
    found = studio.prompts.search(
        view.text, True if view.favorite else None, page=view.page, page_size=PAGE_SIZE
    )
    view.page = found.page
    if not found.rows:
        searching = view.text or view.favorite
        return live.empty(
            "No prompt matches. Try fewer words."
            if searching
            else "Prompts that you generate with are kept here, to use again."
        )
    entries = "".join(_prompt(row) for row in found.rows)
    newer = button("‹ Newer", "page", str(found.page - 1), "small") if found.page > 1 else ""
    older = (
        button("Older ›", "page", str(found.page + 1), "small") if found.page < found.pages else ""
    )
    place = f"{found.total:,} prompt{'' if found.total == 1 else 's'}"
    return (
        f'<ul class="prompt-list">{entries}</ul>'
        f'<div class="pages"><span class="quiet">{place}</span>{newer}{older}</div>'
    )


def _prompt(row: PromptRow) -> str:
    star, label = ("★", "Remove from favourites") if row.favorite else ("☆", "Favourite")
    uses = f"used {row.uses} times, " if row.uses > 1 else ""
    read = f'<span class="quiet">{escape(live.short(row.rendered, 110))}</span>'
    return (
        f'<li><button type="button" class="plain" data-action="use" data-id="{row.id}" '
        f'title="Use this prompt again"><b>{escape(live.short(row.text, 80))}</b>'
        f"{read if row.attributes else ''}"
        f'<span class="quiet">{uses}{live.ago(row.used_at)}</span></button>'
        f'<button type="button" class="icon star" data-action="favorite" data-id="{row.id}" '
        f'aria-label="{label}" title="{label}">{star}</button>'
        f'<button type="button" class="icon" data-action="delete" data-id="{row.id}" '
        f'aria-label="Delete" title="Delete this prompt; its clips stay">✕</button></li>'
    )
