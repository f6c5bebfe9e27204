"""The decoder's matrices in the layout and the number format that the kernels read.

Decoding a token reads every weight once, so on a processor the bytes of a weight decide the speed.
A matrix of shape (out, in) is stored as (blocks, in, LANES): ``LANES`` outputs lie side by side, so
that one input multiplies a whole vector of weights, and a block is read from front to back.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engines.base import StudioError

if TYPE_CHECKING:
    import torch


SMALL = 16_000_000  # parameters: up to here compiling would take longer than what it saves


class Format(StrEnum):
    """How weights, keys and values are stored. Arithmetic is in float32 on a processor."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"  # one scale per output of a matrix, per token and head of the cache


DTYPES: dict[Format, type] = {
    Format.FLOAT32: np.float32,
    Format.BFLOAT16: np.uint16,  # numpy has no bfloat16: the upper half of a float32
    Format.INT8: np.int8,
}


@functools.cache
def lanes() -> int:
    """Outputs in a block: 64 where there are 32 vector registers of 16 floats, else 32."""
    from llvmlite import binding

    return 64 if binding.get_host_cpu_features().get("avx512f") else 32


class Matrices(NamedTuple):
    """One kind of matrix of all layers, packed: ``data (layers, blocks, in, LANES)`` and the scale
    of each output, ``scale (layers, blocks * LANES)``."""

    data: np.ndarray
    scale: np.ndarray


class Weights(NamedTuple):
    """Everything of the decoder that the kernels read. L layers, H channels, F of the feed-forward.

    ``norms (L, 3, 2, H)``: gain and bias before self-attention, cross-attention and feed-forward;
    ``last_norm (2, H)``. Melody models have no cross-attention: L is 0 in those matrices.
    """

    qkv: Matrices  # (3 H, H)
    out: Matrices  # (H, H)
    cross_q: Matrices  # (H, H)
    cross_kv: Matrices  # (2 H, H)
    cross_out: Matrices  # (H, H)
    up: Matrices  # (F, H)
    down: Matrices  # (H, F)
    heads: Matrices  # (K V, H), one layer
    norms: np.ndarray
    last_norm: np.ndarray


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder. ``delays`` has one entry a codebook: how many steps it comes late."""

    layers: int
    hidden: int
    inner: int
    heads: int
    codebooks: int
    vocabulary: int
    pad: int
    delays: tuple[int, ...]
    cross: bool

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def small(self) -> bool:
        """Whether a processor is quick enough with it by torch alone."""
        attention = (2 if self.cross else 1) * 4 * self.hidden**2
        layer = attention + 2 * self.hidden * self.inner
        return self.layers * layer + self.codebooks * self.vocabulary * self.hidden <= SMALL


def recommended(device: str, shape: Shape) -> Format:
    """The format that "automatic" means on a torch device: on a processor int8, or float32 for a
    small decoder; else bfloat16."""
    if device != "cpu":
        return Format.BFLOAT16
    return Format.FLOAT32 if shape.small else Format.INT8


def shape_of(decoder: torch.nn.Module) -> Shape:
    """Sizes of a MusicgenForCausalLM or MusicgenMelodyForCausalLM; StudioError for another kind."""
    config: Any = decoder.config
    if config.model_type not in ("musicgen_decoder", "musicgen_melody_decoder"):
        raise StudioError(f"A MusicGen decoder was expected, this is a {config.model_type}.")
    if config.activation_function != "gelu":
        raise StudioError(
            f"The decoder's activation is {config.activation_function}; only gelu, which all "
            "published MusicGen models use, can be decoded."
        )
    stereo = config.audio_channels == 2
    return Shape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        inner=config.ffn_dim,
        heads=config.num_attention_heads,
        codebooks=config.num_codebooks,
        vocabulary=config.vocab_size,
        pad=config.pad_token_id,
        # left and right of a stereo pair of codebooks come at the same time
        delays=tuple(k // 2 if stereo else k for k in range(config.num_codebooks)),
        cross=config.model_type == "musicgen_decoder",
    )


class Source:
    """Matrices of a decoder by module path, as float32, with the adapters' deltas added.

    ``deltas`` maps a module path inside the decoder to a float32 array or tensor (out, in).
    """

    def __init__(self, decoder: torch.nn.Module, deltas: Mapping[str, object] | None):
        self._modules = dict(decoder.named_modules())
        self._deltas = dict(deltas or {})
        unknown = [path for path in self._deltas if path not in self._modules]
        if unknown:
            raise StudioError(f"The adapter changes {unknown[0]}, which the model does not have.")

    def matrix(self, path: str) -> np.ndarray:
        """The weight of a linear layer or an embedding, (out, in)."""
        weight = self._modules[path].weight.detach().float().cpu().numpy()
        if path not in self._deltas:
            return weight
        delta = np.asarray(self._deltas[path], dtype=np.float32)
        if delta.shape != weight.shape:
            raise StudioError(
                f"The adapter's change of {path} has shape {delta.shape}, the model's is "
                f"{weight.shape}: it was trained on another base."
            )
        return weight + delta

    def norm(self, path: str) -> np.ndarray:
        """Gain and bias of a layer norm, (2, H)."""
        module = self._modules[path]
        return np.stack([p.detach().float().cpu().numpy() for p in (module.weight, module.bias)])

    def embeddings(self, shape: Shape) -> np.ndarray:
        """All codebooks' embeddings in one table, (K * (V + 1), H)."""
        tables = [self.matrix(f"model.decoder.embed_tokens.{k}") for k in range(shape.codebooks)]
        return np.concatenate(tables)


# the parts of each kind of matrix, by module path inside a layer
PARTS = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.out_proj",),
    "cross_q": ("encoder_attn.q_proj",),
    "cross_kv": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "cross_out": ("encoder_attn.out_proj",),
    "up": ("fc1",),
    "down": ("fc2",),
}
NORMS = ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm")


def pack_decoder(source: Source, shape: Shape, form: Format) -> Weights:
    """Pack all matrices of a decoder. The decoder itself is not needed afterwards."""
    hidden, packed = shape.hidden, {}
    for kind, parts in PARTS.items():
        inputs = shape.inner if kind == "down" else hidden
        outputs = shape.inner if kind == "up" else hidden * len(parts)
        layers = 0 if kind.startswith("cross") and not shape.cross else shape.layers
        packed[kind] = _room(layers, outputs, inputs, form)
        for layer in range(layers):
            paths = [f"model.decoder.layers.{layer}.{part}" for part in parts]
            _fill(packed[kind], layer, np.concatenate([source.matrix(path) for path in paths]))
    packed["heads"] = _room(1, shape.codebooks * shape.vocabulary, hidden, form)
    heads = [source.matrix(f"lm_heads.{k}") for k in range(shape.codebooks)]
    _fill(packed["heads"], 0, np.concatenate(heads))
    norms = np.zeros((shape.layers, 3, 2, hidden), np.float32)
    for layer in range(shape.layers):
        for place, name in enumerate(NORMS):
            if name != "encoder_attn_layer_norm" or shape.cross:
                norms[layer, place] = source.norm(f"model.decoder.layers.{layer}.{name}")
    return Weights(**packed, norms=norms, last_norm=source.norm("model.decoder.layer_norm"))


def _room(layers: int, outputs: int, inputs: int, form: Format) -> Matrices:
    blocks = -(-outputs // lanes())
    return Matrices(
        np.zeros((layers, blocks, inputs, lanes()), DTYPES[form]),
        np.ones((layers, blocks * lanes()), np.float32),
    )


def _fill(room: Matrices, layer: int, matrix: np.ndarray) -> None:
    """Store ``matrix (out, in)`` as one layer of ``room``; outputs are padded with zeros."""
    blocks, inputs, width = room.data.shape[1:]
    padded = np.zeros((blocks * width, inputs), np.float32)
    padded[: len(matrix)] = matrix
    if room.data.dtype == np.int8:
        largest = np.abs(padded).max(axis=1)
        room.scale[layer] = np.where(largest > 0, largest / 127, 1)
        padded /= room.scale[layer][:, None]
    numbers = encode(padded, room.data.dtype)
    room.data[layer] = numbers.reshape(blocks, width, inputs).transpose(0, 2, 1)


def encode(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round float32 to the stored numbers: bfloat16 to the nearest, ties to even; int8 likewise."""
    if dtype == np.int8:
        return np.rint(values).astype(np.int8)
    if dtype == np.uint16:
        bits = np.ascontiguousarray(values).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return values


def decode(numbers: np.ndarray) -> np.ndarray:
    """Stored numbers as float32, without their scale."""
    if numbers.dtype == np.uint16:
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(np.float32)


def unpack(matrices: Matrices, layer: int, outputs: int) -> np.ndarray:
    """One matrix back as float32 (out, in), as the kernels see it."""
    data = decode(matrices.data[layer]).transpose(0, 2, 1)
    return (data.reshape(-1, data.shape[2]) * matrices.scale[layer][:, None])[:outputs]
