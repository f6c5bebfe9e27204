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
from torch.nn import functional as F

from training.loop import Loss
from training.recipes.captions import caption
from training.recipes.composer import Brief
from training.recipes.recipe import WordsRecipe

WEIGHTS = "words.safetensors"
NAMED = ("style", "mood", "energy", "key")  # one of many
LISTED = ("lead", "support")  # any of many
TEMPI, SLOWEST, FASTEST = 40, 60.0, 180.0  # steps of the tempo, as a logarithm
LISTED_WEIGHT = 5.0  # instruments are many, and most of them are not there


class Saying(NamedTuple):
    """A caption of one piece."""

    item: int
    caption: str
    held_out: bool


class WordsTask:
    """Satisfies ``training.loop.Task``. ``encoder`` is a T5 encoder with fresh weights."""

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
        every = [*train, *held_out]
        self._known = {name: sorted({getattr(b, name) for b in every}) for name in NAMED}
        self._instruments = sorted({i for b in every for i in (*b.lead, *b.support)})
        sizes = {name: len(values) for name, values in self._known.items()}
        sizes |= dict.fromkeys(LISTED, len(self._instruments))
        sizes |= {"tempo": TEMPI + 1, "flags": 2}
        torch.manual_seed(seed)
        width = encoder.config.d_model
        self._heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})
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
        meant = self._meant([one.caption for one in batch])
        found = {
            name: F.cross_entropy(
                self._heads[name](meant),
                self._numbers([values.index(getattr(brief, name)) for brief in briefs]),
            )
            for name, values in self._known.items()
        }
        tempi = self._numbers([_tempo(brief.tempo) for brief in briefs])
        found["tempo"] = F.cross_entropy(self._heads["tempo"](meant), tempi)
        truths = {name: [self._listed(getattr(b, name)) for b in briefs] for name in LISTED}
        truths["flags"] = [[b.drums, b.solo] for b in briefs]
        for name, truth in truths.items():
            wanted = torch.tensor(truth, dtype=torch.float32, device=self._device)
            found[name] = F.binary_cross_entropy_with_logits(self._heads[name](meant), wanted)
        weights = dict.fromkeys(LISTED, LISTED_WEIGHT)
        total = torch.stack([weights.get(name, 1.0) * value for name, value in found.items()]).sum()
        return Loss(total, found)

    def _meant(self, captions: list[str]) -> Tensor:
        """Mean of the encoder's states over a caption (B, D)."""
        read = self._tokenizer(captions, padding=True, return_tensors="pt").to(self._device)
        states, seen = self.encoder(**read).last_hidden_state, read["attention_mask"][..., None]
        return (states * seen).sum(1) / seen.sum(1)

    def _numbers(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self._device)

    def _listed(self, names: Sequence[str]) -> list[bool]:
        return [instrument in names for instrument in self._instruments]

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


def _tempo(bpm: float) -> int:
    share = np.log(bpm / SLOWEST) / np.log(FASTEST / SLOWEST)
    return int(np.clip(round(share * TEMPI), 0, TEMPI))
