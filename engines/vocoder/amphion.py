"""Vocoders that Amphion trains: HiFi-GAN, BigVGAN, NSF-HiFiGAN, APNet, MelGAN and DiffWave."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Job, Seed, StudioError, Task, Weights
from engines.parts.frame_windows import FrameWindow
from engines.parts.mel_recipes import MelOfFile, MelOfSound, Recipe, log_mels
from engines.parts.mel_vocoder import (
    BIGVGAN_SINGING,
    HIFIGAN_LJSPEECH,
    Published,
    built,
    read_published,
)
from engines.parts.published import need_mb
from engines.vocoder.base import Noise, VocoderEngine, VocoderParams

AMPHION = "https://github.com/open-mmlab/Amphion"
OWN_FILES = ("args.json", "checkpoint*")


class AmphionVocoder(VocoderEngine):
    """Reads ``args.json`` and the newest checkpoint; ``inside`` names the folder in the repository."""

    kind: ClassVar[str] = ""
    inside: ClassVar[dict[str, str]] = {}

    def recipe_of(self, weights: Weights) -> Recipe:
        """22.05 kHz for LJ Speech, else 24 kHz."""
        from engines.networks.blocks.mel import VOCODER_22K, VOCODER_24K

        return log_mels(VOCODER_22K if weights.id == HIFIGAN_LJSPEECH.id else VOCODER_24K)

    def open(self, weights: Weights, folder: Path, device: Device) -> tuple[Any, Recipe]:
        """The generator, and the recipe that its settings tell."""
        from engines.networks.weights import WeightsError

        found = read_published(folder, self.inside.get(weights.id, ""))
        if found.kind != self.kind:
            raise WeightsError(f"args.json names the generator “{found.kind}”, not “{self.kind}”.")
        return self.network(found), recipe_from(found.preprocess)

    def network(self, found: Published) -> Any:
        """The generator with its weights."""
        return built(found)

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """One pass."""
        return self._network(mel)


def recipe_from(preprocess: Any) -> Recipe:
    """The recipe of the section ``preprocess``; ``WeightsError`` where an entry is missing."""
    from engines.networks.blocks.mel import MelRecipe
    from engines.networks.weights import WeightsError

    try:
        return log_mels(
            MelRecipe(
                sample_rate=preprocess["sample_rate"], n_fft=preprocess["n_fft"],
                hop=preprocess["hop_size"], n_mels=preprocess["n_mel"],
                fmin=preprocess.get("fmin", 0.0), fmax=preprocess.get("fmax"),
                win=preprocess.get("win_size"),
            )
        )  # fmt: skip
    except KeyError as error:
        raise WeightsError(f"The section “preprocess” of args.json lacks {error}.") from error


def _own(id: str, title: str) -> tuple[Weights, ...]:
    """Weights that nobody published, looked for in ``models/own``."""
    return (Weights(id, title, files=OWN_FILES, license="your own"),)


def _card(id: str, title: str, summary: str, paper: str, parameters: int, **more: Any) -> Card:
    return Card(
        id=id, title=title, task=Task.VOCODER, summary=summary, license_code="MIT",
        sample_rate=24_000, paper=paper, home=AMPHION, requires=("torch",), pip_extra="torch",
        memory_mb={"float32": need_mb(parameters)},
        **{"license_weights": "your own", **more},
    )  # fmt: skip


TO_TRAIN = (
    "Amphion published no weights. Put args.json and the folder checkpoint of a training of yours into "
    "models/own of the data folder, in a folder named like the engine."
)


class HifiGanModel(StrEnum):
    """The published weights."""

    SPEECH = "hifigan-speech"
    LJSPEECH = "hifigan-ljspeech"


class HifiGanParams(VocoderParams):
    """Parameters of one synthesis."""

    model: HifiGanModel = Field(
        HifiGanModel.SPEECH,
        title="Model",
        description="Many voices at 24 kHz, or the one voice of LJ Speech at 22.05 kHz.",
    )


class HifiGan(AmphionVocoder):
    """HiFi-GAN."""

    card = _card(
        "hifigan", "HiFi-GAN", "The classic fast vocoder, trained on many voices or one.",
        "https://arxiv.org/abs/2010.05646", 23_650_946, license_weights="MIT",
    )  # fmt: skip
    Params = HifiGanParams
    kind = "hifigan"
    inside: ClassVar[dict[str, str]] = {HifiGanModel.SPEECH: "hifigan_speech"}

    def weights(self) -> Sequence[Weights]:
        """24 kHz first."""
        speech = Weights(
            HifiGanModel.SPEECH, "HiFi-GAN, speech, 24 kHz", repo="amphion/hifigan_speech_bigdata",
            files=("hifigan_speech/args.json", "hifigan_speech/checkpoint*/*"),
            optional=("hifigan_speech/checkpoint*/*/*model*",), license="MIT",
        )  # fmt: skip
        return speech, HIFIGAN_LJSPEECH


class BigVgan(AmphionVocoder):
    """BigVGAN."""

    card = _card(
        "bigvgan", "BigVGAN, singing", "A large vocoder with periodic activations, trained on singing.",
        "https://arxiv.org/abs/2206.04658", 112_448_906, license_weights="MIT",
    )  # fmt: skip
    kind = "bigvgan"
    inside: ClassVar[dict[str, str]] = {BIGVGAN_SINGING.id: "bigvgan_singing"}

    def weights(self) -> Sequence[Weights]:
        """Those of the singing systems."""
        return (BIGVGAN_SINGING,)


class ApNet(AmphionVocoder):
    """APNet."""

    card = _card(
        "apnet", "APNet", "Predicts amplitude and phase of each frame; fast on a processor.",
        "https://arxiv.org/abs/2305.07952", 72_334_854, notes=TO_TRAIN,
    )  # fmt: skip
    kind = "apnet"

    def weights(self) -> Sequence[Weights]:
        """A training of one's own."""
        return _own("apnet", "APNet")

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """The sound of the spectra."""
        return self._network(mel).audio


class MelGan(AmphionVocoder):
    """MelGAN."""

    card = _card(
        "melgan", "MelGAN", "A small and fast vocoder, the first of its kind.",
        "https://arxiv.org/abs/1910.06711", 4_337_730, notes=TO_TRAIN,
    )  # fmt: skip
    kind = "melgan"

    def weights(self) -> Sequence[Weights]:
        """A training of one's own."""
        return _own("melgan", "MelGAN")


class SeededParams(VocoderParams):
    """Parameters of one synthesis with random numbers."""

    seed: Seed = -1


class NsfHifiGan(AmphionVocoder):
    """NSF-HiFiGAN: its harmonic source follows the F0 of the sound."""

    card = _card(
        "nsf-hifigan", "NSF-HiFiGAN", "HiFi-GAN with a harmonic source that follows the pitch.",
        "https://arxiv.org/abs/2010.05646", 30_751_308, notes=TO_TRAIN,
    )  # fmt: skip
    Params = SeededParams
    kind = "nsfhifigan"

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._f0 = np.zeros(0)
        self._turned = np.zeros((0, 0))

    def weights(self) -> Sequence[Weights]:
        """A training of one's own."""
        return _own("nsf-hifigan", "NSF-HiFiGAN")

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` also for a mel file, which has no pitch."""
        if params.mel is not None:
            raise StudioError(
                "NSF-HiFiGAN needs the pitch, which a mel file doesn't hold: choose a sound.", "mel"
            )
        super().check(params)

    def begin(self, heard: MelOfSound | MelOfFile, params: Any, job: Job) -> None:
        """F0 of all frames, and how far each harmonic has turned before each of them."""
        from engines.world.source import HOP_S, Source

        assert isinstance(heard, MelOfSound) and self._recipe is not None
        rate, hop = self._recipe.rate, self._recipe.hop
        found = Source(heard.samples, rate, progress=lambda *_: job.check()).f0
        places = (np.arange(heard.frames) + 0.5) * hop / rate / HOP_S
        self._f0 = found[np.minimum(np.round(places).astype(int), len(found) - 1)]
        harmonics = np.arange(1, self._network.config.harmonic_num + 2)
        start = job.rng(0).random(len(harmonics))
        start[0] = 0
        cycles = (self._f0[:, None] * harmonics / rate) % 1 * hop
        self._turned = (start + np.cumsum(cycles, axis=0) - cycles) % 1

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """One pass; the source goes on where it was at the window's start."""
        import torch

        hop = self._network.config.hop
        f0 = torch.from_numpy(self._f0[window.start : window.end].astype(np.float32))[None].to(mel)
        # the phase is added to each sample of the first frame
        phase = torch.from_numpy(self._turned[window.start].astype(np.float32) / hop)[None].to(mel)
        first, last = window.start * hop, window.end * hop
        noise = Noise(job, 1).at(first, last, phase.shape[1])
        return self._network(mel, f0, phase, torch.from_numpy(noise)[None].to(mel))


class DiffWaveParams(SeededParams):
    """Parameters of one synthesis."""

    fast: bool = Field(
        False,
        title="Fast",
        description="6 steps in place of the 50 of training: faster and a little noisier.",
    )


class DiffWave(AmphionVocoder):
    """DiffWave."""

    card = _card(
        "diffwave", "DiffWave", "Diffusion from noise to sound along the mel, in 6 or 50 steps.",
        "https://arxiv.org/abs/2009.09761", 2_696_771, license_weights="MIT",
    )  # fmt: skip
    Params = DiffWaveParams
    kind = "diffwave"
    context = 32
    inside: ClassVar[dict[str, str]] = {"diffwave": "diffwave/diffwave_speech"}

    def weights(self) -> Sequence[Weights]:
        """The published ones."""
        folder = self.inside["diffwave"]
        return (
            Weights(
                "diffwave", "DiffWave, speech, 24 kHz", repo="amphion/diffwave",
                files=(f"{folder}/args.json", f"{folder}/checkpoint*/*"),
                optional=(f"{folder}/checkpoint*/*/*model*",), license="MIT",
            ),
        )  # fmt: skip

    def network(self, found: Published) -> Any:
        """The denoiser with its weights."""
        from engines.networks.vocoders.diffwave import Diffwave, DiffwaveConfig
        from engines.networks.weights import config_of, load_exactly

        config = config_of(DiffwaveConfig, found.sizes, what="DiffWave")
        network = Diffwave(config, found.preprocess["n_mel"])
        load_exactly(network, found.state, what="DiffWave")
        return network.eval()

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """All steps over one window; the noise belongs to places in the sound."""
        import torch

        from engines.networks.vocoders.diffwave import sample

        config = self._network.config
        betas = config.fast_betas() if params.fast else config.training_betas()
        drawn = 0

        def draw(shape: tuple[int, ...]) -> Any:
            nonlocal drawn
            drawn += 1
            first = window.start * config.hop
            noise = Noise(job, drawn).at(first, first + shape[-1], 1)
            return torch.from_numpy(np.ascontiguousarray(noise.T))

        made = mel
        for step, samples in enumerate(sample(self._network, mel, betas, draw), 1):
            job.check()
            job.progress(window.first, window.end, f"step {step} of {len(betas)}")
            made = samples
        return made
