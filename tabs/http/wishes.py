"""What every speech engine is asked for, in the engine's own parameter names."""

from __future__ import annotations

from typing import Any

from engines.base import Engine, StudioError
from engines.parameters import Knob, knobs

TEXT_KNOBS = ("text", "prompt")
VOICE_KNOBS = ("voice", "model", "speaker")
DIRECTION_KNOBS = ("instructions", "instruct", "style")
DURATION_KNOBS = ("length_scale",)  # twice as fast is half as long
SPEED_KNOBS = ("speed", "speaking_rate", *DURATION_KNOBS)


def speech_settings(
    engine: Engine, text: str, voice: str = "", speed: float = 1.0, instructions: str = ""
) -> dict[str, Any]:
    """Parameters of ``engine`` for these wishes; raises ``StudioError`` for what it cannot do.

    ``voice`` "" and "default" mean the engine's own default; a speed of 1 is its normal speed.
    """
    known = {knob.name: knob for knob in knobs(engine.Params)}
    values: dict[str, Any] = {_first(TEXT_KNOBS, known) or "text": text}
    if voice not in ("", "default"):
        values |= _voice(engine, known, voice)
    if speed != 1.0:
        values |= _speed(engine, known, speed)
    if instructions:
        name = _first(DIRECTION_KNOBS, known)
        if name is None:
            raise StudioError(f"{engine.card.title} takes no instructions.", "instructions")
        values[name] = instructions
    return values


def voices(engine: Engine) -> tuple[str, ...]:
    """The voices that the engine lists; it may know more."""
    known = {knob.name: knob for knob in knobs(engine.Params)}
    name = _first(VOICE_KNOBS, known)
    if name is None:
        return ()
    return known[name].choices or tuple(choice.value for choice in engine.choices(name))


def _voice(engine: Engine, known: dict[str, Knob], voice: str) -> dict[str, str]:
    name = _first(VOICE_KNOBS, known)
    if name is None:
        raise StudioError(f"{engine.card.title} has one voice: 'default'.", "voice")
    return {name: voice}


def _speed(engine: Engine, known: dict[str, Knob], speed: float) -> dict[str, float]:
    name = _first(SPEED_KNOBS, known)
    if name is None:
        raise StudioError(f"{engine.card.title} has no speed to set.", "speed")
    value = 1 / speed if name in DURATION_KNOBS else speed
    low, high = known[name].minimum or value, known[name].maximum or value
    if not low <= value <= high:
        slowest, fastest = (1 / high, 1 / low) if name in DURATION_KNOBS else (low, high)
        raise StudioError(
            f"{engine.card.title} speaks at {slowest:g} to {fastest:g} times its normal speed, "
            f"not {speed:g}.",
            "speed",
        )
    return {name: value}


def _first(names: tuple[str, ...], known: dict[str, Knob]) -> str | None:
    return next((name for name in names if name in known), None)
