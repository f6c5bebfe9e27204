"""A list and what is chosen in it: the view of one browser, a second click before what can't be undone,
and what the last click did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from tabs.ui import live


@dataclass
class ChosenView(live.View):
    """What one browser has chosen: an id, or "" for the form that makes a new one. ``sure`` is what
    waits for a second click; ``said`` is what the last click did, ``wrong`` whether that failed."""

    chosen: str = ""
    opened: bool = False
    sure: str = ""
    said: str = ""

    def show(self, chosen: str) -> None:
        """Open ``chosen``; what was said before goes away."""
        self.chosen, self.opened, self.sure, self.said = chosen, True, "", ""

    def confirmed(self, name: str) -> bool:
        """Whether ``name`` was clicked a second time; the first click only asks."""
        if self.sure == name:
            self.sure = ""
            return True
        self.sure = name
        return False


def said_html(view: ChosenView) -> str:
    """What the last click did."""
    return f'<p class="state ok" role="status">{escape(view.said)}</p>' if view.said else ""


def sure_button(view: ChosenView, text: str, action: str, question: str) -> str:
    """A button that asks once more before it acts."""
    asks = view.sure == action
    return live.button(question if asks else text, action, "", "stop sure" if asks else "stop")


def redrawer(draw: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """A function that draws a whole page for its view, and remembers what was sent."""

    def redraw(view: ChosenView) -> list[Any]:
        drawn = draw(view)
        view.seen = [repr(item) for item in drawn]
        return [view, *drawn]

    return redraw


def counted(count: int, thing: str, things: str = "") -> str:
    """``3 clips``, ``1 clip``, ``no clips``."""
    many = things or f"{thing}s"
    return f"no {many}" if count == 0 else f"1 {thing}" if count == 1 else f"{count:,} {many}"
