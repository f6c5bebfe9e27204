"""The configuration of a model trained from scratch: one YAML file decides size and length."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from engines.base import Params
from training.recipes.codec import CodecShape
from training.recipes.corpus import CorpusPlan
from training.run.loop import Plan


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
    """How many pieces of how many seconds: rendered ones, held-out ones, and ``scores`` that are written
    down only, from which the language model learns (0: from the rendered ones). A small model knows a
    few thousand pieces by heart before it understands what was asked for."""

    items: int = Field(ge=1)
    validation_items: int = Field(ge=1)
    scores: int = Field(0, ge=0)
    seconds: float = Field(10.0, gt=0)

    def plans(self, sample_rate: int, seed: int) -> dict[str, CorpusPlan]:
        """Of each split."""
        sizes = {"train": self.items, "validation": self.validation_items, "scores": self.scores}
        return {
            split: CorpusPlan(items, self.seconds, sample_rate, seed, split, split != "scores")
            for split, items in sizes.items()
            if items
        }


class SynthRecipe(Params):
    """How the codec's decoder learns to play the score; ``crop_s`` of each piece at once.

    An ``alone_share`` of what it hears is one part without the others. The first ``waveform_epochs`` learn
    the waveform alone, which says where each partial is in its cycle. Spectra do not, and a decoder that
    hears them from the start never finds out.
    """

    crop_s: float = Field(1.0, gt=0)
    steps_per_epoch: int = Field(250, ge=1)
    validation_crops: int = Field(64, ge=1)
    waveform_weight: float = Field(0.3, ge=0)
    waveform_epochs: int = Field(0, ge=0)
    alone_share: float = Field(0.5, ge=0, le=1)
    schedule: Schedule


class ListenRecipe(Params):
    """How the codec's encoder learns to hear the score: ``own_share`` of the sounds are the decoder's own,
    ``alone_share`` one part without the others."""

    crop_s: float = Field(1.0, gt=0)
    steps_per_epoch: int = Field(250, ge=1)
    validation_crops: int = Field(64, ge=1)
    own_share: float = Field(0.5, ge=0, le=1)
    alone_share: float = Field(0.3, ge=0, le=1)
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
    """The language model: text encoder and decoder, trained together, on pieces from their start.

    What the words decide is decided where a part enters, which is little of a piece: who plays, how fast,
    in which key. So an epoch has ``opening_batches`` of ``opening_size`` pieces' first ``opening_s``, and
    what a part does counts ``entry_weight`` times until it has begun ``entry_notes`` notes.
    ``short_share`` of the other batches are cut to ``short_crop_s``: a frame of a short piece costs less
    (after Press et al. 2020, https://arxiv.org/abs/2012.15832).

    Even so the words for tempo and key go unheard for thousands of steps: a few of many words, of use for a
    few of many codes. ``asked_weight`` is what it counts that heads over the middle of the decoder can tell
    at each moment what the piece was asked to be.

    ``guidance_scale``, ``temperature``, ``top_k`` and ``top_p`` are the sampling that the model's folder
    states: what a small model is not sure of, it had better not play.
    """

    text: TextShape = TextShape()
    decoder: DecoderShape = DecoderShape()
    crop_s: float = Field(10.0, gt=0)
    short_crop_s: float = Field(4.0, gt=0)
    short_share: float = Field(0.0, ge=0, le=1)
    opening_s: float = Field(0.6, gt=0)
    opening_size: int = Field(32, ge=1)
    opening_batches: int = Field(0, ge=0)
    conditioning_dropout: float = Field(0.1, ge=0, lt=1)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    entry_weight: float = Field(1.0, ge=1)
    entry_notes: int = Field(1, ge=1)
    asked_weight: float = Field(0.0, ge=0)
    guidance_scale: float = Field(3.0, ge=1)
    temperature: float = Field(1.0, gt=0)
    top_k: int = Field(250, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    schedule: Schedule


class Recipe(Params):
    """Everything that decides what a model becomes."""

    name: str
    seed: int = Field(1, ge=0)
    corpus: CorpusRecipe
    codec: CodecShape = CodecShape()
    synth: SynthRecipe
    listen: ListenRecipe
    words: WordsRecipe
    music: MusicRecipe

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """From a YAML file."""
        return cls(**yaml.safe_load(path.read_text(encoding="utf-8")))
