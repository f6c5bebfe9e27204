"""What the engines ask of a codec's network: windows of samples to codes, windows of codes to samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from engines.parts.frame_windows import frame_windows, joined

Tick = Callable[[float, float], None]
Extra = Mapping[str, np.ndarray]


class FrameCodec(ABC):
    """A codec with one column of codes for each ``hop`` samples, of ``channels`` at ``rate``.

    Sounds are float32 ``(C, L)``, codes int64 ``(K, T)`` with T = ceil(L / hop). ``extra`` is what a
    codec keeps of the whole sound beside its codes. A network whose output at one place depends on
    samples far away is given ``context_s`` seconds on either side of its windows.
    """

    rate: int
    hop: int
    sizes: Sequence[int]
    channels: int = 1
    window_s: ClassVar[float] = 10.0
    context_s: ClassVar[float] = 2.0
    spare: ClassVar[int] = 0  # frames of silence needed behind the end

    @abstractmethod
    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        """The first ``count`` codes ``(K, T)`` of whole frames of samples ``(C, T * hop)``."""

    @abstractmethod
    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        """Samples ``(C, about T * hop)`` of the first K codes ``(K, T)``."""

    def about(self, samples: np.ndarray, tick: Tick) -> dict[str, np.ndarray]:
        """What is kept of the whole sound beside its codes, such as its timbre."""
        return {}

    # a whole sound

    def _windows(self, frames: int) -> list[Any]:
        per_s = self.rate / self.hop
        size, context = round(self.window_s * per_s), round(self.context_s * per_s)
        return frame_windows(frames, max(1, size), max(1, context))

    def encoded(
        self, samples: np.ndarray, count: int, tick: Tick
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Codes and what belongs to them, of a sound of any length."""
        frames = -(-samples.shape[-1] // self.hop)
        codes = np.zeros((count, frames), np.int64)
        windows = self._windows(frames)
        for number, window in enumerate(windows):
            tick(number, len(windows))
            heard = samples[:, window.start * self.hop : window.end * self.hop]
            wanted = (window.end - window.start + self.spare) * self.hop
            heard = np.pad(heard, ((0, 0), (0, wanted - heard.shape[-1])))
            made = self.encode(heard, count)
            begin = window.first - window.start
            codes[:, window.first : window.last] = made[
                :, begin : begin + window.last - window.first
            ]
        return codes, self.about(samples, tick)

    def decoded(
        self, codes: np.ndarray, extra: Extra, samples: int, tick: Tick
    ) -> Iterator[np.ndarray]:
        """Pieces ``(C, T)`` of a sound that is exactly ``samples`` long."""
        windows = self._windows(codes.shape[1])

        def make(window: Any) -> np.ndarray:
            tick(window.first, codes.shape[1])
            return self.decode(codes[:, window.start : window.end], extra)

        yield from joined(windows, self.hop, self.rate, samples, make)
