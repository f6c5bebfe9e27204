"""PicoAudio: 18 kinds of events, each heard from when to when, by diffusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engines.base import Card, Clip, Device, Engine, Job, Params, Seed, StudioError, Task, Weights
from engines.parts.published import folder_of, generator, placed, reading
from engines.parts.variations import seeds
from engines.tta.designer.understand import understand

if TYPE_CHECKING:
    from engines.networks.picoaudio.events import Event

RATE, SECONDS = 16_000, 10.0
WEIGHTS = Weights(
    id="picoaudio",
    title="PicoAudio",
    files=("best.pt", "audioldm-s-full.ckpt"),
    license="not stated",
    languages=("en",),
    advice="The diffusion's weights (best.pt) are in the Hugging Face Space ZeyuXie/PicoAudio; "
    "audioldm-s-full.ckpt is record 7600541 of Zenodo. Put both into models/own/picoaudio.",
)


class PicoAudioParams(Params):
    """Parameters of a scene of 10 s and its variations."""

    prompt: str = Field(
        min_length=1,
        max_length=2000,
        title="Events",
        description="What is heard when, such as “cat meowing at 0.5-2.0, 3.0-4.5 and whistling at "
        "5.0-6.5”, or freely: “a dog barks twice, then a cat meows”. The clip keeps the timeline.",
        json_schema_extra={"lines": 3},
    )
    steps: int = Field(
        200, ge=10, le=500, title="Steps", description="Steps of the diffusion."
    )  # fmt: skip
    guidance: float = Field(
        1.0,
        ge=1,
        le=10,
        title="Guidance",
        description="How closely the sound follows the first event's kind; 1 is without, as trained.",
        json_schema_extra={"step": 0.1, "advanced": True},
    )
    as_published: bool = Field(
        False,
        title="As published",
        description="The original drops an interval that ends at 10 s or later, and those after it in the "
        "same event; here it is cut.",
        json_schema_extra={"advanced": True},
    )
    variations: int = Field(
        1,
        ge=1,
        le=8,
        title="Variations",
        description="How many different sounds, all made at once, each with a seed of its own.",
    )
    seed: Seed = -1


class PicoAudio(Engine):
    """Timeline to sound."""

    card = Card(
        id="picoaudio",
        title="PicoAudio",
        task=Task.TTA,
        summary="Ten seconds of named events, each from when to when: barking, meowing, horns, doors, "
        "whistling and more.",
        license_code="MIT",
        license_weights="not stated (PicoAudio); CC-BY-NC-SA-4.0 (AudioLDM)",
        sample_rate=RATE,
        languages=("en",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2407.02869",
        home="https://github.com/zeyuxie29/PicoAudio",
        memory_mb={"float32": 1100, "bfloat16": 600, "float16": 600},
        requires=("torch",),
        pip_extra="torch",
        notes="The weights are not on the hub: see Models for where they are. Weights that were trained "
        "with CLAP's text embedding are told the class of the first event, as the other variant is.",
    )
    Params = PicoAudioParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._model: Any = None
        self._stamp = ""

    def weights(self) -> tuple[Weights, ...]:
        """A folder in ``models/own``."""
        return (WEIGHTS,)

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for events that can't be read or made."""
        events_of(params.prompt)

    def load(self, device: Device, params: Any = None) -> None:
        """Diffusion, autoencoder and vocoder, once."""
        folder = folder_of(self.cache, WEIGHTS)
        stamp = f"{folder} {device.device} {device.dtype}"
        if self._stamp == stamp:
            return
        self.unload()
        import torch

        from engines.networks.picoaudio.pipeline import PicoAudioModel

        torch.set_num_threads(device.threads)
        with reading(WEIGHTS.title):
            model = PicoAudioModel.from_published(folder)
        placed(model.diffusion, device, device.dtype)
        placed(model.first_stage, device, device.dtype)
        self._model, self._stamp = model, stamp

    def unload(self) -> None:
        """Forget all parts."""
        self._model, self._stamp = None, ""

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """One clip for each variation, all made in one batch."""
        from engines.networks.picoaudio.events import write_timeline

        events, drawn = events_of(params.prompt), seeds(job.seed, params.variations)

        def follow(done: int, total: int) -> None:
            job.check()
            job.progress(done, total, f"Step {done} of {total}")

        sounds = self._model.generate(
            events,
            generators=[generator(np.random.default_rng([seed])) for seed in drawn],
            steps=params.steps,
            guidance=params.guidance,
            as_published=params.as_published,
            progress=follow,
        )
        for seed, samples in zip(drawn, sounds.cpu().numpy(), strict=True):
            yield Clip(
                np.clip(samples, -1, 1), RATE, text=write_timeline(events),
                settings={"variations": 1, "seed": seed},
            )  # fmt: skip


def events_of(text: str) -> list[Event]:
    """The events of a caption, a timeline or a free description.

    Raises ``StudioError`` for sounds that PicoAudio doesn't know, and for what lies behind its 10 s.
    """
    from engines.networks.picoaudio.events import TimelineError, read_caption, read_timeline

    for read in (read_timeline, read_caption):
        try:
            return _within(read(text.strip()))
        except TimelineError:
            continue
    return _within(_described(text))


def _described(text: str) -> list[Event]:
    from engines.networks.picoaudio.events import KINDS, Event, TimelineError

    intervals: dict[str, list[tuple[float, float]]] = {}
    for event in understand(text):
        heard = [(round(at, 3), round(at + event.duration_s, 3)) for at in event.onsets_s]
        intervals.setdefault(event.kind.replace(" ", "_"), []).extend(heard)
    try:
        return [Event(kind, sorted(times)) for kind, times in intervals.items()]
    except TimelineError as error:
        known = ", ".join(kind.replace("_", " ") for kind in KINDS)
        raise StudioError(
            f"{error} The sound designer makes more kinds than {known}.", "prompt"
        ) from error


def _within(events: Sequence[Event]) -> list[Event]:
    for event in events:
        for start, end in event.intervals:
            if end <= start or start >= SECONDS:
                raise StudioError(
                    f"“{event.kind.replace('_', ' ')}” from {start:g} s to {end:g} s can't be heard: an "
                    f"event must end after it begins, and begin before {SECONDS:g} s.",
                    "prompt",
                )
    return list(events)
