"""VITS put together: speech from text, the voice of another, and what training compares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from engines.networks.blocks.alignment import monotonic_path
from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.couplings import CouplingFlow, PosteriorEncoder
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.lengths import (
    length_mask,
    random_starts,
    repeat_tokens,
    segments,
)
from engines.networks.vits.config import VitsConfig
from engines.networks.vits.decoder import LatentDecoder
from engines.networks.vits.durations import DurationPredictor, StochasticDurationPredictor
from engines.networks.vits.text_encoder import TextEncoder
from engines.networks.weights import (
    load_exactly,
    newest_checkpoint,
    read_config,
    read_weights,
    strip_prefix,
)

WAVENET_KERNEL = 5


@dataclass(frozen=True)
class Speech:
    """Result of ``Vits.synthesise``; T frames, N symbols, C latent channels.

    ``audio`` (B, 1, T * hop), ``mask`` (B, 1, T), ``durations`` (B, N) in frames, ``log_durations``
    (B, 1, N) before rounding, the prior's ``mean`` and ``log_scale``, what was drawn from it ``z_p``,
    and the latent ``z``, all (B, C, T).
    """

    audio: Tensor
    mask: Tensor
    durations: Tensor
    log_durations: Tensor
    mean: Tensor
    log_scale: Tensor
    z_p: Tensor
    z: Tensor


@dataclass(frozen=True)
class Training:
    """Result of ``Vits.forward``, for the losses; S frames in a segment.

    ``audio`` (B, 1, S * hop) from the frames at ``starts`` (B,); ``duration_loss`` (), ``path``
    (B, N, T), ``mask`` (B, 1, T); latents, means and log scales of posterior (q) and prior (p),
    (B, C, T).
    """

    audio: Tensor
    starts: Tensor
    duration_loss: Tensor
    path: Tensor
    mask: Tensor
    z: Tensor
    z_p: Tensor
    mean_p: Tensor
    log_scale_p: Tensor
    mean_q: Tensor
    log_scale_q: Tensor


class Vits(nn.Module):
    """The whole generator. Keys ``enc_p, dec, enc_q, flow, dp`` and with speakers ``emb_g``."""

    def __init__(self, config: VitsConfig) -> None:
        super().__init__()
        self.config = config
        latent, hidden, speaker = (
            config.inter_channels,
            config.hidden_channels,
            config.gin_channels,
        )
        self.enc_p = TextEncoder(config)
        self.dec = LatentDecoder(config.decoder, latent, speaker)
        self.enc_q = PosteriorEncoder(
            config.spec_channels,
            latent,
            hidden,
            kernel=WAVENET_KERNEL,
            layers=config.posterior_layers,
            speaker=speaker,
        )
        self.flow = CouplingFlow(
            latent, hidden, WAVENET_KERNEL, config.flow_layers, speaker=speaker
        )
        predictor = StochasticDurationPredictor if config.use_sdp else DurationPredictor
        self.dp = predictor(hidden, speaker)
        if config.n_speakers:
            self.emb_g = nn.Embedding(config.n_speakers, speaker)

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of ``args.json`` with its newest checkpoint, for inference.

        Raises ``WeightsError`` naming the file, or the keys that don't fit.
        """
        network = cls(VitsConfig.read(read_config(folder / "args.json")))
        state = strip_prefix(read_weights(newest_checkpoint(folder / "checkpoint")), "module.")
        load_exactly(network, state, what="VITS")
        fold_weight_norm(network)
        return network.eval()

    def speaker(self, ids: Tensor | None) -> Tensor | None:
        """Embeddings (B, gin, 1) of speaker ``ids`` (B,); None without speakers."""
        if ids is None or not self.config.n_speakers:
            return None
        return self.emb_g(ids)[:, :, None]

    def synthesise(
        self,
        symbols: Tensor,
        lengths: Tensor,
        draw: Draw,
        *,
        speaker: Tensor | None = None,
        noise_scale: float = 0.667,
        noise_scale_w: float = 0.8,
        length_scale: float = 1.0,
        max_frames: int | None = None,
    ) -> Speech:
        """Speech for ``symbols`` (B, N) of ``lengths`` (B,) and speaker ids (B,).

        ``draw`` gives normal numbers, first (B, 2, N) for the durations (not called by the plain
        predictor), then (B, C, T). ``noise_scale`` and ``noise_scale_w`` are their scales,
        ``length_scale`` stretches time; ``max_frames`` cuts what is decoded.
        """
        voice = self.speaker(speaker)
        token_mask = length_mask(lengths, symbols.shape[1])[:, None].to(self.enc_p.emb.weight.dtype)
        x, mean, log_scale = self.enc_p(symbols, token_mask)
        if isinstance(self.dp, StochasticDurationPredictor):
            noise = draw((x.shape[0], 2, x.shape[2])).to(x) * noise_scale_w
            log_durations = self.dp(x, token_mask, voice, noise)
        else:
            log_durations = self.dp(x, token_mask, voice)
        durations = (log_durations.exp() * token_mask * length_scale).ceil()[:, 0].long()
        frames = durations.sum(1).clamp(min=1)
        mask = length_mask(frames)[:, None].to(x)
        mean = repeat_tokens(mean, durations, mask.shape[-1])
        log_scale = repeat_tokens(log_scale, durations, mask.shape[-1])
        z_p = mean + draw(tuple(mean.shape)).to(mean) * log_scale.exp() * noise_scale
        z = self.flow.inverse(z_p, mask, voice)
        audio = self.dec((z * mask)[..., :max_frames], voice)
        return Speech(audio, mask, durations, log_durations, mean, log_scale, z_p, z)

    def convert(
        self, linear: Tensor, lengths: Tensor, source: Tensor, target: Tensor, draw: Draw
    ) -> tuple[Tensor, Tensor]:
        """What was said in ``linear`` (B, bins, T) in the voice of the speakers ``target`` (B,).

        ``source`` (B,) are the speakers of the recording. Returns samples (B, 1, T * hop) and latents.
        """
        voice, other = self.speaker(source), self.speaker(target)
        mask = length_mask(lengths, linear.shape[-1])[:, None].to(linear)
        z, _, _ = self.posterior(linear, mask, voice, draw)
        z_hat = self.flow.inverse(self.flow(z, mask, voice), mask, other)
        return self.dec(z_hat * mask, other), z_hat

    def posterior(
        self, linear: Tensor, mask: Tensor, voice: Tensor | None, draw: Draw
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A latent drawn for ``linear`` (B, bins, T), its mean and its log scale, each (B, C, T)."""
        mean, log_scale = self.enc_q(linear, mask, voice)
        z = (mean + draw(tuple(mean.shape)).to(mean) * log_scale.exp()) * mask
        return z, mean, log_scale

    def forward(
        self,
        symbols: Tensor,
        lengths: Tensor,
        linear: Tensor,
        linear_lengths: Tensor,
        draw: Draw,
        draw_uniform: Draw,
        *,
        speaker: Tensor | None = None,
    ) -> Training:
        """One generator pass for training; ``linear`` is the magnitude (B, bins, T) of the recording.

        ``draw`` gives normal numbers for the posterior and the durations, ``draw_uniform`` (B,) numbers
        in [0, 1) for the segments.

        Raises ``ValueError`` for a recording shorter than a segment, or with fewer frames than symbols.
        """
        voice = self.speaker(speaker)
        token_mask = length_mask(lengths, symbols.shape[1])[:, None].to(linear)
        x, mean_p, log_scale_p = self.enc_p(symbols, token_mask)
        mask = length_mask(linear_lengths, linear.shape[-1])[:, None].to(linear)
        z, mean_q, log_scale_q = self.posterior(linear, mask, voice, draw)
        z_p = self.flow(z, mask, voice)
        likelihood = log_likelihood(z_p, mean_p, log_scale_p)
        path = monotonic_path(likelihood, lengths, linear_lengths)
        loss = self._duration_loss(x, token_mask, path.sum(2)[:, None], voice, draw)
        size = self.config.segment_size
        starts = random_starts(draw_uniform((len(symbols),)), linear_lengths, size)
        return Training(
            audio=self.dec(segments(z, starts, size), voice),
            starts=starts,
            duration_loss=loss.sum() / token_mask.sum(),
            path=path,
            mask=mask,
            z=z,
            z_p=z_p,
            mean_p=mean_p @ path,
            log_scale_p=log_scale_p @ path,
            mean_q=mean_q,
            log_scale_q=log_scale_q,
        )

    def _duration_loss(
        self, x: Tensor, mask: Tensor, durations: Tensor, voice: Tensor | None, draw: Draw
    ) -> Tensor:
        if isinstance(self.dp, StochasticDurationPredictor):
            noise = draw((x.shape[0], 2, x.shape[2])).to(x)
            return self.dp.loss(x, mask, durations, voice, noise)
        return self.dp.loss(x, mask, durations, voice)


@torch.no_grad()
def log_likelihood(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """How likely each frame of ``z`` (B, C, T) is under each token's normal (B, C, N), as (B, N, T).

    The square is written out so that no (B, C, N, T) is needed.
    """
    precision = (-2 * log_scale).exp()
    constant = (-0.5 * math.log(2 * math.pi) - log_scale - 0.5 * mean.square() * precision).sum(1)
    squares = precision.transpose(1, 2) @ (-0.5 * z.square())
    return constant[:, :, None] + squares + (mean * precision).transpose(1, 2) @ z
