"""What a sampler computed on its way, read off by hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from tests.networks.parity import Draws, Fixture


def last(steps: Iterator[Tensor]) -> Tensor:
    """The result of a sampler."""
    *_, result = steps
    return result


def recorded(fixture: Fixture, prefix: str) -> Draws:
    """The uniform draws ``<prefix>.u00, u01, …``, in order."""
    numbers, place = [], 0
    while (key := f"{prefix}.u{place:02}") in fixture:
        numbers.append(fixture[key])
        place += 1
    return Draws(numbers)


@contextmanager
def listening(module: nn.Module, hear: Callable[[Any], None]) -> Iterator[None]:
    """Calls ``hear`` with each output of ``module``."""
    handle = module.register_forward_hook(lambda module, given, output: hear(output))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def outputs_of(modules: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """What each of ``modules`` gave, in the order of use."""
    outputs: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _given, output: outputs.append(output))
        for module in modules
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def numbered(name: str, tensors: list[Tensor]) -> Iterator[tuple[str, Tensor]]:
    """``name00, name01, …``."""
    for place, tensor in enumerate(tensors):
        yield f"{name}{place:02}", tensor
