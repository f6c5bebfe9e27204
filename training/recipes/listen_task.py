"""Learning to hear: the codec's encoder, from the sound of a piece to its score.

What the decoder makes of a score is heard as well as true renders, so that what the model itself has made
is understood: adapters are trained on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.recipes.codec import ScoreCodec, level, si_sdr, usage
from training.recipes.composer import PARTS
from training.recipes.corpus import Corpus
from training.recipes.recipe import ListenRecipe
from training.recipes.synth_task import CodecTask, Stretch
from training.run.loop import Loss


class ListenTask(CodecTask):
    """Satisfies ``training.run.loop.Task``. ``codec`` can play; only its encoder learns."""

    def __init__(
        self,
        recipe: ListenRecipe,
        codec: ScoreCodec,
        train: Corpus,
        held_out: Corpus,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        super().__init__(recipe, codec, train, held_out, seed, device)
        self._recipe = recipe
        first = self._stretches.sounds(self.batches(0)[0]).to(self._device)
        level(self.codec.model.encoder, first)

    def parameters(self) -> list[torch.nn.Parameter]:
        """The encoder's."""
        return list(self.codec.model.encoder.parameters())

    def validation(self) -> list[list[Stretch]]:
        """Always the same stretches of pieces that are not trained on, all in one batch, so that the use
        of the codebooks is counted over all of them."""
        rng = np.random.default_rng(self._seed)
        return [self._stretches.draw(rng, self._recipe.validation_crops, held_out=True)]

    def loss(self, batch: Sequence[Stretch], training: bool) -> Loss:
        """Cross-entropy of the codes; when validated also how often they are right, and how the sound is
        that they stand for."""
        self.codec.model.encoder.train(training)
        sounds = self._stretches.sounds(batch).to(self._device)
        codes = self._stretches.codes(batch).to(self._device)
        heard = sounds
        if training:  # from the generator that the loop seeded for this batch
            own = torch.from_numpy(np.random.random(len(batch)) < self._recipe.own_share)
            if own.any():
                heard = sounds.clone()
                with torch.no_grad():
                    heard[own] = self.codec.play(codes[own])
        logits = self.codec.hear(heard)
        losses = [
            F.cross_entropy(part.transpose(1, 2), codes[:, k]) for k, part in enumerate(logits)
        ]
        metrics = {f"{part}_loss": value for part, value in zip(PARTS, losses, strict=True)}
        if not training:
            metrics |= self._validated(
                torch.stack([part.argmax(-1) for part in logits], 1), codes, sounds
            )
        return Loss(torch.stack(losses).mean(), metrics)

    def _validated(self, found: Tensor, codes: Tensor, sounds: Tensor) -> dict[str, Tensor]:
        made = self.codec.play(found)
        right = (found == codes).float().mean((0, 2))
        used = usage(found, self.codec.shape.entries)
        metrics = {
            "si_sdr_db": si_sdr(made, sounds).mean(),
            "spectral": self._spectral(made, sounds),
        }
        for k, part in enumerate(PARTS):
            metrics |= {f"{part}_right": right[k], f"{part}_use": torch.tensor(used[k])}
        return metrics
