"""Generators in bfloat16 and language models with 8-bit weights stay close to what they are in float32."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import CausalLlama, TokenSampling, generate_tokens
from engines.networks.blocks.draws import normal, uniform
from engines.networks.blocks.int8 import FEW, Int8Linear, to_int8
from engines.networks.blocks.unmasking import Unmasking
from engines.networks.maskgct.acoustic import AcousticConfig, AcousticGenerator
from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.metis.stage1 import MetisConfig, MetisGenerator
from engines.networks.vevo.flow import FlowConfig, FlowSampling, FlowTransformer
from tests.networks.recording import last


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def halved(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).bfloat16()


def gap(ours: Tensor, exact: Tensor) -> float:
    """The error's share of the whole."""
    return float((ours.float() - exact).norm() / exact.norm())


@torch.no_grad()
def test_masked_generators_run_in_bfloat16():
    torch.manual_seed(1)
    tokens = torch.randint(64, (1, 6))
    semantic = SemanticGenerator(SemanticConfig(32, 2, 4, 64)).eval()
    steps = halved(semantic).sample(
        tokens, 9, Unmasking(steps=3), uniform(seeded()), phones=torch.randint(9, (1, 4))
    )
    assert last(steps).shape == (1, 9)
    metis = MetisGenerator(MetisConfig(32, 2, 4, 64, cond_dim=32)).eval()
    steps = halved(metis).convert(
        torch.randn(1, 15, 32), tokens, Unmasking(steps=3), uniform(seeded())
    )
    assert last(steps).shape == (1, 9)
    acoustic = AcousticGenerator(AcousticConfig(3, 32, 2, 4, 32, 64)).eval()
    steps = halved(acoustic).sample(
        torch.randint(64, (1, 15)),
        torch.randint(32, (1, 6, 3)),
        [3, 2, 1],
        Unmasking(),
        uniform(seeded()),
    )
    assert last(steps).shape == (1, 9, 3)


@torch.no_grad()
def test_flow_in_bfloat16_gives_float32_mels_close_by():
    torch.manual_seed(1)
    flow = FlowTransformer(FlowConfig(16, 32, 2, 4, 64, cond_scale_factor=4)).eval()

    def mel(network: nn.Module) -> Tensor:
        condition = network.condition(torch.tensor([[1, 2, 3, 4]]))
        prompt = torch.ones(1, 5, 16)
        return last(network.sample(condition, prompt, FlowSampling(steps=4), normal(seeded())))

    exact, half = mel(flow), mel(halved(flow))
    assert half.dtype == torch.float32
    assert gap(half, exact) < 0.02


@pytest.fixture(scope="module")
def language() -> CausalLlama:
    torch.manual_seed(1)
    return CausalLlama(100, 64, 96, 2, 4).eval()


@pytest.mark.parametrize("length", [1, FEW, FEW + 1])
@torch.no_grad()
def test_weights_of_8_bits_are_close_for_few_rows_and_for_many(language, length: int):
    packed = copy.deepcopy(language)
    assert to_int8(packed) == 2 * 7 + 1
    ids = torch.randint(100, (1, length))
    assert 0 < gap(packed(ids), language(ids)) < 0.02


def test_weights_of_8_bits_take_a_quarter_and_keep_rows_of_zeros():
    linear = nn.Linear(64, 48, bias=False)
    with torch.no_grad():
        linear.weight[3] = 0
    packed = Int8Linear(linear)
    assert packed.weight.numel() * packed.weight.element_size() * 4 == 64 * 48 * 4
    assert int(packed.weight.abs().amax(1)[4]) == 127
    assert packed(torch.randn(1, 64))[0, 3] == 0


def test_layers_that_the_product_cannot_take_stay_as_they_are():
    network = nn.Sequential(
        nn.Linear(33, 64, bias=False), nn.Linear(64, 64), nn.Linear(64, 8, bias=False)
    )
    assert to_int8(network) == 1
    assert isinstance(network[2], Int8Linear)


@torch.no_grad()
def test_a_cache_of_a_language_model_in_bfloat16_is_float32_on_a_processor(language):
    half, ids = halved(language), torch.tensor([[1, 2, 3, 4]])
    cache = half.model.cache(1, 4)
    assert cache.keys.dtype == torch.float32
    half.next_logits(ids[:, :3], cache)
    stepwise = half.next_logits(ids[:, 3:], cache)
    assert stepwise.dtype == torch.bfloat16
    assert gap(stepwise, language(ids)[:, -1]) < 0.02


@pytest.mark.parametrize("half", [False, True])
def test_tokens_are_drawn_with_8_bit_weights(language, half: bool):
    packed = copy.deepcopy(language)
    if half:
        packed.bfloat16()
    to_int8(packed)
    how = TokenSampling(max_length=20, min_new_tokens=30)
    allowed, given = torch.arange(100) < 70, torch.tensor([[1, 2, 3]])
    rows = [
        generate_tokens(packed, given, how, 80, [seeded(seed)], allowed=allowed)[0]
        for seed in (1, 1, 2)
    ]
    assert int(torch.cat(rows).max()) < 70
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert len(rows[0]) == 17
