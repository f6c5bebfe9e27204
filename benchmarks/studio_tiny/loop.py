"""Does it learn in the loop? ``python -m benchmarks.studio_tiny.loop MODEL --output FOLDER``

Twenty clips of solo piano, kept with prompts that name no instrument, as if a person had liked what
happened to be piano; the quick preset on them by ``training.cli``; then the same neutral prompts and
seeds with and without the adapter. The probe says how often keys lead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT, show
from benchmarks.studio_tiny import clips, probe, prompts
from benchmarks.studio_tiny.clips import Maker, made
from benchmarks.studio_tiny.probe import Probe

LEARNED, HELD_OUT = 20, 4
LIKED = "Keys"
LIKED_PROMPT = "solo acoustic piano"
CANDIDATES = 36
GOAL_TIMES, GOAL_S = 2.0, 300.0


@dataclass(frozen=True)
class Learned:
    """Shares of neutral clips in which the family leads, before and after, and the training's time."""

    family: str
    clips: int
    before: float
    after: float
    training_s: float

    @property
    def times(self) -> float:
        """How many times as often after as before; before counts as half a clip at least."""
        return self.after / max(self.before, 0.5 / self.clips)


def share(probe: Probe, sounds: Sequence[np.ndarray], sample_rate: int, family: str) -> float:
    """Share of mono clips ``(T,)`` in which ``probe`` hears ``family`` lead."""
    return float(np.mean([one.family == family for one in probe.name(sounds, sample_rate)]))


def compare(
    probe: Probe,
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    sample_rate: int,
    family: str = LIKED,
    training_s: float = 0.0,
) -> Learned:
    """Two sets of clips of the same prompts and seeds, without the adapter and with it."""
    return Learned(
        family,
        len(before),
        share(probe, before, sample_rate, family),
        share(probe, after, sample_rate, family),
        training_s,
    )


def write_dataset(
    folder: Path, sounds: Sequence[np.ndarray], texts: Sequence[str], sample_rate: int
) -> Path:
    """A supervised dataset of all ``sounds``, the last four for validation."""
    for number, (sound, text) in enumerate(zip(sounds, texts, strict=True)):
        split = "train" if number < len(sounds) - HELD_OUT else "validation"
        (folder / split).mkdir(parents=True, exist_ok=True)
        clips.write(folder / split / f"{number:02}.flac", sound, sample_rate)
        line = json.dumps({"file_name": f"{number:02}.flac", "prompt": text, "rating": 5})
        with (folder / split / "metadata.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return folder


def train(model: Path, dataset: Path, output: Path) -> tuple[Path, float]:
    """The quick preset by the command line: the adapter's folder and the seconds it took, start
    and encoding included."""
    command = [
        sys.executable, "-m", "training.cli", "train", "--preset", "quick",
        "--base", str(model.resolve()), "--dataset", str(dataset.resolve()),
        "--output", str(output.resolve()),
    ]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=True)
    return output / "best", time.perf_counter() - started


def liked(maker: Maker, probe: Probe, duration_s: float, folder: Path) -> list[np.ndarray]:
    """The clips that a person who likes piano would keep of those made for ``LIKED_PROMPT``."""
    asked = [LIKED_PROMPT] * CANDIDATES
    sounds = list(made(maker, asked, range(5000, 5000 + CANDIDATES), duration_s, folder))
    named = probe.name(sounds, maker.sample_rate)
    first = [sound for sound, one in zip(sounds, named, strict=True) if one.family == LIKED]
    others = [sound for sound, one in zip(sounds, named, strict=True) if one.family != LIKED]
    return (first + others)[: LEARNED + HELD_OUT]


def main() -> None:
    """The whole experiment; everything it makes stays in ``--output``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    judge, _ = probe.load()
    texts = prompts.neutral()
    seeds = range(len(texts))
    kept = options.output / "clips"

    def sounds(adapter: Path | None) -> list[np.ndarray]:
        maker = Maker(options.model, adapter)
        try:
            return list(made(maker, texts, seeds, options.seconds, kept))
        finally:
            maker.close()

    maker = Maker(options.model)
    rate = maker.sample_rate
    dataset = options.output / "dataset"
    if not dataset.exists():
        others = prompts.neutral(prompts.OTHER_MOODS)[: LEARNED + HELD_OUT]
        write_dataset(dataset, liked(maker, judge, options.seconds, kept), others, rate)
    maker.close()
    adapter, seconds = train(options.model, dataset, options.output / "run")
    found = compare(judge, sounds(None), sounds(adapter), rate, LIKED, seconds)
    (options.output / "loop.json").write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    show(
        "The loop: 20 liked clips of solo piano, the quick preset",
        ("what", "found", "goal"),
        [
            ("keys lead, neutral prompts, before", f"{found.before:.0%}", ""),
            ("after", f"{found.after:.0%}, {found.times:.1f} times", f"{GOAL_TIMES:g} times"),
            ("training", f"{found.training_s:.0f} s", f"{GOAL_S:.0f} s"),
        ],
    )


if __name__ == "__main__":
    main()
