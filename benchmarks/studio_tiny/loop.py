"""Does it learn in the loop? ``python -m benchmarks.studio_tiny.loop MODEL --output FOLDER``

The way a person goes, through the studio: clips of prompts that name no instrument, five stars for those
in which a wind instrument happens to lead, a dataset of them, the quick preset; then other neutral prompts
with the same seeds, with and without the adapter. The probe judges, and says how often winds lead. (Keys
lead so often without an adapter that twice as often could hardly be.)
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import machine, show
from benchmarks.studio_tiny import clips, probe, prompts
from benchmarks.studio_tiny.probe import Probe
from engines.music.musicgen.params import SHIPPED, TINY
from engines.studio import Studio
from engines.studio.settings import Settings
from storage import ClipRow, DatasetFilter
from training.lab.lab import Lab

JUDGED = 24
HELD_OUT_SHARE = 1 / 6  # of the prompts, so that about 20 clips are learned
LIKED = "Brass and woodwind"
VARIATIONS = 6
GOAL_TIMES, GOAL_S = 2.0, 300.0


@dataclass(frozen=True)
class Learned:
    """Shares of neutral clips in which the family leads, before and after, how many clips were learned,
    and the training's time from the click to the adapter."""

    family: str
    clips: int
    before: float
    after: float
    learned: int = 0
    training_s: float = 0.0

    @property
    def times(self) -> float:
        """How many times as often after as before; before counts as half a clip at least."""
        return self.after / max(self.before, 0.5 / self.clips)


def leads(probe: Probe, made: Sequence[ClipRow], family: str = LIKED) -> list[bool]:
    """In which clips ``probe`` hears ``family`` lead."""
    if not made:
        return []
    sounds = [clips.read(clip.path) for clip in made]
    return [one.family == family for one in probe.name(sounds, made[0].sample_rate)]


def liked(studio: Studio, judge: Probe, base: str, duration_s: float, wanted: int) -> list[ClipRow]:
    """Up to ``wanted`` clips of neutral prompts that somebody who likes winds would keep."""
    found: list[ClipRow] = []
    for seed, prompt in enumerate(prompts.neutral(prompts.OTHER_MOODS)):
        made = studio.make(
            "musicgen", prompt=prompt, model=base, adapters=[], duration_s=duration_s,
            variations=VARIATIONS, seed=1000 + seed,
        )  # fmt: skip
        found += [clip for clip, keep in zip(made, leads(judge, made), strict=True) if keep]
        if len(found) >= wanted:
            break
    return found[:wanted]


def run(
    studio: Studio, lab: Lab, judge: Probe, base: str, duration_s: float, wanted: int = JUDGED,
    asked: Sequence[str] = (),
) -> Learned:  # fmt: skip
    """The whole experiment. ``asked`` are the neutral prompts, of which nothing is learned."""
    asked = asked or prompts.neutral()

    def share(adapters: list[str]) -> float:
        made = [
            studio.make(
                "musicgen", prompt=prompt, model=base, adapters=adapters, duration_s=duration_s,
                seed=seed,
            )[0]
            for seed, prompt in enumerate(asked)
        ]  # fmt: skip
        return float(np.mean(leads(judge, made)))

    for clip in liked(studio, judge, base, duration_s, wanted):
        studio.store.judgements.rate(clip.id, "overall", 5, "listener")
    dataset = lab.create_dataset("Winds", DatasetFilter(min_rating=5), HELD_OUT_SHARE)
    learned = len(lab.dataset_items(dataset.id, "train"))
    before = share([])
    started = time.perf_counter()
    config = lab.presets(base)["quick"] | {"name": "winds", "dataset": dataset.id, "base": base}
    trained = lab.wait_run(lab.train(config).id)
    seconds = time.perf_counter() - started
    if not trained.adapter_id:
        raise RuntimeError(f"The run is {trained.state}: {trained.error}")
    after = share([trained.adapter_id])
    return Learned(LIKED, len(asked), before, after, learned, seconds)


def main() -> None:
    """The command line; everything it makes stays in ``--output``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="a folder as training.recipes writes it")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    judge, _ = probe.load()
    data, base = options.output / "data", TINY.id
    if options.model.resolve() != SHIPPED.resolve():
        base = options.model.name
        own = data / "models" / "own" / base
        own.parent.mkdir(parents=True, exist_ok=True)
        if not own.exists():
            own.symlink_to(options.model.resolve(), target_is_directory=True)
    with Studio(Settings(_cli_parse_args=[], data=data)) as studio, Lab(studio) as lab:
        found = run(studio, lab, judge, base, options.seconds)
    (options.output / "loop.json").write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    show(
        f"The loop: {found.learned} clips that winds lead, the quick preset",
        ("what", "found", "goal"),
        [
            (f"winds lead in {found.clips} neutral clips, before", f"{found.before:.0%}", ""),
            ("after", f"{found.after:.0%}, {found.times:.1f} times", f"{GOAL_TIMES:g} times"),
            (
                "training, from the click to the adapter",
                f"{found.training_s:.0f} s",
                f"{GOAL_S:.0f} s",
            ),
        ],
    )
    print(machine())


if __name__ == "__main__":
    main()
