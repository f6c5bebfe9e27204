"""LoRA adapters of the MusicGen decoder: PEFT folders, read and turned into weight changes.

An adapter is what ``peft`` saves of a ``PeftModel`` of ``model.decoder``: ``adapter_config.json``
and ``adapter_model.safetensors``. It is used by adding its change to the weights, so it costs
nothing while decoding, and a scale of 0 is exactly the base.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from engines.music.musicgen.checkpoint import describe

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PREFIX = "base_model.model."
FIELD = "adapters"
MAX_PATTERN = 10_000
MAX_WEIGHT, MAX_ALPHA = 1e4, 1e6  # far above any adapter that was trained
# what PEFT can do and the plain sum of weights cannot
UNSUPPORTED = ("use_dora", "lora_bias", "modules_to_save", "trainable_token_indices", "use_qalora")


@dataclass(frozen=True)
class Pair:
    """The change of one linear layer: ``down`` ``(r, in)``, ``up`` ``(out, r)``, alpha over r."""

    down: torch.Tensor
    up: torch.Tensor
    scaling: float

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight it changes, ``(out, in)``."""
        return self.up.shape[0], self.down.shape[1]


@dataclass(frozen=True)
class LoraWeights:
    """An adapter in memory: its changes by module path in the decoder, and its configuration."""

    name: str
    pairs: Mapping[str, Pair]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """The largest rank of its layers."""
        return max(pair.down.shape[0] for pair in self.pairs.values())


def read(folder: Path) -> LoraWeights:
    """The adapter in ``folder``.

    Raises ``StudioError`` when a file is missing, is a pickle or is damaged, when a layer has only
    one half of its change, when the adapter uses what is not supported, or changes nothing.
    """
    config, tensors = _config(folder), _tensors(folder)
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = re.fullmatch(r"(?:base_model\.model\.)(.+)\.lora_(A|B)\.weight", key)
        if match is None or tensor.ndim != 2:
            raise StudioError(
                f"{folder.name} holds {key!r}, which is not the LoRA change of a linear layer of "
                "the decoder. Train with linear target modules, and save the PeftModel of "
                "model.decoder.",
                FIELD,
            )
        halves.setdefault(match[1], {})[match[2]] = tensor.float()
    pairs = {path: _pair(folder, config, path, half) for path, half in halves.items()}
    if not pairs:
        raise StudioError(f"{folder.name} holds no LoRA weights.", FIELD)
    if not any(pair.up.any() for pair in pairs.values()):
        raise StudioError(
            f"{folder.name} changes nothing: all its lora_B weights are zero, so it was saved "
            "before its training began.",
            FIELD,
        )
    return LoraWeights(folder.name, pairs, config)


def check(folder: Path, base_folder: Path) -> LoraWeights:
    """Read the adapter and compare it with the base's safetensors headers; nothing is loaded.

    Raises ``StudioError`` for what ``read`` refuses and for an adapter of another base.
    """
    weights = read(folder)
    suffix, prefix = ".weight", "decoder."
    shapes = {
        name.removeprefix(prefix).removesuffix(suffix): shape
        for name, shape in describe(base_folder).shapes.items()
        if name.startswith(prefix) and name.endswith(suffix) and len(shape) == 2
    }
    _fits(weights, shapes, base_folder.name)
    return weights


def deltas(decoder: Any, adapters: Sequence[tuple[LoraWeights, float]]) -> dict[str, torch.Tensor]:
    """The changes ``(out, in)``, float32, of the decoder's linear layers by module path.

    ``adapters`` are weights with their scales; several add up, and those with scale 0 are left out.
    Raises ``StudioError`` when one was trained on another base.
    """
    import torch

    layers = {
        name: module
        for name, module in decoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    shapes = {name: tuple(module.weight.shape) for name, module in layers.items()}
    changes: dict[str, torch.Tensor] = {}
    for weights, scale in adapters:
        _fits(weights, shapes, "the loaded model")
        if scale == 0:
            continue
        for path, pair in weights.pairs.items():
            device = layers[path].weight.device
            change = (pair.up.to(device) @ pair.down.to(device)) * (pair.scaling * scale)
            changes[path] = changes[path] + change if path in changes else change
    return changes


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudioError(
            f"{folder.name} has no {CONFIG}: it is not a PEFT adapter.", FIELD
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StudioError(f"{folder.name}/{CONFIG} is not JSON: {error}", FIELD) from None
    except RecursionError:
        raise StudioError(
            f"{folder.name}/{CONFIG} is nested too deeply to be read.", FIELD
        ) from None
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise StudioError(f"{folder.name} is a {kind!r} adapter; only LORA is supported.", FIELD)
    if "r" in config:
        _number(folder, "r", config["r"])
    used = [name for name in UNSUPPORTED if config.get(name)]
    used += ["bias"] if config.get("bias", "none") != "none" else []
    if used:
        raise StudioError(
            f"{folder.name} uses {', '.join(used)}, which is not supported here. Train it as plain "
            "LoRA of linear layers.",
            FIELD,
        )
    return config


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        pickles = [item.name for item in sorted(folder.iterdir()) if item.suffix in PICKLES]
        if pickles:
            raise StudioError(
                f"{folder.name} holds {', '.join(pickles)}, a pickle, which can run any program "
                f"when opened. Save the adapter as {WEIGHTS}.",
                FIELD,
            )
        raise StudioError(f"{folder.name} has no {WEIGHTS}.", FIELD)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise StudioError(
            f"{folder.name}/{WEIGHTS} is not a readable safetensors file ({error}). A pickle under "
            "this name is not opened.",
            FIELD,
        ) from error


def _pair(
    folder: Path, config: Mapping[str, Any], path: str, half: Mapping[str, torch.Tensor]
) -> Pair:
    missing = {"A", "B"} - half.keys()
    if missing:
        raise StudioError(
            f"{folder.name} lacks the key {PREFIX}{path}.lora_{missing.pop()}.weight; the file is "
            "incomplete.",
            FIELD,
        )
    down, up = half["A"], half["B"]
    rank = down.shape[0]
    if up.shape[1] != rank:
        raise StudioError(
            f"{folder.name}: the halves of {path} do not fit, {tuple(down.shape)} and "
            f"{tuple(up.shape)}.",
            FIELD,
        )
    if not (down.isfinite().all() and up.isfinite().all()):
        raise StudioError(f"{folder.name}: {path} holds values that are not finite.", FIELD)
    largest = max(float(half.abs().max()) for half in (down, up))
    if largest > MAX_WEIGHT:
        raise StudioError(
            f"{folder.name}: {path} holds a weight of {largest:.3g}; those of a trained adapter are "
            "below 10. The file is damaged, or its training went wrong.",
            FIELD,
        )
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, Mapping):
        raise StudioError(f"{folder.name}: alpha_pattern must be an object of names.", FIELD)
    alpha = _by_pattern(patterns, path, config.get("lora_alpha", rank))
    root = math.sqrt(rank) if config.get("use_rslora") else rank
    return Pair(down, up, _number(folder, "lora_alpha", alpha) / root)


def _number(folder: Path, name: str, value: Any) -> float:
    """A positive number of the configuration; ``StudioError`` for anything else."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not 0 < value <= MAX_ALPHA:  # false for NaN too
        raise StudioError(
            f"{folder.name}: {name} is {value!r}; it must be a number above 0 and at most "
            f"{MAX_ALPHA:,.0f}.",
            FIELD,
        )
    return float(value)


def _by_pattern(patterns: Mapping[str, Any], path: str, default: Any) -> Any:
    """PEFT's rule: the first pattern that matches the end of the path."""
    for pattern, value in patterns.items():
        if _matcher(rf"(.*\.)?({pattern})")(path):
            return value
    return default


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], Any]:
    """Whether a whole path matches a regular expression from outside.

    RE2 takes time in proportion to the path, whatever the pattern; Python's own could be kept busy for
    ever. Raises ``StudioError`` for a pattern that RE2 refuses.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern[:MAX_PATTERN], options).fullmatch
    except re2.error as error:
        raise StudioError(
            f"The adapter's configuration names its layers by {pattern[:80]!r}, which can't be used "
            f"here ({error.args[0].decode() if isinstance(error.args[0], bytes) else error}). Write "
            r"the names of the layers, such as q_proj, or a simple pattern, such as .*\.(q|v)_proj.",
            FIELD,
        ) from None


def _fits(weights: LoraWeights, shapes: Mapping[str, tuple[int, ...]], base: str) -> None:
    """Raise unless every layer is in the base with the same shape, and none is missing."""
    for path, pair in weights.pairs.items():
        if path not in shapes:
            raise StudioError(
                f"{weights.name} was trained on another base: it changes {path}, which {base} does "
                "not have.",
                FIELD,
            )
        if shapes[path] != pair.shape:
            raise StudioError(
                f"{weights.name} was trained on another base: {path} is {_by(pair.shape)} there "
                f"and {_by(shapes[path])} in {base}.",
                FIELD,
            )
    missing = sorted(set(_targets(weights.config, shapes)) - weights.pairs.keys())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise StudioError(
            f"{weights.name} lacks keys: its target modules include {missing[0]}{more}, and the "
            f"file has nothing for {'them' if more else 'it'}.",
            FIELD,
        )


def _targets(config: Mapping[str, Any], paths: Iterable[str]) -> list[str]:
    """The layers that PEFT would change by this configuration; empty where it does not say."""
    targets = config.get("target_modules")
    if not targets or config.get("layers_to_transform") or config.get("exclude_modules"):
        return []
    if isinstance(targets, str):
        return [] if targets == "all-linear" else [p for p in paths if _matcher(targets)(p)]
    ends = tuple(f".{name}" for name in targets)
    return [path for path in paths if path in targets or path.endswith(ends)]


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
