"""Base models that adapters are trained on: where their files are and who published them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from engines.base import Availability, Engine, NotReady, StudioError, Weights
from engines.music.musicgen.checkpoint import describe, fingerprint

if TYPE_CHECKING:
    from engines.music.musicgen.engine import MusicGen
    from engines.studio import Studio

ENGINE = "musicgen"


@dataclass(frozen=True)
class Base:
    """Weights on this machine: ``revision`` is the hub's commit, or of an own folder the start of
    the SHA-256 of its weights; ``source`` is what others know the weights by; ``width`` is the decoder's,
    in channels."""

    id: str
    title: str
    folder: Path
    revision: str
    source: str
    license: str
    width: int


def base_ids(studio: Studio) -> list[str]:
    """Ids of all weights that are here and can be trained."""
    engine = studio.engine(ENGINE)
    return [w.id for w in engine.weights() if engine.state_of(w) is Availability.READY]


def find_base(studio: Studio, id: str) -> Base:
    """The base with this weights id.

    Raises ``StudioError`` for an unknown one and ``NotReady`` for one that is not downloaded.
    """
    engine = cast("MusicGen", studio.engine(ENGINE))
    weights = known(engine, id)
    try:
        folder = engine.folder(weights)
    except NotReady as error:
        raise NotReady(
            f"{weights.title} is not on this machine yet. Download it in Models, or choose one of "
            f"{', '.join(base_ids(studio)) or 'none'}.",
            "base",
        ) from error
    revision = engine.cache.revision(weights) or fingerprint(folder)
    license = weights.license or engine.card.license_weights
    width = describe(folder).hidden_size
    return Base(id, weights.title, folder, revision, weights.repo or id, license, width)


def known(engine: Engine, id: str) -> Weights:
    """The weights with this id; raises ``StudioError`` naming the known ones."""
    listed = {weights.id: weights for weights in engine.weights()}
    if id not in listed:
        raise StudioError(f"There is no base {id!r}; known are {', '.join(listed)}.", "base")
    return listed[id]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
