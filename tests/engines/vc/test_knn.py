"""The embedded conversion run through the studio: length, repeats, closeness, cancel, refusals."""

import numpy as np
import pytest

from engines import sharing
from engines.asr.engine import Whisper
from engines.base import Cancelled, StudioError
from engines.vc.knn import KnnVc
from engines.vc.voices import RATE
from engines.world.frames import harvest
from engines.world.pitch import statistics
from tests.engines.fetched import Stopping, fetched, let_go, samples
from tests.engines.publishing import written
from tests.engines.sounding import spoken

LOWER = 0.7  # how much lower the other voice speaks

pytestmark = pytest.mark.speech


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with fetched(tmp_path_factory.mktemp("knn"), {}, (KnnVc, Whisper)) as running:
        yield running
        let_go(running)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A source, references of another voice, and sounds that can't be used."""
    folder = tmp_path_factory.mktemp("sounds")
    voice, rate = spoken()
    sounds = {
        "source": (voice[: 2 * rate], rate),
        "reference": (voice[::-1][: 2 * rate], round(rate * LOWER)),  # lower, and other sounds
        "more": (voice[rate:], round(rate * LOWER)),
        "short": (voice[: rate // 2], rate),
        "silent": (np.zeros(2 * rate), rate),
        "whispered": (np.random.default_rng(0).standard_normal(2 * rate) * 0.05, rate),
        "long": (np.tile(voice, 55), rate),
    }
    return {name: written(folder / f"{name}.wav", *sound) for name, sound in sounds.items()}


@pytest.fixture
def pair(files):
    return {"source": files["source"], "reference": files["reference"]}


def test_it_is_as_long_as_the_source_at_the_reference_s_pitch_and_the_same_again(
    studio, pair, files
):
    (first,) = studio.make("knn_vc", **pair)
    (again,) = studio.make("knn_vc", **pair)
    assert first.sample_rate == RATE
    assert first.duration_s == pytest.approx(2.0, abs=1e-3)
    assert samples(studio, first).tobytes() == samples(studio, again).tobytes()
    voice, rate = spoken()
    source_hz, made_hz = (
        statistics(harvest(heard, at)).median_hz
        for heard, at in ((voice[: 2 * rate], rate), (samples(studio, first), RATE))
    )
    assert made_hz == pytest.approx(LOWER * source_hz, rel=0.1)
    (more,) = studio.make("knn_vc", **pair, reference_2=files["more"], pitch_mode="keep")
    assert statistics(harvest(samples(studio, more), RATE)).median_hz == pytest.approx(
        source_hz, rel=0.05
    )


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_cancelled_conversion_stops_within_a_step(studio, pair, after):
    engine = studio.engine("knn_vc")
    params = KnnVc.Params(**pair)
    job = Stopping(after)
    with studio.runtime.lease(engine, params), pytest.raises(Cancelled):
        engine.run(params, job)
    assert len(job.notes) == after and job.late == 0


def test_lengths_and_targets_are_refused_before_anything_runs(studio, pair, files):
    with pytest.raises(StudioError, match=r"short.wav lasts 0\.50 s; at least 1 s are") as error:
        studio.submit("knn_vc", pair | {"reference": files["short"]})
    assert error.value.field == "reference"
    with pytest.raises(StudioError, match=r"short.wav lasts 0\.50 s") as error:
        studio.submit("knn_vc", pair | {"reference_3": files["short"]})
    assert error.value.field == "reference_3"
    with pytest.raises(StudioError, match=r"last 3.. s together; at most 300 s"):
        studio.submit("knn_vc", pair | {"reference": files["long"], "reference_2": files["long"]})
    with pytest.raises(StudioError, match="target pitch of 20 Hz is below any voice"):
        studio.submit("knn_vc", pair | {"target_hz": 20})


def test_references_without_a_voice_are_refused_in_words(studio, pair, files):
    with pytest.raises(StudioError, match=r"silent.wav is silent"):
        studio.submit("knn_vc", pair | {"reference": files["silent"]})
    job = studio.wait(studio.submit("knn_vc", pair | {"reference": files["whispered"]}).id, 60)
    assert job.state == "failed" and "s of voiced speech; at least 1 s" in job.error
    let_go(studio)  # nothing that is kept of the failure holds the model


def test_transcription_uses_the_whisper_that_is_in_memory(studio, pair):
    studio.make("knn_vc", **pair, strength=0)
    before = studio.memory().reserved
    job = studio.wait(studio.submit("whisper", {"source": pair["source"]}).id, 60)
    assert job.state == "done", job.error
    assert studio.memory().reserved == before
    assert sharing.held() == ["whisper-base"]
    studio.unload("whisper")
    assert sharing.held() == ["whisper-base"]
