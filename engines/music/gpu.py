"""The decoder's layers on a GPU: torch with static caches, one step recorded as a CUDA graph.

A step is some three hundred small kernels; a graph starts them all at once. It needs fixed addresses and
shapes, so the caches have room for all steps from the start and a mask hides what is not yet written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional

from engines.base import StudioError
from engines.music.packing import NORMS, PARTS, Format, Shape, Source


class GpuLayers:
    """Runs embedded steps through the layers, remembering keys and values. One use at a time."""

    def __init__(self, source: Source, shape: Shape, form: Format, device: str):
        if form == Format.INT8:
            raise StudioError(
                "int8 is for processors; on a GPU choose bfloat16 or float32.", "precision"
            )
        self._shape, self._device = shape, torch.device(device)
        self._dtype = torch.bfloat16 if form == Format.BFLOAT16 else torch.float32
        self._layers = []
        for layer in range(shape.layers):
            path = f"model.decoder.layers.{layer}."
            matrices = {
                kind: self._put(np.concatenate([source.matrix(path + part) for part in parts]))
                for kind, parts in PARTS.items()
                if shape.cross or not kind.startswith("cross")
            }
            norms = {
                name: self._put(source.norm(path + name))
                for name in NORMS
                if shape.cross or name != "encoder_attn_layer_norm"
            }
            self._layers.append(matrices | norms)
        heads = [source.matrix(f"lm_heads.{k}") for k in range(shape.codebooks)]
        self._heads = self._put(np.concatenate(heads))
        self._last_norm = self._put(source.norm("model.decoder.layer_norm"))

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
        self._cross = [
            [self._split(part) for part in (self._put(states) @ layer["cross_kv"].T).chunk(2, -1)]
            for layer in (self._layers if texts else [])
        ]

    @torch.inference_mode()
    def forward(self, embedded: np.ndarray, start: int) -> np.ndarray:
        """Logits ``(S, K, V)`` after the last of the steps ``embedded (S, steps, H)``, the first of
        which is step ``start`` of its sequence."""
        steps = embedded.shape[1]
        if steps > 1:
            places = torch.arange(start, start + steps, device=self._device)
            logits = self._run(torch.from_numpy(embedded).to(self._device), places)
        else:
            self._step.copy_(torch.from_numpy(embedded))
            self._place.fill_(start)
            if self._device.type != "cuda":
                logits = self._run(self._step, self._place)
            else:
                if self._graph is None:
                    self._record()
                assert self._graph is not None
                self._graph.replay()
                logits = self._logits
        shape = self._shape
        return logits.float().cpu().numpy().reshape(-1, shape.codebooks, shape.vocabulary)

    def end(self) -> None:
        """Give back the memory of the last use."""
        del self._cache, self._cross, self._graph, self._logits

    def close(self) -> None:
        """Let the weights go."""
        self._layers.clear()

    def _record(self) -> None:
        """Record a step. The warm-up writes what the first replay will write again."""
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(3):
                self._run(self._step, self._place)
        torch.cuda.current_stream(self._device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = self._run(self._step, self._place)

    def _run(self, embedded: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """All layers for the steps at ``places (T,)``; logits (S, K V) after the last."""
        hidden, texts = embedded.to(self._dtype), len(self._seen)
        visible = torch.arange(self._cache.shape[4], device=self._device) <= places[:, None]
        for number, layer in enumerate(self._layers):
            x = self._norm(hidden, layer["self_attn_layer_norm"])
            query, key, value = (x @ layer["qkv"].T).chunk(3, -1)
            keys, values = self._cache[number]
            keys.index_copy_(2, places, self._split(key))
            values.index_copy_(2, places, self._split(value))
            mixed = functional.scaled_dot_product_attention(
                self._split(query), keys, values, attn_mask=visible
            )
            hidden = hidden + self._join(mixed) @ layer["out"].T
            if texts:
                x = self._norm(hidden[:texts], layer["encoder_attn_layer_norm"])
                query = self._split(x @ layer["cross_q"].T)
                keys, values = self._cross[number]
                mixed = functional.scaled_dot_product_attention(
                    query, keys, values, attn_mask=self._seen
                )
                added = self._join(mixed) @ layer["cross_out"].T
                hidden = torch.cat([hidden[:texts] + added, hidden[texts:]])
            x = self._norm(hidden, layer["final_layer_norm"])
            hidden = hidden + functional.gelu(x @ layer["up"].T) @ layer["down"].T
        return self._norm(hidden[:, -1], self._last_norm) @ self._heads.T

    def _norm(self, hidden: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(hidden, hidden.shape[-1:], norm[0], norm[1])

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """(S, T, H) to (S, heads, T, head_dim)."""
        return states.unflatten(-1, (self._shape.heads, self._shape.head_dim)).transpose(1, 2)

    def _join(self, states: torch.Tensor) -> torch.Tensor:
        return states.transpose(1, 2).flatten(2)

    def _put(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, self._dtype)
