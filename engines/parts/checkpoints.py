"""Engines whose networks lie in folders as Amphion's trainers leave them: published, or a person's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from engines.base import Availability, Choice, Device, Engine, StudioError, Weights
from engines.parts.published import Part, folder_of, parts_mb, placed, reading

ARGS = "args.json"
CHECKPOINT = "checkpoint/*/*model*"


class Checkpoints(Engine):
    """Lists, finds and loads the checkpoints of one system; one is in memory at a time.

    ``published`` can be downloaded. ``to_train`` stands for what is not published, until there is an own
    checkpoint. An own one is a folder in ``models/own`` with an ``args.json`` of ``model_type`` and the
    files ``needed``. All need the same ``parts``. Subclasses read the network in ``read`` and may fetch
    their parts in ``load_parts``. ``Params`` must have a field ``model``.
    """

    model_type: ClassVar[str]
    published: ClassVar[tuple[Weights, ...]] = ()
    to_train: ClassVar[Weights | None] = None
    needed: ClassVar[tuple[str, ...]] = (ARGS, CHECKPOINT)
    parts: ClassVar[tuple[Part, ...]] = ()
    lowers: ClassVar[bool] = False  # the network may be held in the device's dtype

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._network: Any = None
        self._stamp = ""
        self._device = "cpu"
        self._folder = Path()

    # what there is

    def weights(self) -> Sequence[Weights]:
        """Published checkpoints, then a person's own; without either, what has to be trained."""
        known = {item.id for item in self.published}
        own = [
            Weights(
                name, f"{name} (your own)", files=self.needed, license="your own",
                parts=tuple(part.weights for part in self.parts),
            )
            for name, folder in self.cache.own().items()
            if name not in known and self._is_ours(folder)
        ]  # fmt: skip
        found = [*self.published, *own]
        return found or ([self.to_train] if self.to_train else [])

    def _is_ours(self, folder: Path) -> bool:
        if not all(any(folder.glob(pattern)) for pattern in self.needed):
            return False
        try:
            kind = json.loads((folder / ARGS).read_text(encoding="utf-8"))["model_type"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return str(kind).lower() == self.model_type.lower()

    def weights_for(self, params: Any) -> Weights:
        """The checkpoint that ``params`` names; the first one for an empty name."""
        available = self.weights()
        name = params.model.strip() if params is not None else ""
        for item in available:
            if name in ("", "default", item.id):
                return item
        raise StudioError(
            f"There is no checkpoint {name!r}. Choose one from the list, or put a folder of that name "
            f"into models/own of the data folder, with an {ARGS} of model_type {self.model_type} and "
            f"{', '.join(self.needed[1:])}.",
            "model",
        )

    def choices(self, name: str) -> Sequence[Choice]:
        """Checkpoints; empty for other parameters."""
        return [Choice(item.id, item.title) for item in self.weights()] if name == "model" else ()

    def defaults(self, given: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The first checkpoint that is here."""
        ready = (item for item in self.weights() if self.state_of(item) is Availability.READY)
        first = next(ready, None)
        return {"model": first.id} if first else {}

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for an unknown checkpoint."""
        super().check(params)
        self.weights_for(params)

    def folder(self, params: Any) -> Path:
        """Where the files of the checkpoint that ``params`` names are."""
        return folder_of(self.cache, self.weights_for(params))

    def args(self, params: Any) -> dict[str, Any]:
        """The published configuration beside the weights."""
        from engines.networks.weights import read_config

        with reading(self.weights_for(params).title):
            return read_config(self.folder(params) / ARGS)

    # loading

    def read(self, folder: Path, params: Any) -> Any:
        """The network of a folder."""
        raise NotImplementedError

    def load_parts(self, device: Device, params: Any) -> None:
        """Get the shared parts; the attributes that hold them are dropped in ``unload``."""

    def load(self, device: Device, params: Any = None) -> None:
        """Load the checkpoint that ``params`` names; the one before is forgotten."""
        weights = self.weights_for(params)
        folder = folder_of(self.cache, weights)
        stamp = f"{folder} {device.device} {device.dtype} {self.variant(params)}"
        if self._stamp == stamp:
            return
        self.unload()
        import torch

        torch.set_num_threads(device.threads)
        with reading(weights.title):
            network = self.read(folder, params)
        self._network = placed(network, device, device.dtype if self.lowers else "float32")
        self._device, self._folder = device.device, folder
        self.load_parts(device, params)
        self._stamp = stamp

    def variant(self, params: Any) -> str:
        """What else decides what is loaded."""
        return ""

    def unload(self) -> None:
        """Forget the network and drop the parts."""
        self._network, self._stamp, self._folder = None, "", Path()

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """MiB of the parts."""
        return parts_mb(self.parts, self.cache, dtype)

    def revision(self, params: Any) -> str:
        """The commit of published weights; of an own checkpoint, the name of its newest file's folder."""
        from engines.networks.weights import newest_checkpoint

        weights = self.weights_for(params)
        commit = self.cache.revision(weights)
        folder = self.folder(params) / "checkpoint"
        return commit or (newest_checkpoint(folder).parent.name if folder.is_dir() else weights.id)
