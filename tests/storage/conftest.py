"""An open store in a temporary folder, and one second of a tone."""

import numpy as np
import pytest

from storage import Store

SAMPLE_RATE = 24_000


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def tone():
    """A 440 Hz tone at half of full scale, float32 (T,), one second at 24 kHz."""
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


@pytest.fixture
def add(store, tone):
    """Add a short clip; keyword arguments replace the defaults."""

    def add_clip(**changes):
        samples = changes.pop("samples", tone[:2400])
        values = {"engine": "piper", "task": "tts", "peak_db": -6.0} | changes
        return store.clips.add(samples, SAMPLE_RATE, **values)

    return add_clip


@pytest.fixture
def make(store, tone):
    """Add a music clip of a prompt whose sound no other clip has, unless ``level`` is given."""
    made = iter(range(1, 1000))

    def make_clip(text="prompt", level=None, **changes):
        samples = tone[:2400] * np.float32(level or 1 - next(made) / 1000)
        values = {"engine": "musicgen", "task": "music", "peak_db": -6.0} | changes
        return store.clips.add(samples, SAMPLE_RATE, text=text, **values)

    return make_clip
