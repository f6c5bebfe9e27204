"""VitsSVC: VITS with sung content in place of text, and its generator at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.couplings import CouplingFlow, PosteriorEncoder
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.lengths import length_mask, random_starts, segments
from engines.networks.blocks.relative_transformer import RelativeTransformer
from engines.networks.svc.conditions import ConditionConfig, ConditionEncoder
from engines.networks.svc.features import SingingFeatures
from engines.networks.svc.published import read_published
from engines.networks.vocoders.apnet import ApnetGenerator
from engines.networks.vocoders.build import build_generator
from engines.networks.vocoders.nsf_hifigan import NsfHifiganGenerator
from engines.networks.weights import load_exactly, section, strip_prefix

FLOW_KERNEL = 5
DEFAULT_NOISE_SCALE = 0.667
SPECTRUM_BINS = 513
SEGMENT_FRAMES = 32


@dataclass(frozen=True)
class VitsSvcConfig:
    """Sizes of VitsSVC. ``speaker`` counts the channels of a singer's vector.

    ``bins`` are those of the linear spectrum; training decodes ``segment_frames`` of each clip.
    """

    hidden: int
    inner: int
    heads: int
    layers: int
    kernel: int
    latents: int
    flow_layers: int
    speaker: int
    singers: int
    dropout: float = 0.1
    bins: int = SPECTRUM_BINS
    segment_frames: int = SEGMENT_FRAMES

    @classmethod
    def read(
        cls, given: Mapping[str, Any], preprocess: Mapping[str, Any] | None = None
    ) -> VitsSvcConfig:
        """From the ``vits`` part of an ``args.json``, and its ``preprocess`` block."""
        others = {}
        if preprocess is not None:
            others["bins"] = preprocess["n_fft"] // 2 + 1
            others["segment_frames"] = preprocess["segment_size"] // preprocess["hop_size"]
        return cls(
            hidden=given["hidden_channels"],
            inner=given["filter_channels"],
            heads=given["n_heads"],
            layers=given["n_layers"],
            kernel=given["kernel_size"],
            latents=given["inter_channels"],
            flow_layers=given["n_flow_layer"],
            speaker=given["gin_channels"],
            singers=given["n_speakers"],
            dropout=given["p_dropout"],
            **others,
        )


@dataclass(frozen=True)
class Training:
    """Result of ``VitsSvc.forward``, for the losses; S frames in a segment.

    ``audio`` (B, 1, S * hop) from the frames at ``starts`` (B,); ``mask`` (B, 1, T); latents, means and
    log deviations of posterior (q) and prior (p), (B, C, T).
    """

    audio: Tensor
    starts: Tensor
    mask: Tensor
    z: Tensor
    z_p: Tensor
    mean_p: Tensor
    log_deviation_p: Tensor
    mean_q: Tensor
    log_deviation_q: Tensor


class ContentPrior(nn.Module):
    """Conditions (B, C, T) to mean and log deviation (B, ``latents``, T). Keys ``f0_emb, enc_, proj``.

    ``f0_emb`` is in the checkpoints and has no use.
    """

    def __init__(self, config: VitsSvcConfig, pitch_bins: int) -> None:
        super().__init__()
        self.f0_emb = nn.Embedding(pitch_bins, config.hidden)
        self.enc_ = RelativeTransformer(
            config.hidden,
            config.inner,
            config.heads,
            config.layers,
            kernel=config.kernel,
            dropout=config.dropout,
        )
        self.proj = nn.Conv1d(config.hidden, 2 * config.latents, 1)

    def forward(self, condition: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_deviation = (self.proj(self.enc_(condition, mask)) * mask).chunk(2, dim=1)
        return mean, log_deviation


class VitsSvc(nn.Module):
    """``SingingFeatures`` to latents (B, ``latents``, T) that ``dec``, a vocoder's generator, makes audible.

    Keys ``condition_encoder, emb_g, enc_p, enc_q, flow, dec``.
    """

    def __init__(
        self, config: VitsSvcConfig, conditions: ConditionConfig, generator: nn.Module
    ) -> None:
        super().__init__()
        self.config = config
        hidden, speaker = config.hidden, config.speaker
        self.condition_encoder = ConditionEncoder(conditions)
        self.emb_g = nn.Embedding(config.singers, speaker)
        self.enc_p = ContentPrior(config, conditions.pitch_bins)
        self.enc_q = PosteriorEncoder(config.bins, config.latents, hidden, speaker=speaker)
        self.flow = CouplingFlow(
            config.latents, hidden, FLOW_KERNEL, config.flow_layers, speaker=speaker
        )
        self.dec = generator

    @classmethod
    def read(
        cls,
        model: Mapping[str, Any],
        preprocess: Mapping[str, Any],
        *,
        as_published: bool = False,
    ) -> Self:
        """A network of the blocks ``model`` and ``preprocess`` of an ``args.json``.

        ``as_published`` repeats the fault of NSF-HiFiGAN, which weights of the original trainer need.
        """
        kind = model["generator"]
        config = VitsSvcConfig.read(section(model, "vits"), preprocess)
        pitch = {name: preprocess[name] for name in ("f0_min", "f0_max") if name in preprocess}
        conditions = ConditionConfig.read({**pitch, **section(model, "condition_encoder")})
        generator = build_generator(
            kind,
            section(section(model, "generator_config"), kind),
            preprocess,
            config.latents,
            as_published=as_published,
        )
        return cls(config, conditions, generator)

    @classmethod
    def from_published(cls, folder: Path, *, as_published: bool = False) -> Self:
        """The network of a trained folder, ready to use; ``WeightsError`` says what doesn't fit."""
        args, state = read_published(folder)
        network = cls.read(
            section(args, "model"), section(args, "preprocess"), as_published=as_published
        )
        load_exactly(network, strip_prefix(state, "module."), what=folder.name)
        fold_weight_norm(network)
        return network.eval()

    def latents(
        self,
        features: SingingFeatures,
        mask: Tensor,
        noise: Tensor,
        noise_scale: float = DEFAULT_NOISE_SCALE,
    ) -> Tensor:
        """What the generator takes; ``mask`` (B, 1, T), ``noise`` (B, ``latents``, T) normal."""
        mean, log_deviation = self.enc_p(self.condition_encoder(features), mask)
        z = (mean + noise * log_deviation.exp() * noise_scale) * mask
        return self.flow.inverse(z, mask, self.singer(features)) * mask

    def convert(
        self,
        features: SingingFeatures,
        mask: Tensor,
        draw: Draw,
        draw_uniform: Draw,
        noise_scale: float = DEFAULT_NOISE_SCALE,
    ) -> Tensor:
        """Samples (B, 1, T * hop) of the singer; ``mask`` (B, 1, T).

        ``draw`` gives normal numbers for the latents and then for the source, ``draw_uniform`` numbers in
        [0, 1) for the source's phases; only NSF-HiFiGAN has a source.
        """
        shape = (len(features.f0), self.config.latents, features.f0.shape[1])
        noise = draw(shape).to(mask)
        z = self.latents(features, mask, noise, noise_scale)
        return self.decode(z, features.f0, draw, draw_uniform)

    def singer(self, features: SingingFeatures) -> Tensor:
        """The singer's vector (B, ``speaker``, 1)."""
        return self.emb_g(features.singer)[:, :, None]

    def decode(self, z: Tensor, f0: Tensor, draw: Draw, draw_uniform: Draw) -> Tensor:
        """Samples (B, 1, T * hop) of latents (B, ``latents``, T) and F0 (B, T) in Hz."""
        if isinstance(self.dec, NsfHifiganGenerator):
            return self.dec(z, f0, *self.dec.draw(f0, draw, draw_uniform))
        if isinstance(self.dec, ApnetGenerator):
            return self.dec(z).audio
        return self.dec(z)

    def forward(
        self,
        features: SingingFeatures,
        linear: Tensor,
        lengths: Tensor,
        draw: Draw,
        draw_uniform: Draw,
    ) -> Training:
        """One generator pass for training; ``linear`` is the magnitude (B, bins, T) of clips of ``lengths``.

        ``draw`` gives normal numbers for the posterior and the source, ``draw_uniform`` numbers in [0, 1)
        for the segments and the source. Raises ``ValueError`` for a clip shorter than a segment.
        """
        mask = length_mask(lengths, linear.shape[-1])[:, None].to(linear)
        singer, size = self.singer(features), self.config.segment_frames
        mean_p, log_deviation_p = self.enc_p(self.condition_encoder(features), mask)
        mean_q, log_deviation_q = self.enc_q(linear, mask, singer)
        noise = draw(tuple(mean_q.shape)).to(mean_q)
        z = (mean_q + noise * log_deviation_q.exp()) * mask
        starts = random_starts(draw_uniform((len(lengths),)), lengths, size)
        f0 = segments(features.f0, starts, size)
        return Training(
            audio=self.decode(segments(z, starts, size), f0, draw, draw_uniform),
            starts=starts,
            mask=mask,
            z=z,
            z_p=self.flow(z, mask, singer),
            mean_p=mean_p,
            log_deviation_p=log_deviation_p,
            mean_q=mean_q,
            log_deviation_q=log_deviation_q,
        )
