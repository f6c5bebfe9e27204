"""The vocoder behind a model of mels: the published HiFi-GAN or BigVGAN of its mel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import Weights
from engines.parts.published import Part

HIFIGAN_LJSPEECH = Weights(
    id="hifigan-ljspeech",
    title="HiFi-GAN, LJ Speech, 22.05 kHz",
    repo="amphion/hifigan_ljspeech",
    files=("args.json", "checkpoint*/*"),
    optional=("checkpoint*/*/*model*",),
    license="MIT",
)
BIGVGAN_SINGING = Weights(
    id="bigvgan-singing",
    title="BigVGAN for singing, 24 kHz",
    repo="amphion/BigVGAN_singing_bigdata",
    files=("bigvgan_singing/args.json", "bigvgan_singing/*.pt"),
    size_bytes=450_000_000,
    license="MIT",
)
LJSPEECH = Part(HIFIGAN_LJSPEECH, "hifigan", 13_900_000)
SINGING = Part(BIGVGAN_SINGING, "bigvgan_singing", 112_000_000)


@dataclass(frozen=True)
class Published:
    """What a folder of Amphion's trainers holds: ``kind`` of generator, its sizes, the mel's settings, the
    weights by key."""

    kind: str
    sizes: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    state: Mapping[str, Any]


def read_published(folder: Path, inside: str = "") -> Published:
    """The ``args.json`` of a folder with its newest weights.

    Weights are ``<steps>.pt`` files, or the newest checkpoint of ``checkpoint`` or ``checkpoints``.
    ``WeightsError`` names what is missing.
    """
    from engines.networks.weights import (
        WeightsError,
        read_config,
        read_weights,
        section,
        strip_prefix,
    )

    folder = folder / inside
    args = read_config(folder / "args.json")
    model, preprocess = section(args, "model"), section(args, "preprocess")
    kind = str(model.get("generator", ""))
    state: Mapping[str, Any] = read_weights(_newest(folder))
    state = state.get("generator_state_dict", state.get("state_dict", state))
    if not isinstance(state, Mapping):
        raise WeightsError(f"The weights of the vocoder in {folder.name} hold no tensors.")
    state = strip_prefix(strip_prefix(state, "module."), "generator.")
    return Published(kind, section(model, kind), preprocess, state)


def read_vocoder(folder: Path, inside: str = "") -> Any:
    """The generator of ``args.json`` with its newest weights, for mels (B, n_mels, T) to (B, 1, L).

    ``WeightsError`` names the file or the keys that don't fit.
    """
    return built(read_published(folder, inside))


def built(found: Published) -> Any:
    """The generator that a published folder describes, norms folded."""
    from engines.networks.blocks.convolutions import fold_weight_norm
    from engines.networks.vocoders.build import build_generator
    from engines.networks.weights import load_exactly

    generator = build_generator(
        found.kind, found.sizes, found.preprocess, found.preprocess["n_mel"]
    )
    load_exactly(
        generator,
        found.state,
        what=f"the vocoder {found.kind}",
        optional=[key for key in generator.state_dict() if key.endswith("filter")],
    )
    fold_weight_norm(generator)
    return generator.eval()


def _newest(folder: Path) -> Path:
    """The weight file with the most steps."""
    from engines.networks.weights import newest_checkpoint

    numbered = [
        (int(re.findall(r"\d+", path.stem)[0]), path)
        for path in (*folder.glob("*.pt"), *folder.glob("checkpoint*/*.pt"))
        if re.fullmatch(r"\D*\d+", path.stem)
    ]
    if numbered:
        return max(numbered)[1]
    places = [path for path in sorted(folder.glob("checkpoint*")) if path.is_dir()]
    return newest_checkpoint(places[0] if places else folder / "checkpoint")
