"""The two stages of VALL-E's training: cross entropies, summed over frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.networks.valle.network import Valle
from engines.networks.valle.sampling import MAX_PREFIX


def within(lengths: Tensor, longest: int) -> Tensor:
    """(B, longest), True at positions before each of ``lengths`` (B,)."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def first_loss(
    network: Valle, phones: Tensor, phone_lengths: Tensor, codes: Tensor, lengths: Tensor
) -> Tensor:
    """Stage 1: sum over all positions of the cross entropy of the first codebook.

    ``phones`` (B, S), ``codes`` (B, T, K) and the lengths (B,) of both. Behind an utterance the target
    is the end, there and at padding, and counts.
    """
    config = network.config
    inside = within(lengths, codes.shape[1])
    known = torch.where(inside, codes[..., 0], config.eos)
    targets = F.pad(known, (0, 1), value=config.eos)
    visible = torch.cat([within(phone_lengths, phones.shape[1]), inside], 1)
    if config.prepend_bos:
        given = F.pad(known, (1, 0), value=config.eos + 1)
        visible = torch.cat([visible[:, : phones.shape[1]], F.pad(inside, (1, 0), value=True)], 1)
    else:
        given, targets = targets[:, :-1], targets[:, 1:]
    logits = network.ar_logits(phones, given, visible=visible)
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="sum")


def draw_prefix(lengths: Tensor, generator: torch.Generator) -> int:
    """Frames of the prompt in stage 2: a quarter to half of the shortest utterance, at most 3 s."""
    quarter = int(0.25 * int(lengths.min()))
    if quarter == 0:
        return 0
    drawn = int(torch.randint(quarter, 2 * quarter, (), generator=generator))
    return min(drawn, MAX_PREFIX)


def fill_loss(
    network: Valle,
    phones: Tensor,
    phone_lengths: Tensor,
    codes: Tensor,
    lengths: Tensor,
    *,
    stage: int,
    prefix: int,
) -> Tensor:
    """Stage 2: sum of the cross entropy of codebook ``stage`` (1 to K - 1, counted from 0).

    All codebooks of the first ``prefix`` frames are given, of the rest those below ``stage``. The sum
    is scaled up for the frames that the prompt took; padding is left out.
    """
    inside = within(lengths, codes.shape[1])
    safe = torch.where(inside[..., None], codes, 0)
    embedded = [
        embedding(safe[..., place]) for place, embedding in enumerate(network.nar_audio_embeddings)
    ]
    prompt = sum(part[:, :prefix] for part in embedded)
    rest = sum(part[:, prefix:] for part in embedded[:stage])
    audio = torch.cat([prompt, rest], 1) if prefix else rest
    visible = torch.cat([within(phone_lengths, phones.shape[1]), inside], 1)
    logits = network.nar_logits(
        stage - 1, network.nar_text(phones), audio, skipped=prefix, visible=visible
    )
    targets = torch.where(inside, codes[..., stage], network.config.eos)[:, prefix:]
    loss = F.cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=network.config.eos, reduction="sum"
    )
    total = lengths.sum()
    return loss * (total / (total - prefix * len(lengths)))
