"""FastSpeech2 put together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import same_padding
from engines.networks.blocks.lengths import length_mask, repeat_tokens
from engines.networks.fastspeech2.config import FastSpeech2Config
from engines.networks.fastspeech2.transformer import Decoder, Encoder
from engines.networks.fastspeech2.variance import VarianceAdaptor, audible, frames_of
from engines.networks.weights import (
    load_exactly,
    newest_checkpoint,
    read_config,
    read_weights,
    strip_prefix,
)

POSTNET_KERNEL, POSTNET_LAYERS, POSTNET_DROPOUT = 5, 5, 0.5


@dataclass(frozen=True)
class Mels:
    """Result of ``FastSpeech2``; N phones, T frames.

    ``mel`` (B, T, n_mel) is for the vocoder, ``coarse_mel`` before the PostNet; ``pitch``, ``energy``,
    ``log_durations`` and ``durations`` (B, N), the last in frames and maybe broken; ``token_mask``
    (B, N) and ``frame_mask`` (B, T) are True inside; ``encoded`` (B, N, C).
    """

    mel: Tensor
    coarse_mel: Tensor
    pitch: Tensor
    energy: Tensor
    log_durations: Tensor
    durations: Tensor
    token_mask: Tensor
    frame_mask: Tensor
    encoded: Tensor


@dataclass(frozen=True)
class Targets:
    """What training knows of each phone: normalised pitch and energy, and frames, each (B, N)."""

    pitch: Tensor
    energy: Tensor
    durations: Tensor


class NormedConv(nn.Module):
    """A convolution of the PostNet. Key ``conv``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, POSTNET_KERNEL, padding=same_padding(POSTNET_KERNEL))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PostNet(nn.Module):
    """What is missing in a mel (B, T, n_mel), from five convolutions (Shen et al. 2018)."""

    def __init__(self, n_mel: int, channels: int) -> None:
        super().__init__()
        sizes = [n_mel, *[channels] * (POSTNET_LAYERS - 1), n_mel]
        self.convolutions = nn.ModuleList(
            nn.Sequential(NormedConv(inputs, outputs), nn.BatchNorm1d(outputs))
            for inputs, outputs in pairwise(sizes)
        )

    def forward(self, mel: Tensor) -> Tensor:
        x = mel.transpose(1, 2)
        for place, layer in enumerate(self.convolutions):
            x = layer(x)
            if place < POSTNET_LAYERS - 1:
                x = x.tanh()
            x = F.dropout(x, POSTNET_DROPOUT, self.training)
        return x.transpose(1, 2)


class FastSpeech2(nn.Module):
    """Keys ``encoder, variance_adaptor, decoder, mel_linear, postnet`` and with speakers ``speaker_emb``."""

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        self.config = config
        sizes = config.transformer
        self.encoder = Encoder(sizes, config.symbols, config.max_seq_len)
        self.variance_adaptor = VarianceAdaptor(config)
        self.decoder = Decoder(sizes, config.max_seq_len)
        self.mel_linear = nn.Linear(sizes.decoder_hidden, config.n_mel)
        self.postnet = PostNet(config.n_mel, config.postnet)
        if config.speakers:
            self.speaker_emb = nn.Embedding(config.speakers, sizes.encoder_hidden)

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of ``args.json`` with its newest checkpoint, for inference.

        Raises ``WeightsError`` naming the file, or the keys that don't fit.
        """
        network = cls(FastSpeech2Config.read(read_config(folder / "args.json")))
        state = strip_prefix(read_weights(newest_checkpoint(folder / "checkpoint")), "module.")
        load_exactly(network, state, what="FastSpeech2")
        return network.eval()

    def forward(
        self, symbols: Tensor, lengths: Tensor, targets: Targets, *, speaker: Tensor | None = None
    ) -> Mels:
        """For training: symbols (B, N) of ``lengths`` (B,) with the pitch, energy and durations they had."""
        h, mask = self._encode(symbols, lengths, speaker)
        adaptor = self.variance_adaptor
        pitch = adaptor.pitch_predictor(h, mask)
        x = h + adaptor.embed_pitch(targets.pitch)
        energy = adaptor.energy_predictor(x, mask)
        x = x + adaptor.embed_energy(targets.energy)
        return self._decode(h, x, mask, pitch, energy, targets.durations, 1.0)

    def synthesise(
        self,
        symbols: Tensor,
        lengths: Tensor,
        *,
        speaker: Tensor | None = None,
        pitch_control: float = 1.0,
        energy_control: float = 1.0,
        duration_control: float = 1.0,
    ) -> Mels:
        """Mels for symbols (B, N) of ``lengths`` (B,).

        The controls multiply the normalised pitch and energy and the whole frames of each phone; broken
        frames that come of the last are dropped.
        """
        h, mask = self._encode(symbols, lengths, speaker)
        adaptor = self.variance_adaptor
        pitch = adaptor.pitch_predictor(h, mask) * pitch_control
        x = h + adaptor.embed_pitch(pitch)
        energy = adaptor.energy_predictor(x, mask) * energy_control
        x = x + adaptor.embed_energy(energy)
        return self._decode(h, x, mask, pitch, energy, None, duration_control)

    def _encode(
        self, symbols: Tensor, lengths: Tensor, speaker: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states (B, N, C), with those of speakers (B,), and the mask of phones (B, N)."""
        mask = length_mask(lengths, symbols.shape[1])
        h = self.encoder(symbols, mask)
        if self.config.speakers and speaker is not None:
            h = h + self.speaker_emb(speaker)[:, None]
        return h, mask

    def _decode(
        self,
        h: Tensor,
        x: Tensor,
        mask: Tensor,
        pitch: Tensor,
        energy: Tensor,
        durations: Tensor | None,
        duration_control: float,
    ) -> Mels:
        """Mels from the encoder's ``h`` and with pitch and energy ``x``, both (B, N, C)."""
        log_durations = self.variance_adaptor.duration_predictor(h, mask)
        if durations is None:
            durations = frames_of(log_durations) * duration_control
        whole = audible(durations.long())
        frame_mask = length_mask(whole.sum(1))
        frames = repeat_tokens(x.transpose(1, 2), whole, frame_mask.shape[1]).transpose(1, 2)
        coarse = self.mel_linear(self.decoder(frames, frame_mask))
        return Mels(
            mel=self.postnet(coarse) + coarse,
            coarse_mel=coarse,
            pitch=pitch,
            energy=energy,
            log_durations=log_durations,
            durations=durations,
            token_mask=mask,
            frame_mask=frame_mask,
            encoded=h,
        )
