"""The keyboard shortcuts, declared once: the script acts on them and the help lists them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from engines.tasks import FAMILIES


@dataclass(frozen=True)
class Shortcut:
    """``keys`` as ``KeyboardEvent.key`` values pressed one after the other; ``action`` is what
    ``studio.js`` does, with ``target`` as its object."""

    keys: tuple[str, ...]
    action: str
    target: str
    description: str
    while_typing: bool = False
    control: bool = False

    @property
    def label(self) -> str:
        """The keys as people read them."""
        names = {" ": "Space", "Escape": "Esc", "ArrowRight": "→"}
        return ("Ctrl+" if self.control else "") + " ".join(names.get(k, k) for k in self.keys)


SHORTCUTS = (
    Shortcut(("g", "h"), "tab", "home", "Go to Home"),
    *(
        Shortcut(("g", family.key), "tab", family.tab, f"Go to {family.title}")
        for family in FAMILIES
    ),
    Shortcut(("g", "b"), "tab", "batch", "Go to Batch"),
    Shortcut(("g", "r"), "tab", "judge", "Go to Judge (rate)"),
    Shortcut(("g", "e"), "tab", "evaluation", "Go to Evaluation"),
    Shortcut(("g", "c"), "tab", "compare", "Go to Compare"),
    Shortcut(("g", "d"), "tab", "datasets", "Go to Datasets"),
    Shortcut(("g", "t"), "tab", "training", "Go to Training"),
    Shortcut(("g", "a"), "tab", "adapters", "Go to Adapters"),
    Shortcut(("g", "y"), "tab", "history", "Go to History"),
    Shortcut(("g", "m"), "tab", "models", "Go to Models"),
    Shortcut(("g", "j"), "tab", "jobs", "Go to Jobs"),
    Shortcut(("?",), "tab", "help", "Go to Help"),
    Shortcut(("Enter",), "generate", "", "Generate with the engine shown", True, True),
    Shortcut((" ",), "play", "", "Play or pause the clip shown"),
    Shortcut(("/",), "search", "", "Search the history"),
    Shortcut(("1",), "judge", "", "Judge: 1 to 5 rate or grade; 1, 2, 0 answer a comparison"),
    Shortcut(("ArrowRight",), "judge", "", "Judge: next clip, or listen to the other sound"),
    Shortcut(("q",), "judge", "", "Judge: q, w, e say how much better"),
    Shortcut(("l",), "judge", "", "Judge and Compare: loop"),
    Shortcut(("m",), "judge", "", "Compare: 1 to 8 and arrows switch, m matches the loudness"),
    Shortcut(("t",), "theme", "", "Switch between dark and light"),
    Shortcut(("Escape",), "blur", "", "Leave the field, so that the keys above work", True),
)


def as_json() -> str:
    """The shortcuts for the script in the page."""
    return json.dumps([asdict(shortcut) for shortcut in SHORTCUTS])
