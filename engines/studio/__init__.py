"""The studio: what joins engines, jobs and the store. ``from engines.studio import Studio``.

The facade is imported when it is asked for, so that a process which only needs a part of this room,
such as one that trains, does not import the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Studio"]

if TYPE_CHECKING:
    from engines.studio.facade import Studio
else:

    def __getattr__(name: str) -> Any:
        if name == "Studio":
            from engines.studio.facade import Studio

            return Studio
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
