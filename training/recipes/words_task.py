"""Learning the text encoder before the rest: what a caption says of style, key, tempo and instruments.

A language model of codes hears so much from the codes before that it has little use for the words, and a
text encoder that it alone teaches stays at random for thousands of steps. One that already tells what is
asked for is listened to from the first step on. The heads that answer are left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.recipes.asked import AskedHeads
from training.recipes.captions import caption
from training.recipes.composer import Brief
from training.recipes.recipe import WordsRecipe
from training.run.loop import Loss

WEIGHTS = "words.safetensors"


class Saying(NamedTuple):
    """A caption of one piece."""

    item: int
    caption: str
    held_out: bool


class WordsTask:
    """Satisfies ``training.run.loop.Task``. ``encoder`` is a T5 encoder with fresh weights."""

    def __init__(
        self,
        recipe: WordsRecipe,
        encoder: Any,
        tokenizer: Any,
        train: Sequence[Brief],
        held_out: Sequence[Brief],
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self._recipe, self._tokenizer, self._seed = recipe, tokenizer, seed
        self._briefs = {False: train, True: held_out}
        self._device = torch.device(device)
        torch.manual_seed(seed)
        self._heads = AskedHeads(encoder.config.d_model)
        self.encoder = encoder.to(self._device)
        self._heads.to(self._device)

    def parameters(self) -> list[nn.Parameter]:
        """The encoder's and the heads'."""
        return [*self.encoder.parameters(), *self._heads.parameters()]

    def batches(self, epoch: int) -> list[list[Saying]]:
        """Captions drawn from (seed, epoch)."""
        rng, size = np.random.default_rng((self._seed, epoch)), self._recipe.schedule.batch_size
        return [
            [
                self._say(int(n), rng, False)
                for n in rng.integers(len(self._briefs[False]), size=size)
            ]
            for _ in range(self._recipe.steps_per_epoch)
        ]

    def validation(self) -> list[list[Saying]]:
        """A caption of each held-out piece, always the same."""
        rng, size = np.random.default_rng(self._seed), self._recipe.schedule.batch_size
        said = [self._say(n, rng, True) for n in range(len(self._briefs[True]))]
        return [said[start : start + size] for start in range(0, len(said), size)]

    def _say(self, item: int, rng: np.random.Generator, held_out: bool) -> Saying:
        return Saying(item, caption(self._briefs[held_out][item], rng), held_out)

    def loss(self, batch: Sequence[Saying], training: bool) -> Loss:
        """Cross-entropies of all that the pieces are, said or not."""
        self.encoder.train(training)
        briefs = [self._briefs[one.held_out][one.item] for one in batch]
        found = self._heads(self._meant([one.caption for one in batch])[:, None], briefs)
        return Loss(self._heads.total(found), found)

    def _meant(self, captions: list[str]) -> Tensor:
        """Mean of the encoder's states over a caption (B, D)."""
        read = self._tokenizer(captions, padding=True, return_tensors="pt").to(self._device)
        states, seen = self.encoder(**read).last_hidden_state, read["attention_mask"][..., None]
        return (states * seen).sum(1) / seen.sum(1)

    def stepped(self) -> None:
        """Nothing."""

    def describe(self, item: Saying) -> str:
        """The caption."""
        return f"piece {item.item} ({item.caption})"

    def save(self, folder: Path) -> None:
        """The encoder and the heads."""
        from safetensors.torch import save_model

        save_model(self._whole(), str(folder / WEIGHTS))

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        from safetensors.torch import load_model

        load_model(self._whole(), str(folder / WEIGHTS), device=str(self._device))

    def _whole(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "heads": self._heads})
