"""Vocoders of others: Vocos, BigVGAN v2, and SpeechT5's HiFi-GAN and UnivNet of ``transformers``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field

from engines.base import Card, Device, Job, Task, Weights
from engines.parts.frame_windows import FrameWindow
from engines.parts.mel_recipes import Recipe, log_mels
from engines.parts.published import file_bytes, need_mb
from engines.parts.transformers_models import whole_model
from engines.vocoder.amphion import SeededParams
from engines.vocoder.base import Noise, VocoderEngine, VocoderParams

MODEL_FILES = ("config.json", "model.safetensors")


class VocosModel(StrEnum):
    """The published weights."""

    MEL = "vocos-mel-24khz"
    VEVO = "vocos-vevo"


class VocosParams(VocoderParams):
    """Parameters of one synthesis."""

    model: VocosModel = Field(
        VocosModel.MEL,
        title="Model",
        description="The first one (13 million parameters), or Vevo's for speech and singing (255 million).",
    )


class VocosVocoder(VocoderEngine):
    """Vocos, in two sizes."""

    card = Card(
        id="vocos",
        title="Vocos",
        task=Task.VOCODER,
        summary="Predicts the spectrum of each frame, and is fast on a processor.",
        license_code="MIT",
        license_weights="MIT (mel 24 kHz), CC-BY-NC-4.0 (Vevo)",
        sample_rate=24_000,
        non_commercial=True,
        paper="https://arxiv.org/abs/2306.00814",
        home="https://huggingface.co/charactr/vocos-mel-24khz",
        memory_mb={"float32": need_mb(255_000_000)},
        requires=("torch", "yaml"),
        pip_extra="torch pyyaml",
        notes="Only Vevo's weights are limited to non-commercial use.",
    )
    Params = VocosParams
    context = 128

    def weights(self) -> Sequence[Weights]:
        """The small one first."""
        vevo = "acoustic_modeling/Vocoder"
        return (
            Weights(
                VocosModel.MEL, "Vocos, mel 24 kHz", repo="charactr/vocos-mel-24khz",
                files=("config.yaml", "pytorch_model.bin"), size_bytes=54_000_000, license="MIT",
            ),
            Weights(
                VocosModel.VEVO, "Vocos of Vevo, 24 kHz", repo="amphion/Vevo",
                files=(f"{vevo}/*.safetensors",), optional=(f"{vevo}/config.json",),
                size_bytes=file_bytes(255_000_000), license="CC-BY-NC-4.0", non_commercial=True,
            ),
        )  # fmt: skip

    def recipe_of(self, weights: Weights) -> Recipe:
        """That of the published weights."""
        if weights.id == VocosModel.VEVO:
            return vevo_recipe()
        from engines.networks.vocoders.vocos_mel import VocosMelConfig

        return vocos_recipe(VocosMelConfig())

    def open(self, weights: Weights, folder: Path, device: Device) -> tuple[Any, Recipe]:
        """The network and its recipe."""
        if weights.id == VocosModel.VEVO:
            from engines.networks.vevo.sound import VocoderConfig, vocoder_from_published
            from engines.networks.weights import sizes_in, weight_file

            inside = folder / "acoustic_modeling" / "Vocoder"
            config = sizes_in(inside, "vocoder", VocoderConfig())
            return vocoder_from_published(weight_file(inside), config), vevo_recipe()
        from engines.networks.vocoders.vocos_mel import VocosMel

        config = _vocos_sizes(folder / "config.yaml")
        return VocosMel.from_published(folder, config), vocos_recipe(config)

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """One pass."""
        return self._network(mel)


def _vocos_sizes(path: Path) -> Any:
    """The sizes in a published ``config.yaml``; ``WeightsError`` where it can't be read."""
    import yaml

    from engines.networks.vocoders.vocos_mel import VocosMelConfig
    from engines.networks.weights import WeightsError, config_of

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts = [given[name]["init_args"] for name in ("feature_extractor", "backbone", "head")]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise WeightsError(f"{path.name} is no configuration of Vocos: {error}") from error
    return config_of(VocosMelConfig, parts[2] | parts[1] | parts[0], what="Vocos")


def vocos_recipe(config: Any) -> Recipe:
    """Centred frames and HTK's scale."""
    from engines.networks.vocoders.vocos_mel import LOG_FLOOR

    return Recipe(
        config.sample_rate, config.hop_length, config.n_mels, math.log(LOG_FLOOR), 8.0,
        "natural logarithm of the magnitude from 1e-7 on (HTK scale)", config.log_mel, extra=1,
    )  # fmt: skip


def vevo_recipe() -> Recipe:
    """Mels with Vevo's mean and variance taken off."""
    from engines.networks.blocks.mel import VEVO_24K
    from engines.networks.vevo.sound import MEAN, VARIANCE

    return log_mels(VEVO_24K, MEAN, math.sqrt(VARIANCE))


class BigVganV2Model(StrEnum):
    """The published weights."""

    KHZ_24 = "bigvgan_v2_24khz_100band_256x"
    KHZ_44 = "bigvgan_v2_44khz_128band_512x"
    KHZ_44_DENSE = "bigvgan_v2_44khz_128band_256x"
    KHZ_22 = "bigvgan_v2_22khz_80band_256x"


# rate, n_fft, hop, bands, highest frequency
BIGVGAN_V2 = {
    BigVganV2Model.KHZ_24: (24_000, 1024, 256, 100),
    BigVganV2Model.KHZ_44: (44_100, 2048, 512, 128),
    BigVganV2Model.KHZ_44_DENSE: (44_100, 1024, 256, 128),
    BigVganV2Model.KHZ_22: (22_050, 1024, 256, 80),
}


class BigVganV2Params(VocoderParams):
    """Parameters of one synthesis."""

    model: BigVganV2Model = Field(
        BigVganV2Model.KHZ_24,
        title="Model",
        description="Rate, bands and hop of the published weights.",
    )


class BigVganV2(VocoderEngine):
    """BigVGAN v2 of NVIDIA."""

    card = Card(
        id="bigvgan-v2",
        title="BigVGAN v2",
        task=Task.VOCODER,
        summary="NVIDIA's universal vocoder for speech, music and sounds, up to 44.1 kHz.",
        license_code="MIT",
        license_weights="MIT",
        sample_rate=24_000,
        paper="https://arxiv.org/abs/2206.04658",
        home="https://huggingface.co/nvidia/bigvgan_v2_24khz_100band_256x",
        memory_mb={"float32": need_mb(112_448_906)},
        requires=("torch",),
        pip_extra="torch",
    )
    Params = BigVganV2Params

    def weights(self) -> Sequence[Weights]:
        """24 kHz first."""
        return tuple(
            Weights(
                name, f"BigVGAN v2, {rate / 1000:g} kHz, {bands} bands, hop {hop}",
                repo=f"nvidia/{name}", files=("config.json", "bigvgan_generator.pt"),
                size_bytes=file_bytes(112_448_906), license="MIT",
            )
            for name, (rate, _, hop, bands) in BIGVGAN_V2.items()
        )  # fmt: skip

    def recipe_of(self, weights: Weights) -> Recipe:
        """That of the published weights."""
        from engines.networks.blocks.mel import MelRecipe

        rate, n_fft, hop, bands = BIGVGAN_V2[BigVganV2Model(weights.id)]
        return log_mels(MelRecipe(sample_rate=rate, n_fft=n_fft, hop=hop, n_mels=bands))

    def open(self, weights: Weights, folder: Path, device: Device) -> tuple[Any, Recipe]:
        """The network and the recipe of its ``config.json``."""
        from engines.networks.vocoders.bigvgan_v2 import from_published

        network, recipe = from_published(folder)
        return network, log_mels(recipe)

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """One pass."""
        return self._network(mel)


class SpeechT5HifiGan(VocoderEngine):
    """The vocoder of SpeechT5."""

    card = Card(
        id="speecht5-hifigan",
        title="SpeechT5 HiFi-GAN",
        task=Task.VOCODER,
        summary="The HiFi-GAN behind SpeechT5: English speech at 16 kHz.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="MIT",
        sample_rate=16_000,
        languages=("en",),
        paper="https://arxiv.org/abs/2110.07205",
        home="https://huggingface.co/microsoft/speecht5_hifigan",
        memory_mb={"float32": need_mb(12_700_000)},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
    )

    def weights(self) -> Sequence[Weights]:
        """The published ones, a pickle."""
        return (
            Weights(
                "speecht5-hifigan", "SpeechT5 HiFi-GAN", repo="microsoft/speecht5_hifigan",
                files=("config.json", "pytorch_model.bin"), size_bytes=file_bytes(12_700_000),
                license="MIT", languages=("en",),
            ),
        )  # fmt: skip

    def recipe_of(self, weights: Weights) -> Recipe:
        """Decimal logarithms, centred frames."""
        from engines.networks.blocks.mel import MelRecipe, mel_filters

        how = MelRecipe(
            sample_rate=16_000, n_fft=1024, hop=256, n_mels=80, fmin=80, fmax=7600, centred=True,
            epsilon=0.0,
        )  # fmt: skip

        def mel(wave: Any) -> Any:
            filters = mel_filters(how.sample_rate, how.n_fft, how.n_mels, how.fmin, how.fmax)
            return (filters.to(wave) @ how.magnitude(wave)).clamp(min=1e-10).log10()

        return Recipe(
            16_000, 256, 80, -10.0, 2.0, "decimal logarithm of the magnitude from 1e-10 on", mel
        )

    def open(self, weights: Weights, folder: Path, device: Device) -> tuple[Any, Recipe]:
        """The network of ``transformers``."""
        from transformers import SpeechT5HifiGan as Network

        return whole_model(Network, folder, weights.title), self.recipe_of(weights)

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """One pass."""
        return self._network(mel.transpose(1, 2))


class UnivNet(VocoderEngine):
    """UnivNet, the vocoder of Tortoise."""

    card = Card(
        id="univnet",
        title="UnivNet",
        task=Task.VOCODER,
        summary="A vocoder whose filters are made frame by frame from the mel; speech at 24 kHz.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="Apache-2.0",
        sample_rate=24_000,
        paper="https://arxiv.org/abs/2106.07889",
        home="https://huggingface.co/dg845/univnet-dev",
        memory_mb={"float32": need_mb(15_000_000)},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
    )
    Params = SeededParams
    context = 32

    def weights(self) -> Sequence[Weights]:
        """The published ones."""
        return (
            Weights(
                "univnet", "UnivNet, 24 kHz", repo="dg845/univnet-dev", files=MODEL_FILES,
                optional=("preprocessor_config.json",), size_bytes=file_bytes(15_000_000),
                license="Apache-2.0",
            ),
        )  # fmt: skip

    def recipe_of(self, weights: Weights) -> Recipe:
        """That of Amphion's vocoders, too."""
        from engines.networks.blocks.mel import VOCODER_24K

        return log_mels(VOCODER_24K)

    def open(self, weights: Weights, folder: Path, device: Device) -> tuple[Any, Recipe]:
        """The network of ``transformers``; its extractor says whether mels are scaled to -1 to 1."""
        from transformers import UnivNetModel

        from engines.networks.blocks.mel import VOCODER_24K

        recipe = log_mels(VOCODER_24K)
        settings = folder / "preprocessor_config.json"
        given = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        if given.get("do_normalize"):
            low, high = given["normalize_min"], given["normalize_max"]
            recipe = log_mels(VOCODER_24K, (low + high) / 2, (high - low) / 2)
        return whole_model(UnivNetModel, folder, weights.title), recipe

    def vocode(self, mel: Any, window: FrameWindow, params: Any, job: Job) -> Any:
        """One pass over the mel and noise that belongs to places in the sound."""
        import torch

        width = self._network.config.model_in_channels
        noise = torch.from_numpy(Noise(job).at(window.start, window.end, width))[None].to(mel)
        return self._network(mel.transpose(1, 2), noise_sequence=noise).waveforms
