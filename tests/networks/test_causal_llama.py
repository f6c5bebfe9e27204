"""The language model that Vevo, VevoSing and DebaTTS share: its cache, its draws, and transformers' own."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engines.networks.blocks.causal_llama import (
    CausalLlama,
    TokenSampling,
    generate_tokens,
    token_steps,
)

END = 39
HOW = TokenSampling(max_length=30, min_new_tokens=4)


@pytest.fixture(scope="module")
def network() -> CausalLlama:
    torch.manual_seed(2)
    return CausalLlama(40, 32, 48, 2, 4).eval()


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


GIVEN = torch.tensor([[1, 5, 9, 2, 7]])


def test_it_is_transformers_llama_under_the_same_keys(network: CausalLlama):
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
        )
    ).eval()
    theirs.load_state_dict(network.state_dict())
    mask = torch.tensor([[1, 1, 0, 1, 1]])
    with torch.no_grad():
        torch.testing.assert_close(network(GIVEN), theirs(GIVEN).logits)
        ours, padded = network(GIVEN, mask), theirs(GIVEN, attention_mask=mask, position_ids=None)
        torch.testing.assert_close(ours[mask.bool()], padded.logits[mask.bool()])


def test_a_cache_changes_nothing(network: CausalLlama):
    cache = network.model.cache(1, 8)
    with torch.no_grad():
        first = network.next_logits(GIVEN[:, :3], cache)
        rest = network.next_logits(GIVEN[:, 3:], cache)
        whole = network(GIVEN)
    torch.testing.assert_close(first, whole[:, 2])
    torch.testing.assert_close(rest, whole[:, 4])


def test_each_variation_is_what_its_seed_gives_alone(network: CausalLlama):
    together = generate_tokens(network, GIVEN, HOW, END, seeds(1, 2, 3))
    for seed, row in zip((1, 2, 3), together, strict=True):
        (alone,) = generate_tokens(network, GIVEN, HOW, END, seeds(seed))
        assert torch.equal(row, alone)
    assert not torch.equal(together[0][:4], together[1][:4])


def test_a_row_that_ended_leaves_its_generator_alone(network: CausalLlama):
    free = TokenSampling(max_length=60, min_new_tokens=0, temperature=3.0, top_k=0, top_p=1.0)
    numbers = (11, 12)
    together = seeds(*numbers)
    lengths = [len(row) for row in generate_tokens(network, GIVEN, free, END, together)]
    assert lengths[0] != lengths[1]
    shorter = lengths.index(min(lengths))
    alone = seeds(numbers[shorter])
    generate_tokens(network, GIVEN, free, END, alone)
    assert torch.equal(
        torch.rand(3, generator=alone[0]), torch.rand(3, generator=together[shorter])
    )


def test_a_row_ends_at_the_end_token_but_not_before_the_least_length(network: CausalLlama):
    only_end = torch.zeros(40, dtype=torch.bool)
    only_end[3] = True
    likely = TokenSampling(max_length=30, min_new_tokens=4, temperature=1.0, top_k=0, top_p=1.0)
    for seed in range(5):
        (tokens,) = generate_tokens(network, GIVEN, likely, END, seeds(seed), allowed=only_end)
        assert 4 <= len(tokens) <= 25
        assert set(tokens.tolist()) == {3}


def test_nothing_but_allowed_tokens_is_drawn(network: CausalLlama):
    allowed = torch.arange(40) < 6
    (tokens,) = generate_tokens(network, GIVEN, HOW, END, seeds(1), allowed=allowed)
    assert int(tokens.max()) < 6


def test_marks_behind_the_end_may_be_given_though_they_cannot_be_repeated(network: CausalLlama):
    how = TokenSampling(max_length=30, min_new_tokens=4, repetition_penalty=2.0)
    allowed = torch.arange(40) < 20
    given = torch.cat([torch.tensor([[38, 39]]), GIVEN], dim=1)
    (tokens,) = generate_tokens(network, given, how, 25, seeds(1), allowed=allowed)
    assert int(tokens.max()) < 20


def test_the_length_counts_what_is_given_and_a_full_sequence_is_refused(network: CausalLlama):
    never = TokenSampling(max_length=12, min_new_tokens=100)
    (tokens,) = generate_tokens(network, GIVEN, never, END, seeds(1))
    assert len(tokens) == 12 - 5
    with pytest.raises(ValueError, match="5 are given and 5 is the most"):
        generate_tokens(network, GIVEN, TokenSampling(max_length=5), END, seeds(1))


def test_a_repeated_token_is_less_likely(network: CausalLlama):
    steps = token_steps(network, GIVEN, HOW, END, seeds(1))
    plain = next(steps).probabilities
    strict = TokenSampling(
        max_length=30, min_new_tokens=4, repetition_penalty=50.0, top_k=0, top_p=1.0
    )
    free = TokenSampling(max_length=30, min_new_tokens=4, top_k=0, top_p=1.0)
    punished = next(token_steps(network, GIVEN, strict, END, seeds(1))).probabilities
    before = next(token_steps(network, GIVEN, free, END, seeds(1))).probabilities
    assert plain.sum() == pytest.approx(1.0)
    assert punished[0, GIVEN[0]].sum() < before[0, GIVEN[0]].sum()


def test_generation_ends_where_progress_raises(network: CausalLlama):
    heard: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        heard.append((done, total))
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        generate_tokens(network, GIVEN, HOW, END, seeds(1), progress=stop)
    assert heard == [(1, 25), (2, 25), (3, 25)]
