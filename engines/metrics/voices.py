"""Voice embeddings: Resemblyzer (embedded) and WavLM-SV (to download)."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import NotReady
from engines.metrics.base import NotApplicable, Reason, need
from engines.metrics.sound import Sound

RATE = 16_000
WAVLM = "microsoft/wavlm-base-plus-sv"
NEWEST = "main"  # the revision of a model that nobody has pinned
SHORTEST_SPEECH_S = 0.3
_lock = threading.Lock()


def resemblyzer_partials(sound: Sound) -> np.ndarray:
    """Embeddings ``(N, 256)`` of overlapping 1.6 s of speech, pauses taken out, unit length each.

    Raises ``NotApplicable`` where its voice detector hears no speech.
    """

    def make() -> np.ndarray:
        library = need("resemblyzer", "resemblyzer webrtcvad-wheels")
        with _lock:
            speech = library.preprocess_wav(sound.at(RATE))
            if len(speech) < SHORTEST_SPEECH_S * RATE:
                raise NotApplicable(
                    Reason.SILENT,
                    f"{len(speech) / RATE:.2f} s of speech were found; 0.3 s are needed.",
                )
            return _resemblyzer().embed_utterance(speech, return_partials=True)[1]

    return sound.once("resemblyzer", make)


@functools.cache
def _resemblyzer() -> Any:
    return need("resemblyzer", "resemblyzer webrtcvad-wheels").VoiceEncoder("cpu", verbose=False)


def resemblyzer(sound: Sound) -> np.ndarray:
    """The voice of a sound, ``(256,)`` of unit length: the mean of its parts."""
    return unit(resemblyzer_partials(sound).mean(axis=0))


def wavlm(sound: Sound, model: str = WAVLM, revision: str = NEWEST) -> np.ndarray:
    """The voice of a sound by WavLM with an x-vector head, ``(D,)`` of unit length.

    Raises ``NotReady`` with the command that downloads the model.
    """

    def make() -> np.ndarray:
        require_here(model, revision)
        import torch

        with _lock, torch.inference_mode():
            extractor, network = _wavlm(model, revision)
            inputs = extractor(sound.at(RATE), sampling_rate=RATE, return_tensors="pt")
            return unit(network(**inputs).embeddings[0].float().numpy())

    return sound.once(("wavlm", model, revision), make)


@functools.lru_cache(maxsize=1)
def _wavlm(model: str, revision: str) -> tuple[Any, Any]:
    from transformers import AutoFeatureExtractor, WavLMForXVector

    return downloaded(model, revision, AutoFeatureExtractor, WavLMForXVector)


def downloaded(model: str, revision: str, *classes: Any) -> tuple[Any, Any]:
    """Processor and network of a folder or a cached hub model, ready to run.

    Raises ``NotReady`` with the command that downloads it.
    """
    processor, network = classes
    try:
        return (
            processor.from_pretrained(model, revision=revision, local_files_only=True),
            network.from_pretrained(model, revision=revision, local_files_only=True).eval(),
        )
    except (OSError, ValueError) as error:
        raise _not_here(model, revision) from error


def require_here(model: str, revision: str) -> None:
    """Raise ``NotReady`` for a hub model that is not cached, sooner than its library imports."""
    from huggingface_hub import try_to_load_from_cache

    if Path(model).is_dir():
        return
    try:
        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except ValueError as error:  # neither a folder nor a name of the hub
        raise _not_here(model, revision) from error
    if not isinstance(found, str):
        raise _not_here(model, revision)


def _not_here(model: str, revision: str) -> NotReady:
    pinned = "" if revision == NEWEST else f" --revision {revision}"
    return NotReady(f"{model} ({revision}) is not here. Download it: hf download {model}{pinned}")


def unit(vector: np.ndarray) -> np.ndarray:
    """``vector`` scaled to length 1."""
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
