"""Distances between sets of sounds: Fréchet and Kullback-Leibler of Gaussians over embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engines.base import NotReady
from engines.metrics.base import Better, Card, Need, NotApplicable, Reason, Score
from engines.metrics.embeddings import Embedder, embedder, vectors
from engines.metrics.sound import Sound

FRECHET = Card(
    id="frechet",
    title="Fréchet distance",
    measures="Distance of two Gaussians fitted to the embeddings of two sets; 0 for equal sets. "
    "Compare only numbers of the same embedding and similar set sizes.",
    group="Distribution",
    low=0,
    better=Better.LOWER,
    needs=Need.SET,
    paper="Kilgour et al., Fréchet Audio Distance, Interspeech 2019",
)
KL = Card(
    id="kl",
    title="KL divergence",
    measures="Divergence of the generated set's Gaussian from the reference's, over embeddings.",
    group="Distribution",
    unit="nat",
    low=0,
    better=Better.LOWER,
    needs=Need.SET,
    paper="Kullback & Leibler (1951), closed form for Gaussians",
)
SET_CARDS = {card.id: card for card in (FRECHET, KL)}


@dataclass
class Gaussian:
    """Mean and covariance of vectors that come a few at a time; only sums are kept (Welford)."""

    dimension: int
    count: int = 0
    mean: np.ndarray = field(init=False)
    _scatter: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.mean = np.zeros(self.dimension)
        self._scatter = np.zeros((self.dimension, self.dimension))

    def add(self, some: np.ndarray) -> None:
        """Take ``(N, dimension)`` vectors."""
        some = np.asarray(some, dtype=np.float64)
        if not len(some):
            return
        middle, count = some.mean(axis=0), len(some)
        apart, total = middle - self.mean, self.count + count
        centred = some - middle
        self._scatter += centred.T @ centred + np.outer(apart, apart) * self.count * count / total
        self.mean = self.mean + apart * count / total
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased, ``(dimension, dimension)``; raises ``NotApplicable`` below two vectors."""
        if self.count < 2:
            raise NotApplicable(
                Reason.TOO_FEW, f"A set gave {self.count} embedding(s); at least 2 are needed."
            )
        return self._scatter / (self.count - 1)


def frechet(a: Gaussian, b: Gaussian) -> float:
    """``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``, from the eigenvalues of a symmetric form."""
    one, other = a.covariance, b.covariance
    values, basis = np.linalg.eigh(one)
    root = (basis * np.sqrt(np.maximum(values, 0))) @ basis.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    apart = a.mean - b.mean
    return max(0.0, float(apart @ apart + np.trace(one) + np.trace(other) - 2 * shared))


def kl(generated: Gaussian, reference: Gaussian) -> float:
    """``KL(generated || reference)`` in nats; raises ``NotApplicable`` where a covariance has no
    inverse, which needs more vectors than dimensions."""
    size = generated.dimension
    fewest = min(generated.count, reference.count)
    if fewest <= size:
        raise NotApplicable(
            Reason.TOO_FEW,
            f"KL over {size} dimensions needs more than {size} embeddings in each set; there are "
            f"{fewest}.",
        )
    one, other = generated.covariance, reference.covariance
    sign, log_one = np.linalg.slogdet(one)
    sign_other, log_other = np.linalg.slogdet(other)
    if sign <= 0 or sign_other <= 0:
        raise NotApplicable(Reason.CONSTANT, "One set does not vary in every dimension.")
    apart = reference.mean - generated.mean
    solved = np.linalg.solve(other, np.column_stack([one, apart]))
    value = np.trace(solved[:, :size]) + apart @ solved[:, size] - size + log_other - log_one
    return max(0.0, float(value / 2))


def gaussian(
    paths: Iterable[Path | str], chosen: Embedder, each: Callable[[Path], None] = lambda path: None
) -> tuple[Gaussian, list[str]]:
    """The Gaussian of a set of files, and why some were left out; one file is in memory at a time.

    ``each`` is called before each file. Raises ``NotReady`` for an embedding that must be downloaded.
    """
    fitted, left_out = Gaussian(chosen.dimension), []
    for path in map(Path, paths):
        each(path)
        try:
            fitted.add(vectors(Sound.open(path), chosen))
        except NotApplicable as why:
            left_out.append(f"{path.name}: {why}")
    return fitted, left_out


def compare_sets(
    reference: Iterable[Path | str],
    generated: Iterable[Path | str],
    embedding: str = "log-mel",
    each: Callable[[Path], None] = lambda path: None,
) -> list[Score]:
    """Fréchet distance and KL of two sets of files over the named embedding.

    Raises ``StudioError`` for an unknown embedding.
    """
    chosen = embedder(embedding)
    settings = {"embedding": chosen.id}
    try:
        (one, skipped), (other, skipped_too) = (
            gaussian(reference, chosen, each),
            gaussian(generated, chosen, each),
        )
    except NotReady as error:
        return [Score(i, None, Reason.NOT_READY, str(error), settings=settings) for i in SET_CARDS]
    notes = [*skipped, *skipped_too]
    if min(one.count, other.count) <= chosen.dimension:
        notes.append(
            "fewer embeddings than dimensions: the distance is too large by an unknown part"
        )
    details = {"embeddings_reference": one.count, "embeddings_generated": other.count}
    common = Score("", None, details=details, notes=tuple(notes), settings=settings)
    return [
        _scored(common, FRECHET, lambda: frechet(one, other)),
        _scored(common, KL, lambda: kl(other, one)),
    ]


def _scored(common: Score, card: Card, work: Callable[[], float]) -> Score:
    blank = replace(common, metric=card.id, version=card.version)
    try:
        return replace(blank, value=work())
    except NotApplicable as why:
        return replace(blank, reason=why.reason, message=str(why))
