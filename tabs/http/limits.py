"""Limits on what a client may send: how often, how much, how many wrong passwords."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_NAMES = 10_000


@dataclass
class Bucket:
    """Tokens left and when they were counted, in seconds of the clock."""

    tokens: float
    counted: float


class TokenBuckets:
    """One bucket of ``per_minute`` tokens a name, filled evenly; 0 means no limit.

    A name that was idle for a minute may spend all its tokens at once.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic):
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> float:
        """Spend one token; returns 0, or the seconds to wait when there is none."""
        return self._look(name, 1)

    def wait_s(self, name: str) -> float:
        """Seconds until there is a token; spends none."""
        return self._look(name, 0)

    def _look(self, name: str, cost: int) -> float:
        if not self.per_minute:
            return 0.0
        now, rate = self._clock(), self.per_minute / 60
        with self._lock:
            bucket = self._buckets.setdefault(name, Bucket(self.per_minute, now))
            self._buckets.move_to_end(name)
            while len(self._buckets) > MAX_NAMES:
                self._buckets.popitem(last=False)
            filled = bucket.tokens + (now - bucket.counted) * rate
            bucket.tokens, bucket.counted = min(filled, self.per_minute), now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / rate
            bucket.tokens -= cost
            return 0.0


MB = 1024**2
MAX_SPEECH_BODY = 4 * MB
MAX_BODY = 32 * MB
MAX_ANSWER_BODY = 1 * MB


def body_limit(path: str) -> int | None:
    """The most bytes a request to ``path`` may send; None where Gradio limits each file itself."""
    if path.startswith("/gradio_api/upload"):
        return None
    if path.startswith("/listen/"):
        return MAX_ANSWER_BODY
    return MAX_SPEECH_BODY if path.startswith(("/v1/", "/login")) else MAX_BODY
