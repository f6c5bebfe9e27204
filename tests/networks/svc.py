"""What the fixtures of the four singing conversions share."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from engines.networks.svc.features import SingingFeatures
from tests.networks.parity import Fixture


def features_of(fixture: Fixture, prefix: str) -> SingingFeatures:
    """The inputs ``<prefix>.frame_pitch`` and so on."""
    return SingingFeatures(
        f0=fixture[f"{prefix}.frame_pitch"],
        unvoiced=fixture[f"{prefix}.frame_uv"],
        energy=fixture[f"{prefix}.frame_energy"],
        contents={
            kind: fixture[f"{prefix}.{kind}_feat"]
            for kind in ("whisper", "contentvec")
            if f"{prefix}.{kind}_feat" in fixture
        },
        singer=fixture[f"{prefix}.spk_id"][:, 0],
    )


def mask_of(fixture: Fixture, key: str) -> Tensor:
    """The mask ``key`` (B, T, 1) as (B, 1, T) floats."""
    return fixture[key].transpose(1, 2).float()


def number_in(fixture: Fixture, key: str, pattern: str, otherwise: float) -> float:
    """A number that the description of tensor ``key`` states, the group of ``pattern``."""
    said = re.search(pattern, fixture.about["tensors"][key]["meaning"])
    return float(said[1]) if said else otherwise


def gradient_norm(network: nn.Module) -> Tensor:
    """2-norm over all gradients of a network."""
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return torch.cat(gradients).norm()
