"""All parts of AudioLDM but the text encoder: their published files, and from context to samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from engines.networks.audioldm.network import AudioLdm, AudioLdmUnetConfig
from engines.networks.blocks.autoencoder import Autoencoder, AutoencoderConfig
from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.diffusion import NoiseSchedule, normal, plms
from engines.networks.blocks.sampling import Progress
from engines.networks.blocks.unet import prepare
from engines.networks.vocoders.hifigan import HifiganConfig, HifiganGenerator
from engines.networks.weights import (
    WeightsError,
    build_exactly,
    newest_checkpoint,
    part,
    read_config,
    sizes_in,
)

# the published files come without their sizes; these are the recipe's
UNET = AudioLdmUnetConfig(
    in_channels=4,
    out_channels=4,
    model_channels=256,
    attention_resolutions=(4, 2, 1),
    num_res_blocks=2,
    channel_mult=(1, 2, 4),
    num_heads=8,
    context_dim=768,
)
AUTOENCODER = AutoencoderConfig(ch=128, ch_mult=(1, 1, 2, 2, 4), num_res_blocks=2, z_channels=4)
N_MELS, FRAMES = 80, 624
STEPS, GUIDANCE = 200, 4.0
FOLDERS = ("audioldm_debug_latent_size_4_5_39", "autoencoder_kl_debug")


@dataclass
class AudioLdmModel:
    """U-Net, autoencoder and vocoder. The context is made by a T5 encoder outside of this."""

    diffusion: AudioLdm
    autoencoder: Autoencoder
    vocoder: HifiganGenerator
    schedule: NoiseSchedule

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The model in the folder ``tta`` of the published repository.

        Raises ``WeightsError`` naming the file or the keys that don't fit.
        """
        voice = folder / "hifigan_checkpoints"
        sizes = read_config(voice / "config.json")
        states = [
            part(newest_checkpoint(folder / name / "checkpoints"), "model") for name in FOLDERS
        ]
        unet = sizes_in(folder, "unet", UNET)
        diffusion = build_exactly(lambda: AudioLdm(unet), states[0], what=FOLDERS[0])
        compressed = sizes_in(folder, "autoencoder", AUTOENCODER)
        autoencoder = build_exactly(lambda: Autoencoder(compressed), states[1], what=FOLDERS[1])
        voices = sorted(voice.glob("g_*"))
        if not voices:
            raise WeightsError(f"There is no vocoder (g_*) in {voice}. Download the model again.")
        vocoder = build_exactly(
            lambda: HifiganGenerator(HifiganConfig.read(sizes), sizes.get("num_mels", N_MELS)),
            part(voices[-1], "generator"),
            what="the vocoder of AudioLDM",
        )
        fold_weight_norm(vocoder)
        return cls(diffusion, autoencoder, vocoder, NoiseSchedule.scaled_linear())

    def latents(
        self,
        context: Tensor,
        noise: Tensor,
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
    ) -> Iterator[Tensor]:
        """The latents (B, C, H, W) after each of ``steps`` + 1 calls, from ``noise`` of that shape.

        ``context`` (2, L, D) is of the empty text, then of the text of all rows.
        """
        prepared = prepare(self.diffusion, context, len(noise))

        def predict(x: Tensor, step: int) -> Tensor:
            return self.diffusion.guided(x, step, prepared, guidance)

        return plms(self.schedule, predict, noise, steps)

    @torch.inference_mode()
    def generate(
        self,
        context: Tensor,
        *,
        generators: Sequence[torch.Generator],
        frames: int = FRAMES,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        progress: Progress | None = None,
    ) -> Tensor:
        """Samples (B, L) in [-1, 1], a row for each generator, of ``frames`` mel frames.

        ``frames`` is rounded up to a whole number of places of the latent. ``progress`` is called
        after each step and may raise to cancel.
        """
        config = self.autoencoder.config
        size = (N_MELS // config.reduction, -(-frames // config.reduction))
        shape = (len(generators), config.embed_dim or config.z_channels, *size)
        z = normal(shape, generators).to(context.device)
        states = self.latents(context, z, steps=steps, guidance=guidance)
        for done, state in enumerate(states, 1):
            z = state
            if progress is not None:
                progress(done, steps + 1)
        return self.vocoder(self.autoencoder.decode(z.to(context))[:, 0])[:, 0].float()
