"""All parts of PicoAudio: their published files, and from a timeline to samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from engines.networks.blocks.autoencoder import Autoencoder, AutoencoderConfig
from engines.networks.blocks.convolutions import without_weight_norm
from engines.networks.blocks.diffusion import NoiseSchedule, ancestral, normal
from engines.networks.blocks.sampling import Progress
from engines.networks.blocks.unet import prepare
from engines.networks.picoaudio.events import COLUMNS, ROWS, Event, as_channels, grid
from engines.networks.picoaudio.network import PicoAudio, PicoUnetConfig
from engines.networks.vocoders.hifigan import HifiganConfig, HifiganGenerator
from engines.networks.weights import (
    WeightsError,
    build_exactly,
    read_weights,
    sizes_in,
)

UNET = PicoUnetConfig(
    in_channels=10,
    out_channels=8,
    block_out_channels=(128, 256, 512, 512),
    layers_per_block=2,
    attention_head_dim=(4, 8, 16, 16),
    cross_attention_dim=1024,
    down_block_types=("CrossAttnDown", "CrossAttnDown", "CrossAttnDown", "Down"),
    up_block_types=("Up", "CrossAttnUp", "CrossAttnUp", "CrossAttnUp"),
)
AUTOENCODER = AutoencoderConfig(
    ch=128, ch_mult=(1, 2, 4), num_res_blocks=2, z_channels=8, embed_dim=8, attention=True
)
VOCODER = HifiganConfig(
    resblock="1",
    upsample_rates=(5, 4, 2, 2, 2),
    upsample_kernel_sizes=(16, 16, 8, 4, 4),
    upsample_initial_channel=1024,
    resblock_kernel_sizes=(3, 7, 11),
    resblock_dilation_sizes=((1, 3, 5),) * 3,
)
N_MELS, SAMPLES = 64, 160000
STEPS, GUIDANCE = 200, 1.0
FIRST_STAGE, PREFIX = "audioldm-s-full.ckpt", "first_stage_model."


class FirstStage(Autoencoder):
    """Autoencoder and vocoder of AudioLDM's first release, in one file. The image is (time, mel).

    ``scale_factor`` brings its latents to the variance that the diffusion works with.
    """

    def __init__(self, config: AutoencoderConfig, vocoder: HifiganConfig, n_mels: int) -> None:
        super().__init__(config)
        self.vocoder = HifiganGenerator(vocoder, n_mels)
        without_weight_norm(self.vocoder)
        self.scale_factor = 1.0

    def mel(self, latent: Tensor) -> Tensor:
        """Log mel (B, 1, frames, n_mels) of a latent of the diffusion."""
        return self.decode(latent / self.scale_factor)

    def samples(self, mel: Tensor) -> Tensor:
        """Samples (B, 1, L) in [-1, 1] of a log mel (B, 1, frames, n_mels)."""
        return self.vocoder(mel[:, 0].transpose(1, 2))

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The parts of ``audioldm-s-full.ckpt``; its U-Net and text encoder are left out."""
        state = read_weights(folder / FIRST_STAGE).get("state_dict", {})
        if "scale_factor" not in state:
            raise WeightsError(f"{FIRST_STAGE} holds no scale_factor under “state_dict”.")
        kept = {
            key.removeprefix(PREFIX): tensor
            for key, tensor in state.items()
            if key.startswith(PREFIX)
        }
        sizes, vocoder = sizes_in(folder, "vae", AUTOENCODER), sizes_in(folder, "vocoder", VOCODER)
        stage = build_exactly(lambda: cls(sizes, vocoder, N_MELS), kept, what=FIRST_STAGE)
        stage.scale_factor = float(state["scale_factor"])
        return stage


def diffusion_file(folder: Path) -> Path:
    """The U-Net's weights: ``best.pt``, or the one other weight file there is."""
    found = sorted(
        path
        for path in folder.glob("*")
        if path.suffix in (".pt", ".bin", ".safetensors", ".ckpt") and path.name != FIRST_STAGE
    )
    named = [path for path in found if path.name == "best.pt"] or found
    if len(named) != 1:
        raise WeightsError(
            f"The weights of PicoAudio should be one file best.pt in {folder}; there are "
            f"{', '.join(path.name for path in named) or 'none'}."
        )
    return named[0]


@dataclass
class PicoAudioModel:
    """U-Net, autoencoder and vocoder."""

    diffusion: PicoAudio
    first_stage: FirstStage
    schedule: NoiseSchedule

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The model of a folder with ``best.pt`` and ``audioldm-s-full.ckpt``.

        Raises ``WeightsError`` naming the file or the keys that don't fit.
        """
        sizes = sizes_in(folder, "unet", UNET)
        state = read_weights(diffusion_file(folder))
        diffusion = build_exactly(lambda: PicoAudio(sizes), state, what="PicoAudio")
        return cls(diffusion, FirstStage.from_published(folder), NoiseSchedule.scaled_linear())

    def latents(
        self,
        channels: Tensor,
        context: Tensor,
        noise: Tensor,
        draw: Callable[[tuple[int, ...]], Tensor],
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
    ) -> Iterator[Tensor]:
        """The latents (B, 8, 256, 16) after each step, from ``noise`` of that shape.

        ``channels`` (1, 2, 256, 16) and ``context`` (1, 1, D) are the same for all rows; ``draw`` gives
        the noise of a step. Guidance of 1 asks the network for the conditional v alone. The latents
        keep their precision where the network, whose type is the context's, computes in a lower one.
        """
        rows, guided = len(noise), guidance != 1
        contexts = torch.cat([torch.zeros_like(context), context]) if guided else context
        prepared = prepare(self.diffusion, contexts, rows)
        channels = channels.expand(rows * len(contexts), -1, -1, -1).to(context)

        def predict(x: Tensor, step: int) -> Tensor:
            time = torch.tensor([step], device=x.device)
            given = torch.cat([x, x] if guided else [x]).to(context)
            v = self.diffusion(given, time, channels, prepared).to(x)
            if not guided:
                return v
            without, with_text = v.chunk(2)
            return without + guidance * (with_text - without)

        return ancestral(self.schedule, predict, noise, steps, draw)

    @torch.inference_mode()
    def generate(
        self,
        events: Sequence[Event],
        *,
        generators: Sequence[torch.Generator],
        embedding: Tensor | None = None,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        as_published: bool = False,
        progress: Progress | None = None,
    ) -> Tensor:
        """Samples (B, 160000) in [-1, 1] of 10 s, a row for each generator.

        ``embedding`` (1, D / 2) is CLAP's of ``spoken(events)``, for weights that were trained with it.
        ``progress`` is called after each step and may raise to cancel.
        """
        diffusion = self.diffusion
        context = (
            diffusion.event_context(events[0].row)
            if embedding is None
            else diffusion.clap_context(embedding)
        )
        channels = as_channels(grid(events, as_published=as_published)[None]).to(context)
        shape = (len(generators), diffusion.unet.config.out_channels, COLUMNS, ROWS // 2)

        def draw(wanted: Sequence[int]) -> Tensor:
            return normal(wanted, generators)

        x = draw(shape).to(context.device)
        states = self.latents(channels, context, x, draw, steps=steps, guidance=guidance)
        for done, state in enumerate(states, 1):
            x = state
            if progress is not None:
                progress(done, steps)
        mel = self.first_stage.mel(x.to(context))
        return self.first_stage.samples(mel)[:, 0, :SAMPLES].float()
