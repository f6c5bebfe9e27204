"""The sound designer as an engine: a description or a timeline in, a stereo scene out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.audio import as_channels, resample
from engines.base import AudioFile, Card, Clip, Device, Engine, Job, Params, Seed, StudioError, Task
from engines.tta.designer import timeline as timelines
from engines.tta.designer.kinds import KINDS, SAMPLES
from engines.tta.designer.mixing import Room, mix
from engines.tta.designer.timeline import Event
from engines.tta.designer.toolkit import RATE
from engines.tta.designer.understand import understand

LONGEST_SAMPLE_S = 120.0
KNOWN = ", ".join(KINDS)


def _sample(number: int) -> Any:
    return Field(
        None,
        title=f"Sample {number}",
        description=f"A sound of your own, called “sample {number}” in the description and on the timeline.",
        json_schema_extra={"advanced": number > 1},
    )


class DesignerParams(Params):
    """Parameters of a scene."""

    prompt: str = Field(
        "",
        max_length=5000,
        title="Description",
        description="Sounds and when they are heard, such as “a dog barks twice, then rain from 4 s to 9 s”. "
        f"Known are {KNOWN}, and your own samples.",
        json_schema_extra={"lines": 3},
    )
    timeline: str = Field(
        "",
        max_length=20_000,
        title="Timeline",
        description="One event a line: what, from when to when in seconds, and what differs from usual, such "
        "as “rain 4.0-9.0 gain -6” or “dog barking 0.0-0.26 count 2 gap 0.3 pan -0.5”. Where empty, it is "
        "read from the description; each clip keeps it here to be edited. Where filled in, it counts.",
        json_schema_extra={"lines": 6},
    )
    duration_s: float = Field(
        0.0, ge=0, le=timelines.LONGEST_S, title="Duration",
        description="Length of the scene; 0 is as long as its events.",
        json_schema_extra={"unit": "s", "step": 0.5},
    )  # fmt: skip
    room: float = Field(
        0.0, ge=0, le=1, title="Room",
        description="How much a room answers; 0 is in the open.",
        json_schema_extra={"step": 0.05},
    )  # fmt: skip
    room_decay_s: float = Field(
        0.8, ge=0.1, le=8, title="Reverberation time",
        description="How long the room takes to fall by 60 dB.",
        json_schema_extra={"unit": "s", "step": 0.1, "advanced": True},
    )  # fmt: skip
    sample_1: AudioFile | None = _sample(1)
    sample_2: AudioFile | None = _sample(2)
    sample_3: AudioFile | None = _sample(3)
    sample_4: AudioFile | None = _sample(4)
    variations: int = Field(
        1, ge=1, le=8, title="Variations",
        description="How many takes of the same scene, each with a seed of its own.",
    )  # fmt: skip
    seed: Seed = -1


class SoundDesigner(Engine):
    """Scenes of events by physical and spectral models; nothing is loaded and nothing is downloaded."""

    card = Card(
        id="sound-designer",
        title="Sound designer",
        task=Task.TTA,
        summary="Scenes of sounds on a timeline, made by procedural synthesis rather than a trained model.",
        license_code="MIT",
        license_weights="none: procedural",
        sample_rate=RATE,
        languages=("en",),
        memory_mb={"float32": 400},
        notes=f"Procedural: {len(KINDS)} kinds of events, each a physical or spectral model with controls of "
        "its own, land on the timeline to the sample. They sound designed, not recorded.",
    )
    Params = DesignerParams

    def load(self, device: Device, params: Any = None) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to free."""

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a description or timeline that cannot be read, and unreadable samples."""
        self.events(params)

    def events(self, params: Any) -> list[Event]:
        """The events of ``params``: those of its timeline or, where that is empty, of its description."""
        lengths = {name: _length_s(path, name) for name, path in _samples(params).items()}
        if params.timeline.strip():
            return timelines.read(params.timeline, lengths)
        return understand(params.prompt, lengths)

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """Yield one clip each variation. Raises ``Cancelled`` between sounds."""
        events = self.events(params)
        samples = {name: _read(path, name) for name, path in _samples(params).items()}
        room = Room(params.room, params.room_decay_s)
        for number in range(params.variations):
            seed = job.seed if number == 0 else int(job.rng(number).integers(2**32))

            def told(done: int, total: int, note: str, number: int = number) -> None:
                job.check()
                job.progress(number * total + done, params.variations * total, note)

            sound = mix(
                events,
                _numbers(seed),
                samples=samples,
                room=room,
                duration_s=params.duration_s,
                told=told,
            )
            if not np.abs(sound).max(initial=0.0):
                raise StudioError(
                    f"All events begin after {params.duration_s:g} s: the scene would be silent. Make it "
                    "longer.",
                    "duration_s",
                )
            yield Clip(
                sound,
                RATE,
                text=params.prompt.strip() or "; ".join(timelines.write(events).splitlines()),
                settings={"timeline": timelines.write(events), "variations": 1, "seed": seed},
            )


def _numbers(seed: int) -> Any:
    return lambda *key: np.random.default_rng([seed, *key])


def _samples(params: Any) -> dict[str, Path]:
    given = {name: getattr(params, name.replace(" ", "_")) for name in SAMPLES}
    return {name: path for name, path in given.items() if path is not None}


def _length_s(path: Path, name: str) -> float:
    import soundfile

    field = name.replace(" ", "_")
    try:
        length_s = soundfile.info(str(path)).duration
    except (soundfile.SoundFileError, OSError) as error:
        raise StudioError(f"{path.name} is not a sound that can be read: {error}", field) from error
    if not 0.02 <= length_s <= LONGEST_SAMPLE_S:
        raise StudioError(
            f"{path.name} lasts {length_s:,.2f} s; give a sound of 0.02 to {LONGEST_SAMPLE_S:g} s.",
            field,
        )
    return length_s


def _read(path: Path, name: str) -> np.ndarray:
    """A sample as ``(2, T)`` at ``RATE``."""
    import soundfile

    _length_s(path, name)
    samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    channels = resample(np.ascontiguousarray(samples.T), rate, RATE)
    return as_channels(np.repeat(channels, 2, axis=0) if len(channels) == 1 else channels[:2])
