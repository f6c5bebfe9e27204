"""From nothing to a model: corpus, codec, codes, language model, saved folder, one after the other.

Each stage keeps its results in a folder of its own and leaves out what is there already, so a stopped
pipeline goes on where it was.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.base import StudioError
from training.config import Precision
from training.recipes.corpus import Corpus, scaled, write
from training.recipes.recipe import RecallRecipe, Recipe
from training.record import State

if TYPE_CHECKING:
    from training.recipes.codec import TrainableCodec
    from training.recipes.music_task import MusicTask, Pieces
    from training.recipes.words_task import WordsTask

log = logging.getLogger(__name__)

SPLITS = ("train", "validation")
CAPTIONS = 20_000  # from which the tokenizer learns
AT_ONCE = 16  # pieces that a GPU takes through the codec together; a processor's cache holds one


class Stage(StrEnum):
    """The stages in order."""

    CORPUS = "corpus"
    CODEC = "codec"
    CODES = "codes"
    POLISH = "polish"
    WORDS = "words"
    MUSIC = "music"
    RECALL = "recall"
    MODEL = "model"


class Pipeline:
    """One recipe in one folder."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        workers: int = 1,
        precision: Precision = Precision.AUTO,
    ):
        self.recipe, self.folder = recipe, folder
        self._workers, self._precision = workers, precision

    def run(self, stages: tuple[Stage, ...] = tuple(Stage)) -> State:
        """Do the stages; ``STOPPED`` as soon as one was asked to stop."""
        steps = {
            Stage.CORPUS: self.write_corpus,
            Stage.CODEC: self.train_codec,
            Stage.CODES: self.write_codes,
            Stage.POLISH: self.train_decoder,
            Stage.WORDS: self.train_words,
            Stage.MUSIC: self.train_music,
            Stage.RECALL: self.train_recall,
            Stage.MODEL: self.write_model,
        }
        for stage in stages:
            log.info("stage %s", stage)
            if steps[stage]() is State.STOPPED:
                return State.STOPPED
        return State.DONE

    # corpus

    def write_corpus(self) -> State:
        """Compose and render what is missing."""
        rate = self.recipe.codec.shape.sample_rate
        for split, plan in self.recipe.corpus.plans(rate, self.recipe.seed).items():
            write(self.folder / Stage.CORPUS / split, plan, self._workers)
        return State.DONE

    def corpus(self, split: str) -> Corpus:
        """A split as far as it is rendered."""
        return Corpus.open(self.folder / Stage.CORPUS / split)

    # codec

    def train_codec(self) -> State:
        """Train the codec, or go on."""
        from training.recipes import run
        from training.recipes.codec_task import CodecTask

        recipe = self.recipe.codec
        train, held_out = map(self.corpus, SPLITS)
        task = CodecTask(recipe, train, held_out, self.recipe.seed, self._device())
        plan = recipe.schedule.plan(self.recipe.seed)
        return run.train(self.folder / Stage.CODEC, task, plan, recipe, self._precision)

    def codec(self, stage: Stage = Stage.CODEC) -> TrainableCodec:
        """The best codec so far of this stage."""
        from training.recipes.codec import TrainableCodec

        codec = TrainableCodec(self.recipe.codec.shape)
        codec.load(self._best(stage))
        return codec.eval()

    # codes

    def write_codes(self) -> State:
        """Codes of all pieces, once: for each shard of the corpus a file of int16 (N, K, T)."""
        import torch

        model = self.codec().export().eval().to(self._device())
        together = 1 if model.device.type == "cpu" else AT_ONCE
        for split in SPLITS:
            folder = self._codes(split)
            folder.mkdir(parents=True, exist_ok=True)
            for number, samples in enumerate(self.corpus(split).samples):
                path = folder / f"shard-{number:05d}.npy"
                if path.is_file():
                    continue
                parts = []
                for first in range(0, len(samples), together):
                    sounds = scaled(samples[first : first + together])[:, None]
                    with torch.inference_mode():
                        values = torch.from_numpy(sounds).to(model.device)
                        parts.append(model.encode(values).audio_codes[0].short().cpu().numpy())
                part = path.with_suffix(".part")
                with part.open("wb") as file:
                    np.save(file, np.concatenate(parts))
                part.replace(path)
        return State.DONE

    def _codes(self, split: str) -> Path:
        return self.folder / Stage.CODES / split

    # the codec's decoder

    def train_decoder(self) -> State:
        """Train the codec's decoder on the codes, or go on."""
        from training.recipes import run
        from training.recipes.polish_task import PolishTask, Split

        train, held_out = (Split(self.corpus(split), self._pieces(split).codes) for split in SPLITS)
        recipe, polish, seed = self.recipe.codec, self.recipe.polish, self.recipe.seed
        task = PolishTask(recipe, polish, self.codec(), train, held_out, seed, self._device())
        plan = polish.schedule.plan(seed)
        return run.train(self.folder / Stage.POLISH, task, plan, polish, self._precision)

    # language model

    def train_words(self) -> State:
        """Train the text encoder on captions, or go on."""
        from training.recipes import run

        words, plan = self.recipe.words, self.recipe.words.schedule.plan(self.recipe.seed)
        task = self._words_task(self._fresh().text_encoder)
        return run.train(self.folder / Stage.WORDS, task, plan, words, self._precision)

    def _words_task(self, encoder: Any) -> WordsTask:
        from training.recipes.words_task import WordsTask

        train, held_out = (self.corpus(split).briefs for split in SPLITS)
        return WordsTask(
            self.recipe.words, encoder, self.tokenizer(), train, held_out, self.recipe.seed,
            self._device(),
        )  # fmt: skip

    def train_music(self) -> State:
        """Train the language model, or go on."""
        from training.recipes import run

        settings, plan = self.recipe.music, self.recipe.music.schedule.plan(self.recipe.seed)
        return run.train(
            self.folder / Stage.MUSIC, self.music_task(), plan, settings, self._precision
        )

    def train_recall(self) -> State:
        """Train the language model further on few pieces, or go on."""
        from training.recipes import run

        recall = self.recipe.recall
        if recall is None:
            return State.DONE
        plan = recall.schedule.plan(self.recipe.seed)
        task = self.music_task(recall)
        task.begin_with(self._best(Stage.MUSIC))
        return run.train(self.folder / Stage.RECALL, task, plan, recall, self._precision)

    def music_task(self, recall: RecallRecipe | None = None) -> MusicTask:
        """The task with fresh weights but for the text encoder's."""
        from training.recipes.music_task import MusicTask

        music, (train, held_out) = self.recipe.music, map(self._pieces, SPLITS)
        if recall:
            changes = {"short_share": recall.short_share, "schedule": recall.schedule}
            music = music.model_copy(update=changes)
            train = train.of_each_style(recall.pieces_per_style)
            held_out = train  # what is to be recalled is what is asked
        model = self._fresh()
        self._words_task(model.text_encoder).load(self._best(Stage.WORDS))
        return MusicTask(
            music, model, self.tokenizer(), train, held_out, self.recipe.seed, self._device(),
            from_start=recall is not None,
        )  # fmt: skip

    def _fresh(self) -> Any:
        from training.recipes import model

        return model.build(self.recipe, self.codec().export(), self.tokenizer())

    def _best(self, stage: Stage) -> Path:
        from training.checkpoints import BEST

        path = self.folder / stage / BEST
        if not path.is_dir():
            raise StudioError(f"{path} is missing: train it first (--stages {stage}).")
        return path

    def _pieces(self, split: str) -> Pieces:
        from training.recipes.music_task import Pieces

        codes = np.concatenate([np.load(path) for path in sorted(self._codes(split).glob("*.npy"))])
        return Pieces(codes, self.corpus(split).briefs[: len(codes)])

    def tokenizer(self) -> Any:
        """Learned from captions of the corpus, once: another time the pieces might be others."""
        from transformers import T5Tokenizer

        from training.recipes.captions import caption
        from training.recipes.text import learn_tokenizer

        folder = self.folder / "tokenizer"
        if not (folder / "tokenizer.json").is_file():
            briefs, rng = self.corpus("train").briefs, np.random.default_rng(self.recipe.seed)
            captions = (caption(briefs[n % len(briefs)], rng) for n in range(CAPTIONS))
            learn_tokenizer(captions, self.recipe.music.text.vocabulary).save_pretrained(folder)
        return T5Tokenizer.from_pretrained(folder)

    # the result

    def write_model(self) -> State:
        """The averaged weights with the codec as a folder that ``from_pretrained`` loads."""
        from training.recipes import model

        task = self.music_task()
        task.load(self._best(Stage.RECALL if self.recipe.recall else Stage.MUSIC))
        task.model.audio_encoder.load_state_dict(self.codec(Stage.POLISH).export().state_dict())
        with task.averaged():
            model.save(task.model, self.tokenizer(), self.folder / Stage.MODEL)
        return State.DONE

    def _device(self) -> str:
        from training import devices

        return str(devices.prepare(self._precision).device)
