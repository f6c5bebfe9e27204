"""Content to content-style tokens: the autoregressive half of Vevo, which makes pace and prosody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import CausalLlama, TokenSampling, generate_tokens
from engines.networks.blocks.sampling import Progress
from engines.networks.weights import build_exactly, read_weights

SPECIALS = 20  # ids behind those of input and output, five of which are used


@dataclass(frozen=True)
class LanguageConfig:
    """Sizes under the published names."""

    input_vocab_size: int
    output_vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int = 12
    num_attention_heads: int = 16


FROM_PHONES = LanguageConfig(1024, 8192, 1920, 7680)
FROM_CONTENT = LanguageConfig(1056, 8192, 1536, 6144)


class ContentStyleLanguage(nn.Module):
    """A language model whose ids are output tokens, input tokens and marks, in this order. Key ``model``."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.outputs = config.output_vocab_size
        self.pad = self.outputs + config.input_vocab_size
        self.input_begin, self.input_end, self.output_begin, self.output_end = (
            self.pad + place for place in (1, 2, 3, 4)
        )
        self.model = CausalLlama(
            self.pad + SPECIALS,
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
        )

    @classmethod
    def from_published(cls, file: Path, config: LanguageConfig) -> ContentStyleLanguage:
        """The network of a published file."""
        what = "the content-style language model"
        return build_exactly(lambda: cls(config), read_weights(file), what=what)

    def sequence(self, inputs: Tensor, style: Tensor) -> Tensor:
        """Input tokens (1, N) and the style prompt's output tokens (1, P) as the ids (1, N + P + 3) given."""
        marks = [
            inputs.new_full((1, 1), mark)
            for mark in (self.input_begin, self.input_end, self.output_begin)
        ]
        return torch.cat([marks[0], inputs + self.outputs, marks[1], marks[2], style], dim=1)

    def drawable(self) -> Tensor:
        """Which ids (V,) are output tokens."""
        ids = torch.arange(self.pad + SPECIALS, device=self.model.lm_head.weight.device)
        return ids < self.outputs

    def generate(
        self,
        inputs: Tensor,
        style: Tensor,
        how: TokenSampling,
        generators: Sequence[torch.Generator],
        *,
        as_published: bool = False,
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """Output tokens (T,) of each variation, in the style of ``style``.

        ``as_published`` lets input tokens and marks be drawn too, which no later stage can use.
        """
        rows = generate_tokens(
            self.model,
            self.sequence(inputs, style),
            how,
            self.output_end,
            generators,
            allowed=None if as_published else self.drawable(),
            progress=progress,
        )
        return [row[1:] if len(row) and row[0] == self.output_begin else row for row in rows]
