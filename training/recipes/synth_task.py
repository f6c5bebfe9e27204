"""Learning to play: the codec's decoder and codebooks, from the score of a piece to its sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from training.recipes import score
from training.recipes.codec import ScoreCodec, SpectralLoss, level, si_sdr
from training.recipes.composer import PARTS
from training.recipes.corpus import Corpus
from training.recipes.recipe import ListenRecipe, SynthRecipe
from training.run.loop import Loss

LEVEL = 0.1  # root mean square of a render
QUIET = 1e-4  # mean square of what is as good as silent
ODDS = (0.1, 0.1, 0.35, 0.45)  # of each part to be heard alone: tones are harder than strokes


class Stretch(NamedTuple):
    """Frames of one piece from ``start`` on, all of it or one part."""

    item: int
    start: int
    held_out: bool
    part: int | None = None


class Stretches:
    """Stretches of ``frames`` frames drawn from a corpus, with their codes and their sound."""

    def __init__(self, train: Corpus, held_out: Corpus, frames: int, hop: int):
        self._splits = {False: train, True: held_out}
        self._frames, self._hop = frames, hop

    def draw(
        self, rng: np.random.Generator, count: int, held_out: bool = False, alone: float = 0.0
    ) -> list[Stretch]:
        """``count`` stretches of one split, a share of which is one part alone."""
        items, _, frames = self._splits[held_out].codes.shape
        found = []
        for _ in range(count):
            item, start = int(rng.integers(items)), int(rng.integers(frames - self._frames + 1))
            one = rng.random() < alone
            part = int(rng.choice(len(PARTS), p=ODDS)) if one else None
            found.append(Stretch(item, start, held_out, part))
        return found

    def codes(self, batch: Sequence[Stretch]) -> torch.Tensor:
        """The score, ``(B, K, T)``; parts that are left out rest."""
        found = []
        for one in batch:
            whole = self._splits[one.held_out].codes[one.item]
            codes = whole[:, one.start : one.start + self._frames].astype(np.int64)
            if one.part is not None:
                codes[np.arange(len(codes)) != one.part] = score.RESTING
            found.append(codes)
        return torch.from_numpy(np.stack(found))

    def sounds(self, batch: Sequence[Stretch]) -> torch.Tensor:
        """What is heard, ``(B, 1, L)``."""
        length = self._frames * self._hop
        found = [
            self._splits[one.held_out].sound(one.item, one.start * self._hop, length, one.part)
            for one in batch
        ]
        return torch.from_numpy(np.stack(found))[:, None]


class CodecTask:
    """What learning to play and learning to hear have in common; the rest of ``training.run.loop.Task`` is
    theirs."""

    def __init__(
        self,
        recipe: SynthRecipe | ListenRecipe,
        codec: ScoreCodec,
        train: Corpus,
        held_out: Corpus,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self._seed, self._device = seed, torch.device(device)
        self._length, self._schedule = recipe.steps_per_epoch, recipe.schedule
        self._alone_share = recipe.alone_share
        self.codec, shape = codec.to(self._device), codec.shape
        self._stretches = Stretches(
            train, held_out, round(recipe.crop_s * shape.frame_rate), shape.hop
        )
        self._spectral = SpectralLoss(shape.sample_rate).to(self._device)

    def batches(self, epoch: int) -> list[list[Stretch]]:
        """Stretches drawn from (seed, epoch)."""
        rng = np.random.default_rng((self._seed, epoch))
        return [
            self._stretches.draw(rng, self._schedule.batch_size, alone=self._alone_share)
            for _ in range(self._length)
        ]

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


class SynthTask(CodecTask):
    """Satisfies ``training.run.loop.Task``. ``codec`` is fresh; its encoder does not learn."""

    def __init__(
        self,
        recipe: SynthRecipe,
        codec: ScoreCodec,
        train: Corpus,
        held_out: Corpus,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        super().__init__(recipe, codec, train, held_out, seed, device)
        self._recipe, self._alone = recipe, False
        with torch.no_grad():
            first = self.codec.latents(self._stretches.codes(self.batches(0)[0]).to(self._device))
        level(self.codec.model.decoder, first, LEVEL)

    def parameters(self) -> list[torch.nn.Parameter]:
        """The decoder's and the codebooks."""
        return [*self.codec.tables, *self.codec.model.decoder.parameters()]

    def batches(self, epoch: int) -> list[list[Stretch]]:
        """Stretches drawn from (seed, epoch); the first epochs learn the waveform alone."""
        self._alone = epoch < self._recipe.waveform_epochs
        return super().batches(epoch)

    def validation(self) -> list[list[Stretch]]:
        """Always the same stretches of pieces that are not trained on."""
        rng, size = np.random.default_rng(self._seed), self._recipe.schedule.batch_size
        batches = -(-self._recipe.validation_crops // size)
        return [self._stretches.draw(rng, size, held_out=True) for _ in range(batches)]

    def loss(self, batch: Sequence[Stretch], training: bool) -> Loss:
        """Spectral and waveform losses of what the decoder makes of the codes; the latter is the power of
        the difference as a share of the sound's."""
        self.codec.model.decoder.train(training)
        wanted = self._stretches.sounds(batch).to(self._device)
        made = self.codec.play(self._stretches.codes(batch).to(self._device))
        spectral = self._spectral(made, wanted)
        power = wanted.square().mean((1, 2)).clamp(min=QUIET)
        waveform = ((made - wanted).square().mean((1, 2)) / power).mean()
        metrics = {"spectral": spectral, "waveform": waveform}
        if not training:
            metrics |= {"si_sdr_db": si_sdr(made, wanted).mean()}
        if training and self._alone:
            return Loss(waveform, metrics)
        return Loss(spectral + self._recipe.waveform_weight * waveform, metrics)
