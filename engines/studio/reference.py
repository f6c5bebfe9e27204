"""Writes an engine's documentation page from its card, its parameters and its weights.

``python -m engines.studio.reference docs/engines.md`` writes the pages of all built-in engines into one
file. Nothing here depends on what this machine has downloaded, so the file is the same everywhere.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from engines import tasks
from engines.base import Card, Engine, Weights
from engines.parameters import Kind, Knob, knobs

LISTED_WEIGHTS = 20
HEAD = (
    "# Engines\n\n"
    "This file is written by `python -m engines.studio.reference docs/engines.md` from each engine's card "
    "and parameters. Change those, not this file.\n"
)


def size(count: float) -> str:
    """A number of bytes as people read it: ``63 MB``, ``1.5 GB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= scale:
            value = count / scale
            return f"{value:.1f} {unit}" if value < 10 and unit == "GB" else f"{value:,.0f} {unit}"
    return f"{count:.0f} B"


def document(engines: Iterable[Engine]) -> str:
    """The pages of ``engines`` as one markdown file."""
    return HEAD + "".join(f"\n{page(engine)}" for engine in engines)


def page(engine: Engine) -> str:
    """One engine's page as markdown: what it is, facts, parameters, weights, licences."""
    card = engine.card
    parts = [f"## {card.title}", card.summary, _facts(engine)]
    if card.notes:
        parts.append(card.notes)
    parts += ["### Parameters", _parameters(knobs(engine.Params))]
    weights = list(engine.weights())
    if weights:
        parts += ["### Weights", _weights(weights)]
    parts += ["### Licence", _licence(card)]
    return "\n\n".join(parts) + "\n"


def _facts(engine: Engine) -> str:
    card = engine.card
    memory = ", ".join(f"{size(mib * 2**20)} in {dtype}" for dtype, mib in card.memory_mb.items())
    facts = {
        "Id": f"`{card.id}`",
        "Task": tasks.title(card.task),
        "Sample rate": f"{card.sample_rate:,} Hz" if card.sample_rate else "",
        "Languages": ", ".join(card.languages),
        "Memory": memory,
        "Install": f"`pip install {card.pip_extra}`" if card.pip_extra else "",
        "Paper": _link(card.paper),
        "Home": _link(card.home),
    }
    return "\n".join(f"- **{name}:** {value}" for name, value in facts.items() if value)


def _parameters(shown: Sequence[Knob]) -> str:
    lines = [
        (f"`{knob.name}`", _default(knob), _bounds(knob), knob.unit, knob.description)
        for knob in shown
    ]
    return _table(("Parameter", "Default", "Allowed", "Unit", "What it does"), lines)


def _default(knob: Knob) -> str:
    if knob.required:
        return "*required*"
    return "" if knob.default in (None, "", []) else f"`{_plain(knob.default)}`"


def _bounds(knob: Knob) -> str:
    if knob.kind is Kind.MEDIA:
        return f"{knob.media} file"
    if knob.kind is Kind.BOOLEAN:
        return "true, false"
    return knob.bounds


def _weights(weights: Sequence[Weights]) -> str:
    if len(weights) > LISTED_WEIGHTS:
        return _many_weights(weights)
    lines = [
        (
            f"`{item.id}`",
            item.title,
            ", ".join(item.languages),
            _size_of(item),
            item.license + (" (non-commercial)" if item.non_commercial else ""),
        )
        for item in weights
    ]
    return _table(("Id", "Title", "Languages", "Size", "Licence"), lines)


def _size_of(weights: Weights) -> str:
    if weights.embedded:
        return "with the package"
    return size(weights.total_bytes) if weights.total_bytes else ""


def _many_weights(weights: Sequence[Weights]) -> str:
    """A summary: how many there are in each language, and which come with the package."""
    languages = Counter(code for item in weights for code in item.languages)
    embedded = ", ".join(f"`{item.id}`" for item in weights if item.embedded)
    largest = max(item.total_bytes for item in weights)
    counts = ", ".join(f"{code} {count}" for code, count in sorted(languages.items()))
    sentences = [f"{len(weights)} to choose from, up to {size(largest)} each; Models lists them."]
    if embedded:
        sentences.append(f"With the package, nothing to download: {embedded}.")
    if counts:
        sentences.append(f"By language: {counts}.")
    return "\n\n".join(sentences)


def _licence(card: Card) -> str:
    note = f"Code: {card.license_code}. Weights: {card.license_weights}."
    if card.non_commercial:
        return f"{note} **The weights may not be used commercially.**"
    return f"{note} Single sets of weights may have terms of their own; Models shows them."


def _link(address: str) -> str:
    return f"<{address}>" if address else ""


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(_cell(str(cell)) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def main(target: Path) -> None:
    """Write the pages of the built-in engines to ``target``."""
    import tempfile

    from engines.registry import Registry
    from engines.studio.hub import Hub

    with tempfile.TemporaryDirectory() as empty:
        registry = Registry(Hub(Path(empty)))
        registry.discover()
        text = document(built_in(registry))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def built_in(engines: Iterable[Engine]) -> list[Engine]:
    """Those of ``engines`` that are part of the studio."""
    return [engine for engine in engines if type(engine).__module__.startswith("engines.")]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m engines.studio.reference docs/engines.md")
    main(Path(sys.argv[1]))
