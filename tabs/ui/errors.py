"""Turns the errors a person can cause into messages of the page and of the endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from engines.base import StudioError
from storage import StorageError

SHOWN_S = 20


@contextmanager
def as_gradio_error() -> Iterator[None]:
    """Raise ``gr.Error`` with the plain message of whatever the studio refuses inside the block.

    Clients receive the same words (``gradio_client`` raises them as ``AppError``), and no traceback
    is logged: nothing is broken. Other exceptions pass, since those are bugs.
    """
    try:
        yield
    except (StudioError, StorageError, TimeoutError) as error:
        raise gr.Error(str(error), duration=SHOWN_S, print_exception=False) from error
