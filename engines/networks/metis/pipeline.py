"""Metis from sound to sound: voice conversion, extraction of a speaker, enhancement, and speech from text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor

from engines.networks.blocks.draws import uniform
from engines.networks.blocks.following import last_of, unheard
from engines.networks.blocks.sampling import Progress
from engines.networks.blocks.unmasking import Unmasking
from engines.networks.maskgct.pipeline import (
    AcousticSettings,
    AcousticStage,
    SpeechTokens,
)
from engines.networks.metis.stage1 import MetisConfig, MetisGenerator
from engines.networks.weights import sizes_in

BASE_FILE = Path("metis_base/model.safetensors")


class Task(Enum):
    """What a checkpoint of Metis was adapted to, under the published short name."""

    CONVERSION = "vc"
    EXTRACTION = "tse"
    ENHANCEMENT = "se"

    @property
    def alpha(self) -> float:
        """The published weight of the low-rank changes, by which the rank is divided."""
        return 32 if self is Task.CONVERSION else 64

    @property
    def stem(self) -> str:
        """The published files of the task without their ending."""
        rank = 16 if self is Task.CONVERSION else 32
        return f"metis_{self.value}/metis_{self.value}_lora_{rank}"

    @property
    def settings(self) -> Unmasking:
        """The published settings of the first stage."""
        if self is Task.CONVERSION:
            return Unmasking(steps=20, guidance=1.0)
        return Unmasking(steps=10, guidance=0.0)


SECOND_STAGE = AcousticSettings(
    first=Unmasking(steps=40, temperature=1.5, guidance=0.0),
    steps=(40, 16, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
)


def stage_from_published(folder: Path, task: Task) -> MetisGenerator:
    """The first stage of a task, in a folder laid out as ``amphion/metis``."""
    return MetisGenerator.adapted(
        folder / BASE_FILE,
        folder / f"{task.stem}.safetensors",
        folder / f"{task.stem}_adapter.safetensors",
        task.alpha,
        sizes_in(folder, "stage1", MetisConfig()),
    )


def target_length(prompt_tokens: int, prompt_text: str, text: str) -> int:
    """Tokens of ``text`` at the pace of a prompt, by the bytes of both texts."""
    return prompt_tokens * len(text.encode()) // len(prompt_text.encode())


@dataclass
class Metis:
    """A task's first stage with the parts that it shares with MaskGCT.

    Speech from text is ``MaskGct.speak`` with ``SECOND_STAGE`` and this module's ``target_length``.
    """

    tokens: SpeechTokens
    semantic: MetisGenerator
    acoustic: AcousticStage

    @torch.inference_mode()
    def convert(
        self,
        source_16k: Tensor,
        prompt_16k: Tensor | None,
        prompt_24k: Tensor | None,
        *,
        settings: Unmasking,
        generator: torch.Generator,
        acoustic: AcousticSettings = SECOND_STAGE,
        progress: Progress = unheard,
    ) -> Tensor:
        """Samples (1, L) at 24 kHz of a source (samples,) in the voice of a prompt.

        For extraction the source is the mixture and the prompt the enrolled speaker. Enhancement has no
        prompt: None.
        """
        draw, total = uniform(generator), settings.steps + acoustic.total
        if prompt_16k is None or prompt_24k is None:
            heard, tokens = source_16k, source_16k.new_zeros(1, 0, dtype=torch.long)
            codes = tokens.new_zeros(1, 0, self.acoustic.others.layers)
        else:
            heard, tokens = torch.cat([prompt_16k, source_16k]), self.tokens.tokens(prompt_16k)
            codes = self.acoustic.codes(prompt_24k)
        steps = self.semantic.convert(self.tokens.features(heard), tokens, settings, draw)
        target = last_of(steps, progress, 0, total)
        semantic = torch.cat([tokens, target], dim=1)
        return self.acoustic.speak(semantic, codes, acoustic, draw, progress, settings.steps)
