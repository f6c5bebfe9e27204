"""A lab on a studio in a temporary folder, with clips to judge."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.audio import measure
from engines.studio import Studio
from storage import ClipRow, DatasetFilter, DatasetRow
from training.lab import processes
from training.lab.lab import Lab

RATE = 16_000


@pytest.fixture
def lab(studio: Studio) -> Iterator[Lab]:
    """A running lab on a studio with the fake engines."""
    with Lab(studio) as running:
        yield running


@pytest.fixture
def clip(studio: Studio) -> Callable[..., ClipRow]:
    """A function that adds a clip: a tone of ``pitch_hz`` with a caption."""

    def add(
        prompt: str, pitch_hz: float = 440, duration_s: float = 1.5, peak: float = 0.5, **other
    ):
        t = np.arange(round(duration_s * RATE)) / RATE
        samples = (peak * np.sin(2 * np.pi * pitch_hz * t)).astype(np.float32)
        levels = measure(samples, RATE)
        values = {
            "engine": "tone",
            "task": "music",
            "text": prompt,
            "title": prompt,
            "settings": {"pitch_hz": pitch_hz},
            "peak_db": levels.peak_db,
            "loudness_lufs": levels.loudness_lufs,
        } | other
        return studio.store.clips.add(samples, RATE, **values)

    return add


@pytest.fixture
def musicgen(studio: Studio, tiny_musicgen: Path) -> Studio:
    """The studio with MusicGen and a tiny model of one's own, ``tiny``."""
    from engines.music.musicgen.engine import MusicGen

    shutil.copytree(tiny_musicgen, studio.hub.root / "own" / "tiny")
    studio.registry.add(MusicGen)
    return studio


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs keep their folders as real ones do and learn nothing."""
    monkeypatch.setattr(processes, "MODULE", "tests.training.lab.pretend")


@pytest.fixture
def dataset(lab: Lab, clip: Callable[..., ClipRow]) -> DatasetRow:
    """Four clips of two prompts, rated."""
    for place in range(4):
        made = clip(f"warm piano {place % 2}", 200 + 100 * place)
        lab.store.judgements.rate(made.id, "overall", 4, "ann")
    return lab.create_dataset("rated", DatasetFilter(), 0.5)


@pytest.fixture(scope="session")
def peft_folder(tiny_musicgen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the tiny model as peft saves it, with random changes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import MusicgenForConditionalGeneration

    model = MusicgenForConditionalGeneration.from_pretrained(tiny_musicgen)
    wrapped = get_peft_model(
        model.decoder, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "fc1"])
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, value in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.3)
    folder = tmp_path_factory.mktemp("peft") / "warm"
    wrapped.save_pretrained(folder)
    return folder
