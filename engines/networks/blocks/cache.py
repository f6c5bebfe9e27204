"""Keys and values of earlier positions, in tensors that keep their size while a sequence grows."""

from __future__ import annotations

import torch
from torch import Tensor


class KeyValueCache:
    """Room for ``capacity`` positions of each layer, as (B, heads, capacity, head_dim).

    A forward pass calls ``extend`` once in each layer and ``advance`` at its end.
    """

    def __init__(
        self, *, layers: int, batch: int, heads: int, capacity: int, head_dim: int, like: Tensor
    ) -> None:
        shape = (layers, batch, heads, capacity, head_dim)
        self.keys, self.values = like.new_empty(shape), like.new_empty(shape)
        self.length = 0

    @property
    def capacity(self) -> int:
        """The most positions it can hold."""
        return self.keys.shape[-2]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, heads, T, head_dim) behind what is there; gives all of this layer so far."""
        end = self.length + keys.shape[-2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, positions: int) -> None:
        """The last ``positions`` are complete in every layer."""
        self.length += positions

    def rows(self, batch: int) -> KeyValueCache:
        """The same content for ``batch`` rows, from a cache of one row."""
        layers, _, heads, capacity, head_dim = self.keys.shape
        wider = KeyValueCache(
            layers=layers,
            batch=batch,
            heads=heads,
            capacity=capacity,
            head_dim=head_dim,
            like=self.keys,
        )
        for mine, theirs in ((self.keys, wider.keys), (self.values, wider.values)):
            theirs[..., : self.length, :] = mine[..., : self.length, :]
        wider.length = self.length
        return wider


def causal_mask(length: int, device: torch.device) -> Tensor:
    """(length, length), True where a row may see a column: at and before itself."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()
