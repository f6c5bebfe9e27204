"""Small datasets of tones and noise, a tiny MusicGen that tells them apart, and runs on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests import tiny_musicgen as tiny
from training import cli
from training.config import RunConfig
from training.musicgen import session
from training.record import Recorder, RunRecord
from training.run import corpus, devices

SAMPLE_RATE = 3200


def tone(hertz: float, duration_s: float = 0.4) -> np.ndarray:
    """A sine."""
    times = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.5 * np.sin(2 * np.pi * hertz * times)


def noise(seed: int, duration_s: float = 0.4) -> np.ndarray:
    """White noise."""
    return 0.2 * np.random.default_rng(seed).normal(size=round(duration_s * SAMPLE_RATE))


def write_dataset(
    folder: Path, rows: Sequence[tuple[str, str, Sequence[np.ndarray]]], **more: Any
) -> Path:
    """A dataset folder of (split, prompt, sounds): one sound a row, or the chosen and the rejected."""
    for number, (split, prompt, sounds) in enumerate(rows):
        (folder / split).mkdir(parents=True, exist_ok=True)
        names = [f"{number}-{side}.flac" for side in range(len(sounds))]
        for name, sound in zip(names, sounds, strict=True):
            soundfile.write(folder / split / name, sound, SAMPLE_RATE, "PCM_24")
        columns = ("file_name",) if len(names) == 1 else ("chosen_file_name", "rejected_file_name")
        line = {**dict(zip(columns, names, strict=True)), "prompt": prompt, **more}
        with (folder / split / "metadata.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices are not worth sharing out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny MusicGen that hears."""
    return tiny.make(tmp_path_factory.mktemp("base") / "tiny", hears=True, hidden_size=64)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Five supervised items, one of them for validation, of two lengths."""
    rows = [
        ("train", f"slow piano {n}", [tone(150 + 70 * n, 0.3 + 0.1 * (n % 2))]) for n in range(4)
    ]
    rows.append(("validation", "fast drums", [tone(200)]))
    return write_dataset(tmp_path / "sounds", rows)


@pytest.fixture
def run(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, Path]]:
    """Train by the command line in this process: returns its exit code and the run folder."""
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")

    def train(dataset: Path, output: str = "run", **fields: Any) -> tuple[int, Path]:
        given = arguments(fields.pop("base", base), dataset, tmp_path / output, **fields)
        return cli.main(given), tmp_path / output

    return train


def arguments(base: Path, dataset: Path, output: Path, **fields: Any) -> list[str]:
    """The command line of a run."""
    made = ["train", "--output", str(output)]
    for name, value in {"base": base, "dataset": dataset, **fields}.items():
        values = value if isinstance(value, list) else [value]
        made += [f"--{name.replace('_', '-')}", *map(str, values)]
    return made


def make_task(base: Path, dataset: Path, folder: Path, **fields: Any) -> Any:
    """The task of a configuration, its codes encoded, as a run prepares it, and in float32 on any machine."""
    given = {"base": str(base), "dataset": str(dataset), "precision": "float32", **fields}
    config = RunConfig.of(given)
    found = corpus.read(dataset, config.method)
    paths = session.Paths(base, dataset, "tiny", "", folder / "cache")
    stop = session.Stop(Recorder(folder, RunRecord("run"), writes=False))
    return session.prepare(config, paths, found, devices.prepare(config.precision), stop)[1]
