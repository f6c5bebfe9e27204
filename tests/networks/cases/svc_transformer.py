"""TransformerSVC: both types, and their losses."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.svc.transformer import TransformerSvc, losses
from tests.networks.parity import Fixture
from tests.networks.svc import features_of, gradient_norm, mask_of


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """Conditions, mel, losses and gradients of each type."""
    features, mask = features_of(fixture, "in"), mask_of(fixture, "in.mask")
    mel = fixture["in.mel"].transpose(1, 2)
    given = fixture.configs["model"]
    for kind in ("conformer", "transformer"):
        weights = fixture.weights(kind)
        table = weights.get("1.pos_encoder.pe")
        rows = {} if table is None else {"length": table.shape[1]}
        changed = given | {"transformer": given["transformer"] | {"type": kind}}
        network = fixture.load(TransformerSvc.read(changed, **rows), kind)
        yield f"{kind}.out.cond", network.conditions(features).transpose(1, 2)
        with torch.enable_grad():
            predicted = network(features, mask)
            terms = losses(predicted, mel, mask)
            sum(terms.values()).backward()
        yield f"{kind}.out.mel", predicted.detach().transpose(1, 2)
        for name, value in terms.items():
            yield f"{kind}.out.{name}_loss", value.detach()
        yield f"{kind}.out.grad_norm", gradient_norm(network)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """Full-size modules by their name in the manifest; built on the meta device."""
    given = manifest["config"]
    for name in manifest["models"]:
        kind = name.split("type ")[1].rstrip(")")
        changed = given | {"transformer": given["transformer"] | {"type": kind}}
        yield name, TransformerSvc.read(changed)
