"""DualCodec-VALLE's second model: each acoustic level of the target at once, from the levels below."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engines.networks.blocks.adaptive_llama import AdaptiveLayer, StepScale
from engines.networks.blocks.llama import Rotary, rms_normalised
from engines.networks.blocks.sampling import Progress
from engines.networks.weights import build_exactly, read_weights, sizes_in

FILE = "dualcodec_valle_nar_12hzv1.safetensors"
PHONE_MARKS, CODE_MARKS = 10, 11  # rows behind the phones and codes, for marks that aren't used


@dataclass(frozen=True)
class AcousticFillerConfig:
    """Sizes under the published names; ``num_quantizers`` counts the semantic level too."""

    phone_vocab_size: int = 1
    first_layer_vocab_size: int = 16384
    target_vocab_size: int = 4096
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 12
    num_attention_heads: int = 16
    num_quantizers: int = 8


class LevelLlama(nn.Module):
    """A bidirectional Llama whose norms follow the level. Keys ``embed_cond, layers, norm``.

    ``embed_tokens`` is stored and never used.
    """

    def __init__(self, config: AcousticFillerConfig) -> None:
        super().__init__()
        dim, heads = config.hidden_size, config.num_attention_heads
        self.head_dim = dim // heads
        self.embed_tokens = nn.Embedding(config.target_vocab_size + CODE_MARKS, dim)
        self.embed_cond = nn.Embedding(config.num_quantizers, dim)
        self.layers = nn.ModuleList(
            AdaptiveLayer(dim, heads, config.intermediate_size)
            for _ in range(config.num_hidden_layers)
        )
        self.norm = StepScale(dim)

    def scales(self, level: int) -> list[Tensor]:
        """What each norm is scaled by, (1, 1, C): two a layer, then the last."""
        condition = self.embed_cond.weight[level][None, None]
        norms = [part for part in self.modules() if isinstance(part, StepScale)]  # in order of use
        return [norm(condition) for norm in norms]

    def forward(self, x: Tensor, level: int) -> Tensor:
        """(B, T, C) to (B, T, C) at ``level``; every position sees all."""
        length = x.shape[1]
        rotary = Rotary.at(torch.arange(length, device=x.device), self.head_dim, x.dtype)
        scales = self.scales(level)
        for place, layer in enumerate(self.layers):
            x = layer(x, (scales[2 * place], scales[2 * place + 1]), rotary, [length], [None])
        return rms_normalised(x) * scales[-1]


class LevelHeads(nn.Module):
    """The Llama and one head for each acoustic level. Keys ``model, lm_head``."""

    def __init__(self, config: AcousticFillerConfig) -> None:
        super().__init__()
        rows = config.target_vocab_size + CODE_MARKS
        self.model = LevelLlama(config)
        self.lm_head = nn.ModuleList(
            nn.Linear(config.hidden_size, rows, bias=False)
            for _ in range(config.num_quantizers - 1)
        )


class CodeEmbeddings(nn.Module):
    """A table for each level. Key ``embeddings``."""

    def __init__(self, config: AcousticFillerConfig) -> None:
        super().__init__()
        sizes = [config.first_layer_vocab_size]
        sizes += [config.target_vocab_size] * (config.num_quantizers - 1)
        self.embeddings = nn.ModuleList(nn.Embedding(size, config.hidden_size) for size in sizes)

    def forward(self, codes: Tensor) -> Tensor:
        """Sum (B, T, C) of the rows of the first K levels, from codes (K, B, T)."""
        tables = zip(self.embeddings, codes, strict=False)
        return torch.stack([table(row) for table, row in tables]).sum(0)


class LevelStep(NamedTuple):
    """One acoustic level: what the Llama was given (B, 1 + P + T, C), and its codes (B, T)."""

    inputs: Tensor
    codes: Tensor


class AcousticFiller(nn.Module):
    """Semantic codes of a target to all of its codes, in the voice of a prompt. It reads no text."""

    def __init__(self, config: AcousticFillerConfig) -> None:
        super().__init__()
        self.config = config
        self.model = LevelHeads(config)
        self.phone_embedder = nn.Embedding(
            config.phone_vocab_size + PHONE_MARKS, config.hidden_size
        )
        self.prompt_embedder = CodeEmbeddings(config)

    @classmethod
    def from_published(cls, folder: Path) -> AcousticFiller:
        """The model of a folder laid out as ``amphion/dualcodec-tts``.

        Raises ``WeightsError`` naming the file or keys that don't fit.
        """
        config = sizes_in(folder, "valle_nar", AcousticFillerConfig())
        return build_exactly(lambda: cls(config), read_weights(folder / FILE), what=FILE)

    def logits(self, inputs: Tensor, level: int, start: int = 0) -> Tensor:
        """Logits (B, N - ``start``, V) of ``level``, from 1 on, at the positions from ``start`` on."""
        return self.model.lm_head[level - 1](self.model.model(inputs, level)[:, start:])

    @torch.inference_mode()
    def steps(self, prompt: Tensor, semantic: Tensor) -> Iterator[LevelStep]:
        """The likeliest codes of level 1, 2, ... behind a prompt (K, B, P), for semantic codes (B, T).

        The sequence is a row of the phones' table in place of text, the prompt with all of its levels,
        and the target with those that are known.
        """
        batch, start = semantic.shape[0], 1 + prompt.shape[-1]
        placeholder = self.phone_embedder.weight[:1].expand(batch, 1, -1)
        before = torch.cat([placeholder, self.prompt_embedder(prompt)], 1)
        tables = self.prompt_embedder.embeddings
        target = tables[0](semantic)
        for level, table in enumerate(list(tables)[1:], 1):
            inputs = torch.cat([before, target], 1)
            logits = self.logits(inputs, level, start)
            codes = logits[..., : self.config.target_vocab_size].argmax(-1)
            yield LevelStep(inputs, codes)
            target = target + table(codes)

    def fill(self, prompt: Tensor, semantic: Tensor, progress: Progress | None = None) -> Tensor:
        """All codes (K, B, T) of a target; ``progress`` is told each level and may raise to cancel."""
        levels = [semantic]
        for step in self.steps(prompt, semantic):
            levels.append(step.codes)
            if progress is not None:
                progress(len(levels) - 1, self.config.num_quantizers - 1)
        return torch.stack(levels)
