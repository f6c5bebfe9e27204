"""Embeddings for distances between sets of sounds, each clearly named.

Distances in different embeddings cannot be compared with each other, nor with published numbers of
VGGish.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.base import StudioError
from engines.metrics.base import NotApplicable, Reason
from engines.metrics.sound import Sound
from engines.metrics.voices import (
    NEWEST,
    downloaded,
    require_here,
    resemblyzer_partials,
    unit,
)

CLAP = "laion/clap-htsat-unfused"
CLAP_RATE = 48_000
CLAP_WINDOW_S = 10.0
LOG_MEL_RATE = 16_000
LOG_MEL_BANDS = 64
LOG_MEL_WINDOW, LOG_MEL_HOP = 96, 48  # frames of 10 ms: the windows of VGGish
_lock = threading.Lock()


@dataclass(frozen=True)
class Embedder:
    """Turns a sound into vectors ``(N, dimension)``; ``embedded`` ones need no download."""

    id: str
    title: str
    summary: str
    dimension: int
    license: str
    embedded: bool
    embed: Callable[[Sound], np.ndarray]


def log_mel(sound: Sound) -> np.ndarray:
    """Mean log-mel spectra of 0.96 s windows every 0.48 s, ``(N, 64)`` in dB.

    No learned embedding: it hears timbre and level, not meaning.
    """
    import librosa

    samples = sound.at(LOG_MEL_RATE)
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, (0, max(0, 400 - len(samples)))),
        sr=LOG_MEL_RATE,
        n_fft=400,
        hop_length=160,
        n_mels=LOG_MEL_BANDS,
    )
    frames = 10 * np.log10(np.maximum(power, 1e-10)).T
    if len(frames) < LOG_MEL_WINDOW:
        return frames.mean(axis=0, keepdims=True)
    starts = range(0, len(frames) - LOG_MEL_WINDOW + 1, LOG_MEL_HOP)
    return np.stack([frames[s : s + LOG_MEL_WINDOW].mean(axis=0) for s in starts])


def clap_audio(sound: Sound, model: str = CLAP, revision: str = NEWEST) -> np.ndarray:
    """CLAP embeddings of 10 s pieces, ``(N, 512)`` of unit length.

    Raises ``NotReady`` with the command that downloads the model.
    """

    def make() -> np.ndarray:
        require_here(model, revision)
        import torch

        samples, window = sound.at(CLAP_RATE), round(CLAP_WINDOW_S * CLAP_RATE)
        pieces = [samples[s : s + window] for s in range(0, max(1, len(samples)), window)]
        if len(pieces) > 1 and len(pieces[-1]) < window // 10:
            pieces.pop()  # a rest below 1 s would be mostly padding
        with _lock, torch.inference_mode():
            processor, network = _clap(model, revision)
            inputs = processor(audio=pieces, sampling_rate=CLAP_RATE, return_tensors="pt")
            found = network.get_audio_features(**inputs)
            vectors = getattr(found, "pooler_output", found).float().numpy()
        return np.stack([unit(vector) for vector in vectors])

    return sound.once(("clap", model, revision), make)


def clap_text(text: str, model: str = CLAP, revision: str = NEWEST) -> np.ndarray:
    """The CLAP embedding of a text, ``(512,)`` of unit length; raises ``NotReady``."""
    require_here(model, revision)
    import torch

    with _lock, torch.inference_mode():
        processor, network = _clap(model, revision)
        inputs = processor(text=[text], return_tensors="pt", truncation=True)
        found = network.get_text_features(**inputs)
        return unit(getattr(found, "pooler_output", found)[0].float().numpy())


@functools.lru_cache(maxsize=1)
def _clap(model: str, revision: str) -> tuple[Any, Any]:
    from transformers import ClapModel, ClapProcessor

    return downloaded(model, revision, ClapProcessor, ClapModel)


EMBEDDERS = {
    each.id: each
    for each in (
        Embedder(
            "log-mel",
            "Log-mel statistics (offline)",
            "Mean log-mel spectra of 0.96 s windows; not learned, so it hears timbre and level alone.",
            LOG_MEL_BANDS,
            "MIT",
            True,
            log_mel,
        ),
        Embedder(
            "resemblyzer",
            "Resemblyzer voices (offline)",
            "Voice embeddings of 1.6 s windows; compares who speaks, for speech alone.",
            256,
            "Apache-2.0",
            True,
            resemblyzer_partials,
        ),
        Embedder(
            "clap",
            "CLAP (download)",
            f"{CLAP} (revision {NEWEST}): sound and music as text describes them.",
            512,
            "Apache-2.0",
            False,
            clap_audio,
        ),
    )
}


def embedder(embedder_id: str) -> Embedder:
    """The embedder with this id; raises ``StudioError`` that lists the known ones."""
    if embedder_id not in EMBEDDERS:
        raise StudioError(
            f"There is no embedding {embedder_id!r}. Known: {', '.join(EMBEDDERS)}.", "embedding"
        )
    return EMBEDDERS[embedder_id]


def vectors(sound: Sound, chosen: Embedder) -> np.ndarray:
    """Vectors ``(N, dimension)``; raises ``NotApplicable`` for what cannot be embedded."""
    if not sound.finite:
        raise NotApplicable(Reason.NOT_FINITE, f"{sound.name} holds samples that are no numbers.")
    if sound.silent():
        raise NotApplicable(Reason.SILENT, f"{sound.name} is silent.")
    return chosen.embed(sound)
