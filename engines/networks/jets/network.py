"""Jets put together: FastSpeech2's encoder, predictors and decoder, an alignment, and HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.lengths import (
    length_mask,
    random_starts,
    repeat_tokens,
    segments,
)
from engines.networks.fastspeech2.network import PostNet
from engines.networks.fastspeech2.transformer import Decoder, Encoder
from engines.networks.fastspeech2.variance import VarianceAdaptor, audible, frames_of
from engines.networks.jets.alignment import (
    Alignment,
    AlignmentModule,
    gaussian_upsampling,
)
from engines.networks.jets.config import JetsConfig, Upsampling, Variance
from engines.networks.vocoders.hifigan import HifiganGenerator
from engines.networks.weights import (
    load_exactly,
    newest_checkpoint,
    read_config,
    read_weights,
    strip_prefix,
)

EMBEDDING_KERNEL, EMBEDDING_DROPOUT = 9, 0.5


@dataclass(frozen=True)
class Speech:
    """Result of ``Jets.synthesise``: samples (B, 1, T * hop), and (B, N) for each token.

    ``durations`` are in frames; the sound of an item ends after its own.
    """

    audio: Tensor
    durations: Tensor
    pitch: Tensor
    energy: Tensor


@dataclass(frozen=True)
class Training:
    """Result of ``Jets.forward`` for the losses.

    ``audio`` (B, 1, S * hop) from the frames at ``starts`` (B,); predicted ``log_durations``, ``pitch``
    and ``energy`` (B, N) with what they should be, ``token_pitch`` and ``token_energy`` (B, N) and the
    durations of ``alignment``; ``encoded`` (B, N, C), ``decoded`` (B, T, C), lengths (B,).
    """

    audio: Tensor
    starts: Tensor
    alignment: Alignment
    log_durations: Tensor
    pitch: Tensor
    energy: Tensor
    token_pitch: Tensor
    token_energy: Tensor
    tokens: Tensor
    frames: Tensor
    encoded: Tensor
    decoded: Tensor


def embedding(channels: int) -> nn.Sequential:
    """A number for each token (B, 1, N) to what is added to the text (B, C, N)."""
    conv = nn.Conv1d(1, channels, EMBEDDING_KERNEL, padding=EMBEDDING_KERNEL // 2)
    return nn.Sequential(conv, nn.Dropout(EMBEDDING_DROPOUT))


class Jets(nn.Module):
    """The generator.

    ``mel_linear``, ``postnet`` and the adaptor's bins and their embeddings have no part in it: they are
    here because checkpoints hold them.
    """

    def __init__(self, config: JetsConfig) -> None:
        super().__init__()
        self.config = config
        sizes, hidden = config.transformer, config.transformer.encoder_hidden
        self.encoder = Encoder(sizes, config.symbols, config.max_seq_len)
        self.variance_adaptor = VarianceAdaptor(config)
        self.decoder = Decoder(sizes, config.max_seq_len)
        self.mel_linear = nn.Linear(sizes.decoder_hidden, config.n_mel)
        self.postnet = PostNet(config.n_mel, config.postnet)
        self.alignment_module = AlignmentModule(hidden, config.n_mel)
        self.pitch_embed, self.energy_embed = embedding(hidden), embedding(hidden)
        self.generator = HifiganGenerator(config.generator, sizes.decoder_hidden)

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of ``args.json`` with its newest checkpoint, for inference.

        Raises ``WeightsError`` naming the file, or the keys that don't fit.
        """
        args: Mapping[str, Any] = read_config(folder / "args.json")
        network = cls(JetsConfig.read(args))
        state = strip_prefix(read_weights(newest_checkpoint(folder / "checkpoint")), "module.")
        load_exactly(network, state, what="Jets")
        fold_weight_norm(network)
        return network.eval()

    def synthesise(
        self,
        symbols: Tensor,
        lengths: Tensor,
        *,
        pitch_control: float = 1.0,
        energy_control: float = 1.0,
        duration_control: float = 1.0,
    ) -> Speech:
        """Speech for symbols (B, N) of ``lengths`` (B,).

        The controls multiply the normalised pitch and energy and the frames of each token, which the
        original ignores.
        """
        mask = length_mask(lengths, symbols.shape[1])
        h = self.encoder(symbols, mask)
        adaptor = self.variance_adaptor
        pitch = adaptor.pitch_predictor(h, mask) * pitch_control
        energy = adaptor.energy_predictor(h, mask) * energy_control
        durations = frames_of(adaptor.duration_predictor(h, mask))
        durations = audible((durations * duration_control).round().long())
        frame_mask = length_mask(durations.sum(1))
        x = self._frames(self._add(h, pitch, energy), durations, mask, frame_mask)
        audio = self.generator(self.decoder(x, frame_mask).transpose(1, 2))
        return Speech(audio, durations, pitch, energy)

    def forward(
        self,
        symbols: Tensor,
        tokens: Tensor,
        mel: Tensor,
        frames: Tensor,
        pitch: Tensor,
        energy: Tensor,
        draw_uniform: Draw,
        *,
        variance: Variance = Variance.CONSISTENT,
    ) -> Training:
        """One generator pass: symbols (B, N) and mel (B, T, n_mel) of lengths ``tokens`` and ``frames``.

        ``pitch`` and ``energy`` (B, T) are normalised, for each frame; ``draw_uniform`` gives (B,)
        numbers in [0, 1) for the segments. Raises ``ValueError`` for a recording shorter than a segment,
        or with fewer frames than tokens.
        """
        mask = length_mask(tokens, symbols.shape[1])
        h = self.encoder(symbols, mask)
        alignment = self.alignment_module(h, mel, tokens, frames)
        token_pitch, token_energy = (alignment.token_means(values) for values in (pitch, energy))
        if variance is Variance.AS_PUBLISHED:
            x = h + token_pitch[:, :, None] + token_energy[:, :, None]
        else:
            x = self._add(h, token_pitch, token_energy)
        seen = h if variance is Variance.CONSISTENT else x
        frame_mask = length_mask(frames, mel.shape[1])
        z = self._frames(x, alignment.durations, mask, frame_mask)
        decoded = self.decoder(z, frame_mask)
        size = self.config.segment_frames
        starts = random_starts(draw_uniform((len(symbols),)), frames, size, last=False)
        return Training(
            audio=self.generator(segments(decoded.transpose(1, 2), starts, size)),
            starts=starts,
            alignment=alignment,
            log_durations=self.variance_adaptor.duration_predictor(h, mask),
            pitch=self.variance_adaptor.pitch_predictor(seen, mask),
            energy=self.variance_adaptor.energy_predictor(seen, mask),
            token_pitch=token_pitch,
            token_energy=token_energy,
            tokens=tokens,
            frames=frames,
            encoded=h,
            decoded=decoded,
        )

    def _add(self, h: Tensor, pitch: Tensor, energy: Tensor) -> Tensor:
        """The text (B, N, C) with embeddings of pitch and energy (B, N)."""
        added = self.pitch_embed(pitch[:, None]) + self.energy_embed(energy[:, None])
        return h + added.transpose(1, 2)

    def _frames(
        self, x: Tensor, durations: Tensor, token_mask: Tensor, frame_mask: Tensor
    ) -> Tensor:
        """Tokens (B, N, C) to frames (B, T, C)."""
        if self.config.upsampling is Upsampling.GAUSSIAN:
            return gaussian_upsampling(x, durations, token_mask, frame_mask)
        return repeat_tokens(x.transpose(1, 2), durations, frame_mask.shape[1]).transpose(1, 2)
