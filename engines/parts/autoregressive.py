"""Parameters of language models over tokens, and the precision they are held in."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import Field

from engines.base import Device

if TYPE_CHECKING:
    from torch import nn

    from engines.networks.blocks.causal_llama import TokenSampling


class Precision(StrEnum):
    """Number format of a language model's weights."""

    AUTO = "auto"
    FULL = "full"
    INT8 = "int8"


def precision() -> Any:
    """The number format of the language model."""
    return Field(
        Precision.AUTO,
        title="Precision",
        description="Weights of the language model: int8 is twice as fast or more on a processor and "
        "a quarter as large; full is what the device computes in; auto is int8 on a processor.",
        json_schema_extra={"advanced": True},
    )


def temperature(default: float) -> Any:
    """Temperature of the draw."""
    return Field(
        default,
        ge=0,
        le=2,
        title="Temperature",
        description="Randomness of the tokens: 0 takes the likeliest each time.",
        json_schema_extra={"step": 0.05},
    )


def top_k(default: int) -> Any:
    """How many tokens may be drawn."""
    return Field(
        default,
        ge=0,
        le=1000,
        title="Top k",
        description="Only the k likeliest tokens are drawn; 0 allows all.",
        json_schema_extra={"advanced": True},
    )


def top_p(default: float) -> Any:
    """Share of probability that may be drawn."""
    return Field(
        default,
        ge=0.01,
        le=1,
        title="Top p",
        description="Only the likeliest tokens that together reach this probability are drawn.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )


def repetition_penalty(default: float) -> Any:
    """Penalty of tokens that were there."""
    return Field(
        default,
        ge=1,
        le=10,
        title="Repetition penalty",
        description="Above 1, tokens that were given or drawn before become less likely.",
        json_schema_extra={"step": 0.1, "advanced": True},
    )


def min_new_tokens(default: int, per_second: float) -> Any:
    """Fewest tokens of a part."""
    return Field(
        default,
        ge=0,
        le=500,
        title="Fewest tokens",
        description=f"Each part lasts at least so many tokens, {per_second:g} a second.",
        json_schema_extra={"advanced": True},
    )


def max_length(default: int) -> Any:
    """Most tokens of reference, text and speech."""
    return Field(
        default,
        ge=100,
        le=4096,
        title="Most tokens",
        description="Tokens of reference, text and speech together at most, in each part.",
        json_schema_extra={"advanced": True},
    )


def sampling(params: Any) -> TokenSampling:
    """How tokens are drawn."""
    from engines.networks.blocks.causal_llama import TokenSampling

    return TokenSampling(
        max_length=params.max_length,
        min_new_tokens=params.min_new_tokens,
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        repetition_penalty=params.repetition_penalty,
    )


def chosen(params: Any, device: Device) -> Precision:
    """The precision that ``params`` asks for, on this device."""
    wanted = params.precision if params is not None else Precision.AUTO
    on_cpu = device.device == "cpu"
    if wanted is Precision.AUTO:
        return Precision.INT8 if on_cpu else Precision.FULL
    return Precision.INT8 if wanted is Precision.INT8 and on_cpu else Precision.FULL


def packed(network: nn.Module, wanted: Precision) -> None:
    """Put 8-bit weights into a network on the processor, where those are asked for."""
    from engines.networks.blocks.int8 import to_int8

    if wanted is Precision.INT8:
        to_int8(network)
