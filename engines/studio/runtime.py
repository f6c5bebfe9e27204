"""Picks the device and dtype, keeps the loaded engines within a memory budget, unloads idle ones."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from engines.base import Engine, Params, StudioError
from engines.studio.settings import Settings

log = logging.getLogger(__name__)
SHARE_OF_DEVICE = 0.85
MB = 1024**2


@dataclass(frozen=True)
class Memory:
    """Memory of the device and of this process, in bytes."""

    total: int
    used: int
    budget: int
    reserved: int
    process: int


@dataclass
class Loaded:
    """An engine in memory: since when it is idle and what it was said to need."""

    engine: Engine
    memory_mb: int
    last_used: float
    shared_mb: Mapping[str, int] = field(default_factory=dict)

    @property
    def own_mb(self) -> int:
        """What is freed when it goes, whoever else is loaded."""
        return self.memory_mb - sum(self.shared_mb.values())


class Runtime:
    """The device that engines run on, and which of them are in memory.

    Satisfies ``engines.base.Device``. Torch is imported only where an accelerator may be present, and
    not before the first job.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic):
        self._settings = settings
        self._clock = clock
        self._device = ""
        self._loaded: dict[str, Loaded] = {}
        self._busy = ""
        self._warmed: set[str] = set()
        self._running = threading.Lock()  # held while an engine is loaded or run
        self._lock = threading.RLock()  # held for a moment, around the table of loaded engines
        self.threads = settings.threads or os.cpu_count() or 1

    # where

    @property
    def device(self) -> str:
        """The torch device string."""
        if not self._device:
            self._device = self._pick(self._settings.device)
        return self._device

    @property
    def dtype(self) -> str:
        """The dtype engines should load in: bfloat16 where the device computes in it, else float32."""
        if self._settings.dtype != "auto":
            return self._settings.dtype
        if self.device.startswith("cuda"):
            import torch

            return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        return "float32"

    @staticmethod
    def _pick(wanted: str) -> str:
        if wanted == "cpu" or (wanted == "auto" and not _may_have_accelerator()):
            return "cpu"
        import torch

        found = "cpu"
        if torch.cuda.is_available():
            found = "cuda"
        elif torch.backends.mps.is_available():
            found = "mps"
        if wanted == "auto":
            return found
        if wanted.split(":")[0] != found:
            raise StudioError(f"Device {wanted!r} is not here; found {found!r}. Use --device auto.")
        return wanted

    # memory

    def memory(self) -> Memory:
        """What the device has and what is in use."""
        process = psutil.Process().memory_info().rss
        if self._device.startswith("cuda"):
            import torch

            free, total = torch.cuda.mem_get_info(self._device)
            used = total - free
        else:
            system = psutil.virtual_memory()
            total, used = system.total, system.total - system.available
        wanted = self._settings.memory_gb
        budget = int(wanted * 1e9) if wanted else int(total * SHARE_OF_DEVICE)
        return Memory(total, used, budget, self._reserved_mb() * MB, process)

    def _reserved_mb(self) -> int:
        loaded = self.loaded()
        return sum(entry.own_mb for entry in loaded) + sum(_parts_of(loaded).values())

    # loading

    def warm(self, engine: Engine) -> threading.Thread | None:
        """Import what ``engine`` needs in the background, once; the thread, None for a second call.

        A job that comes meanwhile waits for it, as it would for the imports themselves.
        """
        with self._lock:
            if engine.card.id in self._warmed:
                return None
            self._warmed.add(engine.card.id)

        def work() -> None:
            with self._running:
                engine.warm()

        thread = threading.Thread(target=work, name=f"warm-{engine.card.id}", daemon=True)
        thread.start()
        return thread

    def loaded(self) -> list[Loaded]:
        """Engines in memory, least recently used first."""
        with self._lock:
            return sorted(self._loaded.values(), key=lambda entry: entry.last_used)

    def is_loaded(self, engine_id: str) -> bool:
        """Whether the engine is in memory."""
        return engine_id in self._loaded

    @property
    def busy(self) -> str:
        """The id of the engine in use, or ""."""
        return self._busy

    @contextmanager
    def lease(self, engine: Engine, params: Params | None = None) -> Iterator[None]:
        """Load ``engine`` if needed, unloading others to make room, and hold it while in use.

        Raises ``StudioError`` when it cannot fit into the budget even alone.
        """
        engine_id = engine.card.id
        with self._running:
            self._busy = engine_id
            try:
                self._make_room(engine, params)
                # registered before loading, so that a load that fails half-way is unloaded too
                entry = self._entry(engine, params)
                with self._lock:
                    entry = self._loaded.setdefault(engine_id, entry)
                engine.load(self, params)
                yield
            finally:
                if engine_id in self._loaded:
                    self._loaded[engine_id].last_used = self._clock()
                self._busy = ""

    def _entry(self, engine: Engine, params: Params | None) -> Loaded:
        need, parts = engine.memory_mb(self.dtype, params), engine.shared_mb(self.dtype, params)
        return Loaded(engine, need, self._clock(), parts)

    def _make_room(self, engine: Engine, params: Params | None) -> None:
        if engine.card.id in self._loaded:
            return
        entry = self._entry(engine, params)
        need = entry.memory_mb * MB
        budget = self.memory().budget
        if need > budget:
            raise StudioError(
                f"{engine.card.title} needs {need / 1e9:.1f} GB and the memory budget is "
                f"{budget / 1e9:.1f} GB. Raise --memory-gb or choose a smaller engine."
            )
        for other in self._by_use(entry):
            here = _parts_of(self.loaded())
            more = entry.own_mb + sum(
                size for name, size in entry.shared_mb.items() if name not in here
            )
            if (self._reserved_mb() + more) * MB <= budget:
                return
            self.unload(other.engine.card.id, force=True)

    def _by_use(self, entry: Loaded) -> list[Loaded]:
        """Engines in memory, first those that hold nothing ``entry`` needs, the least used first."""
        return sorted(
            self.loaded(), key=lambda other: bool(other.shared_mb.keys() & entry.shared_mb.keys())
        )

    def unload(self, engine_id: str, force: bool = False) -> bool:
        """Free the engine's memory; returns whether it was loaded.

        Raises ``StudioError`` while a job is using it, unless the caller is that job (``force``).
        """
        if self._busy == engine_id and not force:
            raise StudioError(f"{engine_id} is in use by a job; cancel the job or wait for it.")
        with self._lock:
            entry = self._loaded.pop(engine_id, None)
            if entry is None:
                return False
            entry.engine.unload()
            self._collect()
            log.info("unloaded %s", engine_id)
            return True

    def unload_all(self) -> list[str]:
        """Unload every engine, also the one in use; returns their ids."""
        return [
            entry.engine.card.id
            for entry in self.loaded()
            if self.unload(entry.engine.card.id, force=True)
        ]

    def sweep(self) -> list[str]:
        """Unload engines that were idle for longer than ``keep_alive_min``; returns their ids."""
        limit = self._settings.keep_alive_min * 60
        idle = [
            entry.engine.card.id
            for entry in self.loaded()
            if limit and self._clock() - entry.last_used >= limit
        ]
        return [id for id in idle if id != self._busy and self.unload(id)]

    def idle_s(self, engine_id: str) -> float:
        """Seconds since the engine was last used; 0 for one that is not loaded."""
        entry = self._loaded.get(engine_id)
        return self._clock() - entry.last_used if entry else 0.0

    def _collect(self) -> None:
        import gc

        gc.collect()
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


def _parts_of(loaded: Iterable[Loaded]) -> dict[str, int]:
    """The shared parts in memory with what each needs."""
    parts: dict[str, int] = {}
    for entry in loaded:
        for name, need in entry.shared_mb.items():
            parts[name] = max(need, parts.get(name, 0))
    return parts


def _may_have_accelerator() -> bool:
    """Whether asking torch for a device is worth its import."""
    return (
        sys.platform == "darwin"
        or Path("/dev/nvidia0").exists()
        or shutil.which("nvidia-smi") is not None
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out, in any library's words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "bad_alloc" in text
