"""Published networks: where their files are, how they are read, and which of them are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engines.base import Device, NotReady, StudioError, Weights, WeightsCache
from engines.sharing import shared

if TYPE_CHECKING:
    import torch

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
Network = TypeVar("Network")


def need_mb(parameters: int, dtype: str = "float32") -> int:
    """MiB that so many parameters take."""
    return round(parameters * BYTES.get(dtype, 4) / 2**20)


def file_bytes(*parameters: int) -> int:
    """Bytes of files of so many parameters in float32."""
    return 4 * sum(parameters)


def folder_of(cache: WeightsCache, weights: Weights) -> Path:
    """Where the files of ``weights`` are; raises ``NotReady`` saying how they get here."""
    folder = cache.path(weights)
    if folder is not None:
        return folder
    if weights.repo:
        raise NotReady(f"{weights.title} is not downloaded yet. Download it in Models.")
    raise NotReady(
        f"{weights.title} is not on the hub. Put a folder called {weights.id} into models/own of the "
        f"data folder, with {', '.join(weights.files)}."
    )


@contextmanager
def reading(title: str) -> Iterator[None]:
    """Turns a weight file that can't be used into a ``StudioError`` that names ``title`` and the file."""
    from engines.networks.weights import WeightsError

    try:
        yield
    except WeightsError as error:
        raise StudioError(f"{title} can't be loaded. {error}") from error


def placed(network: Network, device: Device, dtype: str = "float32") -> Network:
    """A network in evaluation mode on the device, in ``dtype``."""
    import torch

    module: Any = network
    return module.to(device.device, getattr(torch, dtype)).eval()


def generator(rng: np.random.Generator) -> torch.Generator:
    """Torch's random numbers, on the processor, that follow a generator of the job."""
    import torch

    return torch.Generator().manual_seed(int(rng.integers(2**63)))


@dataclass(frozen=True)
class Part:
    """A network that several engines use: ``file`` of ``weights``, of so many ``parameters``.

    ``exact`` ones stay in float32 whatever the device prefers: codecs and encoders, whose tokens would
    change.
    """

    weights: Weights
    file: str
    parameters: int
    exact: bool = True

    def name(self, cache: WeightsCache) -> str:
        """The name under which ``engines.sharing`` knows it."""
        source = self.weights.repo or self.weights.id
        return f"{source}@{cache.revision(self.weights)}/{self.file}"

    def dtype(self, wanted: str) -> str:
        """What it is held in where the device prefers ``wanted``."""
        return "float32" if self.exact else wanted

    def mb(self, dtype: str) -> int:
        """MiB in memory."""
        return need_mb(self.parameters, self.dtype(dtype))

    def load(self, cache: WeightsCache, device: Device, read: Callable[[Path], Network]) -> Network:
        """The network, read by ``read`` from the folder of its weights if nobody holds it."""
        folder = folder_of(cache, self.weights)

        def make() -> Network:
            with reading(self.weights.title):
                return placed(read(folder), device, self.dtype(device.dtype))

        return shared(self.name(cache), device, make)


def parts_mb(parts: Sequence[Part], cache: WeightsCache, dtype: str) -> dict[str, int]:
    """MiB of each of ``parts`` by name, for ``Engine.shared_mb``."""
    return {part.name(cache): part.mb(dtype) for part in parts}
