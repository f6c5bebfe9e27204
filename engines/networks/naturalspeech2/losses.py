"""What NaturalSpeech 2 learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from engines.networks.blocks.lengths import repeat_tokens
from engines.networks.blocks.score_diffusion import masked_l1
from engines.networks.naturalspeech2.network import NaturalSpeech2

CODE_WEIGHT = 0.5


@dataclass(frozen=True)
class Batch:
    """Padded utterances, each after its prompt; masks are True inside.

    ``prompt`` (B, C, M) and ``latents`` (B, C, T) are sums of codebook vectors, ``codes`` (K, B, T) their
    rows in ``codebooks`` (K, N, C). ``phones`` and ``durations`` in frames are (B, N); ``f0`` (B, T) in Hz
    has no zeros.
    """

    prompt: Tensor
    prompt_mask: Tensor
    phones: Tensor
    phone_mask: Tensor
    durations: Tensor
    f0: Tensor
    latents: Tensor
    frame_mask: Tensor
    codes: Tensor
    codebooks: Tensor


def losses(network: NaturalSpeech2, batch: Batch, time: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """``duration, pitch, x0, noise, codes``, weighted as the training adds them up.

    ``time`` (B,) is uniform in (0, 1), ``noise`` (B, C, T) normal.
    """
    prior = network.prior_encoder
    prompt, voice = network.hear(batch.prompt, batch.prompt_mask)
    encoded = prior.encode(batch.phones, prompt, batch.phone_mask, batch.prompt_mask)
    log_durations = prior.duration_predictor(encoded, prompt, batch.phone_mask, batch.prompt_mask)
    frames = batch.latents.shape[2]
    repeated = repeat_tokens(encoded.transpose(1, 2), batch.durations, frames).transpose(1, 2)
    log_f0 = prior.pitch_predictor(repeated, prompt, batch.frame_mask, batch.prompt_mask)
    condition = repeated + prior.pitch_embedding(prior.tokens(batch.f0.log()))
    predicted, diffusion = network.diffusion.losses(
        batch.latents, batch.frame_mask, condition, voice, time, noise
    )
    return {
        "duration": masked_l1(log_durations, (1 + batch.durations).log(), batch.phone_mask),
        "pitch": masked_l1(log_f0, batch.f0.log(), batch.frame_mask),
        **diffusion,
        "codes": CODE_WEIGHT * code_loss(predicted, batch.codes, batch.codebooks, batch.frame_mask),
    }


def code_loss(latents: Tensor, codes: Tensor, codebooks: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy of the codes (K, B, T) under the distances of ``latents`` (B, C, T) to their rows.

    A codebook is shown what the true rows of those before it leave over (the paper's section 3.2). The
    mean over the codebooks and the frames inside ``mask`` (B, T).
    """
    rest = latents.transpose(1, 2)[mask]
    total = latents.new_zeros(())
    for rows, book in zip(codes, codebooks, strict=True):
        true = rows[mask]
        nearness = 2 * rest @ book.T - book.square().sum(1)  # less |rest|², the same for every row
        total = total + F.cross_entropy(nearness, true)
        rest = rest - book[true]
    return total / len(codes)
