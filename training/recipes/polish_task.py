"""Learning the codec's decoder further: the codes stay what they are, and sound better.

Encoder and codebooks are frozen, so a language model that was trained on the codes stays right, and a
step needs half the work. The waveform counts less than before: it was for codes that say something, and
what is heard is the spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from training.loop import Loss
from training.recipes.codec import SpectralLoss, TrainableCodec
from training.recipes.codec_task import si_sdr
from training.recipes.corpus import Corpus
from training.recipes.recipe import CodecRecipe, PolishRecipe


class Stretch(NamedTuple):
    """Frames of one piece from ``start`` on."""

    item: int
    start: int
    held_out: bool


class Split(NamedTuple):
    """Pieces with their codes (N, K, T)."""

    corpus: Corpus
    codes: np.ndarray


class PolishTask:
    """Satisfies ``training.loop.Task``. ``codec`` is trained; only its decoder learns."""

    def __init__(
        self,
        recipe: CodecRecipe,
        polish: PolishRecipe,
        codec: TrainableCodec,
        train: Split,
        held_out: Split,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self._recipe, self._polish, self._seed = recipe, polish, seed
        self._splits = {False: train, True: held_out}
        self._device = torch.device(device)
        self.codec = codec.to(self._device)
        self._spectral = SpectralLoss(recipe.shape.sample_rate).to(self._device)
        self._hop = round(recipe.shape.sample_rate / recipe.shape.frame_rate)
        self._frames = round(polish.crop_s * recipe.shape.frame_rate)

    def parameters(self) -> list[torch.nn.Parameter]:
        """The decoder's."""
        return list(self.codec.model.decoder.parameters())

    def batches(self, epoch: int) -> list[list[Stretch]]:
        """Stretches drawn from (seed, epoch)."""
        rng, size = np.random.default_rng((self._seed, epoch)), self._polish.schedule.batch_size
        return [
            [self._draw(rng, False) for _ in range(size)]
            for _ in range(self._polish.steps_per_epoch)
        ]

    def validation(self) -> list[list[Stretch]]:
        """Always the same stretches of pieces that are not trained on."""
        rng, size = np.random.default_rng(self._seed), self._polish.schedule.batch_size
        drawn = [self._draw(rng, True) for _ in range(self._recipe.validation_crops)]
        return [drawn[start : start + size] for start in range(0, len(drawn), size)]

    def _draw(self, rng: np.random.Generator, held_out: bool) -> Stretch:
        items, _, frames = self._splits[held_out].codes.shape
        return Stretch(
            int(rng.integers(items)), int(rng.integers(frames - self._frames + 1)), held_out
        )

    def loss(self, batch: Sequence[Stretch], training: bool) -> Loss:
        """Spectral and waveform losses of what the decoder makes of the codes."""
        self.codec.model.decoder.train(training)
        latents, wanted = self._latents(batch), self._sounds(batch)
        made = self.codec.model.decoder(latents)[..., : wanted.shape[-1]]
        spectral, waveform = self._spectral(made, wanted), (made - wanted).abs().mean()
        metrics = {"spectral": spectral, "waveform": waveform}
        if not training:
            metrics |= {"si_sdr_db": si_sdr(made, wanted).mean()}
        return Loss(spectral + self._polish.waveform_weight * waveform, metrics)

    def _latents(self, batch: Sequence[Stretch]) -> torch.Tensor:
        """What the codes stand for (B, D, T)."""
        stretches = [
            self._splits[one.held_out].codes[one.item][:, one.start : one.start + self._frames]
            for one in batch
        ]
        codes = torch.from_numpy(np.stack(stretches).astype(np.int64)).to(self._device)
        return self.codec.latents(codes)

    def _sounds(self, batch: Sequence[Stretch]) -> torch.Tensor:
        length = self._frames * self._hop
        sounds = [
            self._splits[one.held_out].corpus.sound(one.item, one.start * self._hop, length)
            for one in batch
        ]
        return torch.from_numpy(np.stack(sounds))[:, None].to(self._device)

    def stepped(self) -> None:
        """Nothing."""

    def describe(self, item: Stretch) -> str:
        """The piece and where in it."""
        return f"piece {item.item} from frame {item.start}"

    def save(self, folder: Path) -> None:
        """All weights and codebooks."""
        self.codec.save(folder)

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        self.codec.load(folder)
