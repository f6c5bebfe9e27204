"""AudioLDM, AudioLDM 2 and Stable Audio on tiny random checkpoints of the real classes, from a hub."""

from __future__ import annotations

import gc
import shutil
import weakref

import numpy as np
import pytest
import soundfile

from engines.base import Availability, Cancelled, StudioError
from engines.parameters import parse
from engines.studio import Studio
from engines.tta.audioldm import AudioLDM, AudioLDM2
from engines.tta.stable_audio import StableAudio
from tests import tiny_diffusion
from tests.conftest import make_settings
from tests.engines.conftest import FakeCache, FakeDevice, FakeJob
from tests.small_hub import small_hub

pytest.importorskip("diffusers")
pytest.importorskip("torchsde")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Should have:UserWarning"),
]

MAKERS = {
    AudioLDM: tiny_diffusion.audioldm,
    AudioLDM2: tiny_diffusion.audioldm2,
    StableAudio: tiny_diffusion.stable_audio,
}
SHORT = {"prompt": "rain on a roof", "duration_s": 0.2, "steps": 3, "seed": 7}
KINDS = pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.card.id)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: make(root / kind.card.id) for kind, make in MAKERS.items()}


@pytest.fixture(scope="module")
def engines(folders):
    """Each engine, loaded."""
    loaded = {}
    for kind, folder in folders.items():
        engine = kind(FakeCache({kind.PUBLISHED[0].id: folder}))
        engine.load(FakeDevice(threads=1))
        loaded[kind] = engine
    return loaded


def make(engine, **values):
    params = parse(type(engine).Params, SHORT | values)
    return list(engine.run(params, FakeJob(seed=params.seed)))


@KINDS
def test_from_download_to_clip_through_the_studio(kind, folders, tmp_path, no_engines):
    first = kind.PUBLISHED[0]
    with small_hub({first.repo: folders[kind]}), Studio(make_settings(tmp_path)) as studio:
        studio.registry.add(kind)
        assert studio.engine(kind.card.id).availability() is Availability.DOWNLOAD
        studio.wait(studio.download(kind.card.id, first.id).id, 60)
        clips = [studio.make(kind.card.id, 60, **SHORT, variations=2) for _ in range(2)]
        rate, channels = (8000, 2) if kind is StableAudio else (16_000, 1)
        for clip in clips[0]:
            assert (clip.sample_rate, clip.channels) == (rate, channels)
            assert clip.duration_s == pytest.approx(0.2, abs=0.005)
        hashes = [[clip.path.name for clip in each] for each in clips]
        assert hashes[0] == hashes[1] and hashes[0][0] != hashes[0][1]


@KINDS
def test_a_variation_alone_is_what_it_is_among_others(kind, engines):
    three = make(engines[kind], variations=3)
    alone = make(engines[kind], **three[2].settings)
    assert three[0].settings["seed"] == 7
    # sums of a larger batch may be rounded otherwise, no more
    np.testing.assert_allclose(alone[0].samples, three[2].samples, atol=1e-4)
    assert np.abs(three[0].samples - three[1].samples).max() > 1e-3


@KINDS
def test_guidance_and_negative_prompt_change_the_sound(kind, engines):
    plain = make(engines[kind], guidance=1)[0].samples
    same = make(engines[kind], guidance=1, negative_prompt="thunder")[0].samples
    np.testing.assert_array_equal(plain, same)
    guided = make(engines[kind], guidance=6)[0].samples
    away = make(engines[kind], guidance=6, negative_prompt="thunder")[0].samples
    assert not np.array_equal(plain, guided) and not np.array_equal(guided, away)


@KINDS
def test_every_scheduler_makes_sound_and_all_differ(kind, engines):
    made = {}
    for name in kind.SCHEDULERS:
        made[name] = make(engines[kind], scheduler=str(name), steps=5)[0].samples
        assert np.isfinite(made[name]).all() and np.abs(made[name]).max() > 0
        again = make(engines[kind], scheduler=str(name), steps=5)[0].samples
        np.testing.assert_array_equal(made[name], again)
    assert (
        len({each.tobytes() for each in made.values()}) >= len(made) - 1
    )  # “published” is one of them


@KINDS
def test_progress_and_cancel_within_one_step(kind, engines):
    job = FakeJob()
    list(engines[kind].run(parse(kind.Params, SHORT), job))
    assert [note[:2] for note in job.notes] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    stopped = FakeJob()

    def check():
        if stopped.notes and stopped.notes[-1][0] == 1:
            raise Cancelled("test")

    stopped.check = check
    with pytest.raises(Cancelled):
        list(engines[kind].run(parse(kind.Params, SHORT), stopped))
    assert stopped.notes[-1][:2] == (1, 3)


@KINDS
def test_unload_frees_the_networks(kind, folders):
    engine = kind(FakeCache({kind.PUBLISHED[0].id: folders[kind]}))
    engine.load(FakeDevice(threads=1))
    network = getattr(engine._pipeline, "unet", None) or engine._pipeline.transformer
    watched = weakref.ref(network)
    del network
    make(engine)
    engine.unload()
    gc.collect()
    assert watched() is None


def test_a_folder_of_ones_own_is_offered_and_half_a_file_is_named(folders, tmp_path):
    own = shutil.copytree(folders[AudioLDM2], tmp_path / "mine")
    engine = AudioLDM2(FakeCache(owned={"mine": own}))
    assert engine.weights()[-1].title == "mine (your own)"
    assert AudioLDM(FakeCache(owned={"mine": own})).weights()[-1].id == "audioldm"
    settings = parse(AudioLDM2.Params, SHORT | {"model": "mine"})
    assert engine.state_of(engine.weights_for(settings)) is Availability.READY
    weights = own / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudioError, match="mine/unet cannot be loaded"):
        engine.load(FakeDevice(threads=1), settings)
    from safetensors.numpy import load, save_file

    tensors = load(whole)
    del tensors["conv_in.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(
        StudioError, match=r"mine/unet (lacks weights.*|cannot be loaded.*)conv_in.weight"
    ):
        engine.load(FakeDevice(threads=1), settings)


def test_stable_audio_starts_from_a_source(engines, tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", 0.5 * tone, 8000)
    plain = make(engines[StableAudio])[0].samples
    little = make(engines[StableAudio], source=tmp_path / "tone.wav", noise=0.1, variations=2)
    much = make(engines[StableAudio], source=tmp_path / "tone.wav", noise=0.9)[0].samples
    assert little[0].samples.shape == plain.shape
    assert not np.array_equal(little[0].samples, much) and not np.array_equal(much, plain)
    with pytest.raises(StudioError, match="not a sound that can be read"):
        engines[StableAudio].check(parse(StableAudio.Params, SHORT | {"source": __file__}))


def test_refusals(engines):
    with pytest.raises(StudioError, match="neither a known model nor a folder"):
        engines[AudioLDM].check(parse(AudioLDM.Params, SHORT | {"model": "nothing"}))
    with pytest.raises(StudioError, match="There is no prompt"):
        engines[AudioLDM].check(parse(AudioLDM.Params, SHORT | {"prompt": " "}))
    with pytest.raises(StudioError, match=r"at most 2\.0 s; 30 s were asked for") as error:
        make(engines[StableAudio], duration_s=30)
    assert error.value.field == "duration_s"
