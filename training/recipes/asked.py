"""What a piece was asked to be, told from states: the heads that teach a text encoder and a decoder to keep
hold of it. They are left behind when a model is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.recipes.composer import Brief, key_names, knowledge

TEMPI, SLOWEST, FASTEST = 40, 60.0, 180.0  # steps of the tempo, as a logarithm
LISTED = ("lead", "support")  # any of many
LISTED_WEIGHT = 5.0  # instruments are many, and most of them are not there


class AskedHeads(nn.Module):
    """One linear layer for each attribute of a brief, over states of ``width`` channels."""

    def __init__(self, width: int):
        super().__init__()
        known = knowledge()
        self._named = {
            "style": sorted(known["styles"]),
            "mood": sorted(known["moods"]),
            "energy": sorted(known["energies"]),
            "key": sorted(key_names()),
        }
        self._instruments = sorted(known["programs"])
        sizes = {name: len(values) for name, values in self._named.items()}
        sizes |= {"tempo": TEMPI + 1, "flags": 2}
        sizes |= dict.fromkeys(LISTED, len(self._instruments))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, states: Tensor, briefs: Sequence[Brief]) -> dict[str, Tensor]:
        """The mean loss of each attribute, and of ``tempo`` and ``key`` the share that is right, for states
        (B, T, D) of the pieces that ``briefs`` describe."""
        made = self.norm(states.float())
        found: dict[str, Tensor] = {}

        def choose(name: str, meant: list[int]) -> None:
            wanted = torch.tensor(meant, device=states.device)[:, None].expand(states.shape[:2])
            logits = self.heads[name](made)
            found[name] = F.cross_entropy(logits.flatten(0, 1), wanted.flatten())
            if name in ("tempo", "key"):
                found[f"{name}_right"] = (logits.argmax(-1) == wanted).float().mean().detach()

        def tick(name: str, meant: list[list[bool]]) -> None:
            logits = self.heads[name](made)
            wanted = torch.tensor(meant, device=states.device)[:, None].expand(logits.shape)
            found[name] = F.binary_cross_entropy_with_logits(logits, wanted.float())

        for name, values in self._named.items():
            choose(name, [values.index(getattr(brief, name)) for brief in briefs])
        choose("tempo", [tempo_step(brief.tempo) for brief in briefs])
        for name in LISTED:
            there = [getattr(brief, name) for brief in briefs]
            tick(name, [[one in names for one in self._instruments] for names in there])
        tick("flags", [[brief.drums, brief.solo] for brief in briefs])
        return found

    @staticmethod
    def total(found: dict[str, Tensor]) -> Tensor:
        """All attributes' losses as one."""
        weights = dict.fromkeys(LISTED, LISTED_WEIGHT)
        kept = {name: value for name, value in found.items() if not name.endswith("_right")}
        return torch.stack([weights.get(name, 1.0) * value for name, value in kept.items()]).sum()


def tempo_step(bpm: float) -> int:
    """Which of the steps a tempo is in."""
    share = np.log(bpm / SLOWEST) / np.log(FASTEST / SLOWEST)
    return int(np.clip(round(share * TEMPI), 0, TEMPI))
