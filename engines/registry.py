"""Finds engines: the built-in list in ``configs/engines.json`` and installed packages.

A package offers engines through the entry-point group ``amphion_studio.engines``; each entry point
names an ``Engine`` subclass.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

from engines.base import Engine, StudioError, Task, WeightsCache

ENTRY_POINT_GROUP = "amphion_studio.engines"
BUILT_IN = Path(__file__).parent.parent / "configs" / "engines.json"

log = logging.getLogger(__name__)


class Registry:
    """All engines by id, in the order of the list, those of outside packages after them."""

    def __init__(self, cache: WeightsCache):
        self._cache = cache
        self._engines: dict[str, Engine] = {}
        self.broken: dict[str, str] = {}

    def discover(self) -> None:
        """Add the built-in engines and those of installed packages.

        A package whose engine cannot be imported is listed in ``broken`` with the reason, and does
        not stop the studio.
        """
        for path in json.loads(BUILT_IN.read_text(encoding="utf-8")):
            module, _, name = path.partition(":")
            self.add(getattr(importlib.import_module(module), name))
        for point in entry_points(group=ENTRY_POINT_GROUP):
            try:
                self.add(point.load())
            except (ImportError, AttributeError, StudioError, TypeError) as error:
                log.warning("engine %s could not be loaded: %s", point.value, error)
                self.broken[point.name] = f"{type(error).__name__}: {error}"

    def add(self, engine_class: type[Engine]) -> Engine:
        """Register one engine class; raises ``StudioError`` if its id is taken or it is no engine."""
        if not (isinstance(engine_class, type) and issubclass(engine_class, Engine)):
            raise StudioError(f"{engine_class!r} is not a subclass of engines.base.Engine")
        engine_id = engine_class.card.id
        if engine_id in self._engines:
            raise StudioError(f"an engine with the id {engine_id!r} is registered already")
        engine = engine_class(self._cache)
        self._engines[engine_id] = engine
        return engine

    def get(self, engine_id: str) -> Engine:
        """The engine with this id; raises ``StudioError`` that lists the known ones."""
        try:
            return self._engines[engine_id]
        except KeyError:
            known = ", ".join(self._engines)
            raise StudioError(
                f"There is no engine {engine_id!r}. Engines here: {known}.", "engine"
            ) from None

    def of(self, task: Task) -> list[Engine]:
        """The engines of one task."""
        return [engine for engine in self if engine.card.task == task]

    def __iter__(self) -> Iterator[Engine]:
        return iter(self._engines.values())

    def __len__(self) -> int:
        return len(self._engines)
