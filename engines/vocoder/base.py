"""The engine of every vocoder: a sound, of which the mel is taken, or a mel file; a sound out."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import (
    AudioFile,
    Clip,
    Device,
    Engine,
    Job,
    MelFile,
    Params,
    Report,
    StudioError,
    Weights,
)
from engines.parts.frame_windows import FrameWindow, frame_windows, joined, read_resampled
from engines.parts.mel_recipes import MelOfFile, MelOfSound, Recipe, read_mel
from engines.parts.published import folder_of, reading
from engines.parts.references import LONGEST_SOURCE_S, check_length

WINDOW_FRAMES = 1024
NOISE_BLOCK = 4096  # frames whose noise is drawn at once


class VocoderParams(Params):
    """Parameters of one synthesis."""

    source: AudioFile | None = Field(
        None,
        title="Sound",
        description="A sound whose mel-spectrogram is taken and made into sound again.",
    )
    mel: MelFile | None = Field(
        None,
        title="Mel file",
        description="A .npy file (bands, frames) by the vocoder's own recipe, in place of a sound.",
    )


def check_inputs(params: Any) -> None:
    """Raise ``StudioError`` for no input, two, or a sound that can't be read."""
    if (params.source is None) == (params.mel is None):
        wrong = "Both are given" if params.source else "Nothing is given"
        raise StudioError(f"{wrong}: choose a sound, or a mel file.", "source")
    if params.source is not None:
        check_length(params.source, "source", shortest_s=0.01, longest_s=LONGEST_SOURCE_S)


class Noise:
    """Normal numbers that belong to places in the sound, whatever windows ask for them."""

    def __init__(self, job: Job, *key: int):
        self._job, self._key = job, key

    def at(self, first: int, last: int, width: int) -> np.ndarray:
        """Of places ``first`` to ``last``, float32 ``(last - first, width)``."""
        blocks = range(first // NOISE_BLOCK, -(-last // NOISE_BLOCK))
        drawn = [
            self._job.rng(*self._key, block).standard_normal((NOISE_BLOCK, width), np.float32)
            for block in blocks
        ]
        begin = first - blocks.start * NOISE_BLOCK
        return np.concatenate(drawn)[begin : begin + last - first]


class VocoderEngine(Engine):
    """Windows, exact lengths and checks for each vocoder; subclasses ``open`` and ``vocode``."""

    Params = VocoderParams
    context: ClassVar[int] = 96  # frames heard on either side of a window

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._name = ""
        self._network: Any = None
        self._recipe: Recipe | None = None
        self._device = "cpu"

    @abstractmethod
    def open(self, weights: Weights, folder: Path, device: Device) -> tuple[Any, Recipe]:
        """The network of ``weights``, whose files are in ``folder``, and the recipe of its mels."""

    @abstractmethod
    def recipe_of(self, weights: Weights) -> Recipe:
        """The recipe that published weights have."""

    @abstractmethod
    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """Samples (L,) or (1, L) on the device of the mel (1, n_mels, T) of all that a window hears."""

    def begin(self, heard: MelOfSound | MelOfFile, params: Any, job: Job) -> None:
        """Called before the first window."""

    def chosen(self, params: Any) -> str:
        """The id of the weights that ``params`` asks for; empty for the first."""
        return str(getattr(params, "model", ""))

    def weights_for(self, params: Any) -> Weights:
        """The weights that ``params`` names."""
        available = list(self.weights())
        name = self.chosen(params)
        return next((each for each in available if each.id == name), available[0])

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for no input or two, or a mel of another recipe."""
        check_inputs(params)
        if params.mel is not None:
            read_mel(params.mel, self.recipe_of(self.weights_for(params)))

    # loading

    def load(self, device: Device, params: Any = None) -> None:
        """Load the vocoder that ``params`` asks for; the one before is forgotten."""
        weights = self.weights_for(params or self.Params())
        if self._name == weights.id:
            return
        folder = self.folder(weights)
        self.unload()
        import torch

        torch.set_num_threads(device.threads)
        with reading(weights.title):
            network, self._recipe = self.open(weights, folder, device)
        if network is not None:
            self._network = network.to(device.device).float().eval()
        self._name, self._device = weights.id, device.device

    def folder(self, weights: Weights) -> Path:
        """Where the files of ``weights`` are."""
        return folder_of(self.cache, weights)

    def unload(self) -> None:
        """Forget the network."""
        self._name, self._network, self._recipe = "", None, None

    # running

    def run(self, params: Any, job: Job) -> Iterator[Clip | Report]:
        """The sound, emitted window by window, then its recipe and the speed."""
        import torch

        recipe, weights = self._recipe, self.weights_for(params)
        assert recipe is not None, "load comes first"
        heard: MelOfSound | MelOfFile
        if params.mel is not None:
            heard = MelOfFile(read_mel(params.mel, recipe), recipe, self._device)
        else:
            samples = read_resampled(params.source, recipe.rate, 1)[0]
            heard = MelOfSound(samples, recipe, self._device)
        started = time.perf_counter()
        self.begin(heard, params, job)
        windows = frame_windows(heard.frames, WINDOW_FRAMES, self.context)

        def make(window: FrameWindow) -> np.ndarray:
            job.check()
            job.progress(window.first, heard.frames, "Vocoding")
            with torch.inference_mode():
                mel = heard.part(window.start, window.end)
                made = self.vocode(mel, window, params, job)
            return made.reshape(1, -1).float().cpu().numpy()

        pieces = []
        for piece in joined(windows, recipe.hop, recipe.rate, heard.length, make):
            piece = np.clip(piece[0], -1, 1).astype(np.float32)
            pieces.append(piece)
            job.emit(piece, recipe.rate)
        job.progress(1, 1)
        revision = self.cache.revision(weights) if weights.repo else ""
        yield Clip(np.concatenate(pieces), recipe.rate, title=weights.title, revision=revision)
        yield report(recipe.words, heard.length / recipe.rate, time.perf_counter() - started)


def report(recipe: str, sound_s: float, took_s: float) -> Report:
    """What a vocoder says beside its sound."""
    return Report({"mel": recipe, "x real time": round(sound_s / max(took_s, 1e-6), 2)})
