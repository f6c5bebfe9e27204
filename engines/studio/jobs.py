"""A running job as an engine and its followers see it: progress, pieces, cancellation, randomness."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engines.base import Cancelled

if TYPE_CHECKING:
    import numpy as np

SAVE_EVERY_S = 0.5


@dataclass
class Live:
    """What is known of a job while it runs and for a while after; guarded by ``changed``.

    ``pieces`` are float32 ``(T,)`` or ``(C, T)`` at ``sample_rate``, in order. ``version`` grows
    with every change, so that a follower can wait for the next one. ``clip_id`` is the id that the
    job's first clip will have.
    """

    progress: float = 0.0
    note: str = ""
    started: float = 0.0
    sample_rate: int = 0
    pieces: list[np.ndarray] = field(default_factory=list)
    finished: bool = False
    version: int = 0
    clip_id: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def touch(self) -> None:
        """Wake the followers. Call with ``changed`` held."""
        self.version += 1
        self.changed.notify_all()

    @property
    def left_s(self) -> float | None:
        """Estimated seconds left; None before there is anything to estimate from."""
        if not self.started or self.progress < 0.02 or self.finished:
            return None
        elapsed = time.monotonic() - self.started
        return elapsed * (1 - self.progress) / self.progress


class JobContext:
    """The ``engines.base.Job`` of one job.

    ``save(progress, note)`` is called at most twice a second. Emitted pieces are appended to
    ``work`` as raw float32, so that they outlive the process.
    """

    def __init__(self, job_id: str, seed: int, live: Live, work: Path, save: Callable):
        self.id = job_id
        self.seed = seed
        self.live = live
        self._work = work
        self._save = save
        self._saved_at = 0.0
        self._cancel = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop at its next step."""
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        """Whether the job was asked to stop."""
        return self._cancel.is_set()

    def check(self) -> None:
        """Raise ``Cancelled`` if the job was asked to stop."""
        if self._cancel.is_set():
            raise Cancelled(self.id)

    def progress(self, done: float, total: float, note: str = "") -> None:
        """Report ``done`` of ``total`` steps to the followers and, now and then, to the store."""
        share = min(max(done / total, 0.0), 1.0) if total else 0.0
        with self.live.changed:
            self.live.progress, self.live.note = share, note
            self.live.touch()
        now = time.monotonic()
        if now - self._saved_at >= SAVE_EVERY_S:
            self._saved_at = now
            self._save(share, note)

    def emit(self, samples: np.ndarray, sample_rate: int) -> None:
        """Keep the next piece on disk and hand it to the followers."""
        Partial(self._work).append(samples, sample_rate)
        with self.live.changed:
            self.live.pieces.append(samples)
            self.live.sample_rate = sample_rate
            self.live.touch()

    def rng(self, *key: int) -> np.random.Generator:
        """A generator that depends on the job's seed and ``key`` alone."""
        import numpy as np

        return np.random.default_rng([self.seed, *key])


class Partial:
    """The pieces of an unfinished job on disk: raw float32 frames, interleaved by channel."""

    def __init__(self, folder: Path):
        self.folder = folder

    def append(self, samples: np.ndarray, sample_rate: int) -> None:
        """Add a piece ``(T,)`` or ``(C, T)``."""
        import numpy as np

        frames = np.atleast_2d(samples).astype(np.float32).T
        self.folder.mkdir(parents=True, exist_ok=True)
        head = self.folder / "format"
        if not head.exists():
            head.write_text(f"{sample_rate} {frames.shape[1]}", encoding="ascii")
        with (self.folder / "frames.f32").open("ab") as file:
            file.write(np.ascontiguousarray(frames).tobytes())

    def read(self) -> tuple[np.ndarray, int] | None:
        """All pieces so far as ``(C, T)`` and their rate in Hz; None if there are none."""
        import numpy as np

        head, data = self.folder / "format", self.folder / "frames.f32"
        if not (head.exists() and data.exists()):
            return None
        sample_rate, channels = (int(part) for part in head.read_text(encoding="ascii").split())
        frames = np.fromfile(data, dtype=np.float32)
        frames = frames[: len(frames) // channels * channels].reshape(-1, channels)
        return (frames.T, sample_rate) if len(frames) else None

    def remove(self) -> None:
        """Delete the pieces."""
        for name in ("format", "frames.f32"):
            (self.folder / name).unlink(missing_ok=True)
        if self.folder.exists():
            self.folder.rmdir()
