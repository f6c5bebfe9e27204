"""Low-rank adapters (Hu et al. 2021) as peft names them, added to the weights they adapt."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engines.networks.weights import load_exactly

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LowRank(nn.Module):
    """The two factors of a change of one linear layer: ``lora_A`` (r, in) and ``lora_B`` (out, r)."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.lora_A = nn.ModuleDict({"default": nn.Linear(inputs, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, outputs, bias=False)})

    def change(self) -> Tensor:
        """``B A`` (out, in)."""
        first, second = self.lora_A["default"].weight, self.lora_B["default"].weight
        return second @ first  # type: ignore[operator]


class Lora(nn.Module):
    """Factors for every target layer of a network, under the layers' own paths. Key ``model``."""

    def __init__(self, network: nn.Module, rank: int) -> None:
        super().__init__()
        self.model = nn.Module()
        self.paths = [
            path
            for path, part in network.named_modules()
            if isinstance(part, nn.Linear) and path.rpartition(".")[2] in TARGETS
        ]
        for path in self.paths:
            layer = network.get_submodule(path)
            assert isinstance(layer, nn.Linear)
            _place(self.model, path, LowRank(layer.in_features, layer.out_features, rank))

    @classmethod
    def of(cls, network: nn.Module, state: Mapping[str, Tensor]) -> Lora:
        """The adapter of a published file for ``network``; every target must have both factors."""
        plain = {published_key(key): tensor for key, tensor in state.items()}
        ranks = {len(tensor) for key, tensor in plain.items() if ".lora_A." in key}
        lora = cls(network, max(ranks, default=1))
        load_exactly(lora, plain, what="the adapter", assign=True)
        return lora

    @torch.no_grad()
    def merge_into(self, network: nn.Module, alpha: float) -> None:
        """Add ``alpha / r * B A`` to each target's weight."""
        for path in self.paths:
            part = self.model.get_submodule(path)
            assert isinstance(part, LowRank)
            weight = network.get_submodule(path).get_parameter("weight")
            weight.add_(part.change(), alpha=alpha / part.rank)


def published_key(key: str) -> str:
    """The key as ``Lora`` has it; peft writes it with or without a prefix and the adapter's name."""
    key = key.removeprefix("base_model.").removeprefix("model.").removeprefix("model.")
    return "model." + re.sub(
        r"\.lora_([AB])\.(?:default\.)?weight$", r".lora_\1.default.weight", key
    )


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    """Put ``module`` at ``path`` below ``root``, making what lies between."""
    *above, name = path.split(".")
    for step in above:
        if step not in root._modules:
            root.add_module(step, nn.Module())
        root = root.get_submodule(step)
    root.add_module(name, module)
