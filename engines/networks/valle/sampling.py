"""Decoding with VALL-E: the first codebook drawn code by code, the others each at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engines.networks.blocks.sampling import Progress, draw, keep_top_k, keep_top_p
from engines.networks.valle.network import Valle

MAX_PREFIX = 225  # frames of a prompt in training and continuation: 3 s


@dataclass(frozen=True)
class ValleSampling:
    """How codes are drawn. ``frames_per_phone`` bounds the length; ``top_k`` of 0 or less is off."""

    temperature: float = 1.0
    top_k: int = -100
    top_p: float = 1.0
    frames_per_phone: int = 16

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (B, V) of logits (B, V)."""
        logits = logits.float()
        if self.temperature != 1:
            logits = logits / self.temperature
        return keep_top_p(keep_top_k(logits, self.top_k), self.top_p).softmax(-1)


class CodeStep(NamedTuple):
    """One step of all rows: raw logits (B, V), probabilities (B, V), drawn codes and ends (B,)."""

    logits: Tensor
    probabilities: Tensor
    drawn: Tensor
    ended: Tensor


@torch.inference_mode()
def first_steps(
    network: Valle,
    phones: Tensor,
    prompt: Tensor,
    how: ValleSampling,
    generators: Sequence[torch.Generator],
) -> Iterator[CodeStep]:
    """Draws the first codebook of as many variations as there are ``generators``.

    ``phones`` (1, S) are those of the prompt and of the new text, ``prompt`` (1, P) its first codebook.
    A row ends where the end is drawn or likeliest, or behind ``frames_per_phone * S`` codes; what it
    drew there and later isn't part of it.
    """
    config, rows = network.config, len(generators)
    limit = how.frames_per_phone * phones.shape[1]
    if config.prepend_bos:
        prompt = torch.nn.functional.pad(prompt, (1, 0), value=config.eos + 1)
        limit -= 1
    start = prompt.shape[1]
    cache = network.ar_decoder.cache(1, phones.shape[1] + start + limit + 1)
    logits = network.ar_logits(phones, prompt, cache=cache)[:, -1].expand(rows, -1)
    if rows > 1:
        cache = cache.rows(rows)
    ended = torch.zeros(rows, dtype=torch.bool, device=phones.device)
    for count in range(limit + 2):
        probabilities = how.probabilities(logits)
        drawn = draw(probabilities, generators)
        ended = ended | (drawn == config.eos) | (logits.argmax(-1) == config.eos) | (count > limit)
        yield CodeStep(logits, probabilities, drawn, ended)
        if bool(ended.all()):
            return
        logits = network.ar_next(drawn, start + count, cache)


@torch.inference_mode()
def fill_steps(
    network: Valle, phones: Tensor, first: Tensor, prompt: Tensor, prefix_mode: int
) -> Iterator[Tensor]:
    """Logits (B, T, V) of codebooks 2 to K, one a step; the likeliest codes are fed to the next.

    ``first`` (B, P + T) is the first codebook of prompt and result, ``prompt`` (B, P, K) all of the
    prompt. With ``prefix_mode`` 0 the prompt shows only the codebooks below the step's, otherwise all.
    """
    text, length = network.nar_text(phones), prompt.shape[1]
    embeddings = network.nar_audio_embeddings
    audio = embeddings[0](first)
    if prefix_mode != 0:
        for place, embedding in enumerate(list(embeddings)[1:], 1):
            audio[:, :length] += embedding(prompt[..., place])
    last = len(embeddings) - 2
    for stage, embedding in enumerate(list(embeddings)[1:]):
        logits = network.nar_logits(stage, text, audio, skipped=length)
        yield logits
        if stage == last:
            return
        if prefix_mode == 0:
            audio[:, :length] += embedding(prompt[..., stage + 1])
        audio[:, length:] += embedding(logits.argmax(-1))


def shown_phones(phones: Tensor, enrolled: int | None, prefix_mode: int) -> Tensor:
    """The phones (B, S) that the second transformer is shown.

    Modes 2 and 4 leave out those of the prompt but its first and last, ``enrolled`` in number.
    """
    if prefix_mode not in (2, 4):
        return phones
    if enrolled is None:
        raise ValueError("Prefix modes 2 and 4 need the number of phones of the prompt.")
    return torch.cat([phones[:, :1], phones[:, enrolled - 1 :]], 1)


def fill(
    network: Valle, phones: Tensor, first: Tensor, prompt: Tensor, prefix_mode: int
) -> Iterator[Tensor]:
    """Codes (B, T) of codebooks 1 to K of the frames after the prompt, as they get known."""
    yield first[:, prompt.shape[1] :]
    for logits in fill_steps(network, phones, first, prompt, prefix_mode):
        yield logits.argmax(-1)


def generate(
    network: Valle,
    phones: Tensor,
    prompt: Tensor,
    *,
    generators: Sequence[torch.Generator],
    how: ValleSampling = ValleSampling(),
    enrolled: int | None = None,
    progress: Progress | None = None,
) -> list[Tensor]:
    """New frames (T, K) of each variation, without the prompt; T is 0 where a row ended at once.

    ``phones`` (1, S) are bos, the transcript of the prompt, the new text and eos; ``prompt`` (1, P, K).
    ``progress`` is called before each step and may raise to cancel.
    """
    mode, stages = network.config.prefix_mode, network.config.num_quantizers - 1
    total = how.frames_per_phone * phones.shape[1] + 1 + stages
    drawn: list[Tensor] = []
    ends: list[Tensor] = []
    for step in first_steps(network, phones, prompt[..., 0], how, generators):
        drawn.append(step.drawn)
        ends.append(step.ended)
        if progress is not None:
            progress(len(drawn), total)
    lengths = (~torch.stack(ends)).sum(0).tolist()
    shown, codes = shown_phones(phones, enrolled, mode), torch.stack(drawn, 1)
    results = []
    for row, length in zip(codes, lengths, strict=True):
        first = torch.cat([prompt[..., 0], row[None, :length]], 1)
        books = []
        for book in fill(network, shown, first, prompt, mode):
            books.append(book)
            if progress is not None:
                progress(total - stages + len(books) - 1, total)
        results.append(torch.stack(books, -1)[0])
    return results


def refill(network: Valle, phones: Tensor, codes: Tensor) -> Tensor:
    """Codebooks 2 to K anew for the rest of an utterance ``codes`` (B, T, K): (B, T - P, K).

    Its first half, at most 3 s, is the prompt; the first codebook of the rest is kept.
    """
    prompt = codes[:, : min(codes.shape[1] // 2, MAX_PREFIX)]
    books = fill(network, phones, codes[..., 0], prompt, network.config.prefix_mode)
    return torch.stack(list(books), -1)
