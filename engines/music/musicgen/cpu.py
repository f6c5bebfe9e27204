"""The decoder's layers on a processor: memory, threads and the call of the compiled kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engines.music.musicgen import compiling, kernels
from engines.music.musicgen.attention import RECENT, Cache
from engines.music.musicgen.packing import Format, Shape, Weights
from engines.music.musicgen.vectors import LANES, yield_address

PREFILL_STEPS = 64  # steps of a prompt that go through the layers at once


class CpuLayers:
    """Runs embedded steps through the layers, remembering keys and values. One use at a time."""

    def __init__(self, weights: Weights, shape: Shape, form: Format, threads: int = 0):
        self._weights, self._shape, self._form = weights, shape, form
        self._threads = threads or os.cpu_count() or 1
        self._team = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None
        self._yield = yield_address()

    def uncompiled(self) -> bool:
        """Whether the first use compiles the kernels, which takes half a minute."""
        return compiling.fresh()

    def begin(self, sequences: int, capacity: int, texts: Sequence[np.ndarray]) -> None:
        """Make room for ``capacity`` steps; sequence i of the first ones attends to ``texts[i] (S, H)``
        (S may be 0 and differ), the others to none."""
        shape = self._shape
        tokens = [len(text) for text in texts]
        rows = max(2, sequences * min(PREFILL_STEPS, capacity), sum(tokens))
        longest = max([capacity, shape.head_dim, *tokens])
        exact = self._form is Format.FLOAT32
        old_blocks = (capacity - RECENT) // LANES if self._form is Format.INT8 else 0
        self._cache = self._room(
            shape.layers, sequences, capacity, np.float32 if exact else np.int8, max(0, old_blocks)
        )
        # the text is short: its keys and values stay in float32
        self._cross = self._room(shape.layers, len(texts), max([1, *tokens]), np.float32)
        self._tokens = np.array(tokens, np.int64)
        self._buffers = kernels.Buffers(
            hidden=np.zeros((rows, shape.hidden), np.float32),
            projected=np.zeros((rows, 3 * shape.hidden), np.float32),
            mixed=np.zeros((rows, shape.hidden), np.float32),
            inner=np.zeros((rows, shape.inner), np.float32),
            logits=np.zeros((sequences, shape.codebooks * shape.vocabulary), np.float32),
            counters=np.zeros((2, 10 * shape.layers + 2), np.int64),
            normed=np.zeros((self._threads, rows, shape.hidden), np.float32),
            sums=np.zeros((self._threads, rows, LANES), np.float32),
            scores=np.zeros((self._threads, 2, longest + LANES), np.float32),
        )
        if sum(tokens):
            states = np.ascontiguousarray(np.concatenate(list(texts)), np.float32)
            owners = np.repeat(np.arange(len(tokens)), tokens)
            places = np.concatenate([np.arange(count) for count in tokens])
            self._run(
                kernels.fill_cross,
                self._weights,
                states,
                owners,
                places,
                self._cross,
                self._buffers,
            )

    def forward(self, embedded: np.ndarray, start: int) -> np.ndarray:
        """Logits ``(S, K, V)`` after the last of the steps ``embedded (S, steps, H)``, the first of
        which is step ``start`` of its sequence. The result is overwritten by the next call."""
        sequences, steps, hidden = embedded.shape
        buffers = self._buffers
        for first in range(0, steps, PREFILL_STEPS):
            part = embedded[:, first : first + PREFILL_STEPS]
            buffers.hidden[: sequences * part.shape[1]] = part.reshape(-1, hidden)
            self._run(
                kernels.forward, self._weights, self._cache, self._cross, self._tokens,
                part.shape[1], start + first, buffers,
            )  # fmt: skip
        return buffers.logits.reshape(sequences, self._shape.codebooks, self._shape.vocabulary)

    def end(self) -> None:
        """Give back the memory of the last use."""
        del self._cache, self._cross, self._buffers

    def close(self) -> None:
        """Let the threads go."""
        if self._team:
            self._team.shutdown()

    def _run(self, kernel: Callable, *arguments: object) -> None:
        """Run a kernel on all threads, this one included."""
        self._buffers.counters[:] = 0
        others = [
            self._team.submit(kernel, *arguments, number, self._yield)
            for number in range(1, self._threads)
            if self._team
        ]
        kernel(*arguments, 0, self._yield)
        for other in others:
            other.result()

    def _room(self, layers: int, sequences: int, capacity: int, dtype: type, old: int = 0) -> Cache:
        """Room for ``capacity`` tokens, of which ``old`` blocks may grow old."""
        heads, size = self._shape.heads, self._shape.head_dim
        base = (layers, sequences, heads)
        tokens, parts = -(-capacity // LANES), -(-size // LANES)
        return Cache(
            keys=np.zeros((*base, tokens, size, LANES), dtype),
            key_scale=np.ones((*base, tokens * LANES), np.float32),
            values=np.zeros((*base, parts, tokens * LANES, LANES), dtype),
            value_scale=np.ones((*base, tokens * LANES), np.float32),
            old_keys=np.zeros((*base, old, size, LANES // 2), np.uint8),
            old_key_range=np.zeros((*base, old, 2, size), np.float32),
            old_values=np.zeros((*base, parts, old * LANES, LANES // 2), np.uint8),
            old_value_range=np.zeros((*base, 2, old * LANES), np.float32),
        )
