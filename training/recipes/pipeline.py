"""From nothing to a model: corpus, codec, language model, saved folder, one after the other.

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
from training.recipes.corpus import Corpus, write
from training.recipes.recipe import ListenRecipe, MusicRecipe, Recipe, SynthRecipe, WordsRecipe
from training.record import State

if TYPE_CHECKING:
    from training.recipes.codec import ScoreCodec
    from training.recipes.music_task import MusicTask
    from training.recipes.words_task import WordsTask
    from training.run.loop import Task

log = logging.getLogger(__name__)

SPLITS = ("train", "validation")
CAPTIONS = 20_000  # from which the tokenizer learns


class Stage(StrEnum):
    """The stages in order."""

    CORPUS = "corpus"
    SYNTH = "synth"
    LISTEN = "listen"
    WORDS = "words"
    MUSIC = "music"
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
            Stage.SYNTH: self.train_synth,
            Stage.LISTEN: self.train_listening,
            Stage.WORDS: self.train_words,
            Stage.MUSIC: self.train_music,
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
        rate = self.recipe.codec.sample_rate
        for split, plan in self.recipe.corpus.plans(rate, self.recipe.seed).items():
            write(self.folder / Stage.CORPUS / split, plan, self._workers)
        return State.DONE

    def corpus(self, split: str) -> Corpus:
        """A split as far as it is rendered."""
        return Corpus.open(self.folder / Stage.CORPUS / split)

    # codec

    def train_synth(self) -> State:
        """Teach the codec's decoder to play, or go on."""
        from training.recipes.codec import ScoreCodec
        from training.recipes.synth_task import SynthTask

        recipe, seed = self.recipe.synth, self.recipe.seed
        train, held_out = map(self.corpus, SPLITS)
        codec = ScoreCodec(self.recipe.codec, train, seed)
        task = SynthTask(recipe, codec, train, held_out, seed, self._device())
        return self._train(Stage.SYNTH, task, recipe)

    def train_listening(self) -> State:
        """Teach the codec's encoder to hear, or go on."""
        from training.recipes.listen_task import ListenTask

        recipe, seed = self.recipe.listen, self.recipe.seed
        codec = self.codec(Stage.SYNTH)
        train, held_out = map(self.corpus, SPLITS)
        task = ListenTask(recipe, codec, train, held_out, seed, self._device())
        return self._train(Stage.LISTEN, task, recipe)

    def codec(self, stage: Stage = Stage.LISTEN) -> ScoreCodec:
        """The best codec so far of this stage."""
        from training.recipes.codec import ScoreCodec

        codec = ScoreCodec(self.recipe.codec)
        codec.load(self._best(stage))
        return codec.eval()

    # language model

    def train_words(self) -> State:
        """Train the text encoder on captions, or go on."""
        task = self._words_task(self._fresh().text_encoder)
        return self._train(Stage.WORDS, task, self.recipe.words)

    def _words_task(self, encoder: Any) -> WordsTask:
        from training.recipes.words_task import WordsTask

        train, held_out = (self.corpus(split).briefs for split in SPLITS)
        return WordsTask(
            self.recipe.words, encoder, self.tokenizer(), train, held_out, self.recipe.seed,
            self._device(),
        )  # fmt: skip

    def train_music(self) -> State:
        """Train the language model, or go on."""
        return self._train(Stage.MUSIC, self.music_task(), self.recipe.music)

    def music_task(self) -> MusicTask:
        """The task with fresh weights but for the text encoder's."""
        from training.recipes.music_task import MusicTask

        train = self.corpus("scores" if self.recipe.corpus.scores else "train")
        model, held_out = self._fresh(), self.corpus("validation")
        self._words_task(model.text_encoder).load(self._best(Stage.WORDS))
        return MusicTask(
            self.recipe.music, model, self.tokenizer(), train, held_out, self.recipe.seed,
            self._device(),
        )  # fmt: skip

    def _fresh(self) -> Any:
        from training.recipes import codec, model

        return model.build(self.recipe, codec.build(self.recipe.codec), self.tokenizer())

    def _best(self, stage: Stage) -> Path:
        from training.run.checkpoints import BEST

        path = self.folder / stage / BEST
        if not path.is_dir():
            raise StudioError(f"{path} is missing: train it first (--stages {stage}).")
        return path

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
        task.load(self._best(Stage.MUSIC))
        task.model.audio_encoder.load_state_dict(self.codec().export().state_dict())
        with task.averaged():
            model.save(task.model, self.tokenizer(), self.folder / Stage.MODEL)
        return State.DONE

    def _train(
        self,
        stage: Stage,
        task: Task,
        recipe: SynthRecipe | ListenRecipe | WordsRecipe | MusicRecipe,
    ) -> State:
        from training.recipes import run

        plan = recipe.schedule.plan(self.recipe.seed)
        return run.train(self.folder / stage, task, plan, recipe, self._precision)

    def _device(self) -> str:
        from training.run import devices

        return str(devices.prepare(self._precision).device)
