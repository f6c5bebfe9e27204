"""The codec of the recipe: an EnCodec whose codebooks are the parts of a score.

Encoder and decoder are ``transformers.EncodecModel``'s own, and so is the residual quantizer, so what is
saved loads by ``from_pretrained``. Each codebook has some of the dimensions to itself and is zero in all
others: the nearest entry of one depends on nothing that the others say, the sum of the entries is one
beside the other, and each can stand for one part (``score``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.base import Params
from training.recipes import composer, score
from training.recipes.corpus import Corpus

# window lengths of the spectral losses, in samples
WINDOWS = (128, 256, 512, 1024, 2048)
MELS = 64
WEIGHTS = "codec.safetensors"
# how much faster than everything else codebooks learn: an entry is seen now and then only
PACE = 16.0
SAID = 0.3  # how much of what a code says is in its entry, beside what is heard with it
SOUNDING = 2048  # pieces from which entries learn what they sound like
FAR = 100.0  # each element of an entry that stands for nothing


class CodecShape(Params):
    """The shape of the codec; the frame rate is ``sample_rate`` over the product of ``ratios``."""

    sample_rate: int = 16000
    ratios: tuple[int, ...] = (5, 4, 4, 4)
    filters: int = 16
    dimension: int = 192
    lstm_layers: int = 2
    entries: int = 4096

    @property
    def codebooks(self) -> int:
        """One for each part."""
        return len(score.PARTS)

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return int(np.prod(self.ratios))

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop


def build(shape: CodecShape) -> Any:
    """A fresh ``EncodecModel`` of this shape, one channel, without normalisation."""
    from transformers import EncodecConfig, EncodecModel

    bits = (shape.entries - 1).bit_length()
    return EncodecModel(
        EncodecConfig(
            sampling_rate=shape.sample_rate,
            audio_channels=1,
            normalize=False,
            chunk_length_s=None,
            overlap=None,
            hidden_size=shape.dimension,
            num_filters=shape.filters,
            num_residual_layers=1,
            upsampling_ratios=list(shape.ratios),
            num_lstm_layers=shape.lstm_layers,
            use_causal_conv=False,
            norm_type="weight_norm",
            pad_mode="constant",  # a sixth of a step's time less than reflection
            use_conv_shortcut=False,
            codebook_size=shape.entries,
            codebook_dim=shape.dimension,
            target_bandwidths=[shape.codebooks * bits * shape.frame_rate / 1000],
        )
    )


@torch.no_grad()
def level(part: Any, inputs: Tensor, deviation: float = 1.0) -> None:
    """Scale each convolution of a fresh encoder or decoder so that what it says of ``inputs (B, C, L)``
    has the standard deviation 1, and the last one ``deviation``.

    After Mishkin & Matas 2015, https://arxiv.org/abs/1511.06422. With the usual start a sound fades
    to a thousandth on its way through the layers, and for a long time nothing but the mean is learnt.
    """
    layers: list[Any] = [
        layer for layer in part.modules() if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
    ]
    last = layers[-1]

    def scale(layer: Any, _: Any, said: Tensor) -> Tensor:
        factor = (deviation if layer is last else 1.0) / said.std().clamp(min=1e-8)
        layer.parametrizations.weight.original0.mul_(factor)
        return said * factor

    for layer in layers:
        layer.bias.zero_()
    hooks = [layer.register_forward_hook(scale) for layer in layers]
    part(inputs)
    for hook in hooks:
        hook.remove()


class ScoreCodec(nn.Module):
    """An ``EncodecModel`` and its codebooks, ``(entries, dimension / K)`` each, which ``export`` puts into
    the model's quantizer.

    An entry begins as the sum of what it says. Given a ``corpus`` it begins as what is heard with it, and
    only a little of what it says, so that the frames of a rest are told apart too.
    """

    def __init__(self, shape: CodecShape, corpus: Corpus | None = None, seed: int = 0):
        super().__init__()
        score.require(shape.entries, shape.frame_rate)
        torch.manual_seed(seed)
        self.shape, self.model = shape, build(shape)
        width = shape.dimension // shape.codebooks
        entries = likenesses(width)
        if corpus:
            heard = sounding(corpus, width)
            entries = [a + SAID * b for a, b in zip(heard, entries, strict=True)]
        self.tables = nn.ParameterList(
            F.pad(vectors, (0, 0, 0, shape.entries - len(vectors)), value=FAR) / PACE
            for vectors in entries
        )

    def books(self) -> list[Tensor]:
        """The codebooks."""
        return [table * PACE for table in self.tables]

    def latents(self, codes: Tensor) -> Tensor:
        """What ``codes (B, K, T)`` stand for, ``(B, D, T)``."""
        entries = [F.embedding(codes[:, k], table) for k, table in enumerate(self.tables)]
        return PACE * torch.cat(entries, -1).transpose(1, 2)

    def play(self, codes: Tensor) -> Tensor:
        """The sound of ``codes (B, K, T)``, ``(B, 1, T * hop)``."""
        return self.model.decoder(self.latents(codes))[..., : codes.shape[-1] * self.shape.hop]

    def hear(self, samples: Tensor) -> list[Tensor]:
        """For each codebook how near its entries are to ``samples (B, 1, L)``: minus half the squared
        distance, ``(B, T, entries)``, the greatest of which the quantizer takes."""
        said = self.model.encoder(samples).transpose(1, 2).chunk(len(self.tables), -1)
        return [
            part @ table.T - table.square().sum(1) / 2 - part.square().sum(-1, keepdim=True) / 2
            for part, table in zip(said, self.books(), strict=True)
        ]

    def save(self, folder: Path) -> None:
        """All weights and codebooks, as a file in ``folder``."""
        from safetensors.torch import save_model

        save_model(self, str(folder / WEIGHTS))

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        from safetensors.torch import load_model

        load_model(self, str(folder / WEIGHTS), device=str(self.tables[0].device))

    @torch.no_grad()
    def export(self) -> Any:
        """The ``EncodecModel`` with the codebooks, ready to save."""
        width = self.shape.dimension // len(self.tables)
        for k, table in enumerate(self.books()):
            book = self.model.quantizer.layers[k].codebook
            book.embed.zero_()
            book.embed[:, k * width : (k + 1) * width] = table
            book.embed_avg.copy_(book.embed)
        return self.model


def likenesses(width: int) -> list[Tensor]:
    """Vectors ``(entries, width)`` for the codes of each book: those that say the same in some respect are
    alike in it. Each element is of standard deviation 1."""
    found = []
    for book in score.books():
        drawn: dict[score.Atom, Tensor] = {}
        vectors = []
        for code in book.codes:
            parts = [drawn.setdefault(atom, torch.randn(width)) for atom in score.atoms(code)]
            vectors.append(torch.stack(parts).sum(0) / len(parts) ** 0.5)
        found.append(torch.stack(vectors))
    return found


def sounding(corpus: Corpus, width: int, pieces: int = SOUNDING) -> list[Tensor]:
    """Vectors ``(entries, width)`` of the codes of each book: what is heard with a code when its part is
    alone, in the mean over some pieces, by its ``width`` first principal components. Each element is of
    standard deviation 1 in the mean; codes that are not met are zero."""
    hop = corpus.plan.sample_rate // composer.FRAME_RATE
    found = []
    for part, book in enumerate(score.books()):
        total, count = np.zeros((len(book), hop)), np.zeros(len(book))
        for item in range(min(pieces, len(corpus))):
            codes = corpus.codes[item, part]
            frames = corpus.sound(item, part=part)[: len(codes) * hop].reshape(len(codes), hop)
            order = np.argsort(codes, kind="stable")
            met, first, often = np.unique(codes[order], return_index=True, return_counts=True)
            total[met] += np.add.reduceat(frames[order], first)
            count[met] += often
        means = total / np.maximum(count, 1)[:, None]
        spread = np.linalg.eigh(means.T @ means)
        vectors = torch.from_numpy(means @ spread.eigenvectors[:, ::-1][:, :width]).float()
        vectors = F.pad(vectors, (0, width - vectors.shape[1]))
        found.append(vectors / vectors.std().clamp(min=1e-8))
    return found


class SpectralLoss(nn.Module):
    """Distance of log-mel spectra at several resolutions (B, 1, L), absolute and squared.

    After Défossez et al. 2022, equation 2, with a floor that keeps silence from dominating.
    """

    def __init__(self, sample_rate: int):
        super().__init__()
        import librosa

        for window in WINDOWS:
            mels = min(MELS, window // 8)
            bank = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=mels)
            self.register_buffer(f"bank{window}", torch.from_numpy(bank))
            self.register_buffer(f"window{window}", torch.hann_window(window))

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        loss = made.new_zeros(())
        for window in WINDOWS:
            a, b = (self._mel(sound.squeeze(1), window) for sound in (made, wanted))
            log_a, log_b = (torch.log10(mel.clamp(min=1e-4)) for mel in (a, b))
            loss = loss + (a - b).abs().mean() + (log_a - log_b).square().mean().sqrt()
        return loss / len(WINDOWS)

    def _mel(self, sound: Tensor, window: int) -> Tensor:
        spectrum = torch.stft(
            sound, window, window // 4, window=getattr(self, f"window{window}"), return_complex=True
        )
        return getattr(self, f"bank{window}") @ spectrum.abs()


def usage(codes: Tensor, entries: int) -> list[float]:
    """The share of each codebook's entries that ``codes (N, K, T)`` use."""
    return [len(torch.unique(codes[:, k])) / entries for k in range(codes.shape[1])]


def perplexity(codes: Tensor, entries: int) -> list[float]:
    """How many entries of each codebook are in use, weighted by how often: exp of the entropy."""
    found = []
    for k in range(codes.shape[1]):
        share = torch.bincount(codes[:, k].flatten(), minlength=entries).float()
        share = share[share > 0] / share.sum()
        found.append(float(torch.exp(-(share * share.log()).sum())))
    return found


def si_sdr(made: Tensor, wanted: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB over the last dimension (Le Roux et al. 2019,
    arXiv:1811.02508)."""
    made = made - made.mean(-1, keepdim=True)
    wanted = wanted - wanted.mean(-1, keepdim=True)
    energy = wanted.square().sum(-1, keepdim=True).clamp(min=1e-8)
    target = (made * wanted).sum(-1, keepdim=True) / energy * wanted
    rest = (made - target).square().sum(-1).clamp(min=1e-8)
    return 10 * torch.log10(target.square().sum(-1).clamp(min=1e-8) / rest)
