"""The losses against their formulas, on small numbers."""

from __future__ import annotations

import math

import pytest
import torch

from training.run import losses

IGNORED = losses.IGNORED


@pytest.fixture
def batch():
    """Logits (2, 3, 5, 7) and labels (2, 3, 5), some ignored, of unequal lengths."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 7, generator=generator)
    labels = torch.randint(0, 7, (2, 3, 5), generator=generator)
    labels[0, 1, 0] = labels[0, 2, :2] = labels[1, :, 3:] = IGNORED
    return logits, labels


def log_probabilities(logits, labels, item):
    """Of each valid position of one item, the slow way."""
    found = []
    for k in range(labels.shape[1]):
        for t in range(labels.shape[2]):
            if labels[item, k, t] != IGNORED:
                found.append(float(logits[item, k, t].log_softmax(-1)[labels[item, k, t]]))
    return found


def test_log_probability_sums_over_valid_positions_of_each_item(batch):
    found = losses.log_probability(*batch)
    for item in range(2):
        assert float(found[item]) == pytest.approx(sum(log_probabilities(*batch, item)), rel=1e-5)


def test_normalised_log_probability_is_a_mean_over_valid_positions(batch):
    found = losses.log_probability(*batch, normalised=True)
    for item in range(2):
        each = log_probabilities(*batch, item)
        assert float(found[item]) == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_weights_multiply_the_items(batch):
    logits, labels = batch
    alone = losses.supervised(
        logits, torch.where(torch.tensor([1, 0])[:, None, None] > 0, labels, IGNORED)
    )
    valid = (labels != IGNORED).sum((0, 2))
    share = (labels[0] != IGNORED).sum(1) / valid
    weighted = losses.supervised(logits, labels, torch.tensor([2.0, 0.0]))
    each = losses.token_losses(logits, labels)[0].sum(1) / (labels[0] != IGNORED).sum(1)
    assert float(weighted) == pytest.approx(2 * float((each * share).mean()), rel=1e-5)
    assert float(alone) == pytest.approx(float(each.mean()), rel=1e-5)


def test_weights_of_one_change_nothing(batch):
    assert losses.supervised(*batch, torch.ones(2)) == losses.supervised(*batch)


def test_dpo_at_the_start_is_the_logarithm_of_two():
    same = torch.tensor([[-10.0, -20.0], [-30.0, -5.0]])
    made = losses.dpo(same, same, beta=0.1)
    assert made.loss.tolist() == pytest.approx([math.log(2)] * 2)
    assert made.margin.tolist() == [0, 0]


def test_dpo_follows_its_formula():
    policy, reference = torch.tensor([[-8.0], [-12.0]]), torch.tensor([[-10.0], [-11.0]])
    made = losses.dpo(policy, reference, beta=0.5)
    assert made.margin.item() == pytest.approx(0.5 * ((-8 + 10) - (-12 + 11)))
    assert made.loss.item() == pytest.approx(math.log(1 + math.exp(-1.5)))


def test_label_smoothing_and_offset_follow_their_formulas():
    policy, reference = torch.tensor([[-8.0], [-12.0]]), torch.tensor([[-10.0], [-11.0]])
    made = losses.dpo(policy, reference, 0.5, label_smoothing=0.1, offset=torch.tensor([0.7]))
    logit = 1.5 - 0.7
    expected = 0.9 * math.log(1 + math.exp(-logit)) + 0.1 * math.log(1 + math.exp(logit))
    assert made.loss.item() == pytest.approx(expected)
    assert made.margin.item() == pytest.approx(1.5)


def test_smoothing_stops_asking_for_ever_wider_margins():
    def slope(margin):
        policy = torch.tensor([[margin], [0.0]], requires_grad=True)
        losses.dpo(policy, torch.zeros(2, 1), 1.0, label_smoothing=0.1).loss.sum().backward()
        return policy.grad[0].item()

    assert slope(1.0) < 0 < slope(4.0)


def test_rank_is_content_beyond_the_gap():
    policy = torch.tensor([[-1.0, -1.0, -2.0], [-1.5, -1.1, -1.0]])
    made = losses.rank(policy, 0.2)
    assert made.loss.tolist() == pytest.approx([0, 0.1, 1.2])
    assert made.margin.tolist() == pytest.approx([0.5, 0.1, -1.0])


def test_a_tie_counts_half():
    assert losses.preferred(torch.tensor([2.0, 0.0, -1.0])).tolist() == [1, 0.5, 0]
