"""The codec recipe: an EnCodec from scratch, small enough to train on a laptop.

The encoder and decoder are ``transformers.EncodecModel``'s own, so what is saved loads by
``from_pretrained``. Only the quantizer is replaced while training: residual vector quantisation
with codebooks that follow a moving average of what they are used for, and codes that die are set
anew (Défossez et al. 2022, https://arxiv.org/abs/2210.13438, section 3.2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.base import Params

# window lengths of the spectral losses, in samples
WINDOWS = (128, 256, 512, 1024, 2048)
MELS = 64
WEIGHTS = "codec.safetensors"


class CodecShape(Params):
    """The shape of the codec; the frame rate is ``sample_rate`` over the product of ``ratios``."""

    sample_rate: int = 16000
    ratios: tuple[int, ...] = (5, 4, 4, 4)
    filters: int = 16
    dimension: int = 64
    lstm_layers: int = 1
    codebooks: int = 4
    entries: int = 1024

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        hop = 1
        for ratio in self.ratios:
            hop *= ratio
        return self.sample_rate / hop


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
def level(model: Any, samples: Tensor) -> None:
    """Scale each convolution of a fresh ``EncodecModel`` so that what it says of ``samples (B, 1, L)``
    has the standard deviation 1, and what the model says that of the samples.

    After Mishkin & Matas 2015, https://arxiv.org/abs/1511.06422. With the usual start a sound fades
    to a thousandth on its way through the layers, and for a long time nothing but the mean is learnt.
    """
    layers: list[Any] = [
        layer
        for part in (model.encoder, model.decoder)
        for layer in part.modules()
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
    ]
    last = layers[-1]

    def scale(layer: Any, _: Any, said: Tensor) -> Tensor:
        wanted = samples.std() if layer is last else said.new_ones(())
        factor = wanted / said.std().clamp(min=1e-8)
        layer.parametrizations.weight.original0.mul_(factor)
        return said * factor

    for layer in layers:
        layer.bias.zero_()
    hooks = [layer.register_forward_hook(scale) for layer in layers]
    model.decoder(model.encoder(samples))
    for hook in hooks:
        hook.remove()


class Codebook(nn.Module):
    """One codebook: ``entries`` vectors of ``dimension``, moved by what falls to them.

    An entry that gets less than ``dead`` of an equal share is set anew.
    """

    embed: Tensor
    used: Tensor
    total: Tensor
    ready: Tensor

    def __init__(self, entries: int, dimension: int, decay: float = 0.99, dead: float = 0.1):
        super().__init__()
        self.decay, self.dead = decay, dead
        self.register_buffer("embed", torch.zeros(entries, dimension))
        self.register_buffer("used", torch.ones(entries))
        self.register_buffer("total", torch.zeros(entries, dimension))
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Nearest entries of ``vectors (N, D)``: codes ``(N,)`` and the entries ``(N, D)``."""
        if self.training and not self.ready:
            self._start(vectors)
        distance = self.embed.square().sum(1) - 2 * vectors @ self.embed.T
        codes = distance.argmin(1)
        if self.training:
            self._follow(vectors, codes)
        return codes, self.embed[codes]

    @torch.no_grad()
    def _start(self, vectors: Tensor) -> None:
        share = len(vectors) / len(self.embed)
        self.embed.copy_(_pick(vectors, len(self.embed)))
        self.total.copy_(self.embed * share)
        self.used.fill_(share)
        self.ready.fill_(True)

    @torch.no_grad()
    def _follow(self, vectors: Tensor, codes: Tensor) -> None:
        hits = torch.bincount(codes, minlength=len(self.embed)).to(vectors.dtype)
        sums = torch.zeros_like(self.total).index_add_(0, codes, vectors.detach())
        self.used.lerp_(hits, 1 - self.decay)
        self.total.lerp_(sums, 1 - self.decay)
        self.embed.copy_(self.total / self.used.clamp(min=1e-5)[:, None])
        share = len(vectors) / len(self.embed)
        dead = self.used < self.dead * share
        if dead.any():
            fresh = _pick(vectors, int(dead.sum()))
            self.embed[dead] = fresh
            self.total[dead] = fresh * share
            self.used[dead] = share


def _pick(vectors: Tensor, count: int) -> Tensor:
    chosen = torch.randint(len(vectors), (count,), device=vectors.device)
    return vectors.detach()[chosen] + 1e-4 * torch.randn(
        count, vectors.shape[1], device=vectors.device
    )


class TrainableCodec(nn.Module):
    """An ``EncodecModel`` with a quantizer that learns. ``export`` puts the codebooks back.

    In the first ``free_steps`` of training, and for a ``free_share`` of the items after that, the
    decoder hears the latents as they are (after Défossez et al. 2024, https://arxiv.org/abs/2410.00037,
    section 3.3.1): an encoder that has nothing to say yet would otherwise settle on one entry.
    """

    steps: Tensor

    def __init__(self, shape: CodecShape, free_steps: int = 0, free_share: float = 0.0):
        super().__init__()
        self.shape, self.free_steps, self.free_share = shape, free_steps, free_share
        self.register_buffer("steps", torch.tensor(0))
        self.model = build(shape)
        self.books = nn.ModuleList(
            Codebook(shape.entries, shape.dimension) for _ in range(shape.codebooks)
        )

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruct ``samples (B, 1, L)``: ``(B, 1, L)``, codes ``(B, K, T)``, commitment loss."""
        latents = self.model.encoder(samples)
        batch, dimension, frames = latents.shape
        free = self.training and int(self.steps) < self.free_steps
        self.steps += int(self.training)
        if free:
            none = torch.zeros(batch, len(self.books), frames, dtype=torch.long)
            return self.model.decoder(latents), none, latents.new_zeros(())
        residual = latents.transpose(1, 2).reshape(-1, dimension)
        quantised, codes = torch.zeros_like(residual), []
        commitment = residual.new_zeros(())
        for book in self.books:
            found, entries = book(residual.float())
            commitment = commitment + F.mse_loss(residual, entries)
            quantised = quantised + entries
            residual = residual - entries
            codes.append(found.view(batch, frames))
        quantised = quantised.view(batch, frames, dimension).transpose(1, 2)
        apart = (quantised - latents).detach()  # straight through
        if self.training and self.free_share:
            apart = apart * (torch.rand(batch, 1, 1, device=apart.device) >= self.free_share)
        passed = latents + apart
        return self.model.decoder(passed), torch.stack(codes, 1), commitment / len(self.books)

    def latents(self, codes: Tensor) -> Tensor:
        """What ``codes (B, K, T)`` stand for, ``(B, D, T)``."""
        entries = [
            F.embedding(codes[:, k], cast(Codebook, book).embed)
            for k, book in enumerate(self.books)
        ]
        return torch.stack(entries).sum(0).transpose(1, 2)

    def save(self, folder: Path) -> None:
        """All weights and codebooks, as a file in ``folder``."""
        from safetensors.torch import save_model

        save_model(self, str(folder / WEIGHTS))

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        from safetensors.torch import load_model

        load_model(self, str(folder / WEIGHTS), device=str(self.steps.device))

    def export(self) -> Any:
        """The ``EncodecModel`` with the learnt codebooks, ready to save."""
        layers = self.model.quantizer.layers
        for layer, book in zip(layers, self.books, strict=False):
            layer.codebook.embed.copy_(book.embed)
        return self.model


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
