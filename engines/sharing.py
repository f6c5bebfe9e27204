"""Parts that several engines use, such as a content encoder, a codec or a vocoder: loaded once.

``shared`` gives the part that is in memory already, or makes it. A part lives as long as an engine holds
it: an engine keeps what it got in an attribute and drops it in ``unload``; when the last one drops it,
its memory is free. Engines say in ``Engine.shared_mb`` which parts they hold, so that the budget counts
each once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from engines.base import Device

Part = TypeVar("Part")

_parts: WeakValueDictionary[tuple[str, str, str], object] = WeakValueDictionary()
_making = threading.RLock()  # a part may be made of others


def shared(name: str, device: Device, make: Callable[[], Part]) -> Part:
    """The part called ``name`` (with its revision) on this device, made now if nobody holds it."""
    key = (name, device.device, device.dtype)
    with _making:
        part = _parts.get(key)
        if part is None:
            part = make()
            _parts[key] = part
        return part  # type: ignore[return-value]


def held() -> list[str]:
    """The names of the parts in memory, for tests and the Models page."""
    return sorted({name for name, _, _ in _parts})
