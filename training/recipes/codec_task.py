"""Learning the codec: crops of the corpus, reconstruction at several resolutions, commitment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from training.loop import Loss
from training.recipes.codec import SpectralLoss, TrainableCodec, level, perplexity, usage
from training.recipes.corpus import Corpus
from training.recipes.recipe import CodecRecipe

GAIN_DB = (-9.0, 4.0)  # each crop is heard at another level


class Crop(NamedTuple):
    """A stretch of one piece from sample ``start`` on, louder by ``gain_db``."""

    item: int
    start: int
    gain_db: float
    held_out: bool


class CodecTask:
    """Satisfies ``training.loop.Task``."""

    def __init__(
        self,
        recipe: CodecRecipe,
        corpus: Corpus,
        held_out: Corpus,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self._recipe, self._corpus, self._held_out, self._seed = recipe, corpus, held_out, seed
        self._device = torch.device(device)
        torch.manual_seed(seed)
        codec = TrainableCodec(recipe.shape, recipe.free_steps, recipe.free_share)
        self.codec = codec.to(self._device)
        self._spectral = SpectralLoss(recipe.shape.sample_rate).to(self._device)
        self._frames = round(recipe.crop_s * recipe.shape.sample_rate)
        level(self.codec.model, self._sounds(self.batches(0)[0]))

    def parameters(self) -> list[torch.nn.Parameter]:
        """Encoder and decoder; the codebooks follow their averages."""
        model = self.codec.model
        return [*model.encoder.parameters(), *model.decoder.parameters()]

    def batches(self, epoch: int) -> list[list[Crop]]:
        """Crops drawn from (seed, epoch)."""
        rng = np.random.default_rng((self._seed, epoch))
        size = self._recipe.schedule.batch_size
        return [
            [self._draw(rng, GAIN_DB) for _ in range(size)]
            for _ in range(self._recipe.steps_per_epoch)
        ]

    def validation(self) -> list[list[Crop]]:
        """Always the same crops of pieces that are not trained on, all in one batch, so that the use
        of the codebooks is counted over all of them."""
        rng = np.random.default_rng(self._seed)
        return [
            [self._draw(rng, (0, 0), held_out=True) for _ in range(self._recipe.validation_crops)]
        ]

    def _draw(
        self, rng: np.random.Generator, gain_db: tuple[float, float], held_out: bool = False
    ) -> Crop:
        corpus = self._held_out if held_out else self._corpus
        room = round(corpus.plan.seconds * corpus.plan.sample_rate) - self._frames
        item, start = int(rng.integers(len(corpus))), int(rng.integers(room + 1))
        return Crop(item, start, rng.uniform(*gain_db), held_out)

    def loss(self, batch: Sequence[Crop], training: bool) -> Loss:
        """Spectral, waveform and commitment losses."""
        self.codec.train(training)
        wanted = self._sounds(batch)
        made, codes, commitment = self.codec(wanted)
        made = made[..., : wanted.shape[-1]]
        spectral, waveform = self._spectral(made, wanted), (made - wanted).abs().mean()
        recipe = self._recipe
        value = spectral + recipe.waveform_weight * waveform + recipe.commitment_weight * commitment
        metrics = {"spectral": spectral, "waveform": waveform, "commitment": commitment}
        if not training:
            entries = recipe.shape.entries
            metrics |= {"si_sdr_db": si_sdr(made, wanted).mean()}
            metrics |= {
                f"{name}_{k + 1}": torch.tensor(share)
                for name, shares in (
                    ("use", usage(codes, entries)),
                    ("perplexity", perplexity(codes, entries)),
                )
                for k, share in enumerate(shares)
            }
        return Loss(value, metrics)

    def _sounds(self, batch: Sequence[Crop]) -> torch.Tensor:
        sounds = []
        for crop in batch:
            corpus = self._held_out if crop.held_out else self._corpus
            sound = corpus.sound(crop.item, crop.start, self._frames)
            sounds.append(sound * 10 ** (crop.gain_db / 20))
        return torch.from_numpy(np.stack(sounds)).float()[:, None].to(self._device)

    def stepped(self) -> None:
        """Nothing: the codebooks move while they are used."""

    def describe(self, item: Crop) -> str:
        """The piece and where in it."""
        return f"piece {item.item} from sample {item.start}"

    def save(self, folder: Path) -> None:
        """All weights and codebooks."""
        self.codec.save(folder)

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        self.codec.load(folder)


def si_sdr(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Scale-invariant signal-to-distortion ratio in dB over the last dimension (Le Roux et al. 2019,
    arXiv:1811.02508)."""
    made = made - made.mean(-1, keepdim=True)
    wanted = wanted - wanted.mean(-1, keepdim=True)
    energy = wanted.square().sum(-1, keepdim=True).clamp(min=1e-8)
    target = (made * wanted).sum(-1, keepdim=True) / energy * wanted
    rest = (made - target).square().sum(-1).clamp(min=1e-8)
    return 10 * torch.log10(target.square().sum(-1).clamp(min=1e-8) / rest)
