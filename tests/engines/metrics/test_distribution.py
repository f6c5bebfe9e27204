"""Distances of sets against closed forms, scipy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from engines.base import StudioError
from engines.metrics.base import NotApplicable, Reason
from engines.metrics.distribution import Gaussian, compare_sets, frechet, kl

from .conftest import noise, tone


def fitted(vectors: np.ndarray) -> Gaussian:
    found = Gaussian(vectors.shape[1])
    for part in np.array_split(vectors, 7):
        found.add(part)
    return found


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(3)
    mix = rng.standard_normal((6, 6))
    return rng.standard_normal((400, 6)) @ mix, 0.5 + 1.5 * rng.standard_normal((300, 6))


def test_sums_give_mean_and_covariance(clouds):
    found = fitted(clouds[0])
    np.testing.assert_allclose(found.mean, clouds[0].mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(clouds[0].T))


def test_frechet_agrees_with_the_matrix_square_root(clouds):
    a, b = clouds
    one, other = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(one @ other).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(one + other - 2 * root)
    assert frechet(fitted(a), fitted(b)) == pytest.approx(expected, rel=1e-6)
    assert frechet(fitted(b), fitted(a)) == pytest.approx(expected, rel=1e-6)
    assert frechet(fitted(a), fitted(a)) == pytest.approx(0, abs=1e-8)


def test_frechet_of_a_shift_is_its_square(clouds):
    assert frechet(fitted(clouds[0]), fitted(clouds[0] + 2)) == pytest.approx(6 * 4, rel=1e-6)


def test_kl_agrees_with_torch(clouds):
    normal = [
        torch.distributions.MultivariateNormal(
            torch.from_numpy(each.mean(0)), torch.from_numpy(np.cov(each.T))
        )
        for each in clouds
    ]
    expected = float(torch.distributions.kl_divergence(*normal))
    assert kl(fitted(clouds[0]), fitted(clouds[1])) == pytest.approx(expected, rel=1e-6)


def test_kl_needs_more_vectors_than_dimensions(clouds):
    with pytest.raises(NotApplicable, match="more than 6"):
        kl(fitted(clouds[0][:6]), fitted(clouds[1]))


def test_sets_of_files(write):
    low = [write(f"low/{n}.wav", tone(150 + n, 4) + noise(4, seed=n)) for n in range(6)]
    high = [write(f"high/{n}.wav", tone(400 + n, 4) + noise(4, seed=n)) for n in range(6)]
    near, far = compare_sets(low[:3], low[3:]), compare_sets(low[:3], high[3:])
    assert near[0].value is not None and far[0].value is not None
    assert near[0].value < far[0].value
    assert far[1].reason is Reason.TOO_FEW
    assert far[0].settings == {"embedding": "log-mel"}
    assert any("fewer embeddings than dimensions" in note for note in far[0].notes)


def test_what_is_left_out_is_told(write, tmp_path):
    good = [write(f"{n}.wav", tone(150 + n, 3)) for n in range(2)]
    text = tmp_path / "words.wav"
    text.write_text("no sound")
    found = compare_sets(good, [*good, text, write("hush.wav", np.zeros(24_000))])[0]
    assert found.value == pytest.approx(0, abs=1e-6)
    assert "words.wav cannot be read" in found.notes[0]
    assert "hush.wav is silent" in found.notes[1]


def test_embeddings_by_name():
    with pytest.raises(StudioError, match="log-mel"):
        compare_sets([], [], "vggish")
    empty = compare_sets([], [])
    assert {each.reason for each in empty} == {Reason.TOO_FEW}


def test_clap_says_how_to_get_it(write):
    found = compare_sets([write("a.wav", tone(200))], [write("b.wav", tone(200))], "clap")
    assert {each.reason for each in found} == {Reason.NOT_READY}
    assert "hf download laion/clap-htsat-unfused" in found[0].message
