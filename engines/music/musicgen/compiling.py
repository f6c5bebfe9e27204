"""numba's compiler for the kernels, and where its result is kept.

Compiling takes 10 to 30 s, once on a machine for each number format. numba keeps the result on disk but looks
for changes in a function's own file only, so each state of the kernels' files has a folder of its own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

HERE = Path(__file__).parent
SOURCES = ("packing.py", "vectors.py", "attention.py", "kernels.py", "compiling.py")


def _place() -> str:
    """A folder for compiled code beside the package or in the home folder; "" if neither is ours."""
    state = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()
    for parent in (HERE / "__pycache__", Path("~/.cache/amphion-studio").expanduser()):
        folder = parent / f"kernels-{state[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return ""


PLACE = _place()


def fresh() -> bool:
    """Whether nothing is compiled yet, so that the first music takes half a minute more."""
    return not PLACE or not any(Path(PLACE).rglob("*.nbc"))


def compiled(function: Callable, liberties: tuple[str, ...] = ("contract",)) -> Callable:
    """Compile at the first call with new types; ``liberties`` are those of LLVM's fast arithmetic."""
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, PLACE
    try:
        return numba.njit(
            nogil=True, error_model="numpy", fastmath=set(liberties), cache=bool(PLACE)
        )(function)
    finally:
        config.CACHE_DIR = before


def compiled_sums(function: Callable) -> Callable:
    """Likewise for functions that sum or seek the largest, which may be done lane by lane."""
    return compiled(function, ("contract", "reassoc", "nnan", "nsz"))
