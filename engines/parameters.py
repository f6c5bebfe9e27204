"""Reads a parameter model: the one place that turns pydantic fields into what people are shown.

Forms, endpoint signatures, CSV columns and documentation pages are all made from ``knobs(model)``.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engines.base import InvalidParams, Media, Params

LISTS = (tuple, list)
NO_INTEGER = ("int_type", "int_parsing", "int_from_float")


class Kind(StrEnum):
    """What sort of value a parameter takes."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    LIST = "list"
    SEED = "seed"
    MEDIA = "media"


@dataclass(frozen=True)
class Knob:
    """One parameter as people see it.

    ``choices`` are the only values there are (of each entry, where it is a list) and ``labels`` the
    words for them; ``suggestions`` are values to pick from where any text will do. ``max_length``
    counts characters, or the entries of a list. ``media`` is a kind of file.
    """

    name: str
    title: str
    description: str
    kind: Kind
    default: Any
    required: bool
    annotation: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    max_length: int | None = None
    unit: str = ""
    lines: int = 1
    advanced: bool = False
    choices: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    suggestions: tuple[str, ...] = ()
    media: str = ""

    @property
    def label(self) -> str:
        """Title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def bounds(self) -> str:
        """The allowed values in words, for help and documentation."""
        if self.kind is Kind.LIST:
            return self._list_bounds
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f"{_number(self.minimum)} to {_number(self.maximum)}"
        if self.max_length:
            return f"at most {self.max_length:,} characters"
        return "any"

    @property
    def _list_bounds(self) -> str:
        many = f"up to {self.max_length}" if self.max_length else "any number"
        if not self.choices:
            return many
        named = len(self.choices) <= NAMED_CHOICES
        return f"{many} of " + (", ".join(self.choices) if named else f"{len(self.choices)} names")


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


NAMED_CHOICES = 12  # more than these are counted, not named, where space is short


def knobs(model: type[Params]) -> list[Knob]:
    """The parameters of ``model`` in order of declaration."""
    return list(_knobs(model))


@functools.cache
def _knobs(model: type[Params]) -> tuple[Knob, ...]:
    """Read once: a table of ten thousand rows asks for each of them."""
    return tuple(_knob(name, info) for name, info in model.model_fields.items())


def _knob(name: str, info: FieldInfo) -> Knob:
    extra: dict[str, Any] = (
        dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}
    )
    annotation = _without_none(info.annotation)
    marks = [*info.metadata, *getattr(annotation, "__metadata__", ())]
    media = next((mark.kind for mark in marks if isinstance(mark, Media)), "")
    required = info.is_required()
    default = None if required else info.get_default(call_default_factory=True)
    minimum, maximum = _bound(info, Ge, Gt), _bound(info, Le, Lt)
    kind = _kind(annotation, media, extra)
    labels: dict[str, str] = extra.get("labels", {})
    return Knob(
        name=name,
        title=info.title or name.replace("_", " ").capitalize(),
        description=info.description or "",
        kind=kind,
        default=None if default is PydanticUndefined else _plain(default),
        required=required,
        annotation=annotation,
        minimum=minimum,
        maximum=maximum,
        step=extra.get("step", 1 if kind is Kind.INTEGER else None),
        max_length=next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None),
        unit=extra.get("unit", ""),
        lines=extra.get("lines", 1),
        advanced=extra.get("advanced", False),
        choices=_enum_values(annotation) or tuple(labels),
        labels=labels,
        suggestions=tuple(str(value) for value in info.examples or ()),
        media=media,
    )


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _bound(field: FieldInfo, *sorts: type) -> float | None:
    for item in field.metadata:
        if isinstance(item, sorts):
            return getattr(item, type(item).__name__.lower())
    return None


def _kind(annotation: Any, media: str, extra: Mapping[str, Any]) -> Kind:
    if media:
        return Kind.MEDIA
    if extra.get("widget") == "seed":
        return Kind.SEED
    if typing.get_origin(annotation) in LISTS:
        return Kind.LIST
    if _enum_values(annotation) or extra.get("labels") or extra.get("widget") == "choice":
        return Kind.CHOICE
    return {bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.NUMBER}.get(annotation, Kind.TEXT)


def _enum_values(annotation: Any) -> tuple[str, ...]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(str(value) for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in LISTS:
        return _enum_values(typing.get_args(annotation)[0])
    return ()


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def parse(model: type[Params], values: Mapping[str, Any]) -> Params:
    """Build ``model`` from ``values``; raises ``InvalidParams`` with one plain sentence a field."""
    try:
        return model(**values)
    except ValidationError as error:
        by_name = {knob.name: knob for knob in knobs(model)}
        problems: dict[str, str] = {}
        for item in error.errors():
            name = str(item["loc"][0]) if item["loc"] else "settings"
            problems.setdefault(name, _sentence(by_name.get(name), item, list(by_name)))
        raise InvalidParams(problems) from None


def _sentence(knob: Knob | None, item: Any, known: list[str]) -> str:
    if item["type"] == "extra_forbidden":
        return f"is not a parameter here; known are {', '.join(known)}."
    if knob is None:
        return item["msg"]
    kind = item["type"]
    if kind in ("missing", "string_too_short"):
        return f"{knob.title} is missing."
    if kind == "string_too_long":
        return (
            f"{knob.title} has {len(item['input']):,} characters; at most "
            f"{knob.max_length:,} fit. Split it into parts."
        )
    if kind == "too_long":
        return f"{knob.title} has {item['ctx']['actual_length']} entries; at most {knob.max_length} fit."
    if kind == "value_error":
        return f"{knob.title}: {str(item['ctx']['error']).rstrip('.')}."
    if kind in NO_INTEGER:
        return f"{knob.title} must be a whole number, {knob.bounds}, not {item['input']!r}."
    if knob.bounds != "any":
        return f"{knob.title} must be {knob.bounds}, not {item['input']!r}."
    return f"{knob.title}: {item['msg']}."


def plain(params: Params) -> dict[str, Any]:
    """``params`` as JSON-ready values: what is stored with a clip and restored from it."""
    return params.model_dump(mode="json")
