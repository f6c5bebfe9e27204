"""The Models tab: every engine's card, its weights, and what they take in memory and on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from html import escape

import gradio as gr

from engines import tasks
from engines.base import Availability, Card, Engine
from engines.studio import Studio
from engines.studio.facade import WeightsState
from engines.studio.reference import size
from storage import JobRow, JobState
from tabs.about.home import idle_text
from tabs.ui import jobs, live
from tabs.ui.live import Action, badge, button
from tabs.ui.page import Page

FEW = 8
MATCHES = 12
LANGUAGES = 24
SURE_S = 10.0
Newest = dict[tuple[str, str, str], JobRow]


@dataclass
class ModelsView(live.View):
    """What is searched for in each engine's weights, which removal waits for a second click until
    when, and what the last click did, by engine."""

    words: dict[str, str] = field(default_factory=dict)
    sure: str = ""
    sure_until: float = 0.0
    notices: dict[str, str] = field(default_factory=dict)

    def asks(self, key: str) -> bool:
        """Whether the removal of ``key`` waits for its second click."""
        return self.sure == key and time.monotonic() < self.sure_until


def build(studio: Studio) -> Page:
    """Lay out the tab in the current block."""
    with gr.Column(elem_classes="models-page"):
        engines = live.listing("models-list")
    return live.connect(
        [engines],
        gr.State(ModelsView()),
        lambda view: [page_html(studio, view)],
        lambda view, action: act(studio, view, action),
        [engines],
    )


def act(studio: Studio, view: ModelsView, action: Action) -> None:
    """Do what was clicked. ``id`` is an engine, an engine/weights pair, or a job to cancel."""
    engine_id, _, weights_id = action.id.partition("/")
    sure, view.sure, view.notices = view.asks(action.id), "", {}
    match action.name:
        case "search":
            view.words[engine_id] = action.text
        case "download":
            studio.download(engine_id, weights_id)
        case "cancel":
            studio.cancel(action.id)
        case "load":
            studio.load(engine_id)
        case "unload":
            studio.unload(engine_id)
        case "remove" if sure:
            title = jobs.weights_title(studio, engine_id, weights_id)
            freed = studio.remove_weights(engine_id, weights_id)
            view.notices[engine_id] = f"Removed {title}; {size(freed)} freed."
        case "remove":
            view.sure, view.sure_until = action.id, time.monotonic() + SURE_S


# the page


def page_html(studio: Studio, view: ModelsView) -> str:
    """Disk, engines, and plug-ins that could not be started."""
    newest = jobs.latest(studio)
    cards = "".join(engine_html(studio, engine, view, newest) for engine in studio.engines())
    none = live.empty("No engine is here. Install the studio again, or a package with engines.")
    return disk_html(studio) + (cards or none) + broken_html(studio)


def disk_html(studio: Studio) -> str:
    """Free space of the disk that holds the data folder."""
    free = size(studio.hub.free_bytes())
    folder = escape(str(studio.settings.data.resolve()))
    return (
        f'<p class="disk"><b>{free} free</b> <span class="quiet">on the disk of '
        f"<code>{folder}</code>. Models come from the Hugging Face hub, and only when you press "
        "Download.</span></p>"
    )


def broken_html(studio: Studio) -> str:
    """Installed packages whose engines could not be started, with the reason."""
    if not studio.registry.broken:
        return ""
    lines = "".join(
        f'<li><b>{escape(name)}</b><pre class="problem">{escape(reason)}</pre></li>'
        for name, reason in studio.registry.broken.items()
    )
    return (
        '<section class="card"><header><h3>Could not be started</h3></header>'
        '<p class="quiet">These packages offer engines but failed to import. Update or uninstall '
        f'them.</p><ul class="plain-list">{lines}</ul></section>'
    )


def engine_html(studio: Studio, engine: Engine, view: ModelsView, newest: Newest) -> str:
    """One engine's card. Its parts keep their places, so that the search field keeps its text."""
    card = engine.card
    state = engine.availability()
    missing = state is Availability.INSTALL
    marks = [badge(tasks.title(card.task)), live.state_badge(state)]
    if studio.runtime.is_loaded(card.id):
        marks.append(badge("in memory", "busy"))
    if card.non_commercial:
        marks.append(badge("non-commercial weights", "warn"))
    notice = view.notices.get(card.id, "")
    said = f'<p class="state ok">{escape(notice)}</p>' if notice else ""
    return f"""
<section class="card engine" data-engine="{escape(card.id, quote=True)}">
<header><h3>{escape(card.title)}</h3>{"".join(marks)}</header>
<p>{escape(card.summary)}</p>{_facts(studio, engine)}
<div>{_install(engine) if missing else _loading(studio, engine, state, newest)}</div>
<div>{said}</div><div>{_weights(studio, engine, missing, view, newest)}</div></section>"""


def _facts(studio: Studio, engine: Engine) -> str:
    card = engine.card
    facts = {
        "Languages": _languages(card),
        "Sample rate": f"{card.sample_rate / 1000:g} kHz" if card.sample_rate else "",
        "Memory": _memory(studio, engine),
        "Licence": f"code {escape(card.license_code)}, weights {escape(card.license_weights)}",
        "More": _links(card),
    }
    pairs = "".join(f"<dt>{name}</dt><dd>{html}</dd>" for name, html in facts.items() if html)
    return f'<dl class="facts-grid">{pairs}</dl>'


def _languages(card: Card) -> str:
    """The languages, or the first ones where they would fill the card."""
    rest = len(card.languages) - LANGUAGES
    if rest <= LANGUAGES:
        return escape(", ".join(card.languages))
    whole = escape(", ".join(card.languages), quote=True)
    first = escape(", ".join(card.languages[:LANGUAGES]))
    return f'<span title="{whole}">{first} and {rest} more; search below</span>'


def _links(card: Card) -> str:
    links = [live.link(card.paper, "Paper"), live.link(card.home, "Home page")]
    return " · ".join(link for link in links if link)


def _memory(studio: Studio, engine: Engine) -> str:
    need = engine.memory_mb(studio.runtime.dtype) * 2**20
    if not need:
        return ""
    budget = studio.memory().budget
    if need <= budget:
        return f"{size(need)}, fits this machine"
    return f'{size(need)} <span class="bad">does not fit: {size(budget)} allowed here</span>'


def _install(engine: Engine) -> str:
    missing = escape(", ".join(engine.missing()))
    return (
        f'<p class="quiet">Needs {missing}. Stop the studio, run this, start it again:</p>'
        f"<pre><code>pip install {escape(engine.card.pip_extra)}</code></pre>"
    )


def _loading(studio: Studio, engine: Engine, state: Availability, newest: Newest) -> str:
    """Load or unload, and what became of the last try."""
    engine_id = engine.card.id
    if studio.runtime.is_loaded(engine_id) and studio.runtime.busy != engine_id:
        text = f'<span class="quiet">{idle_text(studio, engine_id)}</span>'
        return f'<div class="buttons">{button("Unload", "unload", engine_id)}{text}</div>'
    job = newest.get(("load", engine_id, ""))
    if job is not None and job.state in jobs.ACTIVE:
        return f'<div class="line">{_busy(studio, job)}</div>'
    if state is not Availability.READY or studio.runtime.busy == engine_id:
        return ""
    failed = _failure(job)
    hint = '<span class="quiet">Generate loads it by itself; this does so beforehand.</span>'
    return f'{failed}<div class="buttons">{button("Load", "load", engine_id)}{hint}</div>'


def _busy(studio: Studio, job: JobRow) -> str:
    return jobs.bar_html(studio, job) + button("Cancel", "cancel", job.id, "stop")


def _failure(job: JobRow | None) -> str:
    if job is None or job.state is not JobState.FAILED:
        return ""
    return f'<p class="state bad">{escape(job.error)}</p>'


# weights


def _weights(
    studio: Studio, engine: Engine, missing: bool, view: ModelsView, newest: Newest
) -> str:
    """What is here or on its way; the rest behind a search when it is much."""
    states = studio.weights(engine.card.id)
    if not states or missing:
        return f'<p class="quiet">{len(states)} sets of weights.</p>' if states else ""
    shown = [state for state in states if _in_sight(engine, state, newest)]
    others = [state for state in states if state not in shown]
    search, note = "", ""
    if len(others) > FEW:
        words = view.words.get(engine.card.id, "")
        matches = [state for state in others if matching(state, words)]
        search = _search(engine, len(others))
        note = _more(len(matches), words)
        others = matches[:MATCHES] if words.strip() else []
    rows = "".join(_weights_row(studio, engine, state, view, newest) for state in shown)
    found = "".join(_weights_row(studio, engine, state, view, newest) for state in others)
    return (
        f'<ul class="weights">{rows}</ul>{search}'
        f'<ul class="weights found">{found}</ul><p class="quiet">{note}</p>'
    )


def _in_sight(engine: Engine, state: WeightsState, newest: Newest) -> bool:
    job = newest.get(("download", engine.card.id, state.weights.id))
    tried = job is not None and job.state in (*jobs.ACTIVE, JobState.FAILED)
    return state.state is Availability.READY or tried


def matching(state: WeightsState, words: str) -> bool:
    """Whether every typed word occurs in the weights' id, title or languages."""
    weights = state.weights
    text = " ".join((weights.id, weights.title, weights.license, *weights.languages)).casefold()
    return all(word in text for word in words.casefold().split())


def _search(engine: Engine, count: int) -> str:
    engine_id = escape(engine.card.id, quote=True)
    return (
        f'<input type="search" class="search" data-action="search" data-id="{engine_id}" '
        f'placeholder="Search {count} more to download: a name, a language such as de or German" '
        f'aria-label="Search more weights of {escape(engine.card.title, quote=True)}">'
    )


def _more(matches: int, words: str) -> str:
    if not words.strip():
        return ""
    if not matches:
        return f"Nothing matches “{escape(words.strip())}”. Try a language or fewer letters."
    return f"{matches - MATCHES} more match; type more to narrow it." if matches > MATCHES else ""


def _weights_row(
    studio: Studio, engine: Engine, state: WeightsState, view: ModelsView, newest: Newest
) -> str:
    weights = state.weights
    job = newest.get(("download", engine.card.id, weights.id))
    bytes_ = state.bytes_here or weights.total_bytes
    facts = [
        ", ".join(weights.languages),
        size(bytes_) if bytes_ else "",
        weights.license,
        weights.id if weights.id != weights.title else "",
    ]
    about = " · ".join(escape(fact) for fact in facts if fact)
    warning = badge("non-commercial", "warn") if weights.non_commercial else ""
    failed = _failure(job) if state.state is not Availability.READY else ""
    return (
        f'<li><div class="line"><span class="name">{escape(weights.title)} {warning}</span>'
        f'<span class="about quiet">{about}</span>'
        f"{_weights_buttons(studio, engine, state, view, job)}</div>{failed}</li>"
    )


def _weights_buttons(
    studio: Studio, engine: Engine, state: WeightsState, view: ModelsView, job: JobRow | None
) -> str:
    """The state of one set of weights and what can be done with it."""
    weights = state.weights
    key = f"{engine.card.id}/{weights.id}"
    if job is not None and job.state in jobs.ACTIVE:
        return f'<span class="loading">{_busy(studio, job)}</span>'
    if weights.embedded:
        return badge("comes with the package", "ok")
    if state.state is Availability.READY and state.bytes_here:
        text = f"Really remove? {size(state.bytes_here)}" if view.asks(key) else "Remove"
        kind = "stop sure" if view.asks(key) else ""
        remove = button(text, "remove", key, kind)
        return f'<span class="buttons">{badge("here", "ok")}{remove}</span>'
    if state.state is Availability.DOWNLOAD:
        return button(f"Download {size(weights.total_bytes)}" if weights.total_bytes else "Download",
                      "download", key)  # fmt: skip
    return live.state_badge(state.state)
