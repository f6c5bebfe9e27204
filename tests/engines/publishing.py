"""Tiny random checkpoints on a hub of this machine, and a studio that fetches them from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from engines.parts import token_file
from engines.studio import Studio
from storage import JobState
from storage.audio.embedded import read_tags
from tests.conftest import make_settings
from tests.small_hub import small_hub


@contextmanager
def studio_with(folder: Path, repositories: Mapping[str, Path], *engines: type) -> Iterator[Studio]:
    """A studio for which all weights of ``engines`` that the hub has were downloaded from there."""
    with small_hub(repositories), Studio(make_settings(folder)) as studio:
        for engine in engines:
            for weights in studio.engine(engine.card.id).weights():
                if weights.repo and {each.repo for each in weights.whole} <= set(repositories):
                    studio.hub.download(weights, lambda *_: None, lambda: None)
        yield studio


def written(path: Path, samples: np.ndarray, rate: int) -> Path:
    """A sound file of float samples ``(T,)`` or ``(C, T)``."""
    soundfile.write(path, np.asarray(samples, np.float32).T, rate, subtype="FLOAT")
    return path


def voice(seconds: float, rate: int, hz: float = 120.0) -> np.ndarray:
    """Something like a voice: harmonics of a gliding pitch, with pauses."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * time))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.2 * tone * np.clip(np.sin(2 * np.pi * 1.1 * time) + 0.7, 0, 1)).astype(np.float32)


def done(studio: Studio, engine: str, **settings):
    """The job of ``settings`` once it is done, and its clip."""
    job = studio.wait(studio.submit(engine, settings).id, 60)
    assert job.state is JobState.DONE, job.error
    return job, studio.clip(job.clip_ids[0])


def heard(clip) -> np.ndarray:
    """The samples of a stored clip, ``(T,)`` or ``(T, C)``."""
    return soundfile.read(clip.path, dtype="float32")[0]


def kept_tokens(clip) -> token_file.Tokens:
    """The tokens in the file of a stored clip."""
    return token_file.from_text(read_tags(clip.path).codes)
