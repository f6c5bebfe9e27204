"""Composes pieces by rules and plays them with sampled instruments.

    understanding = understand("slow sad piano ballad, 70 bpm")
    brief = brief_of(understanding.attributes, seed=1, duration_s=30)
    score = compose(brief)
    rendering = render(score)

``rewrite`` makes one part anew, ``extend`` goes on, ``harmonise`` writes a band around a melody;
``to_midi`` and ``chart`` are other forms of a score. What makes sound is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engines.music.composer.cast import brief_of
from engines.music.composer.chart import chart
from engines.music.composer.compose import compose, extend, rewrite
from engines.music.composer.harmonise import HeardNote, harmonise
from engines.music.composer.midi import read_melody, to_midi
from engines.music.composer.score import Brief, Score
from engines.music.composer.understand import Attributes, Found, Understanding, understand

if TYPE_CHECKING:
    from engines.music.composer.rendering import Rendering, render

__all__ = [
    "Attributes", "Brief", "Found", "HeardNote", "Rendering", "Score", "Understanding", "brief_of", "chart",
    "compose", "extend", "harmonise", "read_melody", "render", "rewrite", "to_midi", "understand",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("Rendering", "render"):
        from engines.music.composer import rendering

        return getattr(rendering, name)
    raise AttributeError(name)
