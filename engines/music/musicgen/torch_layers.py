"""The decoder's layers in torch: on a GPU, and for small decoders on a processor.

On a GPU a step is some three hundred small kernels; a CUDA graph starts them all at once. It needs fixed
addresses and shapes, so the caches have room for all steps from the start and a mask hides what is not yet
written. On a processor each step of each sequence goes through the layers by itself, so that its result is
bitwise the same in every batch; nothing has to be compiled, so that the first music does not wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as functional

from engines.base import StudioError
from engines.music.musicgen.packing import NORMS, PARTS, Format, Shape, Source

Pair = tuple[torch.Tensor, torch.Tensor]  # keys and values
Seen = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


class Memory(Protocol):
    """Keys and values (S, heads, T, head_dim) of the steps so far and of the texts, and which of them
    are seen: a mask, or None for all."""

    texts: int  # the first sequences, which have one

    def steps(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> Seen: ...
    def text(self, layer: int) -> Seen: ...


class TorchLayers:
    """The weights, and one pass through them."""

    def __init__(self, source: Source, shape: Shape, form: Format, device: str):
        if form == Format.INT8:
            raise StudioError(
                "int8 is for processors; on a GPU choose bfloat16 or float32.", "precision"
            )
        self._shape, self._device = shape, torch.device(device)
        self._dtype = torch.bfloat16 if form == Format.BFLOAT16 else torch.float32
        self._matrices: list[dict[str, torch.Tensor]] = []  # (in, out)
        self._norms: list[dict[str, tuple[torch.Tensor, ...]]] = []  # gain and bias
        for layer in range(shape.layers):
            path = f"model.decoder.layers.{layer}."
            matrices = {
                kind: self._matrix(np.concatenate([source.matrix(path + part) for part in parts]))
                for kind, parts in PARTS.items()
                if shape.cross or not kind.startswith("cross")
            }
            norms = {
                name: self._put(source.norm(path + name)).unbind()
                for name in NORMS
                if shape.cross or name != "encoder_attn_layer_norm"
            }
            self._matrices.append(matrices)
            self._norms.append(norms)
        heads = [source.matrix(f"lm_heads.{k}") for k in range(shape.codebooks)]
        self._heads = self._matrix(np.concatenate(heads))
        self._last_norm = self._put(source.norm("model.decoder.layer_norm")).unbind()

    def uncompiled(self) -> bool:
        """Nothing is compiled here."""
        return False

    def close(self) -> None:
        """Let the weights go."""
        self._matrices.clear()
        self._norms.clear()

    def _pass(self, embedded: torch.Tensor, memory: Memory) -> torch.Tensor:
        """All layers for steps ``embedded (S, T, H)``; logits (S, K V) after the last."""
        hidden, texts = embedded.to(self._dtype), memory.texts
        for number, (layer, norms) in enumerate(zip(self._matrices, self._norms, strict=True)):
            x = self._norm(hidden, norms["self_attn_layer_norm"])
            query, key, value = (self._split(part) for part in (x @ layer["qkv"]).chunk(3, -1))
            keys, values, seen = memory.steps(number, key, value)
            mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
            hidden = hidden + self._join(mixed) @ layer["out"]
            if texts:
                x = self._norm(hidden[:texts], norms["encoder_attn_layer_norm"])
                query = self._split(x @ layer["cross_q"])
                keys, values, seen = memory.text(number)
                mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
                added = self._join(mixed) @ layer["cross_out"]
                hidden = torch.cat([hidden[:texts] + added, hidden[texts:]])
            x = self._norm(hidden, norms["final_layer_norm"])
            hidden = hidden + functional.gelu(x @ layer["up"]) @ layer["down"]
        return self._norm(hidden[:, -1], self._last_norm) @ self._heads

    def _said(self, states: torch.Tensor) -> list[Pair]:
        """Each layer's keys and values of the texts ``states (B, S, H)``."""
        made = [(states @ layer["cross_kv"]).chunk(2, -1) for layer in self._matrices]
        return [(self._split(keys), self._split(values)) for keys, values in made]

    def _answer(self, logits: torch.Tensor) -> np.ndarray:
        shape = self._shape
        return logits.float().cpu().numpy().reshape(-1, shape.codebooks, shape.vocabulary)

    def _norm(self, hidden: torch.Tensor, norm: tuple[torch.Tensor, ...]) -> torch.Tensor:
        gain, bias = norm
        return functional.layer_norm(hidden, hidden.shape[-1:], gain, bias)

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """(S, T, H) to (S, heads, T, head_dim)."""
        return states.unflatten(-1, (self._shape.heads, self._shape.head_dim)).transpose(1, 2)

    def _join(self, states: torch.Tensor) -> torch.Tensor:
        return states.transpose(1, 2).flatten(2)

    def _matrix(self, array: np.ndarray) -> torch.Tensor:
        """A linear layer (out, in) as (in, out)."""
        return self._put(array).T

    def _put(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, self._dtype)


class _Alone:
    """One sequence on a processor, step by step: what is not written yet is not looked at."""

    def __init__(self, room: tuple[int, ...], text: list[Pair]):
        self._caches = [cache.unbind() for cache in torch.zeros(room)]
        self._text, self.texts, self.place = text, int(bool(text)), 0

    def steps(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> Seen:
        """The step at ``place`` and all before it."""
        end = self.place + 1
        old_keys, old_values = self._caches[layer]
        old_keys[:, :, self.place : end], old_values[:, :, self.place : end] = keys, values
        return old_keys[:, :, :end], old_values[:, :, :end], None

    def text(self, layer: int) -> Seen:
        """The text of this sequence alone."""
        return *self._text[layer], None


class SmallLayers(TorchLayers):
    """A small decoder on a processor. One use at a time."""

    def __init__(self, source: Source, shape: Shape):
        super().__init__(source, shape, Format.FLOAT32, "cpu")
        self._memories: list[_Alone] = []
        self._threads = torch.get_num_threads()

    def _matrix(self, array: np.ndarray) -> torch.Tensor:
        """Laid out as a processor reads it for one step: 1.7 times as fast as the transposed view."""
        return self._put(array.T)

    @torch.inference_mode()
    def begin(self, sequences: int, capacity: int, texts: Sequence[np.ndarray]) -> None:
        """Make room for ``capacity`` steps; sequence i of the first ones attends to ``texts[i] (S, H)``
        (S may be 0 and differ), the others to none."""
        shape = self._shape
        room = (shape.layers, 2, 1, shape.heads, capacity, shape.head_dim)
        said = [self._said(self._put(text)[None]) if len(text) else [] for text in texts]
        self._memories = [_Alone(room, text) for text in said]
        self._memories += [_Alone(room, []) for _ in range(sequences - len(said))]
        # a step is too short to share: threads would wait for each other longer than it takes; last here,
        # since only what has begun is ended
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)

    @torch.inference_mode()
    def forward(self, embedded: np.ndarray, start: int) -> np.ndarray:
        """Logits ``(S, K, V)`` after the last of the steps ``embedded (S, steps, H)``, the first of
        which is step ``start`` of its sequence."""
        logits = []
        for memory, steps in zip(self._memories, torch.from_numpy(embedded), strict=True):
            for number, step in enumerate(steps):
                memory.place = start + number
                last = self._pass(step[None, None], memory)
            logits.append(last)
        return self._answer(torch.cat(logits))

    def end(self) -> None:
        """Give back the memory of the last use, and the threads."""
        self._memories = []
        torch.set_num_threads(self._threads)


class _Together:
    """All sequences on a GPU, at fixed addresses."""

    def __init__(
        self,
        cache: torch.Tensor,
        places: torch.Tensor,
        text: list[Pair],
        seen: torch.Tensor,
    ):
        self._cache, self._places, self._text, self._seen = cache, places, text, seen
        self._visible = torch.arange(cache.shape[4], device=cache.device) <= places[:, None]
        self.texts = len(seen)

    def steps(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> Seen:
        """The whole cache; a mask hides what comes later."""
        cache = self._cache[layer]
        cache[0].index_copy_(2, self._places, keys)
        cache[1].index_copy_(2, self._places, values)
        return cache[0], cache[1], self._visible

    def text(self, layer: int) -> Seen:
        """All texts; a mask hides what pads the shorter ones."""
        return *self._text[layer], self._seen


class GpuLayers(TorchLayers):
    """Any decoder on a GPU. One use at a time."""

    @torch.inference_mode()
    def begin(self, sequences: int, capacity: int, texts: Sequence[np.ndarray]) -> None:
        """Make room for ``capacity`` steps; sequence i of the first ones attends to ``texts[i] (S, H)``
        (S may be 0 and differ), the others to none."""
        shape = self._shape
        room = (shape.layers, 2, sequences, shape.heads, capacity, shape.head_dim)
        self._cache = torch.zeros(room, dtype=self._dtype, device=self._device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._step = torch.zeros(sequences, 1, shape.hidden, device=self._device)
        self._place = torch.zeros(1, dtype=torch.long, device=self._device)
        self._logits = torch.zeros(0)
        # a text of no tokens gets one of zeros: it adds exactly zero
        longest = max([1, *(len(text) for text in texts)])
        states = np.zeros((len(texts), longest, shape.hidden), np.float32)
        seen = np.zeros((len(texts), 1, 1, longest), bool)
        seen[..., 0] = True
        for row, text in enumerate(texts):
            states[row, : len(text)] = text
            seen[row, ..., : len(text)] = True
        self._seen = torch.from_numpy(seen).to(self._device)
        self._text = self._said(self._put(states)) if texts else []

    @torch.inference_mode()
    def forward(self, embedded: np.ndarray, start: int) -> np.ndarray:
        """Logits ``(S, K, V)`` after the last of the steps ``embedded (S, steps, H)``, the first of
        which is step ``start`` of its sequence."""
        steps = embedded.shape[1]
        if steps > 1:
            places = torch.arange(start, start + steps, device=self._device)
            return self._answer(self._run(torch.from_numpy(embedded).to(self._device), places))
        self._step.copy_(torch.from_numpy(embedded))
        self._place.fill_(start)
        if self._device.type != "cuda":
            return self._answer(self._run(self._step, self._place))
        if self._graph is None:
            self._graph = self._record()
        self._graph.replay()
        return self._answer(self._logits)

    def end(self) -> None:
        """Give back the memory of the last use."""
        del self._cache, self._text, self._graph, self._logits

    def _record(self) -> torch.cuda.CUDAGraph:
        """Record a step. The warm-up writes what the first replay will write again."""
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(3):
                self._run(self._step, self._place)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._logits = self._run(self._step, self._place)
        return graph

    def _run(self, embedded: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The steps at ``places (T,)``."""
        return self._pass(embedded, _Together(self._cache, places, self._text, self._seen))
