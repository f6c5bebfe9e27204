"""The configuration of a model trained from scratch: one YAML file decides size and length."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from engines.base import Params
from training.loop import Plan
from training.recipes.codec import CodecShape
from training.recipes.corpus import CorpusPlan


class Schedule(Params):
    """How long something is trained, and how fast."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    accumulation: int = Field(1, ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: float = Field(0.02, ge=0, le=0.5)
    max_grad_norm: float = Field(1.0, gt=0)
    save_every_steps: int = Field(250, ge=1)

    def plan(self, seed: int) -> Plan:
        """For the training loop; it never stops early, since the rate is meant to reach zero."""
        return Plan(
            epochs=self.epochs,
            accumulation=self.accumulation,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_share=self.warmup_share,
            max_grad_norm=self.max_grad_norm,
            patience=0,
            keep_last=2,
            save_every_steps=self.save_every_steps,
            seed=seed,
        )


class CorpusRecipe(Params):
    """How many pieces of how many seconds."""

    items: int = Field(ge=1)
    validation_items: int = Field(ge=1)
    seconds: float = Field(10.0, gt=0)

    def plans(self, sample_rate: int, seed: int) -> dict[str, CorpusPlan]:
        """Of each split."""
        sizes = {"train": self.items, "validation": self.validation_items}
        return {
            split: CorpusPlan(items, self.seconds, sample_rate, seed, split)
            for split, items in sizes.items()
        }


class CodecRecipe(Params):
    """The codec and its losses' weights."""

    shape: CodecShape = CodecShape()
    crop_s: float = Field(1.0, gt=0)
    steps_per_epoch: int = Field(500, ge=1)
    validation_crops: int = Field(64, ge=1)
    waveform_weight: float = Field(5.0, ge=0)
    commitment_weight: float = Field(0.25, ge=0)
    free_steps: int = Field(0, ge=0)
    free_share: float = Field(0.0, ge=0, lt=1)
    schedule: Schedule


class PolishRecipe(Params):
    """How the codec's decoder learns further while the codes stay; ``crop_s`` of each piece at once."""

    crop_s: float = Field(1.0, gt=0)
    steps_per_epoch: int = Field(250, ge=1)
    waveform_weight: float = Field(3.0, ge=0)
    schedule: Schedule


class TextShape(Params):
    """The text encoder, a T5 encoder, and how many pieces its tokenizer has."""

    vocabulary: int = Field(1024, ge=64)
    dimension: int = Field(192, ge=8)
    inner: int = Field(512, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)


class WordsRecipe(Params):
    """How the text encoder learns alone what captions say."""

    steps_per_epoch: int = Field(100, ge=1)
    schedule: Schedule


class DecoderShape(Params):
    """MusicGen's decoder."""

    hidden: int = Field(384, ge=8)
    inner: int = Field(1536, ge=8)
    layers: int = Field(8, ge=1)
    heads: int = Field(6, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)


class MusicRecipe(Params):
    """The language model: text encoder and decoder, trained together.

    ``short_share`` of the batches are cut to ``short_crop_s``: a frame of a short piece costs less (after
    Press et al. 2020, https://arxiv.org/abs/2012.15832).
    """

    text: TextShape = TextShape()
    decoder: DecoderShape = DecoderShape()
    crop_s: float = Field(10.0, gt=0)
    short_crop_s: float = Field(4.0, gt=0)
    short_share: float = Field(0.0, ge=0, le=1)
    conditioning_dropout: float = Field(0.1, ge=0, lt=1)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    codebook_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    schedule: Schedule


class RecallRecipe(Params):
    """The end of the language model's training: few pieces, always from their start.

    A small model that a laptop trains has not enough time to learn how music goes on in general, which
    would take days. It has enough to learn some pieces of each style by heart, and which words mean which.
    """

    pieces_per_style: int = Field(16, ge=1)
    short_share: float = Field(0.5, ge=0, le=1)
    schedule: Schedule


class Recipe(Params):
    """Everything that decides what a model becomes."""

    name: str
    seed: int = Field(1, ge=0)
    corpus: CorpusRecipe
    codec: CodecRecipe
    polish: PolishRecipe
    words: WordsRecipe
    music: MusicRecipe
    recall: RecallRecipe | None = None

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """From a YAML file."""
        return cls(**yaml.safe_load(path.read_text(encoding="utf-8")))
