"""What a set of clips scores against the prompts that asked for them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.studio_tiny import sound
from benchmarks.studio_tiny.probe import Probe, lead_families
from training.recipes.composer import Brief
from training.recipes.theory import Key

SHUFFLINGS = 10


@dataclass(frozen=True)
class Heard:
    """What was found in one clip; nothing here depends on what was asked."""

    tempo: float
    chroma: np.ndarray
    style: str
    family: str
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """Shares of clips (0 to 1) that do what was asked.

    ``tempo`` is of prompts with drums and ``style`` of those that are no solo. ``mode_on_tonic`` asks
    of major and minor on the tonic of the prompt alone, so that C major is not taken for A minor.
    ``styles`` and ``families`` are the shares by what was asked.
    """

    clips: int
    tempo: float
    mode: float
    mode_on_tonic: float
    style: float
    family: float
    faulty: float
    styles: dict[str, float] = field(default_factory=dict)
    families: dict[str, float] = field(default_factory=dict)


def listen(probe: Probe, sounds: Sequence[np.ndarray], sample_rate: int) -> list[Heard]:
    """Measure mono clips ``(T,)`` of one length; a second or two for each."""
    named = probe.name(sounds, sample_rate)
    return [
        Heard(
            sound.tempo(samples, sample_rate),
            sound.chroma(samples, sample_rate),
            one.style,
            one.family,
            sound.faults(samples, sample_rate),
        )
        for samples, one in zip(sounds, named, strict=True)
    ]


def score(briefs: Sequence[Brief], heard: Sequence[Heard]) -> Scores:
    """What was ``heard`` against what was asked, one brief a clip."""
    styles: dict[str, list[bool]] = defaultdict(list)
    families: dict[str, list[bool]] = defaultdict(list)
    tempi, modes, on_tonic, faulty = [], [], [], []
    for brief, found in zip(briefs, heard, strict=True):
        asked, key = lead_families(brief), Key.parse(brief.key)
        mode = "minor" if key.minor else "major"
        if not brief.solo:
            styles[brief.style].append(found.style == brief.style)
        families[asked[0]].append(found.family in asked)
        modes.append(sound.mode(found.chroma) == mode)
        on_tonic.append(sound.mode_on(found.chroma, key.tonic) == mode)
        faulty.append(bool(found.faults))
        if brief.drums:
            tempi.append(sound.tempo_fits(found.tempo, brief.tempo))
    return Scores(
        clips=len(heard),
        tempo=_share(tempi),
        mode=_share(modes),
        mode_on_tonic=_share(on_tonic),
        style=_share(list(itertools.chain(*styles.values()))),
        family=_share(list(itertools.chain(*families.values()))),
        faulty=_share(faulty),
        styles={name: _share(values) for name, values in sorted(styles.items())},
        families={name: _share(values) for name, values in sorted(families.items())},
    )


def shuffled(briefs: Sequence[Brief], heard: Sequence[Heard], seed: int = 0) -> Scores:
    """The control: the same clips against the prompts of others, mean of ten shufflings.

    For the tempo, prompts with drums change places among themselves.
    """
    rng, found = np.random.default_rng(seed), []
    drums = [n for n, brief in enumerate(briefs) if brief.drums]
    for _ in range(SHUFFLINGS):
        one = score([briefs[n] for n in rng.permutation(len(briefs))], heard)
        beats = score([briefs[n] for n in rng.permutation(drums)], [heard[n] for n in drums])
        found.append(replace(one, tempo=beats.tempo))
    names = ("tempo", "mode", "mode_on_tonic", "style", "family", "faulty")
    means = {name: float(np.mean([getattr(one, name) for one in found])) for name in names}
    return Scores(clips=len(heard), **means)


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")
