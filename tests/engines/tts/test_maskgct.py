"""MaskGCT and Metis' speech on tiny checkpoints of the published layout, from a hub, through the studio."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from engines import sharing
from engines.base import Availability, Cancelled, StudioError
from engines.networks.blocks.unmasking import Unmasking
from engines.networks.maskgct.pipeline import SECOND_STAGE as MASKGCT_SECOND
from engines.networks.metis.pipeline import SECOND_STAGE as METIS_SECOND
from engines.parts import masked
from engines.parts.maskgct import COMMON
from engines.studio import Studio
from engines.tts.maskgct import MaskGct, MaskGctParams
from engines.tts.metis import MetisSpeech, MetisSpeechParams
from tests.engines.published import StopAt, sound_file, studio_of
from tests.networks.test_maskgct import folders  # noqa: F401

SAID = "The old bridge was closed."
FEW = {"steps": 3, "acoustic_steps_first": 2, "acoustic_steps_second": 2}


@pytest.fixture(scope="module")
def studio(folders, tmp_path_factory) -> Iterator[Studio]:  # noqa: F811
    root, speech = folders
    hub = {"amphion/MaskGCT": root, "facebook/w2v-bert-2.0": speech}
    with studio_of(tmp_path_factory.mktemp("studio"), hub, MaskGct, MetisSpeech) as running:
        yield running


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    return sound_file(tmp_path_factory.mktemp("sounds") / "voice.wav", 1.2)


def speak(studio: Studio, reference: Path, text: str = "Hello there.", **more):
    values = {"reference": str(reference), "reference_text": SAID, "seed": 3, **FEW, **more}
    engine = values.pop("engine", "maskgct")
    return studio.make(engine, 60, text=text, **values)[0]


def test_defaults_are_the_published_ones():
    given = {"text": "a", "reference": "a.wav"}
    first, second = MaskGctParams(**given), MetisSpeechParams(**given)
    assert masked.first_stage(first) == masked.first_stage(second) == Unmasking()
    for params, published in ((first, MASKGCT_SECOND), (second, METIS_SECOND)):
        ours = masked.second_stage(params, 12)
        assert (ours.first, tuple(ours.steps)) == (published.first, tuple(published.steps))
        assert ours.others.guidance == published.others.guidance
        assert ours.total == published.total


def test_the_same_seed_gives_the_same_bytes_of_24_khz_and_another_seed_others(studio, reference):
    first = speak(studio, reference)
    assert first.sample_rate == 24000
    assert speak(studio, reference).hash == first.hash
    assert speak(studio, reference, seed=4).hash != first.hash
    assert first.revision == "c" * 40
    assert first.text == "Hello there."


def test_length_goes_by_the_pace_of_the_reference_or_as_asked(studio, reference):
    engine = studio.engine("maskgct")

    def seconds(text: str = "Hello there.", **more) -> float:
        params = MaskGctParams(text=text, reference=reference, reference_text=SAID, **FEW, **more)
        engine.load(studio.runtime)
        engine.begin(params, StopAt(1000))
        return len(engine.say(text, params, np.random.default_rng(1), lambda *_: None)) / 24000

    usual = seconds()
    assert seconds(speaking_rate=2) == pytest.approx(usual / 2, abs=0.05)
    assert seconds(duration_s=3) == pytest.approx(3, abs=0.05)
    assert seconds(SAID) == pytest.approx(1.2, abs=0.1)
    assert engine.language(SimpleNamespace(text="你好。", language="auto")) == "zh"


def test_a_long_text_is_heard_sentence_by_sentence_and_joined(studio, reference):
    text = "One two three. Four five six. Seven eight nine."
    engine, job = studio.engine("maskgct"), StopAt(1000)
    params = MaskGctParams(text=text, reference=reference, reference_text=SAID, **FEW)
    clip = engine.run(params, job)
    assert len(job.pieces) == 3
    assert np.array_equal(np.concatenate(job.pieces), clip.samples)
    assert len({note for _, _, note in job.notes if note.startswith("Part")}) == 3
    assert max(abs(clip.samples)) <= 1


def test_cancelling_stops_at_the_step(studio, reference):
    engine = studio.engine("maskgct")
    for checks in (0, 1, 2, 4):
        job = StopAt(checks)
        params = MaskGctParams(text="Hello.", reference=reference, reference_text=SAID, **FEW)
        with pytest.raises(Cancelled):
            engine.run(params, job)
        steps = [note for note in job.notes if note[2] == "Part 1 of 1"]
        assert len(steps) == max(0, checks - 1)  # one check is made of the reference
        assert job.pieces == []


def test_metis_after_maskgct_loads_nothing_and_both_free_everything(studio, reference):
    studio.runtime.unload_all()
    assert sharing.held() == []
    speak(studio, reference)
    held = sharing.held()
    assert len(held) == len(COMMON) + 1
    ours = studio.engine("maskgct")._model
    speak(studio, reference, engine="metis")
    theirs = studio.engine("metis")._model
    assert sharing.held() == held
    assert theirs.semantic is ours.semantic
    assert theirs.acoustic.others is ours.acoustic.others
    assert theirs.tokens.speech is ours.tokens.speech
    both = studio.memory().reserved / 2**20
    assert both == pytest.approx(MaskGct.card.memory_mb["float32"], abs=8)
    studio.unload("maskgct")
    del ours, theirs
    assert sharing.held() == held
    studio.unload("metis")
    assert sharing.held() == []


def test_what_a_person_can_mend_is_said_before_a_job_exists(studio, reference, tmp_path):
    for message, values in (
        ("words of the reference are missing", {"reference_text": ""}),
        ("at least 1 s", {"reference": str(sound_file(tmp_path / "short.wav", 0.4))}),
        ("at most 30 s", {"reference": str(sound_file(tmp_path / "long.wav", 31))}),
        ("Type at least one word", {"text": "…"}),
    ):
        given = {"text": "a", "reference": str(reference), "reference_text": SAID} | values
        with pytest.raises(StudioError, match=message):
            studio.submit("maskgct", given)


def test_text_without_a_sound_in_its_language_is_named(studio, reference):
    with pytest.raises(StudioError, match="nothing that can be read as Korean"):
        speak(studio, reference, "漢", language="ko")


@pytest.mark.parametrize("broken", ["half", "missing key"])
def test_a_file_that_does_not_fit_is_refused_with_its_name(
    studio,
    folders,  # noqa: F811
    tmp_path,
    reference,
    broken,
):
    studio.runtime.unload_all()  # a part of this name is not read twice
    root = tmp_path / "hub"
    shutil.copytree(folders[0], root)
    file = root / "t2s_model/model.safetensors"
    if broken == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        message = r"MaskGCT can't be loaded\. model\.safetensors can't be read as weights"
    else:
        state = load_file(file)
        del state["to_logit.bias"]
        save_file(state, file)
        message = r"MaskGCT can't be loaded.*1 missing: to_logit\.bias"
    hub = {"amphion/MaskGCT": root, "facebook/w2v-bert-2.0": folders[1]}
    with studio_of(tmp_path / "studio", hub, MaskGct) as studio:
        with pytest.raises(StudioError, match=message):
            speak(studio, reference)


def test_without_weights_the_card_says_what_is_fetched(folders, tmp_path):  # noqa: F811
    class Unfetched:
        def path(self, weights):
            return None

        def revision(self, weights):
            return ""

    engine = MaskGct(Unfetched())
    (weights,) = engine.weights()
    assert engine.availability() is Availability.DOWNLOAD
    assert weights.total_bytes == pytest.approx(8.9e9, rel=0.02)
    assert 7000 < engine.memory_mb("float32") < 8500
    assert engine.memory_mb("bfloat16") < engine.memory_mb("float32")
    assert sum(engine.shared_mb("float32").values()) == engine.memory_mb("float32")
