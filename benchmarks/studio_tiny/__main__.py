"""Measure a model folder on the held-out prompts, beside its controls.

``python -m benchmarks.studio_tiny MODEL --corpus CORPUS --output FOLDER``: MODEL is a MusicGen as
``training.recipes`` saves it, CORPUS a held-out corpus of ``training.recipes.corpus`` (the
validation split). 60 prompts with three seeds each; the clips, ``results.md`` and ``results.json``
stay in FOLDER, and what was made is not made again. About an hour on two cores; ``--prompts 12
--seeds 1`` for a first look.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import machine
from benchmarks.studio_tiny import codec, probe, prompts, report, scores, sound, speed
from benchmarks.studio_tiny.clips import Maker, made
from benchmarks.studio_tiny.prompts import Asked
from engines.audio import resample
from training.recipes.corpus import Corpus

SEEDS = 3
REPEATED = 6  # prompts that are made a second time


def chosen(asked: Sequence[Asked], count: int) -> list[Asked]:
    """``count`` prompts, of every style in turn."""
    return [asked[n] for n in np.linspace(0, len(asked), count, endpoint=False).astype(int)]


def differ(sounds: Sequence[np.ndarray], seeds: int) -> float:
    """Share of prompts whose clips, ``seeds`` in a row for each, are all different; nan for one."""
    groups = [sounds[first : first + seeds] for first in range(0, len(sounds), seeds)]
    if seeds < 2:
        return float("nan")
    return float(
        np.mean(
            [not any(sound.alike(*pair) for pair in itertools.combinations(g, 2)) for g in groups]
        )
    )


def same(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """Share of clips that are equal sample by sample."""
    return float(np.mean([np.array_equal(*pair) for pair in zip(one, other, strict=True)]))


def measure(
    model: Path,
    corpus: Corpus,
    output: Path,
    asked: Sequence[Asked],
    seeds: int = SEEDS,
    duration_s: float = 10.0,
    renders: int = 96,
    with_speed: bool = True,
    judge: Path = probe.FILE,
) -> report.Results:
    """All of it; clips are kept in ``output``."""
    named, accuracy = probe.load(judge)
    maker = Maker(model)
    texts = [one.prompt for one in asked for _ in range(seeds)]
    briefs = [one.brief for one in asked for _ in range(seeds)]
    numbers = [seed for _ in asked for seed in range(seeds)]
    sounds = list(made(maker, texts, numbers, duration_s, output / "clips"))
    firsts = range(0, min(REPEATED * seeds, len(texts)), seeds)
    again = made(
        maker,
        [texts[n] for n in firsts],
        [numbers[n] for n in firsts],
        duration_s,
        output / "again",
    )
    repeated = same([sounds[n] for n in firsts], list(again))
    heard = scores.listen(named, sounds, maker.sample_rate)

    rate = corpus.plan.sample_rate
    true = [resample(corpus.sound(n), rate, maker.sample_rate) for n in range(len(corpus))]
    of_codec, rebuilt = codec.measure(maker, true)
    maker.close()
    true, rebuilt, true_briefs = true[:renders], rebuilt[:renders], corpus.briefs[:renders]
    columns = {
        "model": scores.score(briefs, heard),
        "prompts shuffled": scores.shuffled(briefs, heard),
        "true renders through the codec": scores.score(
            true_briefs, scores.listen(named, rebuilt, maker.sample_rate)
        ),
        "true renders": scores.score(true_briefs, scores.listen(named, true, maker.sample_rate)),
    }
    return report.Results(
        model=model.name,
        columns=columns,
        probe=accuracy,
        codec=of_codec,
        differ=differ(sounds, seeds),
        same=repeated,
        speed=speed.measure(model) if with_speed else None,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument(
        "--renders", type=int, default=96, help="true renders as controls; the codec takes all"
    )
    parser.add_argument("--no-speed", action="store_true", help="leave the fresh process out")
    options = parser.parse_args()
    found = measure(
        options.model,
        Corpus.open(options.corpus),
        options.output,
        chosen(prompts.read(), options.prompts),
        options.seeds,
        options.seconds,
        options.renders,
        not options.no_speed,
    )
    report.write(found, options.output)
    print(f"\n{report.table(found)}\n{machine()}")


if __name__ == "__main__":
    main()
