"""The composer as an engine: a prompt with attributes in, pieces by rules and sampled instruments out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import Field

from engines.base import Card, Clip, Device, Engine, Job, Seed, Task, Weights
from engines.music.composer import Attributes, Brief, brief_of, compose, understand
from engines.music.composer.styles import styles
from engines.prompts import PromptParams, render_prompt

RATE = 44_100
LOADED_MB, A_SECOND_MB = 300, 3.2  # recordings that are kept, and what a second of a piece takes
SAMPLES = Weights(
    id="fluid-r3",
    title="Instruments of FluidR3 GM",
    license="MIT",
    embedded=True,
)


class ComposerParams(PromptParams):
    """Parameters of one piece and its variations."""

    duration_s: float = Field(
        20.0,
        ge=5,
        le=600,
        title="Duration",
        description="Length of the piece; its form is planned for it. A seamless loop, where the prompt "
        "asks for one, ends with the nearest whole bar.",
        json_schema_extra={"unit": "s", "step": 0.5},
    )
    variations: int = Field(
        1,
        ge=1,
        le=8,
        title="Variations",
        description="How many different pieces. Each has a seed of its own, which does not depend "
        "on how many are made.",
    )
    seed: Seed = -1


class Composer(Engine):
    """Pieces written by rules; nothing is downloaded."""

    card = Card(
        id="composer",
        title="Composer",
        task=Task.MUSIC,
        summary="Music in stereo with a form, in any key and tempo, composed by rules and played by sampled "
        "instruments.",
        license_code="MIT",
        license_weights="MIT (FluidR3 GM)",
        sample_rate=RATE,
        languages=("en",),
        memory_mb={"float32": LOADED_MB + round(20 * A_SECOND_MB)},
        notes="Nothing in it is learned. Attributes that are left empty are read from the prompt: style, "
        "mood, energy, key, tempo, metre, instruments, form, what must not be heard (“no drums”) and whether "
        "it is to loop; what neither says is chosen as suits the style, by the seed. Memory is that of a "
        "piece of 20 s; each further second takes 3.2 MB.",
    )
    Params = ComposerParams

    def weights(self) -> list[Weights]:
        """The instruments, which come with the studio."""
        return [SAMPLES]

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """MiB for the recordings and a piece of the length that is asked for."""
        if params is None:
            return super().memory_mb(dtype)
        return LOADED_MB + round(params.duration_s * A_SECOND_MB)

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a blank prompt."""
        render_prompt(params)

    def warm(self) -> None:
        """Import what plays."""
        from engines.music.composer import rendering  # noqa: F401

    def load(self, device: Device, params: Any = None) -> None:
        """Open the archive of recordings; each is read when it is first played."""
        from engines.music.composer.sampler import bank

        bank()

    def unload(self) -> None:
        """Forget the recordings."""
        from engines.music.composer.sampler import bank

        bank.cache_clear()

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """Yield one clip each variation. Raises ``Cancelled`` between two parts of a piece."""
        from engines.music.composer import render

        asked = attributes(params)
        for number in range(params.variations):
            seed = job.seed if number == 0 else int(job.rng(number).integers(2**32))

            def told(done: int, total: int, note: str, number: int = number) -> None:
                job.check()
                job.progress(number * total + done, params.variations * total, note)

            told(0, 1, "Composing")
            brief = brief_of(asked, seed, params.duration_s)
            sound = render(compose(brief), told=told).mix
            job.check()
            job.emit(sound, RATE)
            yield Clip(
                sound,
                RATE,
                text=render_prompt(params),
                title=title(brief),
                settings={"variations": 1, "seed": seed},
            )


def attributes(params: PromptParams) -> Attributes:
    """What is asked for: the attributes that are given, all others from the words of the prompt."""
    said = understand(params.prompt).attributes
    if params.style:
        said = replace(said, style=_style(params.style) or said.style)
    if params.mood:
        said = replace(said, mood=understand(params.mood).attributes.mood or said.mood)
    if params.energy:
        said = replace(said, energy=params.energy)
    if params.key:
        said = replace(said, key=params.key, mode="")
    if params.tempo:
        said = replace(said, tempo=float(params.tempo), pace=None)
    lead = params.primary_instruments or said.lead
    support = params.secondary_instruments or said.support
    # an instrument plays where it is given
    behind = set(params.secondary_instruments) - set(params.primary_instruments)
    lead = tuple(name for name in lead if name not in behind)
    support = tuple(name for name in support if name not in lead)
    return replace(said, lead=lead, support=support, only=said.only and bool(lead))


def _style(words: str) -> str:
    return words.lower() if words.lower() in styles() else understand(words).attributes.style


def title(brief: Brief) -> str:
    """A piece in a few words, such as ``Sad acoustic in A minor, 70 bpm``."""
    words = f"{brief.mood} {brief.style} in {brief.key}, {brief.tempo:g} bpm".strip()
    return words[0].upper() + words[1:]
