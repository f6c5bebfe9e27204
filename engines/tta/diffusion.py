"""What the engines share that make sound by latent diffusion, with the pipelines of ``diffusers``.

A pipeline's parts are loaded one by one, so that a broken file is named. All variations of a prompt go
through the network together, each from noise of its own seed; the prompt is encoded once.
"""

from __future__ import annotations

import gc
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import (
    Choice,
    Clip,
    Device,
    Engine,
    Job,
    NotReady,
    Params,
    Seed,
    StudioError,
    Weights,
)

FILES = ("model_index.json", "*/*.json", "*/*.safetensors")
TEXTS = ("*/*.txt", "*/*.model")  # of tokenizers, where they are not in tokenizer.json alone
REQUIRES = ("diffusers", "transformers", "torch", "safetensors")
INDEX = "model_index.json"
# the class that a pipeline needs now, where a repository names one of before
NEWER = {"GPT2Model": "GPT2LMHeadModel"}


class DiffusionParams(Params):
    """What all of these engines are asked; each adds its model, steps, guidance and scheduler."""

    prompt: str = Field(
        min_length=1, max_length=2000, title="Prompt",
        description="What to hear, in English, in one or two sentences.",
        json_schema_extra={"lines": 3},
    )  # fmt: skip
    negative_prompt: str = Field(
        "", max_length=2000, title="Negative prompt",
        description="What not to hear, such as “low quality”. Guidance leads away from it; it has no effect "
        "at a guidance of 1.",
        json_schema_extra={"lines": 2},
    )  # fmt: skip
    variations: int = Field(
        1, ge=1, le=8, title="Variations",
        description="How many different sounds. They are made together, each from a seed of its own.",
    )  # fmt: skip
    seed: Seed = -1


def model_field(first: str) -> Any:
    """The parameter that names a checkpoint."""
    return Field(
        first, min_length=1, max_length=500, title="Model",
        description="A published checkpoint, or the name of a folder in models/own of the data folder that "
        "holds such a pipeline in the diffusers format.",
        json_schema_extra={"choices": True},
    )  # fmt: skip


def duration_field(default: float, most: float) -> Any:
    """The parameter of length in seconds."""
    return Field(
        default, ge=0.1, le=most, title="Duration", description="Length of the sound.",
        json_schema_extra={"unit": "s", "step": 0.5},
    )  # fmt: skip


def steps_field(default: int) -> Any:
    """The parameter of denoising steps."""
    return Field(
        default, ge=1, le=500, title="Steps",
        description="Steps from noise to sound: more take longer and sound cleaner, up to a point.",
    )  # fmt: skip


def guidance_field(default: float) -> Any:
    """The parameter of classifier-free guidance."""
    return Field(
        default, ge=1, le=15, title="Guidance",
        description="How closely the sound follows the prompt. 1 is without guidance and half the work.",
        json_schema_extra={"step": 0.1},
    )  # fmt: skip


class DiffusionEngine(Engine):
    """An engine whose weights are a pipeline's folder. Subclasses say which and how it is called."""

    PUBLISHED: ClassVar[Sequence[Weights]]
    PIPELINE: ClassVar[str]
    # what a scheduler's name stands for: a class of diffusers and what is changed in the published settings
    SCHEDULERS: ClassVar[Mapping[str, tuple[str, Mapping[str, Any]]]]

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._pipeline: Any = None
        self._folder: Path | None = None
        self._schedule: Mapping[str, Any] = {}

    # models

    def weights(self) -> Sequence[Weights]:
        """The published checkpoints, then a person's own."""
        own = [
            Weights(id=name, title=f"{name} (your own)", license="your own", embedded=True)
            for name, folder in self.cache.own().items()
            if _pipeline_of(folder) == self.PIPELINE
        ]
        return [*self.PUBLISHED, *own]

    def weights_for(self, params: Any) -> Weights:
        """The checkpoint that ``params`` names."""
        name = params.model.strip()
        for item in self.weights():
            if name in (item.id, item.repo):
                return item
        raise StudioError(
            f"{name!r} is neither a known model nor a folder in models/own with a {self.PIPELINE}. Choose "
            "one from the list.",
            "model",
        )

    def choices(self, name: str) -> Sequence[Choice]:
        """Checkpoints; empty for other parameters."""
        return [Choice(item.id, item.title) for item in self.weights()] if name == "model" else ()

    def folder(self, weights: Weights) -> Path:
        """Where these weights are; raises ``NotReady`` for what is not downloaded."""
        folder = self.cache.own()[weights.id] if weights.embedded else self.cache.path(weights)
        if folder is None:
            raise NotReady(f"The model {weights.id} is not downloaded yet.", "model")
        return folder

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """MiB with the checkpoint that ``params`` asks for: its files, and as much again of the largest half
        for what is computed."""
        if params is None:
            return super().memory_mb(dtype)
        try:
            files = list(self.folder(self.weights_for(params)).glob("*/*.safetensors"))
        except NotReady:
            return super().memory_mb(dtype)
        size_mb = sum(file.stat().st_size for file in files) / 2**20
        return round(size_mb * (1 if dtype == "float32" else 0.5) * 1.25)

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a blank prompt or a folder that holds another pipeline."""
        if not params.prompt.strip():
            raise StudioError("There is no prompt. Say what to hear.", "prompt")
        self.weights_for(params)

    # loading

    def warm(self) -> None:
        """Import diffusers and transformers."""
        import diffusers

        getattr(diffusers, self.PIPELINE)

    def load(self, device: Device, params: Any = None) -> None:
        """Load the checkpoint that ``params`` names; the last one is kept."""
        params = params or self.Params(prompt="-")  # type: ignore[call-arg]
        folder = self.folder(self.weights_for(params))
        if self._folder == folder:
            return
        self.unload()
        import torch

        torch.set_num_threads(device.threads)
        self._pipeline = load(folder, self.PIPELINE, device.device, device.dtype)
        self._folder, self._schedule = folder, dict(self._pipeline.scheduler.config)

    def unload(self) -> None:
        """Forget the checkpoint."""
        self._pipeline, self._folder, self._schedule = None, None, {}
        gc.collect()

    # making sound

    @abstractmethod
    def call(
        self, pipeline: Any, params: Any, seeds: Sequence[int], options: dict[str, Any]
    ) -> Any:
        """Call the pipeline for one sound a seed; returns ``(B, T)`` or ``(B, C, T)`` and the sample rate."""

    def scheduler(self, params: Any) -> Any:
        """The scheduler that ``params`` name, with the checkpoint's settings."""
        import diffusers

        name, changes = self.SCHEDULERS[str(params.scheduler)]
        name = name or str(
            self._schedule.get("_class_name", type(self._pipeline.scheduler).__name__)
        )
        return getattr(diffusers, name).from_config(self._schedule, **changes)

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """Make all variations at once and yield one clip each. Raises ``Cancelled`` at any step."""
        import torch

        assert self._pipeline is not None
        job.check()
        job.progress(0, params.steps, "encoding the prompt")
        drawn = [int(job.rng(number).integers(2**32)) for number in range(1, params.variations)]
        seeds = [job.seed, *drawn]
        self._pipeline.scheduler = self.scheduler(params)

        def after(step: int, *_: Any) -> None:
            job.check()
            job.progress(step + 1, params.steps, "denoising")

        generators = [torch.Generator("cpu").manual_seed(_start(seed)) for seed in seeds]
        options = {
            "num_inference_steps": params.steps, "guidance_scale": params.guidance, "callback": after,
            "callback_steps": 1, "generator": generators,
        }  # fmt: skip
        with torch.inference_mode():
            made, rate = self.call(self._pipeline, params, seeds, options)
        job.check()
        weights = self.weights_for(params)
        for seed, samples in zip(seeds, made, strict=True):
            yield Clip(
                _within(samples), rate, text=params.prompt.strip(), revision=self.cache.revision(weights),
                settings={"variations": 1, "seed": seed},
            )  # fmt: skip


def _start(seed: int) -> int:
    """What seeds torch's generator; the variation alone has the same one as among others."""
    return int(np.random.default_rng([seed, 0]).integers(2**63))


def _within(samples: Any) -> np.ndarray:
    """Samples as float32 within full scale; raises ``StudioError`` for what is no sound."""
    array = np.asarray(samples, dtype=np.float32)
    if not np.isfinite(array).all():
        raise StudioError("The model gave values that are no numbers. Use float32, or fewer steps.")
    return array / max(1.0, float(np.abs(array).max(initial=0.0)))


def _pipeline_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / INDEX).read_text(encoding="utf-8")).get("_class_name", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def load(folder: Path, pipeline: str, device: str = "cpu", dtype: str = "float32") -> Any:
    """The pipeline of that class in ``folder``. Raises ``StudioError`` that names the part which cannot be
    read or lacks weights."""
    import diffusers
    import torch
    from diffusers.utils import logging as hugging

    if _pipeline_of(folder) != pipeline:
        raise StudioError(
            f"{folder.name} has no {INDEX} of a {pipeline}. Download it again.", "model"
        )
    hugging.set_verbosity_error()  # it would print each network that it is given
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    modules = {}
    for name, entry in index.items():
        if isinstance(entry, list) and entry[1] and _is_network(entry[1]):
            modules[name] = _part(folder, name, entry[1], getattr(torch, dtype))
    try:
        whole = getattr(diffusers, pipeline).from_pretrained(
            folder, local_files_only=True, **modules
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise StudioError(f"{folder.name} cannot be loaded: {error}", "model") from error
    whole.set_progress_bar_config(disable=True)
    return whole.to(device)


def _class(name: str) -> Any:
    import diffusers
    import transformers

    name = NEWER.get(name, name)
    found = getattr(transformers, name, None) or getattr(diffusers, name, None)
    if found is None:
        raise StudioError(f"The installed diffusers and transformers have no {name}.", "model")
    return found


def _is_network(name: str) -> bool:
    import torch

    found = _class(name)
    return isinstance(found, type) and issubclass(found, torch.nn.Module)


def _part(folder: Path, name: str, kind: str, dtype: Any) -> Any:
    """One network of a pipeline, whole."""
    from safetensors import SafetensorError

    of_diffusers = _class(kind).__module__.startswith("diffusers.")
    try:
        network, info = _class(kind).from_pretrained(
            folder / name, local_files_only=True, output_loading_info=True,
            **{"torch_dtype" if of_diffusers else "dtype": dtype},
        )  # fmt: skip
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError, EOFError) as error:
        raise StudioError(
            f"{folder.name}/{name} cannot be loaded: {error}. Download it again.", "model"
        ) from error
    lacking = sorted(map(str, [*info.get("missing_keys", ()), *info.get("mismatched_keys", ())]))
    if lacking:
        more = " and others" if len(lacking) > 3 else ""
        raise StudioError(
            f"{folder.name}/{name} lacks weights or has them in another shape: {', '.join(lacking[:3])}{more}"
            ". Download it again.",
            "model",
        )
    return network.eval()
