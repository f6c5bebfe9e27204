"""The Music tab: a prompt with attributes in, clips out, with any music engine and adapters."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.base import Adapter, Availability, Engine, StudioError, Task, Weights
from engines.music.musicgen.checkpoint import SAMPLING
from engines.parameters import knobs, parse
from engines.studio import Studio
from engines.studio.reference import size
from engines.tasks import Family
from tabs.make import prompts, results
from tabs.make.family import MakePage
from tabs.ui import form as forms
from tabs.ui import live, task
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET, Page, refresher
from tabs.ui.panel import Panel

MEDIA = ("continue_from", "melody")
SOUNDS = ("continue_from", "continue_overlap_s", "melody")
OWN = "put a folder in the same format into models/own of the data folder"


def build(
    studio: Studio,
    family: Family,
    page: gr.Tab,
    job_ids: gr.BrowserState,
    who: gr.BrowserState,
) -> MakePage:
    """Lay out the page in the current block."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=360) as left:
            prompt = prompts.build(studio)
            shared = {**prompt.form.controls, **_sounds(studio)}
        with gr.Column(scale=5, min_width=360):
            made = results.build(studio, family.task, job_ids, who)

    notices: dict[str, gr.HTML] = {}

    def head(engine: Engine) -> None:
        notices[engine.card.id] = live.listing(f"{engine.card.id}-notice")

    tab = task.build(studio, family.task, shared, left, head)
    for panel in tab.panels.values():
        made.connect(panel)
    models = [_models(tab, panel, notices[name]) for name, panel in tab.panels.items()]
    warm = Page(refresher(lambda: studio.warm(family.task)))
    return MakePage(tab, made, [*prompt.pages, *models, warm])


def _sounds(studio: Studio) -> dict[str, Component]:
    """The sounds to start from, of all music engines, folded away together."""
    known: dict[str, tuple[Engine, Any]] = {}
    for engine in studio.engines(Task.MUSIC):
        for knob in knobs(engine.Params):
            if knob.name in SOUNDS:
                known.setdefault(knob.name, (engine, knob))
    if not known:
        return {}
    with gr.Accordion(
        "Continue a sound or follow a melody", open=False, elem_id="music-sounds"
    ) as folded:
        made = {
            name: forms.control(known[name][1], "music", known[name][0].choices(name))
            for name in SOUNDS
            if name in known
        }
        if "melody" in made:
            notes = gr.HTML(elem_id="music-melody-notes", apply_default_css=False)
            made["melody"].change(  # type: ignore[attr-defined]
                lambda path: melody_html(studio, path), made["melody"], notes, **QUIET
            )
    for name in made.keys() & set(MEDIA):
        made[name].change(  # type: ignore[attr-defined]
            lambda path: gr.update(open=True) if path else gr.skip(), made[name], folded, **QUIET
        )
    return made


def melody_html(studio: Studio, path: str | None) -> str:
    """A picture of the notes that the model hears in a sound; nothing without one."""
    if not path:
        return ""
    from engines.music.musicgen import melody

    with as_gradio_error():
        samples, sample_rate = studio.store.files.decode(Path(path))
    picture = b64encode(melody.picture(melody.chroma(samples, sample_rate))).decode()
    return f'<img class="notes" alt="Notes of the melody" src="data:image/png;base64,{picture}">'


# --- weights and adapters -------------------------------------------------------------------


def _models(tab: task.TaskTab, panel: Panel, notice: gr.HTML) -> Page:
    """Say whether the chosen weights are here, and offer the adapters that fit them.

    Active adapters are preselected until a person or a restored clip says otherwise.
    """
    engine, controls = panel.engine, panel.form.controls
    # components have their listeners only at run time
    model: Any = controls.get("model")
    menu: Any = controls.get("adapters")
    notice.value = notice_html(engine, model.value if model is not None else None)
    chosen = gr.State(False)
    tab.marks.append(chosen)
    shown = [each for each in (model, menu) if each is not None]

    def refresh(chosen: bool, *given: Any) -> Any:
        values = dict(zip(map(id, shown), given, strict=True))
        weights = values.get(id(model))
        updates: list[Any] = [notice_html(engine, weights)]
        if model is not None:
            choices = [(choice.label, choice.value) for choice in engine.choices("model")]
            updates.append(gr.update(choices=choices))
        if menu is not None:
            updates.append(adapter_update(engine, weights, values[id(menu)] or [], chosen))
        return updates if shown else updates[0]

    page = refresher(refresh, [chosen, *shown], [notice, *shown])
    if menu is not None:
        menu.input(lambda: True, outputs=chosen, queue=False, **QUIET)
    if model is not None:
        model.select(lambda: False, outputs=chosen, queue=False, **QUIET).then(**page)
        stated = [name for name in SAMPLING if name in controls]
        model.select(
            lambda weights: sampling_updates(panel, weights, stated),
            model, [controls[name] for name in stated], queue=False, **QUIET,
        )  # fmt: skip
        told = refresher(lambda weights: notice_html(engine, weights), model, notice)
        model.change(**told)
    return Page(page)


def sampling_updates(panel: Panel, model: Any, names: Sequence[str]) -> Any:
    """Updates of these controls to what suits the weights that were chosen."""
    values = panel.defaults({"model": model})
    updates = [gr.update(value=values[name]) for name in names]
    return updates[0] if len(updates) == 1 else updates


def adapter_update(engine: Engine, model: Any, held: list[str], chosen: bool) -> Any:
    """An update of an adapters menu for these weights: what can be chosen and what is.

    ``held`` stays when it was ``chosen``, also what does not fit, which is told when it is used;
    else the active ones are shown.
    """
    fitting = [each for each in engine.cache.adapters() if each.base == base_of(engine, model)]
    knob = next(knob for knob in knobs(engine.Params) if knob.name == "adapters")
    active = [_entry(each) for each in fitting if each.active][: knob.max_length]
    value = held if chosen else active
    offered = {_entry(each): _label(each) for each in fitting}
    titles = {each.id: each.title for each in engine.cache.adapters()}
    for entry in value:
        id, _, scale = entry.partition("@")
        title = titles.get(id, id)
        offered.setdefault(entry, f"{title} × {scale}" if scale else title)
    return gr.update(choices=[(label, entry) for entry, label in offered.items()], value=value)


def base_of(engine: Engine, model: Any) -> str:
    """Id of the weights that the model menu of ``engine`` names; "" for what it does not know."""
    weights = _weights(engine, model)
    return weights.id if weights else ""


def _entry(adapter: Adapter) -> str:
    return f"{adapter.id}@{adapter.scale:g}" if adapter.active else adapter.id


def _label(adapter: Adapter) -> str:
    return f"{adapter.title} × {adapter.scale:g}, active" if adapter.active else adapter.title


def _weights(engine: Engine, model: Any) -> Weights | None:
    values = {"prompt": "x"} | ({"model": model} if model else {})
    try:
        return engine.weights_for(parse(engine.Params, values))
    except StudioError:
        return None


def notice_html(engine: Engine, model: Any) -> str:
    """Whether the chosen weights can be used, under which licence, and how to get them."""
    missing = engine.missing()
    if missing:
        return _notice(
            f"{engine.card.title} needs {', '.join(missing)}.",
            f"pip install {engine.card.pip_extra}",
        )
    if not engine.weights():
        return ""
    weights = _weights(engine, model)
    if weights is None:
        return _notice(
            f"{engine.card.title} knows no weights {model!r}.", f"Choose others, or {OWN}."
        )
    terms = licence(weights, engine)
    state = engine.state_of(weights)
    if state is Availability.READY:
        told = weights.title if terms in weights.title else f"{weights.title} · {terms}"
        ready = f"{live.badge('ready', 'ok')} {escape(told)}"
        line = f'<p class="quiet weights-line">{ready}</p>'
        return line + (_notice("", weights.advice) if weights.advice else "")
    loading = f"{size(weights.total_bytes)}, " if weights.total_bytes else ""
    how = (
        f"Download it in Models ({loading}{terms}), or {OWN}."
        if weights.repo
        else f"It has no published weights; {OWN}."
    )
    return _notice(f"{weights.title} is not on this machine yet.", how)


def licence(weights: Weights, engine: Engine) -> str:
    """The licence of ``weights`` in words."""
    name = weights.license or engine.card.license_weights
    limited = weights.non_commercial or (engine.card.non_commercial and not weights.license)
    return name + (", not for commercial use" if limited else "")


def _notice(heading: str, text: str) -> str:
    bold = f"<b>{escape(heading)}</b> " if heading else ""
    return (
        f'<div class="notice"><p>{bold}{escape(text)}</p>'
        f"{live.button('Open Models', 'tab', 'models', 'small')}</div>"
    )
