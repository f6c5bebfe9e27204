"""Vector quantisers: factorised with a normalised search, Euclidean, and stacks of residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import Conv1d


def nearest(vectors: Tensor, rows: Tensor) -> Tensor:
    """Index of the row nearest to each vector, the first of equals: (..., D) and (N, D) to (...)."""
    distance = (
        vectors.square().sum(-1, keepdim=True)
        - 2 * vectors @ rows.transpose(0, 1)
        + rows.square().sum(-1)
    )
    return (-distance).max(-1).indices


def nearest_by_direction(vectors: Tensor, rows: Tensor) -> Tensor:
    """``nearest`` after vectors and rows were brought to length 1 (Yu et al. 2022)."""
    return nearest(F.normalize(vectors, dim=-1, eps=1e-12), F.normalize(rows, dim=-1, eps=1e-12))


class Quantizer(Protocol):
    """What ``ResidualQuantizer`` stacks."""

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised ``z`` (B, D, T) and its indices (B, T)."""

    def decode(self, codes: Tensor) -> Tensor:
        """Indices (B, T) to vectors (B, D, T)."""


class FactorizedQuantizer(nn.Module):
    """A codebook of few dimensions between two weight-normed convolutions of kernel 1.

    The nearest row is searched among directions; the row as it is stored goes on. Keys are those of
    MaskGCT (``in_project``) or of DAC (``in_proj``), by ``names``.
    """

    codebook: nn.Embedding

    def __init__(
        self,
        dim: int,
        size: int,
        codebook_dim: int = 8,
        *,
        names: tuple[str, str] = ("in_project", "out_project"),
    ) -> None:
        super().__init__()
        self._names = names
        self.add_module(names[0], Conv1d(dim, codebook_dim, 1))
        self.add_module(names[1], Conv1d(codebook_dim, dim, 1))
        self.codebook = nn.Embedding(size, codebook_dim)

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised ``z`` (B, D, T) and its indices (B, T)."""
        latent = self.get_submodule(self._names[0])(z).transpose(1, 2)
        codes = nearest_by_direction(latent, self.codebook.weight)
        return self.decode(codes), codes

    def decode(self, codes: Tensor) -> Tensor:
        """Indices (B, T) to vectors (B, D, T)."""
        return self.get_submodule(self._names[1])(self.codebook(codes).transpose(1, 2))


class EuclideanQuantizer(nn.Module):
    """Plain nearest rows of a codebook that training moved by averages. Key ``_codebook``.

    Only ``embed`` (``size``, ``dim``) is used here; the other buffers are the averages' state.
    """

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self._codebook = nn.Module()
        self._codebook.register_buffer("inited", torch.ones(1))
        self._codebook.register_buffer("cluster_size", torch.zeros(size))
        self._codebook.register_buffer("embed", torch.randn(size, dim))
        self._codebook.register_buffer("embed_avg", torch.zeros(size, dim))

    @property
    def rows(self) -> Tensor:
        """The codebook (``size``, ``dim``)."""
        return self._codebook.get_buffer("embed")

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised ``z`` (B, D, T) and its indices (B, T)."""
        codes = nearest(z.transpose(1, 2), self.rows)
        return self.decode(codes), codes

    def decode(self, codes: Tensor) -> Tensor:
        """Indices (B, T) to vectors (B, D, T)."""
        return F.embedding(codes, self.rows).transpose(1, 2)


class ResidualQuantizer(nn.Module):
    """Quantisers that each take what those before left over. They stand under ``key``."""

    def __init__(self, quantizers: Sequence[nn.Module], *, key: str = "quantizers") -> None:
        super().__init__()
        self._key = key
        self.add_module(key, nn.ModuleList(quantizers))

    @property
    def stack(self) -> nn.ModuleList:
        """The quantisers in their order."""
        stack = self.get_submodule(self._key)
        assert isinstance(stack, nn.ModuleList)
        return stack

    def encode(
        self, z: Tensor, count: int | None = None, *, first: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Sum of the quantised parts of ``z`` (B, D, T), and codes (K, B, T).

        Quantisers ``first`` to ``count`` - 1 are used; the one at ``first`` is given all of ``z``.
        """
        rest, total, codes = z, torch.zeros_like(z), []
        for quantizer in self.stack[first:count]:
            part, indices = quantizer.encode(rest)  # type: ignore[operator]
            rest, total = rest - part, total + part
            codes.append(indices)
        return total, torch.stack(codes)

    def decode(self, codes: Tensor, *, first: int = 0) -> Tensor:
        """Codes (K, B, T), of K quantisers from ``first`` on, to the sum of their vectors (B, D, T)."""
        parts = [
            quantizer.decode(row)  # type: ignore[operator]
            for quantizer, row in zip(self.stack[first:], codes, strict=False)
        ]
        return torch.stack(parts).sum(0)
