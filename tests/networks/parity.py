"""Compares our networks with what the originals computed, tensor by tensor.

    python -m tests.networks.parity NAME fixture.json fixture.safetensors

NAME is a file of ``tests/networks/cases``. One line a tensor; the exit status is 1 if any differs.
Integers must be equal; floats within 1e-4, or where they are larger than 10 within 1e-5 relative;
16-bit samples within 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.networks.weights import load_exactly

TOLERANCE, RELATIVE = 1e-4, 1e-5
WEIGHTS = "sd."


@dataclass
class Fixture:
    """What the original was given and computed: configurations, weights and tensors by name."""

    name: str
    about: dict[str, Any]
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, name: str, description: Path, tensors: Path) -> Fixture:
        """The fixture of two files; half-precision tensors are read as float32."""
        about = json.loads(description.read_text(encoding="utf-8"))
        loaded = {
            key: tensor.float() if tensor.dtype == torch.float16 else tensor
            for key, tensor in load_file(tensors).items()
        }
        return cls(name, about, loaded)

    def __getitem__(self, key: str) -> Tensor:
        return self.tensors[key]

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    @property
    def configs(self) -> dict[str, Any]:
        """The tiny configurations by name."""
        return self.about["configs"]

    @property
    def expected(self) -> list[str]:
        """Names of the tensors that carry results: no weights, and described in the fixture."""
        return [key for key in self.tensors if not key.startswith(WEIGHTS)]

    def weights(self, model: str) -> dict[str, Tensor]:
        """State dict of one of the fixture's models."""
        prefix = f"{WEIGHTS}{model}."
        found = {k.removeprefix(prefix): t for k, t in self.tensors.items() if k.startswith(prefix)}
        for key, shape in self.about.get("empty_keys", {}).items():
            if key.startswith(f"{model}."):
                found[key.removeprefix(f"{model}.")] = torch.empty(shape)
        return found

    def load(
        self,
        module: nn.Module,
        model: str,
        *,
        ignore: tuple[str, ...] = (),
        constants: tuple[str, ...] = (),
    ) -> Any:
        """``module`` in evaluation mode with the weights of ``model``; keys must fit exactly.

        Keys that the fixture leaves out on purpose (``omitted_keys``) and those that begin with one of
        ``constants`` keep the module's own values.
        """
        omitted = self.about.get("omitted_keys", {})
        prefix = f"{WEIGHTS}{model}."
        optional = [key.removeprefix(prefix).removeprefix(f"{model}.") for key in omitted]
        optional += constants
        load_exactly(module, self.weights(model), what=model, ignore=ignore, optional=optional)
        return module.eval()


Case = Callable[[Fixture], Iterator[tuple[str, Tensor]]]


@dataclass(frozen=True)
class Line:
    """One compared tensor. ``difference`` is None when it couldn't be compared; ``why`` says so."""

    key: str
    good: bool
    difference: float | None = None
    why: str = ""

    def __str__(self) -> str:
        shown = self.why if self.difference is None else f"{self.difference:.2e}"
        return f"{'ok  ' if self.good else 'FAIL'} {self.key}  {shown}"


@dataclass
class Draws:
    """Recorded random numbers, given out in order in place of a generator's."""

    numbers: list[Tensor]
    used: int = field(default=0)

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        number = self.numbers[self.used]
        self.used += 1
        assert tuple(number.shape) == tuple(shape), (tuple(number.shape), shape)
        return number


def compare(key: str, ours: Tensor, theirs: Tensor) -> Line:
    """Whether two tensors agree as the rule at the top of this file says."""
    if ours.shape != theirs.shape:
        return Line(key, False, why=f"shape {tuple(ours.shape)}, should be {tuple(theirs.shape)}")
    if not theirs.is_floating_point():
        wrong = int((ours.to(torch.int64) != theirs.to(torch.int64)).sum())
        samples = theirs.dtype == torch.int16 or key.endswith("int16")
        limit = 1 if samples else 0
        gap = float((ours.to(torch.int64) - theirs.to(torch.int64)).abs().max()) if wrong else 0.0
        return Line(key, gap <= limit, gap)
    ours, theirs = ours.double(), theirs.double()
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    gap = torch.where(same, torch.zeros_like(theirs), (ours - theirs).abs())
    limit = (RELATIVE * theirs.abs()).clamp(min=TOLERANCE)
    worst = float(gap.max()) if gap.numel() else 0.0
    return Line(key, bool((gap <= limit).all()), worst)


@contextmanager
def exact() -> Iterator[None]:
    """Float32 without shortcuts, and no gradients unless a case asks for them."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def case_of(name: str) -> Case:
    """The computation of one model: yields names of fixture tensors with our values."""
    return import_module(f"tests.networks.cases.{name}").compute


def outputs(fixture: Fixture) -> list[str]:
    """Names that our code must produce: whatever has an ``out`` in its path."""
    return [key for key in fixture.expected if "out" in key.split(".")]


def check(fixture: Fixture) -> list[Line]:
    """A line for each tensor; results that the case didn't compute count as failures."""
    lines, seen = [], set()
    with exact():
        for key, ours in case_of(fixture.name)(fixture):
            if key in fixture:
                lines.append(compare(key, ours, fixture[key]))
                seen.add(key)
    lines += [Line(key, False, why="not computed") for key in outputs(fixture) if key not in seen]
    return lines


def state_shapes(module: nn.Module) -> dict[str, tuple[list[int], str]]:
    """Key to shape and dtype, as the manifests write them."""
    return {
        key: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for key, tensor in module.state_dict().items()
    }


def differing_keys(module: nn.Module, manifest: Mapping[str, Any]) -> list[str]:
    """Keys of a full-size module (on the meta device) that differ from the manifest's ``state_dict``."""
    ours = state_shapes(module)
    theirs = {key: (list(value[0]), value[1]) for key, value in manifest["state_dict"].items()}
    names = sorted(ours.keys() | theirs.keys())
    return [
        f"{key}: {ours.get(key, 'missing')} here, {theirs.get(key, 'none')} published"
        for key in names
        if ours.get(key) != theirs.get(key)
    ]


def main(arguments: list[str]) -> int:
    """The command; returns the exit status."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    name, description, tensors = arguments
    lines = check(Fixture.read(name, Path(description), Path(tensors)))
    for line in lines:
        print(line)
    failed = sum(not line.good for line in lines)
    print(f"{len(lines) - failed} of {len(lines)} tensors agree")
    return 1 if failed or not lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
