"""Llama as a language model over tokens (Touvron et al. 2023), and drawing from it with a static cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.cache import KeyValueCache, causal_mask
from engines.networks.blocks.int8 import Int8Linear
from engines.networks.blocks.llama import AttentionProjections, GatedMlp, RmsNorm, Rotary
from engines.networks.blocks.sampling import (
    Progress,
    draw,
    keep_top_k,
    keep_top_p,
    penalize_repeated,
)


class CausalLayer(nn.Module):
    """Attention to what came before and MLP, each behind its norm, each added to its input."""

    def __init__(self, dim: int, inner: int, heads: int) -> None:
        super().__init__()
        self.self_attn = AttentionProjections(dim, heads)
        self.mlp = GatedMlp(dim, inner)
        self.input_layernorm = RmsNorm(dim)
        self.post_attention_layernorm = RmsNorm(dim)

    def forward(
        self,
        x: Tensor,
        rotary: Rotary,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        place: int,
    ) -> Tensor:
        query, key, value = self.self_attn.queries_keys_values(self.input_layernorm(x), rotary)
        if cache is not None:
            key, value = cache.extend(place, key, value)
        attended = F.scaled_dot_product_attention(query.to(key), key, value, attn_mask=mask)
        x = x + self.self_attn.merge(attended.to(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class LlamaStack(nn.Module):
    """Tokens (B, T) to hidden states (B, T, C). Keys ``embed_tokens, layers, norm``."""

    def __init__(self, vocabulary: int, dim: int, inner: int, layers: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.embed_tokens = nn.Embedding(vocabulary, dim)
        self.layers = nn.ModuleList(CausalLayer(dim, inner, heads) for _ in range(layers))
        self.norm = RmsNorm(dim)

    def cache(self, batch: int, capacity: int) -> KeyValueCache:
        """An empty cache for this stack.

        On a processor it is float32: there, one query in bfloat16 takes seven times as long.
        """
        weight = self.embed_tokens.weight
        dtype = torch.float32 if weight.device.type == "cpu" else weight.dtype
        return KeyValueCache(
            layers=len(self.layers),
            batch=batch,
            heads=self.heads,
            capacity=capacity,
            head_dim=self.head_dim,
            like=weight.new_empty(0, dtype=dtype),
        )

    def forward(
        self, ids: Tensor, *, mask: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """``mask`` (B, T) is true where a token may be attended to (rows padded for training).

        With a ``cache`` the tokens follow those it holds.
        """
        x, length = self.embed_tokens(ids), ids.shape[1]
        start = 0 if cache is None else cache.length
        positions = torch.arange(start, start + length, device=ids.device)
        rotary = Rotary.at(positions, self.head_dim, x.dtype)
        allowed = None
        if length > 1:
            allowed = causal_mask(start + length, ids.device)[start:]
            if mask is not None:
                allowed = allowed & mask.bool()[:, None, None]
        for place, layer in enumerate(self.layers):
            x = layer(x, rotary, allowed, cache, place)
        if cache is not None:
            cache.advance(length)
        return self.norm(x)


class CausalLlama(nn.Module):
    """A stack and its head. Keys ``model, lm_head``."""

    def __init__(self, vocabulary: int, dim: int, inner: int, layers: int, heads: int) -> None:
        super().__init__()
        self.model = LlamaStack(vocabulary, dim, inner, layers, heads)
        self.lm_head = nn.Linear(dim, vocabulary, bias=False)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens (B, T) to logits (B, T, V) of the token behind each."""
        return self.lm_head(self.model(ids, mask=mask))

    def next_logits(self, ids: Tensor, cache: KeyValueCache, first: int | None = None) -> Tensor:
        """Logits (B, V) of what follows ``ids`` (B, T), which follow those in the cache.

        Only of the ``first`` tokens of the vocabulary, where that is given.
        """
        hidden = self.model(ids, cache=cache)[:, -1]
        if isinstance(self.lm_head, Int8Linear):
            return self.lm_head.some(hidden, first)
        return F.linear(hidden, self.lm_head.weight[:first])


@dataclass(frozen=True)
class TokenSampling:
    """How tokens are drawn, in the order of ``transformers``; the defaults are Vevo's.

    ``max_length`` counts what is given too. ``temperature`` 0 takes the likeliest.
    """

    max_length: int = 2000
    min_new_tokens: int = 50
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.9
    repetition_penalty: float = 1.0

    def scores(self, logits: Tensor, seen: Tensor) -> Tensor:
        """Logarithms (B, V) of the weights of a draw, from logits (B, V) behind ``seen`` (B, T)."""
        logits = penalize_repeated(logits.float(), seen, self.repetition_penalty)
        if self.temperature == 0:
            return torch.full_like(logits, -torch.inf).scatter(1, logits.argmax(-1)[:, None], 0)
        kept = keep_top_k(logits / self.temperature, self.top_k)
        return keep_top_p(kept, self.top_p)


class TokenStep(NamedTuple):
    """One step of all rows: raw logits and scores of the draw (B, V), drawn tokens and ends (B,)."""

    logits: Tensor
    scores: Tensor
    drawn: Tensor
    ended: Tensor

    @property
    def probabilities(self) -> Tensor:
        """Those of the draw (B, V)."""
        return self.scores.softmax(-1)


@torch.inference_mode()
def token_steps(
    network: CausalLlama,
    given: Tensor,
    how: TokenSampling,
    end: int,
    generators: Sequence[torch.Generator],
    *,
    allowed: Tensor | None = None,
) -> Iterator[TokenStep]:
    """Draws what follows ``given`` (1, L), in as many variations as there are ``generators``.

    A row ends where ``end`` is drawn, and draws nothing but ``end`` from there on; all end at
    ``max_length``. Only tokens where ``allowed`` (V,) is true are drawn, and ``end``; logits behind the
    last of them aren't computed.
    """
    rows = len(generators)
    room = how.max_length - given.shape[1]
    cache = network.model.cache(1, how.max_length)
    first = None
    if allowed is not None:
        ids = torch.arange(len(allowed), device=allowed.device)
        first = max(end, int((ids * allowed).max())) + 1
    logits = network.next_logits(given, cache, first).expand(rows, -1)
    if rows > 1:
        cache = cache.rows(rows)
    seen = given.expand(rows, -1)
    ended = torch.zeros(rows, dtype=torch.bool, device=given.device)
    for count in range(room):
        barred = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
        if allowed is not None:
            barred = ~allowed[:first].to(logits.device)
        barred[end] = count < how.min_new_tokens
        scores = how.scores(logits.masked_fill(barred, -torch.inf), seen)
        live = (~ended).nonzero()[:, 0].tolist()  # a row that ended leaves its generator alone
        if len(live) == rows:
            drawn = draw(scores.softmax(-1), generators)
        else:
            drawn = torch.full_like(seen[:, 0], end)
            drawn[live] = draw(scores[live].softmax(-1), [generators[row] for row in live])
        ended = ended | (drawn == end)
        yield TokenStep(logits, scores, drawn, ended)
        if bool(ended.all()) or count == room - 1:
            return
        seen = torch.cat([seen, drawn[:, None]], dim=1)
        logits = network.next_logits(drawn[:, None], cache, first)


def generate_tokens(
    network: CausalLlama,
    given: Tensor,
    how: TokenSampling,
    end: int,
    generators: Sequence[torch.Generator],
    *,
    allowed: Tensor | None = None,
    progress: Progress | None = None,
) -> list[Tensor]:
    """New tokens (T,) of each variation, without ``end``; arguments as of ``token_steps``.

    ``progress`` is told each step of at most how many, and may raise to cancel.
    """
    steps: list[TokenStep] = []
    for step in token_steps(network, given, how, end, generators, allowed=allowed):
        steps.append(step)
        if progress is not None:
            progress(len(steps), how.max_length - given.shape[1])
    if not steps:
        raise ValueError(
            f"No room for new tokens: {given.shape[1]} are given and {how.max_length} is the most."
        )
    drawn = torch.stack([step.drawn for step in steps], dim=1)
    lengths = (~torch.stack([step.ended for step in steps])).sum(0).tolist()
    return [row[:length] for row, length in zip(drawn, lengths, strict=True)]
