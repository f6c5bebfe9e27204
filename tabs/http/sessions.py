"""What the server remembers of each browser: as little as Gradio 6.31 allows, and not for ever.

Gradio keeps a copy of every component's configuration for each session (1.5 MB for this page),
opens a session for each call without one, and closes none. Here a session holds what differs from
the page as it was built; a call without a session leaves none; what is idle goes.
"""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import gradio as gr
from gradio import blocks, mcp, route_utils, state_holder
from gradio.blocks import BlocksConfig

CAPACITY = 300
CLOSED_S = 600
IDLE_S = 24 * 3600.0
UNREAD_S = 600.0


class Unkept(dict[int, Any]):
    """A dictionary that forgets: Gradio's copies for deep links, which the studio has none of."""

    def __setitem__(self, key: int, value: Any) -> None:
        """Keep nothing."""


class Events(ChainMap[int, Any]):
    """The events of a session: those of the page, and those of the forms that it has asked for.

    The events of a form that was built anew are not listed any more, and still answer a browser that had
    not heard of it.
    """

    def __init__(self, *maps: Any):
        super().__init__(*maps)
        self.retired: dict[int, Any] = {}

    def __delitem__(self, key: int) -> None:
        self.retired[key] = self.maps[0].pop(key)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self.retired

    def __missing__(self, key: int) -> Any:
        return self.retired[key]


class LeanState(state_holder.SessionState):
    """A session that holds the values of its ``gr.State`` and the components that were changed."""

    def __init__(self, demo: gr.Blocks):
        whole = demo.default_config
        self.blocks_config = BlocksConfig(whole.root_block)
        # all sessions share the page as it was built; the forms that one of them has asked for are its own
        self.blocks_config.blocks = ChainMap({}, whole.blocks)  # type: ignore[assignment]
        self.blocks_config.fns = Events({}, whole.fns)  # type: ignore[assignment]
        self.blocks_config.fn_id = whole.fn_id
        self.blocks_config._id = whole._id
        self.blocks_config.renderables = whole.renderables
        self.state_data = {}
        self.config_values = Unkept()
        self._state_ttl = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = CLOSED_S

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            self._state_ttl[key] = (block.time_to_live, datetime.now())
            self.state_data[key] = value
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Keep no copy."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep no copy."""

    @property
    def components(self) -> Iterator[dict[str, Any]]:
        """Nothing: deep links are not offered."""
        return iter(())


class Sessions(state_holder.StateHolder):
    """The sessions of one page, the least used first; ``tidy`` runs each second."""

    def __init__(self, demo: gr.Blocks, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self.set_blocks(demo)
        self.capacity = CAPACITY
        self._clock = clock
        self._used: dict[str, float] = {}
        self._unread: dict[str, float] = {}

    def __getitem__(self, session_id: str) -> state_holder.SessionState:
        if session_id in self.blocks._queue.event_ids_to_events:
            return LeanState(self.blocks)  # a call without a session goes by its own id
        with self.lock:
            if session_id not in self.session_data:
                self.session_data[session_id] = LeanState(self.blocks)
        self.update(session_id)
        self._used[session_id] = self._clock()
        self.time_last_used[session_id] = datetime.now()
        return self.session_data[session_id]

    def delete_all_expired_state(self) -> None:
        """What Gradio calls each second."""
        super().delete_all_expired_state()
        self.tidy()

    def tidy(self) -> None:
        """Forget closed and idle sessions, and messages that were read or that nobody reads."""
        now = self._clock()
        for name, state in list(self.session_data.items()):
            if now - self._used.get(name, now) > (CLOSED_S if state.is_closed else IDLE_S):
                self.delete_state(name)
                self.session_data.pop(name, None)
        for kept in (self._used, self.time_last_used):
            for name in kept.keys() - self.session_data.keys():
                kept.pop(name, None)
        self._tidy_messages(now)

    def _tidy_messages(self, now: float) -> None:
        queue = self.blocks._queue
        messages, pending = queue.pending_messages_per_session, queue.pending_event_ids_session
        running = {event.session_hash for event in list(queue.event_ids_to_events.values())}
        for name in messages.keys() | pending.keys():
            if name in running:
                self._unread.pop(name, None)
                continue
            since = self._unread.setdefault(name, now)
            state = self.session_data.get(name)
            gone = state is None or state.is_closed
            if not pending.get(name) or (gone and now - since > UNREAD_S):
                messages.pop(name, None)
                pending.pop(name, None)
        for name in self._unread.keys() - messages.keys():
            self._unread.pop(name, None)


def keep_little(app: Any, demo: gr.Blocks) -> None:
    """Let a mounted page use ``Sessions``; calls without a session use ``LeanState`` too."""
    for module in (blocks, mcp, route_utils, state_holder):
        module.SessionState = LeanState  # type: ignore[attr-defined]
    app.state_holder = Sessions(demo)
