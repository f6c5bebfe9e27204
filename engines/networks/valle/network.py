"""VALL-E: one transformer writes the first codebook, another fills the seven others, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from engines.networks.blocks.cache import KeyValueCache, causal_mask
from engines.networks.valle.transformer import SinePosition, Transformer
from engines.networks.weights import (
    WeightsError,
    build_exactly,
    config_of,
    newest_checkpoint,
    read_config,
    read_weights,
    section,
)


@dataclass(frozen=True)
class ValleConfig:
    """Sizes under the names of the published ``args.json``.

    The codes are 0 to ``audio_token_num`` - 1; the next number ends the first codebook, and with
    ``prepend_bos`` the one after begins it. ``prefix_mode`` says how the second transformer is shown
    the prompt, see ``sampling.fill_steps``.
    """

    text_token_num: int
    audio_token_num: int
    decoder_dim: int
    nhead: int
    num_decoder_layers: int
    prefix_mode: int = 1
    share_embedding: bool = True
    nar_scale_factor: float = 1.0
    prepend_bos: bool = False
    num_quantizers: int = 8

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """The configuration from a mapping that may hold other entries too.

        Raises ``WeightsError`` for the variants that were never published.
        """
        if given.get("add_prenet") or not given.get("norm_first", True):
            raise WeightsError("VALL-E with a prenet or with norms after the sums isn't supported.")
        return config_of(cls, given, what="VALL-E")

    @property
    def eos(self) -> int:
        """The code that ends the first codebook."""
        return self.audio_token_num

    def shared_keys(self) -> list[tuple[str, str]]:
        """Keys of an embedding and of the head that is the same matrix."""
        return [
            (
                f"nar_audio_embeddings.{stage + 2}.word_embeddings.weight",
                f"nar_predict_layers.{stage}.weight",
            )
            for stage in range(self.num_quantizers - 2 if self.share_embedding else 0)
        ]

    def with_shared(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Published weights with both keys of each shared matrix, which may be stored under one."""
        whole = dict(state)
        for embedding, head in self.shared_keys():
            for missing, stored in ((embedding, head), (head, embedding)):
                if stored in whole:
                    whole.setdefault(missing, whole[stored])
        return whole


class TokenEmbedding(nn.Module):
    """Ids (B, T) to vectors (B, T, D). Key ``word_embeddings``."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(size, dim)

    @property
    def weight(self) -> Tensor:
        """All rows (size, D)."""
        return self.word_embeddings.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.word_embeddings(ids)


class Valle(nn.Module):
    """Both transformers under the published keys: ``ar_*`` is causal, ``nar_*`` sees everything."""

    def __init__(self, config: ValleConfig) -> None:
        super().__init__()
        self.config = config
        dim, codes = config.decoder_dim, config.audio_token_num
        self.ar_text_embedding = TokenEmbedding(config.text_token_num, dim)
        self.ar_audio_embedding = TokenEmbedding(codes + 1 + config.prepend_bos, dim)
        self.ar_text_position = SinePosition(dim, learned=True)
        self.ar_audio_position = SinePosition(dim, learned=True)
        self.ar_decoder = Transformer(dim, config.nhead, config.num_decoder_layers, adaptive=False)
        self.ar_predict_layer = nn.Linear(dim, codes + 1, bias=False)

        scale, others = config.nar_scale_factor, config.num_quantizers - 1
        dim = int(dim * scale)
        self.nar_text_embedding = TokenEmbedding(config.text_token_num, dim)
        self.nar_audio_embeddings = nn.ModuleList(
            [TokenEmbedding(codes + 1, dim), *(TokenEmbedding(codes, dim) for _ in range(others))]
        )
        self.nar_text_position = SinePosition(dim, learned=False)
        self.nar_audio_position = SinePosition(dim, learned=False)
        self.nar_decoder = Transformer(
            dim, int(config.nhead * scale), int(config.num_decoder_layers * scale), adaptive=True
        )
        self.nar_predict_layers = nn.ModuleList(
            nn.Linear(dim, codes, bias=False) for _ in range(others)
        )
        self.nar_stage_embeddings = nn.ModuleList(TokenEmbedding(1, dim) for _ in range(others))
        self.share()

    def share(self) -> None:
        """Make each shared matrix one parameter."""
        for embedding, head in self.config.shared_keys():
            layer = self.get_submodule(head.removesuffix(".weight"))
            layer.weight = self.get_parameter(embedding)

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of a downloaded ``args.json`` and ``checkpoint/epoch-*_step-*_loss-*``.

        Raises ``WeightsError`` naming the file or the keys that don't fit.
        """
        config = ValleConfig.read(section(read_config(folder / "args.json"), "model"))
        state = config.with_shared(read_weights(newest_checkpoint(folder / "checkpoint")))
        network = build_exactly(lambda: cls(config), state, what="VALL-E")
        network.share()
        return network

    def ar_inputs(self, phones: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Embedded phones (B, S, D) and codes (B, T, D), each counted from position 0."""
        return (
            self.ar_text_position(self.ar_text_embedding(phones)),
            self.ar_audio_position(self.ar_audio_embedding(codes)),
        )

    def ar_logits(
        self,
        phones: Tensor,
        codes: Tensor,
        *,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Logits (B, T, codes + 1) of the code that follows each of ``codes`` (B, T).

        Phones (B, S) see all phones; a code sees the phones and the codes up to itself. ``visible``
        (B, S + T) is False at padding.
        """
        text, audio = self.ar_inputs(phones, codes)
        length = text.shape[1]
        mask = causal_mask(length + audio.shape[1], phones.device)
        mask[:length, :length] = True
        if visible is not None:
            mask = mask & visible[:, None, None, :]
        hidden = self.ar_decoder(torch.cat([text, audio], 1), mask=mask, cache=cache)
        return self.ar_predict_layer(hidden[:, length:])

    def ar_next(self, codes: Tensor, position: int, cache: KeyValueCache) -> Tensor:
        """Logits (B, codes + 1) after one more code (B,) at ``position`` of the audio."""
        x = self.ar_audio_position(self.ar_audio_embedding(codes[:, None]), position)
        return self.ar_predict_layer(self.ar_decoder(x, cache=cache)[:, 0])

    def nar_text(self, phones: Tensor) -> Tensor:
        """Embedded phones (B, S, D), the same in every stage."""
        return self.nar_text_position(self.nar_text_embedding(phones))

    def nar_logits(
        self,
        stage: int,
        text: Tensor,
        audio: Tensor,
        *,
        skipped: int = 0,
        visible: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T - skipped, codes) of codebook ``stage`` + 1 for the positions after ``skipped``.

        ``text`` (B, S, D) is from ``nar_text``, ``audio`` (B, T, D) the sum of embeddings so far.
        """
        x = torch.cat([text, self.nar_audio_position(audio)], 1)
        mask = None if visible is None else visible[:, None, None, :]
        condition = self.nar_stage_embeddings[stage].weight
        hidden = self.nar_decoder(x, mask=mask, condition=condition)
        return self.nar_predict_layers[stage](hidden[:, text.shape[1] + skipped :])
