"""Reads published weight files and puts them into modules, key by key."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

SHOWN = 5  # keys of one kind that an error names
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")

Network = TypeVar("Network", bound=nn.Module)


class WeightsError(ValueError):
    """A weight file that can't be read, or whose keys or shapes aren't those of the module."""


def read_weights(path: Path) -> dict[str, Any]:
    """What a weight file holds: tensors by key, or for older pickles whatever the publisher nested.

    ``.safetensors`` is read as such, anything else by ``torch.load(weights_only=True)``, on the CPU.

    Raises ``WeightsError`` naming the file when it is missing, cut short or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path.name} is missing from {path.parent}. Download the model again.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise WeightsError(
            f"{path.name} can't be read as weights ({str(error).splitlines()[0]}). It may be cut short: "
            "download it again."
        ) from error


def newest_checkpoint(folder: Path) -> Path:
    """The weight file with the most steps, as Amphion's trainers name them.

    Either ``epoch-*_step-*_loss-*`` folders that hold ``model.safetensors`` or ``pytorch_model.bin``, or
    ``*step-*.pt`` files.

    Raises ``WeightsError`` when there is none.
    """
    checkpoints = [
        (int(match.group(1)), path)
        for path in sorted(folder.glob("*"))
        if (match := re.search(r"step-(\d+)", path.name))
    ]
    for _, path in sorted(checkpoints, reverse=True):
        inside = [path / name for name in ("model.safetensors", "pytorch_model.bin")]
        for file in inside if path.is_dir() else [path]:
            if file.is_file():
                return file
    raise WeightsError(
        f"There is no checkpoint in {folder} (a folder like epoch-0010_step-0050000_loss-1.0 with "
        "pytorch_model.bin or model.safetensors). Download the model again."
    )


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object of a published configuration file; ``WeightsError`` names the file otherwise."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path.name} can't be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path.name} should hold a JSON object.")
    return config


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One block of an ``args.json``; ``WeightsError`` where it is missing."""
    found = config.get(name)
    if not isinstance(found, dict):
        raise WeightsError(f"args.json has no section “{name}”. Download the model again.")
    return found


Config = TypeVar("Config")


def config_of(kind: type[Config], given: Mapping[str, Any], *, what: str) -> Config:
    """A configuration dataclass from a mapping that may hold other entries too.

    Raises ``WeightsError`` naming the entries without default that ``given`` lacks.
    """
    known = fields(kind)  # type: ignore[arg-type]
    missing = [
        field.name
        for field in known
        if field.name not in given and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise WeightsError(f"The configuration of {what} lacks {', '.join(missing)}.")
    return kind(**{field.name: given[field.name] for field in known if field.name in given})


def sizes_in(folder: Path, part: str, default: Config) -> Config:
    """The sizes of ``part`` where ``folder`` has a ``config.json`` that says so, else ``default``.

    For models published without a configuration: their sizes are ``default``, and a checkpoint of other
    sizes brings ``{part: {...}}``.
    """
    path = folder / "config.json"
    given = read_config(path).get(part) if path.is_file() else None
    if given is None:
        return default
    if not isinstance(given, dict):
        raise WeightsError(f"{path.name} should hold an object under {part!r}.")
    return config_of(type(default), given, what=part)


def part(path: Path, key: str) -> dict[str, Any]:
    """What a weight file holds under ``key``; ``WeightsError`` where that isn't there."""
    found = read_weights(path).get(key)
    if not isinstance(found, dict):
        raise WeightsError(f"{path.name} holds no weights under “{key}”. Download the model again.")
    return found


def strip_prefix(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The same tensors with ``prefix`` taken off the keys that begin with it."""
    return {key.removeprefix(prefix): tensor for key, tensor in state.items()}


def load_exactly(
    module: nn.Module,
    state: Mapping[str, torch.Tensor],
    *,
    what: str,
    ignore: Iterable[str] = (),
    optional: Iterable[str] = (),
    assign: bool = False,
) -> None:
    """Copy ``state`` into ``module``; every key and shape must fit.

    Keys that begin with one of ``ignore`` are left out of ``state`` (heads used in training only).
    Keys that begin with one of ``optional`` may be missing and keep the module's own values (constant
    buffers). ``what`` names the weights in the error. ``assign`` puts the tensors themselves into the
    module in place of a copy.

    Raises ``WeightsError`` listing missing, unexpected and misshapen keys.
    """
    ignored, kept = tuple(ignore), tuple(optional)
    given = {key: tensor for key, tensor in state.items() if not key.startswith(ignored or ("\0",))}
    own = module.state_dict()
    missing = [key for key in own if key not in given and not key.startswith(kept or ("\0",))]
    unexpected = [key for key in given if key not in own]
    misshapen = [
        f"{key} is {tuple(given[key].shape)} and should be {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    problems = [
        f"{len(keys)} {kind}: {', '.join(keys[:SHOWN])}{', …' if len(keys) > SHOWN else ''}"
        for kind, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
        )
        if keys
    ]
    if problems:
        raise WeightsError(f"The weights of {what} don't fit its network. {'; '.join(problems)}.")
    module.load_state_dict(given, strict=False, assign=assign)


def build_exactly(
    make: Callable[[], Network],
    state: Mapping[str, torch.Tensor],
    *,
    what: str,
    ignore: Iterable[str] = (),
) -> Network:
    """The module that ``make`` builds, in evaluation mode, holding the tensors of ``state`` themselves.

    It is built without memory, so that weights are never there twice and no time goes into values that
    are overwritten. Raises ``WeightsError`` as ``load_exactly``.
    """
    with torch.device("meta"):
        module = make()
    load_exactly(module, state, what=what, ignore=ignore, assign=True)
    return module.eval()


def weight_file(folder: Path) -> Path:
    """The one weight file of a published folder, whatever it is called.

    Raises ``WeightsError`` where there is none, or several and none of the usual names.
    """
    usual = [folder / name for name in ("model.safetensors", "pytorch_model.bin")]
    others = [path for path in sorted(folder.glob("*")) if path.suffix in WEIGHT_SUFFIXES]
    files = [path for path in usual if path.is_file()] or others
    if not files:
        raise WeightsError(f"There are no weights in {folder}. Download the model again.")
    if len(files) > 1 and files[0] not in usual:
        names = ", ".join(path.name for path in files[:SHOWN])
        raise WeightsError(f"{folder} should hold one weight file and has {len(files)}: {names}.")
    return files[0]
