"""Text to semantic tokens: a language model that is shown the opponent, the phones and the speaker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import CausalLlama, TokenSampling, generate_tokens
from engines.networks.blocks.sampling import Progress
from engines.networks.weights import build_exactly, read_weights

SPECIALS = 20  # rows of the vocabulary behind tokens and phones
UNLABELLED = -100
SAMPLING = TokenSampling(
    max_length=2048, temperature=0.2, top_k=20, top_p=0.9, repetition_penalty=3.5
)


@dataclass(frozen=True)
class DebateConfig:
    """Sizes and special ids under the published names.

    The vocabulary is ``target_vocab_size`` semantic tokens, then ``phone_vocab_size`` phones, then the
    specials.
    """

    phone_vocab_size: int = 1024
    target_vocab_size: int = 8192
    hidden_size: int = 2048
    intermediate_size: int = 8192
    num_hidden_layers: int = 12
    num_attention_heads: int = 16
    pad_token_id: int = 9216
    bos_target_id: int = 9217
    eos_target_id: int = 9218
    bos_phone_id: int = 9219
    eos_phone_id: int = 9220
    bos_prompt0_id: int = 9221
    eos_prompt0_id: int = 9222

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding."""
        return self.target_vocab_size + self.phone_vocab_size + SPECIALS


class Segments(NamedTuple):
    """A batch of training: ids, mask and labels, all (B, L). Labels are -100 where nothing is learnt."""

    ids: Tensor
    mask: Tensor
    labels: Tensor


class DebateLm(nn.Module):
    """The language model under the published key ``model``."""

    def __init__(self, config: DebateConfig) -> None:
        super().__init__()
        self.config = config
        self.model = CausalLlama(
            config.vocabulary,
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
        )

    @classmethod
    def from_published(cls, file: Path, config: DebateConfig | None = None) -> Self:
        """The model of a published file, with as many layers as the file holds."""
        state = read_weights(file)
        sizes = replace(config or DebateConfig(), num_hidden_layers=layers_of(state))
        return build_exactly(lambda: cls(sizes), state, what="DebaTTS")

    def sequence(self, opponent: Tensor, phones: Tensor, prompt: Tensor) -> Tensor:
        """What the model continues: (B, L).

        ``opponent`` (B, O) and ``prompt`` (B, P) are semantic tokens, ``phones`` (B, N) those of the
        prompt, a break and those of the target. Without a transcript of the prompt, ``phones`` are the
        target's alone and of ``opponent`` and ``prompt`` only the first token is given.
        """
        config = self.config
        parts = (
            (config.bos_prompt0_id, opponent, config.eos_prompt0_id),
            (config.bos_phone_id, phones + config.target_vocab_size, config.eos_phone_id),
            (config.bos_target_id, prompt),
        )
        batch = opponent.shape[0]
        columns = [
            part if isinstance(part, Tensor) else opponent.new_full((batch, 1), part)
            for segment in parts
            for part in segment
        ]
        return torch.cat(columns, 1)

    def semantic_ids(self) -> Tensor:
        """(V,), True at semantic tokens."""
        return torch.arange(self.config.vocabulary) < self.config.target_vocab_size

    def generate(
        self,
        opponent: Tensor,
        phones: Tensor,
        prompt: Tensor,
        *,
        generators: Sequence[torch.Generator],
        how: TokenSampling = SAMPLING,
        as_published: bool = False,
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """Semantic tokens (T,) of the target, one row for each generator; the arguments are (1, …).

        ``as_published`` may draw phones and specials too, which are left out of the result, and loses
        the last token where ``how.max_length`` ends a row.
        """
        given, most = self.sequence(opponent, phones, prompt), self.config.target_vocab_size
        rows = generate_tokens(
            self.model,
            given,
            how,
            self.config.eos_target_id,
            generators,
            allowed=None if as_published else self.semantic_ids(),
            progress=progress,
        )
        if as_published:
            room = how.max_length - given.shape[1]
            rows = [row[:-1] if len(row) == room else row for row in rows]
        return [row[row < most] for row in rows]

    def segments(
        self,
        opponent: tuple[Tensor, Tensor],
        phones: tuple[Tensor, Tensor],
        target: tuple[Tensor, Tensor],
    ) -> Segments:
        """A batch of training from pairs of ids (B, T) and mask (B, T); padding stays in its segment."""
        config = self.config
        spoken = (phones[0] + config.target_vocab_size, phones[1])
        before = [
            self._segment(*opponent, config.bos_prompt0_id, config.eos_prompt0_id),
            self._segment(*spoken, config.bos_phone_id, config.eos_phone_id),
        ]
        ids, mask = self._segment(*target, config.bos_target_id, config.eos_target_id)
        labels = torch.where(mask, ids, UNLABELLED)
        unlearnt = [torch.full_like(part, UNLABELLED) for part, _ in before]
        return Segments(
            torch.cat([part for part, _ in before] + [ids], 1),
            torch.cat([part for _, part in before] + [mask], 1),
            torch.cat([*unlearnt, labels], 1),
        )

    def _segment(self, ids: Tensor, mask: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Ids (B, T) between ``first`` and ``last``, padded to T + 2, and what isn't padding."""
        lengths = mask.sum(1, keepdim=True)
        places = torch.arange(ids.shape[1] + 2, device=ids.device).expand(len(ids), -1)
        padded = F.pad(torch.where(mask.bool(), ids, self.config.pad_token_id), (1, 1))
        padded = torch.where(places == 0, first, padded)
        padded = torch.where(places == lengths + 1, last, padded)
        inside = places <= lengths + 1
        return torch.where(inside, padded, self.config.pad_token_id), inside

    def loss(self, batch: Segments) -> tuple[Tensor, Tensor]:
        """Mean cross entropy over the labelled tokens, and the logits (B, L, V)."""
        logits = self.model(batch.ids, batch.mask)
        entropy = F.cross_entropy(
            logits[:, :-1].transpose(1, 2), batch.labels[:, 1:], ignore_index=UNLABELLED
        )
        return entropy, logits


def layers_of(state: Mapping[str, Tensor]) -> int:
    """Number of layers in published weights."""
    numbers = [
        int(found.group(1))
        for key in state
        if (found := re.match(r"model\.model\.layers\.(\d+)\.", key))
    ]
    return max(numbers, default=-1) + 1
