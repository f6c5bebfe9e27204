"""Metis from sound to sound on tiny checkpoints of the published layout: three tasks, shared parts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engines import sharing
from engines.base import Cancelled, StudioError
from engines.networks.metis.lora import Lora
from engines.networks.metis.pipeline import SECOND_STAGE, Task
from engines.networks.metis.stage1 import MetisGenerator
from engines.parts import masked
from engines.parts.maskgct import COMMON
from engines.parts.metis import STAGE
from engines.parts.published import need_mb
from engines.restore.metis import MetisSe, MetisTse
from engines.studio import Studio
from engines.tts.maskgct import MaskGct
from engines.vc.metis import MetisVc
from tests.engines.published import StopAt, sound_file, studio_of
from tests.networks.test_maskgct import folders  # noqa: F401
from tests.networks.test_metis import CONFIG, SIZES

FEW = {"steps": 2, "acoustic_steps_first": 2, "acoustic_steps_second": 2}
ENGINES = (MetisVc, MetisTse, MetisSe)


@pytest.fixture(scope="module")
def metis(tmp_path_factory) -> Path:
    """Base, adapters and low-rank changes of all tasks, as ``amphion/metis`` lays them out."""
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("metis")
    (folder / "config.json").write_text(CONFIG)
    for task in Task:
        stage = MetisGenerator(SIZES)
        state = stage.state_dict()
        stem = folder / task.stem
        stem.parent.mkdir()
        adapter = {f"model.{k}": t + 0.1 for k, t in state.items() if k.startswith("cond_adapter.")}
        save_file(adapter, f"{stem}_adapter.safetensors")
        save_file(Lora(stage, 3).state_dict(), f"{stem}.safetensors")
    base = {k: t for k, t in state.items() if not k.startswith("cond_adapter.")}
    (folder / "metis_base").mkdir()
    save_file(base, folder / "metis_base/model.safetensors")
    return folder


@pytest.fixture(scope="module")
def hub(folders, metis) -> dict[str, Path]:  # noqa: F811
    root, speech = folders
    return {"amphion/MaskGCT": root, "facebook/w2v-bert-2.0": speech, "amphion/metis": metis}


@pytest.fixture(scope="module")
def studio(hub, tmp_path_factory) -> Iterator[Studio]:
    with studio_of(tmp_path_factory.mktemp("studio"), hub, MaskGct, *ENGINES) as running:
        yield running


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("sounds")
    return {
        "source": str(sound_file(folder / "source.wav", 2.3)),
        "reference": str(sound_file(folder / "reference.wav", 1.31, hz=120)),
    }


def values_for(engine_id: str, sounds: dict[str, str], **more) -> dict:
    given = {"source": sounds["source"], "seed": 5, **FEW, **more}
    return given if engine_id == "metis-se" else given | {"reference": sounds["reference"]}


@pytest.mark.parametrize("kind", ENGINES)
def test_files_and_defaults_are_the_published_ones(kind, sounds):
    engine = kind(None)
    stem, given = engine.task.stem, {"source": "a", "reference": "b"}
    assert kind.published.files == (f"{stem}.safetensors", f"{stem}_adapter.safetensors")
    params = kind.Params(**{k: v for k, v in given.items() if k in kind.Params.model_fields})
    assert masked.first_stage(params) == engine.task.settings
    ours = masked.second_stage(params, 12)
    assert (ours.first, tuple(ours.steps)) == (SECOND_STAGE.first, tuple(SECOND_STAGE.steps))
    assert ours.others.guidance == SECOND_STAGE.others.guidance


@pytest.mark.parametrize("engine_id", ["metis-vc", "metis-tse", "metis-se"])
def test_a_source_is_converted_at_24_khz_and_keeps_its_length(studio, sounds, engine_id):
    first = studio.make(engine_id, 60, **values_for(engine_id, sounds))[0]
    assert first.sample_rate == 24000
    assert first.duration_s == pytest.approx(2.3, abs=1e-4)
    again = studio.make(engine_id, 60, **values_for(engine_id, sounds))[0]
    other = studio.make(engine_id, 60, **values_for(engine_id, sounds, seed=6))[0]
    assert (again.hash == first.hash, other.hash == first.hash) == (True, False)
    assert studio.engine(engine_id).card.task == first.task
    assert first.revision == "c" * 40


def test_after_maskgct_only_the_generator_is_loaded(studio, sounds):
    studio.runtime.unload_all()
    studio.make(
        "maskgct",
        60,
        text="Hello.",
        reference=sounds["reference"],
        reference_text="So it is.",
        **FEW,
    )
    ours, before = studio.engine("maskgct")._model, sharing.held()
    reserved = studio.memory().reserved
    studio.make("metis-vc", 60, **values_for("metis-vc", sounds))
    theirs = studio.engine("metis-vc")._model
    assert sharing.held() == before
    assert theirs.tokens.speech is ours.tokens.speech
    assert theirs.tokens.codec is ours.tokens.codec
    for part in ("first", "others", "encoder", "decoder"):
        assert getattr(theirs.acoustic, part) is getattr(ours.acoustic, part)
    assert studio.memory().reserved - reserved == need_mb(STAGE) * 2**20
    del ours, theirs
    studio.unload("maskgct")
    assert len(sharing.held()) == len(COMMON)
    studio.runtime.unload_all()
    assert sharing.held() == []


def test_maskgct_and_metis_in_turn_stay_within_12_gb(hub, sounds, tmp_path):
    with studio_of(tmp_path, hub, MaskGct, *ENGINES, memory_gb=12.0) as small:
        for engine_id in ("maskgct", "metis-vc", "metis-se", "metis-vc"):
            given = values_for(engine_id, sounds)
            if engine_id == "maskgct":
                del given["source"]
                given |= {"text": "Hello.", "reference_text": "So it is."}
            small.make(engine_id, 60, **given)
            assert small.memory().reserved <= 12e9
        held = {entry.engine.card.id for entry in small.runtime.loaded()}
        assert "metis-vc" in held and len(held) == 2
        small.runtime.unload_all()


def test_long_sources_come_in_windows_that_are_heard_at_once(studio, sounds, tmp_path):
    engine, job = studio.engine("metis-se"), StopAt(10_000)
    long = values_for("metis-se", sounds, source=sound_file(tmp_path / "long.wav", 6.0), window_s=3)
    engine.load(studio.runtime)
    clip = engine.run(MetisSe.Params(**long), job)
    assert len(job.pieces) >= 3
    assert np.array_equal(np.concatenate(job.pieces), clip.samples)
    assert len(clip.samples) == 6 * 24000
    assert job.notes[-1][0] == job.notes[-1][1] == len(job.pieces)
    for checks in (1, 3):
        stopped = StopAt(checks)
        with pytest.raises(Cancelled):
            engine.run(MetisSe.Params(**long), stopped)
        assert len(stopped.notes) == checks - 1
    engine.unload()


def test_the_result_starts_where_the_source_does(studio, sounds):
    """The frames of reference and source meet in whole steps: no delay, whatever the reference's length."""
    engine = studio.engine("metis-vc")
    engine.load(studio.runtime)
    for reference_s in (1.0, 1.13, 1.2):
        params = MetisVc.Params(**values_for("metis-vc", sounds, reference_s=reference_s))
        prompt_16k, prompt_24k = engine._prompt(params)
        frames = engine._model.acoustic.codes(prompt_24k).shape[1]
        assert len(prompt_16k) == frames * 320
        assert len(prompt_24k) == frames * 480
    engine.unload()


def test_sounds_that_cannot_serve_are_refused(studio, sounds, tmp_path):
    short = str(sound_file(tmp_path / "short.wav", 0.5))
    with pytest.raises(StudioError, match="at least 1 s"):
        studio.submit("metis-tse", values_for("metis-tse", sounds) | {"reference": short})
    import soundfile

    soundfile.write(tmp_path / "silent.wav", np.zeros(22050), 22050)
    with pytest.raises(StudioError, match="is silent"):
        silent = values_for("metis-se", sounds, source=str(tmp_path / "silent.wav"))
        studio.make("metis-se", 60, **silent)


@pytest.mark.parametrize("broken", ["half", "missing layer"])
def test_an_adapter_that_does_not_fit_is_refused(hub, sounds, tmp_path, broken):
    root = tmp_path / "metis"
    shutil.copytree(hub["amphion/metis"], root)
    file = root / f"{Task.CONVERSION.stem}.safetensors"
    message = r"Metis VC can't be loaded\. metis_vc_lora_16\.safetensors can't be read"
    if broken == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        state = load_file(file)
        del state["model.diff_estimator.layers.1.mlp.up_proj.lora_B.default.weight"]
        save_file(state, file)
        message = r"Metis VC can't be loaded.*adapter.*1 missing: model\.diff_estimator\.layers\.1"
    with studio_of(tmp_path / "studio", hub | {"amphion/metis": root}, MetisVc) as studio:
        with pytest.raises(StudioError, match=message):
            studio.make("metis-vc", 60, **values_for("metis-vc", sounds))
