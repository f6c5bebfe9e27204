"""Sortable identifiers: 26 characters, ordered by time, unique within one process and beyond.

The layout is that of ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits,
in Crockford's base 32, in lower case.
"""

from __future__ import annotations

import secrets
import threading
import time
from datetime import UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
RANDOM_BITS = 80
LENGTH = 26

_lock = threading.Lock()
_last = 0


PART_PREFIX = ".part-"  # of files and folders that are being written


def new_id() -> str:
    """A new identifier, greater than every earlier one of this process."""
    global _last
    with _lock:
        drawn = (time.time_ns() // 1_000_000) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
        same_moment = drawn >> RANDOM_BITS <= _last >> RANDOM_BITS
        _last = _last + 1 if same_moment else drawn
        value = _last
    return "".join(ALPHABET[value >> 5 * place & 31] for place in reversed(range(LENGTH)))


def utc_now() -> str:
    """The time now in ISO 8601, UTC, with milliseconds; such texts sort by time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
