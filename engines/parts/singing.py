"""What the singing conversions hear of a clip: content by Whisper and ContentVec, F0, loudness, mel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.base import Device, Weights, WeightsCache
from engines.parts.published import Part
from engines.parts.references import Sound

if TYPE_CHECKING:
    from torch import Tensor

    from engines.networks.blocks.mel import MelRecipe

HEARD_RATE = 16_000  # of both content encoders
PER_SECOND = 50  # frames of both
QUIETEST = -11.512925  # the floor of the mels, ln 1e-5

WHISPER = Part(
    Weights(
        id="whisper-medium", title="Whisper medium", repo="openai/whisper-medium",
        files=("config.json", "model.safetensors", "preprocessor_config.json"),
        size_bytes=3_055_000_000, license="Apache-2.0",
    ),
    "encoder", 307_217_408,
)  # fmt: skip
CONTENTVEC = Part(
    Weights(
        id="contentvec", title="ContentVec", repo="lengyue233/content-vec-best",
        files=("config.json", "pytorch_model.bin"), size_bytes=378_000_000, license="MIT",
    ),
    "pytorch_model.bin", 94_600_000,
)  # fmt: skip


@dataclass(frozen=True)
class Ears:
    """Both content encoders in memory."""

    whisper: Any
    contentvec: Any

    @classmethod
    def load(cls, cache: WeightsCache, device: Device) -> Ears:
        """Both, shared with whoever holds them."""
        from engines.networks.blocks.contentvec import ContentVec
        from engines.networks.blocks.whisper import WhisperFeatures

        return cls(
            WHISPER.load(cache, device, WhisperFeatures.from_published),
            CONTENTVEC.load(cache, device, ContentVec.from_published),
        )

    def contents(self, sound: Sound, rate: int, hop: int, frames: int) -> dict[str, Tensor]:
        """Content (1, T, D) of a clip of at most 30 s at ``frames`` frames of ``hop`` samples at ``rate``."""
        import torch

        from engines.networks.svc.features import align_content

        device = self.contentvec.final_proj.weight.device
        heard = sound.tensor(HEARD_RATE, str(device))
        whole = min(1500, int(len(heard) / HEARD_RATE * PER_SECOND) + 1)
        with torch.inference_mode():
            found = {
                "whisper": self.whisper(heard, whole)[0],
                "contentvec": self.contentvec(heard[None])[0],
            }
        return {
            kind: align_content(content.float(), frames, rate // PER_SECOND, hop)[None]
            for kind, content in found.items()
        }


def recipe_of(preprocess: Mapping[str, Any]) -> MelRecipe:
    """The mel of an ``args.json``."""
    from engines.networks.blocks.mel import MelRecipe

    return MelRecipe(
        sample_rate=preprocess["sample_rate"],
        n_fft=preprocess["n_fft"],
        hop=preprocess["hop_size"],
        n_mels=preprocess["n_mel"],
        fmin=preprocess.get("fmin", 0),
        fmax=preprocess.get("fmax"),
    )


def stored_range(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Extrema (n_mels,) of the training's log mels, where the checkpoint brings them."""
    found = [
        next(iter(sorted(folder.rglob(name))), None) for name in ("mel_min.npy", "mel_max.npy")
    ]
    if None in found:
        return None
    low, high = (np.load(str(path), allow_pickle=False).astype(np.float32) for path in found)
    return low.reshape(-1), high.reshape(-1)


def heard_range(sound: Sound, recipe: MelRecipe) -> tuple[np.ndarray, np.ndarray]:
    """Extrema (n_mels,) as a recording of the singer suggests them: the floor, and its loudest frames."""
    import torch

    mel = recipe.log_mel(torch.from_numpy(sound.at(recipe.sample_rate))[None])[0].numpy()
    high = mel.max(axis=1)
    return np.full(len(high), QUIETEST, np.float32), np.maximum(high, QUIETEST + 1)
