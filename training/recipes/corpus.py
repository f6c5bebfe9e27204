"""The training corpus: composed, captioned and rendered pieces, in shards on disk.

Item ``i`` depends on the corpus seed and ``i`` alone, so a corpus can be made again anywhere, in any
number of processes, and a stopped run goes on with the first shard that is missing. A shard is
``shard-00000.npy`` (sound, int16 ``(N, 4, T)``, a part a row), ``shard-00000.codes`` (the score, int16
``(N, 4, F)``, in NumPy's format too) and ``shard-00000.jsonl`` (one brief a line).

    python -m training.recipes.corpus FOLDER --items 4096 --seconds 10 --sample-rate 16000
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.recipes import score
from training.recipes.composer import PARTS, Brief, compose, draw_brief

SHARD = 128
SCALE = 32767


@dataclass(frozen=True)
class CorpusPlan:
    """What a corpus holds. ``split`` keeps held-out items apart from those trained on. What is not
    ``rendered`` has a score and no sound, which takes a hundredth of a second a piece."""

    items: int
    seconds: float = 10.0
    sample_rate: int = 16000
    seed: int = 1
    split: str = "train"
    rendered: bool = True

    @property
    def last_kind(self) -> str:
        """The file of a shard that is written last, so that a shard with it is whole."""
        return "npy" if self.rendered else "codes"

    @property
    def shards(self) -> int:
        """Number of shards, the last one may be smaller."""
        return -(-self.items // SHARD)

    def rng(self, index: int) -> np.random.Generator:
        """The generator of one item."""
        return np.random.default_rng([self.seed, sum(self.split.encode()), index])


def write(folder: Path, plan: CorpusPlan, workers: int = 1) -> None:
    """Compose and render every shard of ``plan`` that ``folder`` does not hold yet."""
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "corpus.json"
    if described.exists() and json.loads(described.read_text(encoding="utf-8")) != asdict(plan):
        raise ValueError(f"{folder} holds a corpus of another plan; choose an empty folder.")
    described.write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")
    missing = [n for n in range(plan.shards) if not _path(folder, n, plan.last_kind).exists()]
    with ProcessPoolExecutor(workers) as pool:
        for done in pool.map(
            _write_shard, *zip(*((folder, plan, n) for n in missing), strict=True)
        ):
            print(f"shard {done + 1} of {plan.shards}", flush=True)


def _path(folder: Path, number: int, kind: str) -> Path:
    return folder / f"shard-{number:05d}.{kind}"


@functools.cache
def _renderer(sample_rate: int) -> Any:
    from training.recipes.render import Renderer, find_soundfont

    return Renderer(find_soundfont(), sample_rate)


def _write_shard(folder: Path, plan: CorpusPlan, number: int) -> int:
    first, end = number * SHARD, min((number + 1) * SHARD, plan.items)
    frames = round(plan.seconds * plan.sample_rate) if plan.rendered else 0
    samples, scores, lines = np.zeros((end - first, len(PARTS), frames), np.int16), [], []
    for index in range(first, end):
        rng = plan.rng(index)
        brief = draw_brief(rng)
        piece = compose(brief, plan.seconds, rng)
        if plan.rendered:
            sound = _renderer(plan.sample_rate).render(piece)
            samples[index - first] = np.round(sound * SCALE).astype(np.int16)
        scores.append(score.write(piece))
        lines.append(json.dumps(asdict(brief)))
    _path(folder, number, "jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = {"codes": np.stack(scores)} | ({"npy": samples} if plan.rendered else {})
    for kind, values in files.items():
        part = _path(folder, number, "part")
        with part.open("wb") as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())
        part.replace(_path(folder, number, kind))
    return number


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk: ``samples[shard]`` is mapped from the file (there is none where nothing is
    rendered), ``codes (N, K, F)`` are read."""

    plan: CorpusPlan
    samples: tuple[np.ndarray, ...]
    codes: np.ndarray
    briefs: tuple[Brief, ...]

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """Open what ``write`` made; shards that are still missing are left out."""
        plan = CorpusPlan(**json.loads((folder / "corpus.json").read_text(encoding="utf-8")))
        samples, codes, briefs = [], [], []
        for number in range(plan.shards):
            if not _path(folder, number, plan.last_kind).exists():
                break
            if plan.rendered:
                samples.append(np.load(_path(folder, number, "npy"), mmap_mode="r"))
            codes.append(np.load(_path(folder, number, "codes")))
            briefs += list(_briefs(_path(folder, number, "jsonl")))
        return cls(plan, tuple(samples), np.concatenate(codes), tuple(briefs))

    def __len__(self) -> int:
        return len(self.briefs)

    def sound(
        self, index: int, start: int = 0, frames: int | None = None, part: int | None = None
    ) -> np.ndarray:
        """Samples ``(frames,)`` float32 of one item, of all its parts or one of them."""
        parts = self.samples[index // SHARD][index % SHARD]
        end = None if frames is None else start + frames
        chosen = slice(None) if part is None else slice(part, part + 1)
        return parts[chosen, start:end].sum(0, dtype=np.float32) / SCALE


def _briefs(path: Path) -> Iterator[Brief]:
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        yield Brief(**values | {name: tuple(values[name]) for name in ("lead", "support")})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sample-rate", type=int, default=16000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", default="train")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    plan = CorpusPlan(args.items, args.seconds, args.sample_rate, args.seed, args.split)
    write(args.folder, plan, args.workers)


if __name__ == "__main__":
    main()
