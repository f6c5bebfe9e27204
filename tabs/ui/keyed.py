"""Elements that the page replaces whole when what they show changes.

``gr.HTML`` patches the nodes that are there: a slider that was moved keeps its place, typed text stays,
and a script that holds a node goes on holding it while the node begins to stand for something else.
Nodes of another name are replaced, so an element that must start afresh is named after its key.
"""

from __future__ import annotations

from zlib import crc32


def keyed(key: str, inside: str, attributes: str = "") -> str:
    """An element around ``inside`` that is a new node whenever ``key`` is another."""
    name = f"keyed-{crc32(key.encode()):08x}"
    return f'<{name} role="group" {attributes}>{inside}</{name}>'
