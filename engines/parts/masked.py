"""Parameters of masked generation: those of the first stage of MaskGCT and Metis and of their second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

if TYPE_CHECKING:
    from engines.networks.blocks.unmasking import Unmasking
    from engines.networks.maskgct.pipeline import AcousticSettings

ADVANCED: dict[str, Any] = {"advanced": True}
FINE: dict[str, Any] = {"advanced": True, "step": 0.05}


def steps(default: int) -> Any:
    """Steps of the first stage."""
    return Field(
        default,
        ge=1,
        le=100,
        title="Steps",
        description="Steps in which the semantic tokens are unmasked. More take longer.",
    )


def guidance(default: float, towards: str) -> Any:
    """Guidance of the first stage."""
    return Field(
        default,
        ge=0,
        le=10,
        title="Guidance",
        description=f"How strongly the semantic tokens follow {towards}; 0 leaves the second pass out.",
        json_schema_extra={"step": 0.1},
    )


def rescale(default: float = 0.75) -> Any:
    """Rescaling of the first stage's guidance."""
    return Field(
        default,
        ge=0,
        le=1,
        title="Guidance rescale",
        description="Share of the guided states that is brought back to the deviation of the unguided.",
        json_schema_extra=FINE,
    )


def temperature(default: float = 0.9) -> Any:
    """Temperature of the first stage."""
    return Field(
        default,
        ge=0,
        le=3,
        title="Temperature",
        description="Randomness of the semantic tokens; it falls from step to step.",
        json_schema_extra=FINE,
    )


def filter_threshold(default: float = 0.98) -> Any:
    """Share of the vocabulary that can't be drawn, in both stages."""
    return Field(
        default,
        ge=0,
        le=0.999,
        title="Filter threshold",
        description="Share of the vocabulary that is never drawn: at 0.98 the best 2 % are left.",
        json_schema_extra={"advanced": True, "step": 0.005},
    )


def layer_steps(which: str, default: int) -> Any:
    """Steps of layers of the second stage."""
    return Field(
        default,
        ge=1,
        le=100,
        title=f"Acoustic steps, {which}",
        description=f"Steps in which the acoustic codes of the {which} are unmasked.",
        json_schema_extra=ADVANCED,
    )


def acoustic_guidance(which: str, default: float) -> Any:
    """Guidance of one of the two networks of the second stage."""
    return Field(
        default,
        ge=0,
        le=10,
        title=f"Acoustic guidance, {which}",
        description=f"How strongly the codes of the {which} follow the reference; 0 leaves the second "
        "pass out.",
        json_schema_extra={"advanced": True, "step": 0.1},
    )


def acoustic_rescale(default: float = 0.75) -> Any:
    """Rescaling of the second stage's guidance."""
    return Field(
        default,
        ge=0,
        le=1,
        title="Acoustic guidance rescale",
        description="As Guidance rescale, in the second stage.",
        json_schema_extra=FINE,
    )


def acoustic_temperature(default: float = 1.5) -> Any:
    """Temperature of the second stage."""
    return Field(
        default,
        ge=0,
        le=3,
        title="Acoustic temperature",
        description="Randomness of the acoustic codes; it falls from step to step.",
        json_schema_extra=FINE,
    )


def first_stage(params: Any) -> Unmasking:
    """How semantic tokens are drawn."""
    from engines.networks.blocks.unmasking import Unmasking

    return Unmasking(
        steps=params.steps,
        temperature=params.temperature,
        filter_threshold=params.filter_threshold,
        guidance=params.guidance,
        rescale=params.guidance_rescale,
    )


def second_stage(params: Any, layers: int) -> AcousticSettings:
    """How the acoustic codes of so many layers are drawn."""
    from engines.networks.blocks.unmasking import Unmasking
    from engines.networks.maskgct.pipeline import AcousticSettings

    def drawing(steps: int, guidance: float) -> Unmasking:
        return Unmasking(
            steps=steps,
            temperature=params.acoustic_temperature,
            filter_threshold=params.filter_threshold,
            guidance=guidance,
            rescale=params.acoustic_guidance_rescale,
        )

    first = params.acoustic_steps_first
    rest = [params.acoustic_steps_second, *[params.acoustic_steps_others] * layers]
    return AcousticSettings(
        first=drawing(first, params.acoustic_guidance_first),
        others=drawing(first, params.acoustic_guidance),
        steps=(first, *rest)[:layers],
    )
