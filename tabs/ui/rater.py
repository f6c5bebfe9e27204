"""Who judges: the name of the login, else one that a person gave in this browser, else "me"."""

from __future__ import annotations

from html import escape

import gradio as gr

from engines.studio.judging.judging import NOBODY

MAX_NAME = 60


def user_of(request: gr.Request | None) -> str:
    """Name of whoever sent the request, "" when nobody has to log in."""
    return str(getattr(request, "username", None) or "")


def rater_name(request: gr.Request | None, given: str | None = "") -> str:
    """The name under which a judgement is kept; a login cannot be overruled."""
    return user_of(request) or " ".join((given or "").split())[:MAX_NAME] or NOBODY


def memory() -> gr.BrowserState:
    """Where the browser keeps the name of its rater; made outside the tabs, see ``task.memory``."""
    return gr.BrowserState("", storage_key="studio-rater", secret="amphion-studio")


def mirror() -> gr.HTML:
    """The name for the page's script, which sends it with each judgement; invisible."""
    return gr.HTML(mirror_html(""), elem_id="studio-rater", apply_default_css=False)


def mirror_html(name: str | None) -> str:
    """What ``mirror`` holds."""
    return f'<i hidden data-rater="{escape(name or "", quote=True)}"></i>'
