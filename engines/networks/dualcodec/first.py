"""DualCodec-VALLE's first model: a Llama that goes on from text and a prompt's semantic codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import (
    CausalLlama,
    TokenSampling,
    TokenStep,
    generate_tokens,
    token_steps,
)
from engines.networks.blocks.sampling import Progress
from engines.networks.weights import build_exactly, read_weights, sizes_in

FILE = "dualcodec_valle_ar_12hzv1.safetensors"
SAMPLING = TokenSampling(
    max_length=1000,
    min_new_tokens=0,
    temperature=1.0,
    top_k=15,
    top_p=0.85,
    repetition_penalty=1.1,
)


@dataclass(frozen=True)
class SemanticWriterConfig:
    """Sizes and ids under the published names.

    Ids below ``initial_offset`` are marks, then come ``speech_vocab_size`` semantic codes, then text.
    """

    vocab_size: int = 68260
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 12
    num_attention_heads: int = 16
    eos_token_id: int = 2
    sep_token: int = 3
    initial_offset: int = 10
    speech_vocab_size: int = 16384


class SemanticWriter(nn.Module):
    """Text ids and semantic codes to more semantic codes. Key ``llm``."""

    def __init__(self, config: SemanticWriterConfig) -> None:
        super().__init__()
        self.config = config
        self.llm = CausalLlama(
            config.vocab_size,
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
        )

    @classmethod
    def from_published(cls, folder: Path) -> SemanticWriter:
        """The model of a folder laid out as ``amphion/dualcodec-tts``.

        Raises ``WeightsError`` naming the file or keys that don't fit.
        """
        config = sizes_in(folder, "valle_ar", SemanticWriterConfig())
        return build_exactly(lambda: cls(config), read_weights(folder / FILE), what=FILE)

    def prompt(self, text: Tensor, codes: Tensor) -> Tensor:
        """Text (B, S) and codes (B, P) as one sequence of ids (B, S + 1 + P)."""
        config = self.config
        separator = text.new_full((text.shape[0], 1), config.sep_token)
        shifted = text + config.speech_vocab_size + config.initial_offset
        return torch.cat([shifted, separator, codes + config.initial_offset], 1)

    def semantic_ids(self) -> Tensor:
        """(V,), true where an id is a semantic code."""
        config = self.config
        ids = torch.arange(config.vocab_size) - config.initial_offset
        return (ids >= 0) & (ids < config.speech_vocab_size)

    def steps(
        self,
        text: Tensor,
        codes: Tensor,
        how: TokenSampling,
        generators: Sequence[torch.Generator],
        *,
        as_published: bool = False,
    ) -> Iterator[TokenStep]:
        """Each drawn id behind text (1, S) and the prompt's codes (1, P), see ``write``."""
        return token_steps(
            self.llm,
            self.prompt(text, codes),
            how,
            self.config.eos_token_id,
            generators,
            allowed=None if as_published else self.semantic_ids(),
        )

    def write(
        self,
        text: Tensor,
        codes: Tensor,
        generators: Sequence[torch.Generator],
        how: TokenSampling = SAMPLING,
        *,
        as_published: bool = False,
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """New semantic codes (T,), one result for each of ``generators``.

        Only semantic codes and the end are drawn. ``as_published`` draws any id, and loses the last code
        where ``how.max_length`` was reached. ``progress`` may raise to cancel.
        """
        given = self.prompt(text, codes)
        rows = generate_tokens(
            self.llm,
            given,
            how,
            self.config.eos_token_id,
            generators,
            allowed=None if as_published else self.semantic_ids(),
            progress=progress,
        )
        room = how.max_length - given.shape[1]
        if as_published:
            rows = [row[:-1] if len(row) == room else row for row in rows]
        return [row - self.config.initial_offset for row in rows]
