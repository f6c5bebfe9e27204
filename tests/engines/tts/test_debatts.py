"""DebaTTS on tiny checkpoints in a person's own folder, through the studio."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines import sharing
from engines.base import Availability, Cancelled, NotReady, StudioError
from engines.networks.debatts.network import SAMPLING, DebateLm
from engines.networks.debatts.pipeline import (
    ACOUSTIC,
    ALL_FILE,
    CODEC_FILE,
    DECODER_FILE,
    ENCODER_FILE,
    FIRST_FILE,
    LM_FILE,
)
from engines.parts import autoregressive, masked
from engines.studio import Studio
from engines.tts.debatts import WEIGHTS, Debatts, DebattsParams
from tests.engines.published import StopAt, fetch, sound_file, studio_of
from tests.networks.test_debatts import SIZES
from tests.networks.test_debatts import folders as published  # noqa: F401

SAID = "桥已经关了。"
FEW = {
    "max_length": 400, "min_new_tokens": 10, "acoustic_steps_first": 2, "acoustic_steps_second": 2,
    "acoustic_steps_others": 1,
}  # fmt: skip


def _with_all_phones(published_in: Path, folder: Path) -> None:
    """A copy whose language model knows all phones of the front end."""
    shutil.copytree(published_in, folder)
    sizes = replace(
        SIZES, phone_vocab_size=400, pad_token_id=464, bos_target_id=465, eos_target_id=466,
        bos_phone_id=467, eos_phone_id=468, bos_prompt0_id=469, eos_prompt0_id=470,
    )  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"t2s": asdict(sizes)}))
    torch.manual_seed(2)
    save_file(DebateLm(sizes).state_dict(), folder / LM_FILE)


@pytest.fixture(scope="module")
def studio(published, tmp_path_factory) -> Iterator[Studio]:  # noqa: F811
    root, speech = published
    with studio_of(tmp_path_factory.mktemp("studio"), {"facebook/w2v-bert-2.0": speech}) as running:
        engine = running.registry.add(Debatts)
        assert engine.availability() is Availability.TRAIN
        _with_all_phones(root, running.hub.root / "own" / "debatts")
        assert engine.availability() is Availability.DOWNLOAD
        fetch(running, engine)
        assert engine.availability() is Availability.READY
        yield running


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("sounds")
    return {
        "reference": str(sound_file(folder / "reference.wav", 1.5)),
        "opponent": str(sound_file(folder / "opponent.wav", 4, hz=120)),
    }


def speak(studio: Studio, sounds: dict[str, str], text: str = "你好。", **more):
    values = {**sounds, "reference_text": SAID, "seed": 3, "opponent_s": 2, **FEW, **more}
    return studio.make("debatts", 60, text=text, **values)[0]


def test_defaults_and_files_are_the_published_ones():
    params = DebattsParams(text="好", reference="a.wav", opponent="b.wav")
    assert autoregressive.sampling(params) == SAMPLING
    ours = masked.second_stage(params, 12)
    for name in ("steps", "temperature", "filter_threshold", "guidance", "rescale"):
        assert getattr(ours.first, name) == getattr(ACOUSTIC.first, name)
    assert tuple(ours.steps) == tuple(ACOUSTIC.steps)
    assert ours.others.guidance == ACOUSTIC.others.guidance
    names = (LM_FILE, FIRST_FILE, ALL_FILE, CODEC_FILE, ENCODER_FILE, DECODER_FILE)
    assert WEIGHTS.files == tuple(name.as_posix() for name in names)


def test_an_answer_follows_its_seed_and_its_opponent(studio, sounds, tmp_path):
    first = speak(studio, sounds)
    assert first.sample_rate == 24000
    assert first.duration_s > 0.1
    assert speak(studio, sounds).hash == first.hash
    assert speak(studio, sounds, seed=4).hash != first.hash
    other = str(sound_file(tmp_path / "other.wav", 4, hz=300))
    assert speak(studio, sounds, opponent=other).hash != first.hash


def test_a_long_text_comes_sentence_by_sentence_and_cancelling_stops_at_the_step(studio, sounds):
    engine = studio.engine("debatts")
    engine.load(studio.runtime)
    given = {**sounds, "reference_text": SAID, "opponent_s": 2, **FEW}
    params = DebattsParams(text="今天很好。明天也好。", **given)
    job = StopAt(10_000)
    clip = engine.run(params, job)
    assert len(job.pieces) == 2
    assert np.array_equal(np.concatenate(job.pieces), clip.samples)
    for checks in (2, 6):
        stopped = StopAt(checks)
        with pytest.raises(Cancelled):
            engine.run(params, stopped)
        assert len([n for n in stopped.notes if n[2] == "Part 1 of 2"]) == checks - 1
    engine.unload()


def test_what_cannot_be_said_or_heard_is_refused(studio, sounds):
    with pytest.raises(StudioError, match="nothing that can be read as Chinese"):
        speak(studio, sounds, "Hello there.")
    with pytest.raises(StudioError, match="words of the reference"):
        speak(studio, sounds, reference_text="")
    with pytest.raises(StudioError, match="leave no room in 100 tokens"):
        speak(studio, sounds, max_length=100)


def test_unloading_frees_everything(studio, sounds):
    speak(studio, sounds)
    assert len(sharing.held()) == 1
    studio.unload("debatts")
    assert sharing.held() == []


def test_without_the_folder_it_says_where_the_files_go(tmp_path, sounds):
    with studio_of(tmp_path, {}) as studio:
        studio.registry.add(Debatts)
        with pytest.raises(NotReady, match=r"models/own|no published weights|trained"):
            speak(studio, sounds)


def test_a_half_file_is_refused_with_its_name(studio, sounds):
    studio.unload("debatts")
    file = studio.hub.root / "own" / "debatts" / ALL_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    try:
        message = r"DebaTTS can't be loaded\. full_model\.safetensors can't be read as weights"
        with pytest.raises(StudioError, match=message):
            speak(studio, sounds)
    finally:
        file.write_bytes(whole)


def test_networks_may_be_held_in_bfloat16(studio, published, sounds, tmp_path):  # noqa: F811
    hub = {"facebook/w2v-bert-2.0": published[1]}
    with studio_of(tmp_path, hub, dtype="bfloat16") as other:
        shutil.copytree(studio.hub.root / "own", other.hub.root / "own")
        fetch(other, other.registry.add(Debatts))
        assert speak(other, sounds).duration_s > 0.1
        model = other.engine("debatts")._model.model
        assert model.model.model.embed_tokens.weight.dtype == torch.bfloat16
        other.runtime.unload_all()
