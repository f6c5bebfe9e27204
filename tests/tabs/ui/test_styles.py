"""The style sheets of the tabs share one page: a class means one thing."""

from __future__ import annotations

import re
from collections import defaultdict

from tabs import layout

# what all tabs are made of; a tab adds states or says how they look inside something of its own
SHARED = {
    "act",
    "buttons",
    "card",
    "chip",
    "clip",
    "deck",
    "jobs",
    "picture",
    "results-table",
    "state",
}


def rules(text):
    """Selectors of a style sheet, one by one, also those within ``@media``."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for head in re.findall(r"([^{}]+)\{", text):
        if not head.strip().startswith("@"):
            # a comma within brackets, as of :is(), does not end a selector
            yield from (each.strip() for each in re.split(r",(?![^(]*\))", head))


def test_a_class_is_styled_in_one_file():
    files = defaultdict(set)
    for path in layout.assets(".css"):
        for selector in rules(path.read_text(encoding="utf-8")):
            bare = selector.removeprefix(".dark ")
            if found := re.match(r"\.([\w-]+)", bare):
                files[found[1]].add(path.name)
    twice = {name: sorted(where) for name, where in files.items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in SHARED} == {}
