"""The same seed gives the same bytes in every process, whatever order its sets are in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, json, sys
import numpy as np
from storage.learning.dataset_rows import validation_prompts
from tests.training import test_recipes_models as recipes
from training.recipes.captions import caption
from training.recipes.composer import compose

def told(name, value):
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    print(name, hashlib.sha256(text.encode()).hexdigest())

rng = np.random.default_rng(3)
briefs = recipes.pieces(24).briefs
told("pieces", [str(compose(brief, 8, rng)) for brief in briefs])
told("captions", [caption(brief, rng) for brief in briefs for _ in range(20)])
told("tokenizer", recipes.words().backend_tokenizer.to_str())
task = recipes.music_task(short_share=0.5, short_crop_s=0.5)
drawn = [batch for epoch in range(10) for batch in task.batches(epoch)]
told("batches", [[(take.item, take.frames, take.caption) for take in batch] for batch in drawn])
told("splits", sorted(validation_prompts([f"prompt {n}" for n in range(200)], 0.2, 7)))
"""


def digests(hash_seed: int) -> list[str]:
    """What the program says in a process of its own."""
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_recipes_and_splits_are_the_same_under_every_hash_seed():
    first = digests(0)
    assert [line.split()[0] for line in first] == [
        "pieces", "captions", "tokenizer", "batches", "splits",
    ]  # fmt: skip
    assert digests(1) == first
    assert digests(4) == first
