"""What Metis' tasks from sound to sound share: one masked generator, adapted, before MaskGCT's codecs.

Wang et al. 2025, https://arxiv.org/abs/2502.03128. A reference and a window of the source are heard as
one sound, whose features the semantic tokens follow.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from engines.audio import trim_silence
from engines.base import AudioFile, Card, Clip, Device, Engine, Job, Params, Task, Weights
from engines.parts import masked
from engines.parts.maskgct import (
    CODECS,
    COMMON,
    FRAME_S,
    HEARD,
    RATE,
    W2V_BERT,
    acoustic_stage,
    speech_tokens,
)
from engines.parts.published import (
    file_bytes,
    folder_of,
    generator,
    need_mb,
    parts_mb,
    placed,
    reading,
)
from engines.parts.references import LONGEST_SOURCE_S, Sound, check_length, read_sound
from engines.parts.windows import converted, windows

if TYPE_CHECKING:
    from engines.networks.metis.pipeline import Task as MetisTask

REPOSITORY = "amphion/metis"
BASE, ADAPTER, STAGE = 725_944_832, 15_736_321, 741_681_153
LORA = {16: 9_043_968, 32: 18_087_936}  # parameters by rank
SHORTEST_S = 0.2
PAD_S = 0.1  # of silence behind a window, since the last frames of the features are cut

METIS_BASE = Weights(
    id="metis-base",
    title="Metis: base",
    repo=REPOSITORY,
    files=("metis_base/model.safetensors",),
    optional=("config.json",),
    size_bytes=file_bytes(BASE),
    license="CC-BY-NC-4.0",
    non_commercial=True,
)


def weights_of(task: str, rank: int, title: str) -> Weights:
    """The adapter of a task, under the published short name, with all that it builds on."""
    stem = f"metis_{task}/metis_{task}_lora_{rank}"
    return Weights(
        id=f"metis-{task}",
        title=title,
        repo=REPOSITORY,
        files=(f"{stem}.safetensors", f"{stem}_adapter.safetensors"),
        size_bytes=file_bytes(LORA[rank], ADAPTER),
        license="CC-BY-NC-4.0",
        non_commercial=True,
        parts=(METIS_BASE, CODECS, W2V_BERT),
    )


def card_of(weights: Weights, task: Task, summary: str, notes: str) -> Card:
    """The card of one of Metis' tasks."""
    dtypes = ("float32", "bfloat16", "float16")
    return Card(
        id=weights.id,
        title=weights.title,
        task=task,
        summary=summary,
        license_code="MIT (networks written from the published description), Apache-2.0 (Transformers)",
        license_weights="CC-BY-NC-4.0 (amphion/metis, amphion/MaskGCT), MIT (facebook/w2v-bert-2.0)",
        sample_rate=RATE,
        non_commercial=True,
        paper="https://arxiv.org/abs/2502.03128",
        home="https://huggingface.co/amphion/metis",
        memory_mb={
            name: sum(part.mb(name) for part in COMMON) + need_mb(STAGE, name) for name in dtypes
        },
        requires=("torch", "transformers", "safetensors"),
        pip_extra="torch transformers safetensors",
        notes=notes,
    )


class SourceParams(Params):
    """A sound to convert."""

    source: AudioFile = Field(title="Source", description="The sound to convert, up to an hour.")


class MetisParams(SourceParams):
    """What all tasks have in common; the defaults are the published ones."""

    guidance_rescale: float = masked.rescale()
    temperature: float = masked.temperature()
    filter_threshold: float = masked.filter_threshold()
    acoustic_steps_first: int = masked.layer_steps("first layer", 40)
    acoustic_steps_second: int = masked.layer_steps("second layer", 16)
    acoustic_steps_others: int = masked.layer_steps("other layers", 1)
    acoustic_guidance_first: float = masked.acoustic_guidance("first layer", 0.0)
    acoustic_guidance: float = masked.acoustic_guidance("other layers", 2.5)
    acoustic_guidance_rescale: float = masked.acoustic_rescale()
    acoustic_temperature: float = masked.acoustic_temperature()
    window_s: float = Field(
        20,
        ge=3,
        le=30,
        title="Window",
        description="A longer source is converted in windows of at most this length, which meet in "
        "pauses.",
        json_schema_extra={"unit": "s", "step": 1, "advanced": True},
    )


def reference_field(title: str, description: str) -> Any:
    """The reference of a task that has one."""
    return Field(title=title, description=description)


def reference_length() -> Any:
    """How much of the reference is heard."""
    return Field(
        10,
        ge=1,
        le=20,
        title="Reference length",
        description="Seconds of the reference that are heard, from its start.",
        json_schema_extra={"unit": "s", "step": 1, "advanced": True},
    )


class MetisEngine(Engine):
    """One adapted generator with the shared parts. Subclasses state ``published`` and ``task``."""

    published: ClassVar[Weights]

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._model: Any = None
        self._device = "cpu"

    @property
    @abstractmethod
    def task(self) -> MetisTask:
        """The task as the networks name it."""

    def weights(self) -> Sequence[Weights]:
        """The published adapter and what it builds on."""
        return (self.published,)

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """What MaskGCT has too."""
        return parts_mb(COMMON, self.cache, dtype)

    def load(self, device: Device, params: Any = None) -> None:
        """Load the task's generator and those shared parts that nobody holds."""
        if self._model is not None:
            return
        import torch

        from engines.networks.metis.pipeline import Metis, stage_from_published

        torch.set_num_threads(device.threads)
        folder = folder_of(self.cache, self.published)
        with reading(self.published.title):
            stage = placed(stage_from_published(folder, self.task), device, device.dtype)
        tokens, acoustic = speech_tokens(self.cache, device), acoustic_stage(self.cache, device)
        self._model, self._device = Metis(tokens, stage, acoustic), device.device

    def unload(self) -> None:
        """Drop the generator and the parts; those that nobody else holds are freed."""
        self._model = None

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for sounds that can't be read, or are too short or long."""
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=LONGEST_SOURCE_S)
        if reference := getattr(params, "reference", None):
            check_length(reference, "reference", shortest_s=1, longest_s=LONGEST_SOURCE_S)

    def run(self, params: Any, job: Job) -> Clip:
        """Convert window by window; the clip is as long as the source."""
        source = read_sound(params.source, "source", shortest_s=SHORTEST_S)
        prompt = self._prompt(params)
        cut = windows(source, params.window_s)
        settings = masked.first_stage(params)
        acoustic = masked.second_stage(params, self._model.acoustic.others.layers)

        def convert(part: Sound, number: int) -> np.ndarray:
            def progress(done: int, total: int) -> None:
                job.check()
                note = f"Window {number + 1} of {len(cut)}"
                job.progress(number + done / total, len(cut), note)

            job.check()
            heard = np.pad(part.samples, (0, round(PAD_S * part.rate)))
            made = self._model.convert(
                Sound(heard, part.rate).tensor(HEARD, self._device),
                *prompt,
                settings=settings,
                generator=generator(job.rng(number)),
                acoustic=acoustic,
                progress=progress,
            )
            return made[0].float().cpu().numpy()

        pieces = []
        for piece in converted(source, cut, RATE, convert):
            job.emit(piece, RATE)
            pieces.append(piece)
        return Clip(np.concatenate(pieces), RATE, revision=self.cache.revision(self.published))

    def _prompt(self, params: Any) -> tuple[Any, Any]:
        """The reference at both rates, in whole frames, so that the result starts where the source does."""
        if not hasattr(params, "reference"):
            return None, None
        given = read_sound(params.reference, "reference", shortest_s=1)
        spoken = Sound(trim_silence(given.samples, given.rate), given.rate)
        frames = int(min(params.reference_s, spoken.duration_s) / FRAME_S)
        return tuple(
            spoken.tensor(rate, self._device)[: round(frames * FRAME_S * rate)]
            for rate in (HEARD, RATE)
        )  # type: ignore[return-value]
