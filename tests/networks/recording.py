"""What a sampler computed on its way, read off by hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def numbered(name: str, tensors: list[Tensor]) -> Iterator[tuple[str, Tensor]]:
    """``name00, name01, …``."""
    for place, tensor in enumerate(tensors):
        yield f"{name}{place:02}", tensor
