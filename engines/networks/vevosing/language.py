"""Phones, and a melody where one is given, to content-style tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import CausalLlama, TokenSampling, generate_tokens
from engines.networks.blocks.sampling import Progress
from engines.networks.weights import build_exactly, read_weights

SPECIALS = 20  # ids behind the tokens, seven of which are used


@dataclass(frozen=True)
class SingingConfig:
    """Sizes under the published names; the defaults are the published ones."""

    content_vocab_size: int = 1024
    style_vocab_size: int = 512
    content_style_vocab_size: int = 16384
    hidden_size: int = 1920
    intermediate_size: int = 7680
    num_hidden_layers: int = 12
    num_attention_heads: int = 16


class SingingLanguage(nn.Module):
    """A language model whose ids are content-style, style and content tokens, then marks. Key ``model``."""

    def __init__(self, config: SingingConfig) -> None:
        super().__init__()
        self.outputs = config.content_style_vocab_size
        self.content_offset = self.outputs + config.style_vocab_size
        self.pad = self.content_offset + config.content_vocab_size
        (
            self.content_begin,
            self.content_end,
            self.style_begin,
            self.style_end,
            self.output_begin,
            self.output_end,
        ) = (self.pad + place for place in range(1, 7))
        self.model = CausalLlama(
            self.pad + SPECIALS,
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
        )

    @classmethod
    def from_published(cls, file: Path, config: SingingConfig) -> SingingLanguage:
        """The network of a published file."""
        what = "the singing language model"
        return build_exactly(lambda: cls(config), read_weights(file), what=what)

    def sequence(self, content: Tensor, style: Tensor | None, prompt: Tensor) -> Tensor:
        """Phones (1, N), style tokens (1, S) or None and the prompt's tokens (1, P) as the ids given."""

        def mark(token: int) -> Tensor:
            return content.new_full((1, 1), token)

        parts = [mark(self.content_begin), content + self.content_offset, mark(self.content_end)]
        if style is not None:
            parts += [mark(self.style_begin), style + self.outputs, mark(self.style_end)]
        return torch.cat([*parts, mark(self.output_begin), prompt], dim=1)

    def generate(
        self,
        content: Tensor,
        style: Tensor | None,
        prompt: Tensor,
        how: TokenSampling,
        generators: Sequence[torch.Generator],
        *,
        as_published: bool = False,
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """Content-style tokens (T,) of each variation, in the style of ``prompt``.

        ``as_published`` lets other tokens and marks be drawn too, which no later stage can use.
        """
        ids = torch.arange(self.pad + SPECIALS, device=content.device)
        rows = generate_tokens(
            self.model,
            self.sequence(content, style, prompt),
            how,
            self.output_end,
            generators,
            allowed=None if as_published else ids < self.outputs,
            progress=progress,
        )
        return [row[1:] if len(row) and row[0] == self.output_begin else row for row in rows]
