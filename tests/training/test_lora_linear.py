"""The short way through a LoRA layer gives what peft's own gives."""

from __future__ import annotations

import pytest
import torch
from peft.tuners.lora import Linear

from tests.training.conftest import make_task
from training.musicgen.lora_linear import keep


def gradients(task, batch):
    task.model.zero_grad()
    torch.manual_seed(0)
    loss = task.loss(batch, True).value
    loss.backward()
    return loss.detach(), [parameter.grad.clone() for parameter in task.parameters()]


def test_losses_and_gradients_are_pefts(tmp_path, base, sounds, monkeypatch):
    fields = {"lora_dropout": 0, "conditioning_dropout": 0, "batch_size": 2}
    task = make_task(base, sounds, tmp_path, **fields)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # B is zero at first
    batch = task.batches(0)[0]
    ours, our_gradients = gradients(task, batch)
    used = []
    own = Linear.forward
    monkeypatch.setattr(Linear, "forward", lambda self, x: used.append(x) or own(self, x))
    for module in task.model.modules():
        if isinstance(module, Linear):
            del module.forward
    theirs, their_gradients = gradients(task, batch)
    assert used
    assert torch.allclose(ours, theirs, atol=1e-6)
    for one, other in zip(our_gradients, their_gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6, rtol=1e-4)


def test_without_its_adapter_it_is_the_base(tmp_path, base, sounds):
    task = make_task(base, sounds, tmp_path)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.05)
    layer = next(module for module in task.model.modules() if isinstance(module, Linear))
    x = torch.randn(2, 3, layer.in_features)
    assert not torch.equal(layer(x), layer.base_layer(x))
    with task.base():
        assert torch.equal(layer(x), layer.base_layer(x))


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_dropout_is_a_share_and_its_gradient_follows_it(tmp_path, base, sounds, share):
    kept = keep(torch.Size((301, 333)), share)
    assert kept.float().mean() == pytest.approx(1 - share, abs=0.005)
    neighbours = (kept[:, 1:] & kept[:, :-1]).float().mean()
    assert neighbours == pytest.approx((1 - share) ** 2, abs=0.01)

    task = make_task(base, sounds, tmp_path, lora_dropout=share)
    layer = next(module for module in task.model.modules() if isinstance(module, Linear))
    layer.train().double().float()
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    x = torch.randn(1, 4, layer.in_features, requires_grad=True)

    def out():
        torch.manual_seed(7)
        return layer(x)

    torch.manual_seed(7)
    kept = keep(x.shape, share)
    dropped = x * kept / (1 - share)
    expected = layer.base_layer(x) + layer.scaling["default"] * layer.lora_B["default"](
        layer.lora_A["default"](dropped)
    )
    assert torch.allclose(out(), expected, atol=1e-5)
    ours = torch.autograd.grad(out().square().sum(), [x, *layer.lora_A.parameters()])
    theirs = torch.autograd.grad(expected.square().sum(), [x, *layer.lora_A.parameters()])
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)
