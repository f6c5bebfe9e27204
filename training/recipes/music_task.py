"""Learning the language model: text encoder and MusicGen decoder from scratch, on cached codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from training.musicgen.tasks import tokens
from training.recipes import score
from training.recipes.asked import AskedHeads
from training.recipes.captions import caption
from training.recipes.corpus import Corpus
from training.recipes.recipe import MusicRecipe
from training.run import losses
from training.run.loop import Loss

WEIGHTS, AVERAGE = "weights.safetensors", "average.safetensors"
PARTS = ("text_encoder.", "decoder.", "enc_to_dec_proj.")
HEADS = "asked."


class Take(NamedTuple):
    """The first ``frames`` of one piece, and what it is called this time."""

    item: int
    frames: int
    caption: str
    held_out: bool = False


def entering(labels: torch.Tensor, notes: int) -> torch.Tensor:
    """Where a part has begun fewer than ``notes`` notes before, in labels of a score ``(B, K, T)``; a bool
    tensor of the same shape. It follows from what came before, and not from what the label is."""
    begins = torch.from_numpy(score.begins()).to(labels.device)
    books = torch.arange(labels.shape[1], device=labels.device)[None, :, None]
    begun = begins[books, labels.clamp(min=0)] & (labels >= 0)
    return begun.cumsum(-1) - begun.long() < notes


class MusicTask:
    """Satisfies ``training.run.loop.Task``. ``model`` is a whole MusicGen with fresh weights; its codec is
    not used. Validation and what ``best`` holds are of the weights' moving average.

    Heads over the middle of the decoder are learned beside it, see ``MusicRecipe.asked_weight``."""

    def __init__(
        self,
        recipe: MusicRecipe,
        model: Any,
        tokenizer: Any,
        train: Corpus,
        held_out: Corpus,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self._recipe, self._tokenizer, self._seed = recipe, tokenizer, seed
        self._train, self._held_out = train, held_out
        self._device = torch.device(device)
        self.model = model.to(self._device)
        self._pad = int(model.decoder.config.pad_token_id)
        self._learned = {
            name: parameter
            for name, parameter in model.named_parameters()
            if name.startswith(PARTS) and parameter.requires_grad
        }
        torch.manual_seed(seed)
        self._heads = AskedHeads(model.decoder.config.hidden_size).to(self._device)
        if recipe.asked_weight:
            self._learned |= {f"{HEADS}{n}": p for n, p in self._heads.named_parameters()}
        self._average = {name: p.detach().clone() for name, p in self._learned.items()}
        self._steps = 0
        rate = model.config.audio_encoder.frame_rate
        self._long, self._short, self._opening = (
            min(round(seconds * rate), train.codes.shape[2])
            for seconds in (recipe.crop_s, recipe.short_crop_s, recipe.opening_s)
        )

    # of the loop

    def parameters(self) -> list[torch.nn.Parameter]:
        """Text encoder, projection and decoder."""
        return list(self._learned.values())

    def batches(self, epoch: int) -> list[list[Take]]:
        """All pieces and some openings, in an order, with lengths and with captions drawn from
        (seed, epoch)."""
        rng = np.random.default_rng((self._seed, epoch))
        made = []
        for items in self._split(rng.permutation(len(self._train.briefs))):
            short = rng.random() < self._recipe.short_share
            frames = self._short if short else self._long
            made.append([self._take(item, frames, rng) for item in items])
        for _ in range(self._recipe.opening_batches):
            items = rng.integers(len(self._train.briefs), size=self._recipe.opening_size).tolist()
            made.append([self._take(item, self._opening, rng) for item in items])
        return [made[number] for number in rng.permutation(len(made))]

    def validation(self) -> list[list[Take]]:
        """All held-out pieces at full length, always with the same captions."""
        rng = np.random.default_rng(self._seed)
        return [
            [self._take(item, self._long, rng, held_out=True) for item in items]
            for items in self._split(np.arange(len(self._held_out.briefs)))
        ]

    def _take(
        self, item: int, frames: int, rng: np.random.Generator, held_out: bool = False
    ) -> Take:
        pieces = self._held_out if held_out else self._train
        return Take(item, frames, caption(pieces.briefs[item], rng), held_out)

    def _split(self, items: np.ndarray) -> list[list[int]]:
        size = self._recipe.schedule.batch_size
        return [items[start : start + size].tolist() for start in range(0, len(items), size)]

    def loss(self, batch: Sequence[Take], training: bool) -> Loss:
        """Cross-entropy, by codebook too."""
        self.model.train(training)
        if training:
            return self._loss(batch, True)
        with self.averaged():
            return self._loss(batch, False)

    def _loss(self, batch: Sequence[Take], training: bool) -> Loss:
        codes = [torch.from_numpy(self._codes(take)) for take in batch]
        given = tokens(codes, self._pad)
        hidden, mask = self._conditioning([take.caption for take in batch])
        if training:  # from the generator that the loop seeded for this batch
            dropped = np.random.random(len(batch)) < self._recipe.conditioning_dropout
            hidden = hidden * torch.from_numpy(~dropped).to(hidden)[:, None, None]
        inputs, labels = given.inputs.to(self._device), given.labels.to(self._device)
        rows, codebooks, length = inputs.shape
        made = self.model.decoder(
            input_ids=inputs.reshape(rows * codebooks, length),
            encoder_hidden_states=hidden,
            encoder_attention_mask=mask,
            output_hidden_states=True,
            use_cache=False,
        )
        logits = made.logits.view(rows, codebooks, length, -1)
        found = losses.token_losses(logits, labels)
        valid = (labels != losses.IGNORED).sum((0, 2))
        plain = found.detach().sum((0, 2)) / valid
        metrics = {f"codebook_{k + 1}": value for k, value in enumerate(plain)}
        recipe = self._recipe
        weight = 1 + (recipe.entry_weight - 1) * entering(labels, recipe.entry_notes)
        value = ((found * weight).sum((0, 2)) / valid).mean()
        if recipe.asked_weight:
            middle = made.hidden_states[len(made.hidden_states) // 2]
            briefs = [self._pieces(take).briefs[take.item] for take in batch]
            told = self._heads(middle, briefs)
            metrics |= {f"asked_{name}": one.detach() for name, one in told.items()}
            if training:
                value = value + recipe.asked_weight * self._heads.total(told)
        return Loss(value, metrics)

    def _pieces(self, take: Take) -> Corpus:
        return self._held_out if take.held_out else self._train

    def _codes(self, take: Take) -> np.ndarray:
        return self._pieces(take).codes[take.item][:, : take.frames].astype(np.int64)

    def _conditioning(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder is told (B, S, H), zero where there is no text, and the mask (B, S)."""
        read = self._tokenizer(captions, padding=True, return_tensors="pt").to(self._device)
        states = self.model.text_encoder(**read).last_hidden_state
        if hasattr(self.model, "enc_to_dec_proj"):
            states = self.model.enc_to_dec_proj(states)
        return states * read["attention_mask"][..., None], read["attention_mask"]

    def stepped(self) -> None:
        """The average follows the weights, quickly at first."""
        self._steps += 1
        decay = min(self._recipe.ema_decay, (1 + self._steps) / (10 + self._steps))
        with torch.no_grad():
            ours = list(self._average.values())
            torch._foreach_lerp_(ours, [p.detach() for p in self._learned.values()], 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with the moving average for its weights."""
        now = {name: parameter.data for name, parameter in self._learned.items()}
        for name, parameter in self._learned.items():
            parameter.data = self._average[name]
        try:
            yield
        finally:
            for name, parameter in self._learned.items():
                parameter.data = now[name]

    def describe(self, item: Take) -> str:
        """The piece and its caption."""
        return f"piece {item.item} ({item.caption})"

    def save(self, folder: Path) -> None:
        """The weights, their average, and how often it has followed."""
        from safetensors.torch import save_file

        save_file({n: p.detach().contiguous() for n, p in self._learned.items()}, folder / WEIGHTS)
        save_file(self._average, folder / AVERAGE, {"steps": str(self._steps)})

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        from safetensors import safe_open
        from safetensors.torch import load_file

        found = load_file(folder / WEIGHTS, device=str(self._device))
        with torch.no_grad():
            for name, parameter in self._learned.items():
                parameter.copy_(found[name])
        with safe_open(folder / AVERAGE, "pt", device=str(self._device)) as file:
            self._steps = int(file.metadata()["steps"])
            self._average = {name: file.get_tensor(name) for name in self._learned}
