"""Settings that the engines of Vevo and VevoSing share, and what the networks make of them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import Field

from engines.base import Job, Params, StudioError

if TYPE_CHECKING:
    from engines.networks.blocks.causal_llama import TokenSampling
    from engines.networks.vevo.flow import FlowSampling

RATE = 24_000
MOST_TOKENS = 4000
LOUDNESS_DBFS = -25.0  # of speech, as the publishers save it


class Language(StrEnum):
    """What a text is written in."""

    AUTO = "auto"
    ENGLISH = "en"
    CHINESE = "zh"
    JAPANESE = "ja"
    KOREAN = "ko"
    FRENCH = "fr"
    GERMAN = "de"


LANGUAGES = tuple(language.value for language in Language if language is not Language.AUTO)


class FlowParams(Params):
    """How tokens become sound, by flow matching."""

    steps: int = Field(
        32,
        ge=1,
        le=100,
        title="Steps",
        description="Steps of flow matching. More is cleaner and takes longer.",
    )
    guidance: float = Field(
        1.0,
        ge=0,
        le=5,
        title="Guidance",
        description="How strongly each step is drawn away from the sound without reference and "
        "content. 0 is without guidance and takes half the work.",
        json_schema_extra={"step": 0.1, "advanced": True},
    )
    guidance_rescale: float = Field(
        0.75,
        ge=0,
        le=1,
        title="Guidance rescale",
        description="How much of the deviation that guidance adds is taken back.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )

    @property
    def flow(self) -> FlowSampling:
        """The same for the network."""
        from engines.networks.vevo.flow import FlowSampling

        return FlowSampling(self.steps, self.guidance, self.guidance_rescale)


class DrawingParams(Params):
    """How the language model draws its tokens."""

    temperature: float = Field(
        0.8,
        ge=0,
        le=2,
        title="Temperature",
        description="Variety of pace and melody of the voice: 0 takes the likeliest token at each "
        "step, high values get unsteady.",
        json_schema_extra={"step": 0.05},
    )
    top_k: int = Field(
        50,
        ge=0,
        le=1000,
        title="Top-k",
        description="Only the so many likeliest tokens are drawn; 0 is all.",
        json_schema_extra={"advanced": True},
    )
    top_p: float = Field(
        0.9,
        gt=0,
        le=1,
        title="Top-p",
        description="Only the likeliest tokens that together have this probability are drawn.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )
    repetition_penalty: float = Field(
        1.0,
        ge=1,
        le=2,
        title="Repetition penalty",
        description="Makes tokens that were there before less likely; 1 is off.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )
    min_tokens: int = Field(
        50,
        ge=1,
        le=1000,
        title="Fewest tokens",
        description="A piece does not end before so many tokens (Vevo has 50 a second, VevoSing 12.5).",
        json_schema_extra={"advanced": True},
    )
    max_tokens: int = Field(
        2000,
        ge=100,
        le=MOST_TOKENS,
        title="Most tokens",
        description="A piece ends at so many tokens, those of the text and the reference included.",
        json_schema_extra={"advanced": True},
    )

    @property
    def drawing(self) -> TokenSampling:
        """The same for the network."""
        from engines.networks.blocks.causal_llama import TokenSampling

        return TokenSampling(
            max_length=self.max_tokens,
            min_new_tokens=self.min_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
        )

    def check_room(self, given: int, field: str) -> None:
        """Raise ``StudioError`` where what is given leaves no room for what is to be made."""
        if given + self.min_tokens > self.max_tokens:
            raise StudioError(
                f"Text and reference take {given} tokens of {self.max_tokens}, which leaves no room for "
                "the voice. Use a shorter reference or text, or raise “Most tokens”.",
                field,
            )


def told(job: Job, index: int, count: int, note: str = "") -> Callable[[int, int], None]:
    """A network's progress within piece ``index`` of ``count``, which ends it if the job is cancelled."""

    def progress(done: int, total: int) -> None:
        job.check()
        job.progress(index + min(1.0, done / max(1, total)), count, note)

    return progress


def part_of(index: int, count: int) -> str:
    """What is being made, for people."""
    return f"Part {index + 1} of {count}" if count > 1 else ""


def samples_of(sound: Any) -> Any:
    """Samples ``(T,)`` float32 of a network's sound (1, T)."""
    return sound[0].float().cpu().numpy()
