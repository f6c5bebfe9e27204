"""MusicGen through the studio, with tiny random checkpoints in models/own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from engines import registry
from engines.base import Adapter, Availability, InvalidParams, NotReady, StudioError
from engines.music.musicgen import checkpoint, codes, lora
from engines.music.musicgen.decoding import Decoder
from engines.music.musicgen.engine import MusicGen, need_mb
from engines.music.musicgen.params import FILES, PUBLISHED, TINY
from engines.music.musicgen.takes import FIRST_FRAMES, Window, windows
from engines.studio import Studio
from storage import read_tags
from tests.conftest import make_settings
from tests.engines.test_music_lora import save_adapter
from tests.tiny_musicgen import make

PLAIN = {"prompt": "slow piano theme", "duration_s": 1, "seed": 7, "precision": "float32"}
RATE = 3200
HOP = 64


@pytest.fixture(scope="module")
def studio(tmp_path_factory, tiny_musicgen):
    """A running studio with MusicGen and four tiny checkpoints."""
    tmp_path = tmp_path_factory.mktemp("studio")
    own = tmp_path / "data" / "models" / "own"
    shutil.copytree(tiny_musicgen, own / "tiny")
    make(own / "stereo", stereo=True)
    make(own / "tuneful", melody=True)
    short = make(own / "short", seed=1)
    config = json.loads((short / "config.json").read_text())
    config["decoder"]["max_position_embeddings"] = 100
    (short / "config.json").write_text(json.dumps(config))
    with pytest.MonkeyPatch.context() as patch:
        empty = tmp_path / "engines.json"
        empty.write_text("[]")
        patch.setattr(registry, "BUILT_IN", empty)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(tmp_path)) as running:
            running.registry.add(MusicGen)
            for number in (1, 2):
                folder = tmp_path / "data" / "adapters" / str(number)
                save_adapter(own / "tiny", folder, seed=number)
                row = running.store.adapters.add(f"warm {number}", "tiny", f"adapters/{number}")
                assert row.version == 1
            yield running


@pytest.fixture
def adapters(studio):
    """The ids of the two adapters of ``tiny``, in order."""
    rows = studio.store.adapters.list(base="tiny")
    return [row.id for row in sorted(rows, key=lambda row: row.name)]


def music(studio, **values):
    """The clips of a run with ``PLAIN`` and ``values``."""
    return studio.make("musicgen", **{"model": "tiny", **PLAIN, **values})


def samples(studio, clip):
    """Samples ``(C, T)`` of a clip's file."""
    return studio.store.files.decode(clip.path)[0]


def follow(studio, **values):
    """Run and return the job with all updates."""
    job = studio.submit("musicgen", {"model": "tiny", **PLAIN, **values})
    return list(studio.follow(job.id, every_s=0.01))


# --- one clip -------------------------------------------------------------------------------


def test_a_clip_is_what_the_codes_of_the_decoder_sound_like(studio, tiny_musicgen):
    (clip,) = music(studio)
    assert (clip.sample_rate, clip.channels, clip.duration_s) == (RATE, 1, 1.0)
    assert clip.text == "slow piano theme" and clip.seed == 7 and not clip.partial
    loaded = checkpoint.load(tiny_musicgen)
    text = codes.encode_text(loaded, ["slow piano theme"])
    with torch.no_grad():
        states = codes.conditioning(loaded, text.states, text.mask)
    decoder = Decoder(loaded.model.decoder, format="float32")
    made = decoder.generate(states, text.mask, frames=50, rngs=[np.random.default_rng(7)])
    expected = codes.decode_codes(loaded, torch.from_numpy(made[0]))
    np.testing.assert_allclose(samples(studio, clip), expected, atol=2e-6)


def test_settings_say_what_was_chosen_and_make_the_clip_again(studio):
    (clip,) = music(studio, precision="auto", style="jazz", tempo=90)
    assert clip.text == "jazz, slow piano theme, 90 bpm"
    assert clip.settings["precision"] == "float32" and clip.settings["model"] == "tiny"
    assert clip.revision == checkpoint.fingerprint(studio.hub.own()["tiny"])
    assert len(clip.revision) == 40
    restored = studio.restore(clip.path)
    assert restored.engine == "musicgen" and read_tags(clip.path).seed == 7
    (again,) = studio.make("musicgen", **restored.settings)
    assert again.hash == clip.hash


def test_same_seed_same_bytes_and_another_seed_another_sound(studio):
    first, again, other = (music(studio, seed=seed)[0] for seed in (3, 3, 4))
    assert first.hash == again.hash != other.hash


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "loud drums"},
        {"negative_prompt": "loud drums"},
        {"guidance_scale": 1},
        {"temperature": 0.3},
        {"top_k": 3},
        {"top_p": 0.2},
        {"precision": "int8"},
        {"precision": "bfloat16"},
        {"model": "short"},
        {"mood": "sad"},
    ],
)
def test_every_knob_is_heard(studio, change):
    (plain,), (changed,) = music(studio), music(studio, **change)
    assert changed.hash != plain.hash
    assert not np.array_equal(samples(studio, changed), samples(studio, plain))


def test_a_negative_prompt_is_the_unconditional_half(studio):
    """With the prompt itself as negative prompt, guidance of any strength leads nowhere."""
    same = {"negative_prompt": PLAIN["prompt"]}
    strong, none = music(studio, **same, guidance_scale=5), music(studio, guidance_scale=1)
    np.testing.assert_allclose(samples(studio, strong[0]), samples(studio, none[0]), atol=1e-5)


def test_a_negative_prompt_without_guidance_changes_nothing(studio):
    with_it = music(studio, negative_prompt="drums", guidance_scale=1)
    assert np.array_equal(
        samples(studio, with_it[0]), samples(studio, music(studio, guidance_scale=1)[0])
    )


def test_stereo_is_two_channels(studio):
    (clip,) = music(studio, model="stereo")
    assert clip.channels == 2 and clip.duration_s == 1.0
    left, right = samples(studio, clip)
    assert not np.array_equal(left, right)


# --- variations -----------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_variations_do_not_depend_on_how_many_are_made(studio, precision):
    three = music(studio, variations=3, precision=precision)
    eight = music(studio, variations=8, precision=precision)
    assert [clip.hash for clip in three] == [clip.hash for clip in eight[:3]]
    assert len({clip.hash for clip in eight}) == 8
    assert len({clip.seed for clip in eight}) == 8
    assert eight[0].seed == 7 and eight[0].hash == music(studio, precision=precision)[0].hash
    for clip in three:
        assert clip.settings["variations"] == 1 and clip.settings["seed"] == clip.seed
    (alone,) = studio.make("musicgen", **three[2].settings)
    assert alone.hash == three[2].hash


def test_variations_of_a_continuation_are_made_again_one_by_one(studio):
    (start,) = music(studio, seed=1)
    two = music(studio, continue_from=str(start.path), variations=2)
    (alone,) = studio.make("musicgen", **two[1].settings)
    assert alone.hash == two[1].hash != two[0].hash
    assert two[0].parents == two[1].parents == (start.id,)


# --- while it is made -----------------------------------------------------------------------


def test_pieces_are_a_prefix_of_the_first_clip_and_come_early(studio):
    updates = follow(studio, duration_s=3, variations=2)
    job = updates[-1].job
    assert job.state == "done"
    pieces = [piece for update in updates for piece in update.pieces]
    assert len(pieces) >= 4 and len(pieces[0]) < RATE // 2
    first = samples(studio, studio.clip(job.clip_ids[0]))
    joined = np.concatenate(pieces)
    assert len(joined) == first.shape[1]
    np.testing.assert_allclose(joined, first[0], atol=2 / 2**23)


def test_progress_counts_every_token(new_job, cache, device, tiny_musicgen):
    engine = owner(cache, {"tiny": tiny_musicgen})
    params = MusicGen.Params(prompt="piano", model="tiny", duration_s=1, precision="float32")
    engine.load(device, params)
    job = new_job()
    (clip,) = engine.run(params, job)
    shares = [done / total for done, total, _ in job.notes]
    assert len(shares) == 50 + 3  # the delay pattern takes three steps more
    assert shares == sorted(shares) and shares[-1] == 1
    assert job.notes[-1][2] == "1.0 of 1.0 s" and job.notes[10][2] == "0.2 of 1.0 s"
    assert np.array_equal(np.concatenate(job.pieces), clip.samples)
    assert len(job.pieces) >= 2 and len(job.pieces[0]) < FIRST_FRAMES * HOP
    engine.unload()


def owner(cache, folders, adapters=()):
    """An engine whose cache knows a person's own ``folders`` and ``adapters``."""
    cache.owned.update(folders)
    cache.adapters = lambda: adapters
    return MusicGen(cache)


def test_cancel_stops_at_the_next_token_and_keeps_what_was_heard(studio):
    job = studio.submit("musicgen", {"model": "tiny", **PLAIN, "duration_s": 100})
    for update in studio.follow(job.id, every_s=0.01):
        if update.pieces:
            studio.cancel(job.id)
    assert update.job.state == "cancelled"
    kept = studio.clip(update.job.clip_ids[0])
    assert kept.partial and 0.2 < kept.duration_s < 90
    (whole,) = music(studio, duration_s=2)
    length = min(whole.duration_s, kept.duration_s)
    count = int(length * RATE)
    np.testing.assert_allclose(
        samples(studio, kept)[:, : count - HOP], samples(studio, whole)[:, : count - HOP], atol=1e-3
    )


# --- longer than a window -------------------------------------------------------------------


def test_windows_overlap_and_cover_the_whole():
    assert windows(1500, 1500, 500) == [Window(0, 0, 1500)]
    assert windows(2600, 1500, 500) == [
        Window(0, 0, 1500), Window(1000, 500, 1500), Window(2000, 500, 600),
    ]  # fmt: skip
    assert windows(100, 1500, 500, given=300) == [Window(-300, 300, 400)]
    # at most two thirds of a window are known before
    assert windows(200, 90, 500) == [
        Window(0, 0, 90), Window(30, 60, 90), Window(60, 60, 90), Window(90, 60, 90),
        Window(120, 60, 80),
    ]  # fmt: skip
    for new, longest, overlap, given in ((1, 50, 10, 0), (999, 50, 49, 3), (6000, 1500, 1, 500)):
        plan = windows(new, longest, overlap, given)
        assert all(window.frames <= longest for window in plan)
        assert sum(window.frames - window.known for window in plan) == new


def test_long_music_goes_on_from_its_own_end(studio):
    """A checkpoint with a window of 2 s: 5 s, made as the stated windows say."""
    (clip,) = music(studio, model="short", duration_s=5, continue_overlap_s=1)
    assert clip.duration_s == 5
    (start,) = music(studio, model="short", duration_s=1, continue_overlap_s=1)
    assert np.array_equal(samples(studio, start)[:, :1000], samples(studio, clip)[:, :1000])
    loaded = checkpoint.load(studio.hub.own()["short"])
    assert loaded.checkpoint.max_s == 2
    text = codes.encode_text(loaded, ["slow piano theme"])
    with torch.no_grad():
        states = codes.conditioning(loaded, text.states, text.mask)
    decoder = Decoder(loaded.model.decoder, format="float32")
    rng = np.random.default_rng(7)
    held = decoder.generate(states, text.mask, frames=100, rngs=[rng])
    for _ in range(3):
        more = decoder.generate(
            states, text.mask, frames=100, rngs=[rng], prompt_codes=held[:, :, -50:]
        )
        held = np.concatenate([held, more[:, :, 50:]], axis=2)
    expected = codes.decode_codes(loaded, torch.from_numpy(held[0]))
    np.testing.assert_allclose(samples(studio, clip), expected, atol=2e-6)


def test_progress_names_the_window_and_its_limit(new_job, cache, device, studio):
    engine = owner(cache, {"short": studio.hub.own()["short"]})
    params = MusicGen.Params(prompt="piano", model="short", duration_s=3, continue_overlap_s=1)
    engine.load(device, params)
    job = new_job()
    list(engine.run(params, job))
    assert job.notes[-1] == (150, 150, "3.0 of 3.0 s, window 2 of 2 (of at most 2 s)")
    shares = [done for done, _, _ in job.notes]
    assert shares == sorted(shares)
    engine.unload()


# --- continuing a sound ---------------------------------------------------------------------


def test_a_continuation_holds_the_sound_and_then_the_new_music(studio):
    (start,) = music(studio, seed=1, duration_s=2)
    (clip,) = music(studio, continue_from=str(start.path), duration_s=1.5)
    assert clip.duration_s == 3.5 and clip.parents == (start.id,)
    old, whole = samples(studio, start), samples(studio, clip)
    seam = round(0.05 * RATE)
    assert np.array_equal(whole[:, : 2 * RATE - seam], old[:, : 2 * RATE - seam])
    # the decoder hears the codes of the old sound before the new ones
    loaded = checkpoint.load(studio.hub.own()["tiny"])
    given = codes.encode_audio(loaded, old, RATE)
    text = codes.encode_text(loaded, ["slow piano theme"])
    with torch.no_grad():
        states = codes.conditioning(loaded, text.states, text.mask)
    made = Decoder(loaded.model.decoder, format="float32").generate(
        states, text.mask, frames=100 + 75, rngs=[np.random.default_rng(7)],
        prompt_codes=given[None],
    )  # fmt: skip
    expected = codes.decode_codes(loaded, torch.from_numpy(made[0]))
    np.testing.assert_allclose(whole[:, 2 * RATE :], expected[:, 2 * RATE :], atol=2e-6)
    # at the seam the old sound fades into the model's
    middle = slice(2 * RATE - seam, 2 * RATE)
    rising = np.arange(1, seam + 1) / (seam + 1)
    mixed = old[:, middle] * (1 - rising) + expected[:, middle] * rising
    np.testing.assert_allclose(whole[:, middle], mixed, atol=2e-6)


def test_only_the_overlap_is_heard(studio, tmp_path):
    """Two sounds with the same end go on in the same way."""
    import soundfile

    rng = np.random.default_rng(0)
    one, other = rng.uniform(-0.3, 0.3, (2, 4 * RATE)).astype(np.float32)
    other[2 * RATE :] = one[2 * RATE :]
    clips = []
    for name, wave in (("one", one), ("other", other)):
        soundfile.write(tmp_path / f"{name}.wav", wave, RATE, subtype="FLOAT")
        values = {"continue_from": str(tmp_path / f"{name}.wav")}
        clips.append(samples(studio, music(studio, **values, continue_overlap_s=2)[0]))
    assert clips[0].shape == (1, 5 * RATE)
    assert not np.array_equal(clips[0][:, :RATE], clips[1][:, :RATE])
    assert np.array_equal(clips[0][:, 2 * RATE :], clips[1][:, 2 * RATE :])


def test_a_stereo_sound_at_another_rate_is_continued_in_the_model_s_form(studio, tmp_path):
    import soundfile

    time = np.arange(8000) / 8000
    wave = np.stack([np.sin(2 * np.pi * 200 * time), 0 * time]).astype(np.float32) * 0.5
    soundfile.write(tmp_path / "wide.wav", wave.T, 8000)
    for model, channels in (("tiny", 1), ("stereo", 2)):
        (clip,) = music(studio, model=model, continue_from=str(tmp_path / "wide.wav"))
        assert (clip.channels, clip.sample_rate, clip.duration_s) == (channels, RATE, 2.0)
        heard = samples(studio, clip)[:, : RATE // 2]
        loud = 0.5 / np.sqrt(2) / (3 - channels)
        assert heard.std(axis=1) == pytest.approx([loud, 0][:channels], abs=0.01)


def test_pieces_of_a_continuation_begin_with_the_sound(studio):
    (start,) = music(studio, seed=1, duration_s=2)
    updates = follow(studio, continue_from=str(start.path), duration_s=2)
    pieces = [piece for update in updates for piece in update.pieces]
    clip = studio.clip(updates[-1].job.clip_ids[0])
    np.testing.assert_allclose(np.concatenate(pieces), samples(studio, clip)[0], atol=2 / 2**23)


# --- melody ---------------------------------------------------------------------------------


@pytest.fixture
def tune(tmp_path):
    """A file with two seconds of A and one of E."""
    import soundfile

    time = np.arange(3 * 16_000) / 16_000
    pitch = np.where(time < 2, 440.0, 329.63)
    soundfile.write(tmp_path / "tune.wav", 0.5 * np.sin(2 * np.pi * pitch * time), 16_000)
    return str(tmp_path / "tune.wav")


def test_a_melody_is_followed(studio, tune, tmp_path):
    import soundfile

    (free,) = music(studio, model="tuneful")
    (tuned,) = music(studio, model="tuneful", melody=tune)
    (again,) = music(studio, model="tuneful", melody=tune)
    assert tuned.hash == again.hash != free.hash
    time = np.arange(3 * 16_000) / 16_000
    soundfile.write(tmp_path / "other.wav", 0.5 * np.sin(2 * np.pi * 262 * time), 16_000)
    (other,) = music(studio, model="tuneful", melody=str(tmp_path / "other.wav"))
    assert not np.array_equal(samples(studio, other), samples(studio, tuned))


def test_a_melody_model_with_everything(studio, tune):
    (start,) = music(studio, seed=1)
    values = {"model": "tuneful", "melody": tune, "continue_from": str(start.path)}
    clips = music(studio, **values, negative_prompt="a loud and fast guitar", variations=2)
    assert [clip.duration_s for clip in clips] == [2.0, 2.0]
    assert clips[0].hash != clips[1].hash
    assert len(clips[0].parents) == 2 and clips[0].parents[0] == start.id


def test_greedy_melody_codes_are_the_library_s(studio, tune, cache, device, monkeypatch):
    """What the engine gives the decoder is what Transformers' generate gives its own."""
    from engines.music.musicgen.inputs import Tune, given

    engine = owner(cache, {"tuneful": studio.hub.own()["tuneful"]})
    params = MusicGen.Params(
        prompt="slow piano theme", model="tuneful", melody=Path(tune), precision="float32"
    )
    engine.load(device, params)
    facts = engine._loaded.checkpoint
    tune = Tune(params.melody, facts)
    ours = engine._decoder.generate(
        **given(engine._loaded, params, tune).rows(1),
        frames=40,
        rngs=[np.random.default_rng(0)],
        guidance=3.0,
        greedy=True,
    )
    loaded = checkpoint.load(studio.hub.own()["tuneful"])
    caught = []
    encodec = loaded.model.audio_encoder
    decode = encodec.decode
    monkeypatch.setattr(
        encodec,
        "decode",
        lambda made, **kwargs: (caught.append(made[0]), decode(made, **kwargs))[1],
    )
    tokens = loaded.tokenizer(["slow piano theme"], return_tensors="pt")
    chroma = torch.from_numpy(tune.at(0))[None]
    loaded.model.generate(
        **tokens, input_features=chroma, do_sample=False, guidance_scale=3.0, max_new_tokens=43
    )
    assert np.array_equal(ours, caught[0].numpy())
    engine.unload()


def test_a_melody_needs_a_melody_model(studio, tune):
    with pytest.raises(StudioError, match=r"cannot follow a melody.*musicgen-melody") as caught:
        music(studio, melody=tune)
    assert caught.value.field == "melody"


# --- adapters -------------------------------------------------------------------------------


def test_an_adapter_at_0_is_exactly_the_base_and_at_1_is_not(studio, adapters):
    (base,) = music(studio, adapters=[])
    (zero,) = music(studio, adapters=[adapters[0]], adapter_scale=0)
    (one,) = music(studio, adapters=[adapters[0]])
    (half,) = music(studio, adapters=[f"{adapters[0]}@0.5"], adapter_scale=2)
    assert np.array_equal(samples(studio, zero), samples(studio, base))
    assert not np.array_equal(samples(studio, one), samples(studio, base))
    assert len({clip.hash for clip in (zero, one, half)}) == 3
    assert (base.adapter, base.adapter_scale) == ("", None)
    assert (zero.adapter, zero.adapter_scale) == (adapters[0], 0.0)
    assert (half.adapter, half.adapter_scale) == (adapters[0], 0.5)


def test_an_adapter_is_the_merged_model(studio, adapters, tmp_path):
    """The same codes as a checkpoint into which PEFT merged the adapter."""
    import transformers
    from peft import PeftModel

    tiny = studio.hub.own()["tiny"]
    model = transformers.MusicgenForConditionalGeneration.from_pretrained(tiny)
    folder = studio.store.data_dir / studio.store.adapters.get(adapters[0]).folder
    model.decoder = PeftModel.from_pretrained(model.decoder, folder).merge_and_unload()
    merged = studio.hub.root / "own" / "merged"
    shutil.copytree(tiny, merged)
    model.save_pretrained(merged)
    (adapted,) = music(studio, adapters=[adapters[0]])
    (whole,) = music(studio, model="merged")
    np.testing.assert_allclose(samples(studio, adapted), samples(studio, whole), atol=1e-5)
    shutil.rmtree(merged)


def test_two_adapters_at_once(studio, adapters):
    both = [f"{adapters[0]}@0.7", adapters[1]]
    (two,), (one,) = music(studio, adapters=both), music(studio, adapters=both[:1])
    assert two.adapter == f"{adapters[0]} + {adapters[1]}" and two.adapter_scale == 0.7
    assert not np.array_equal(samples(studio, two), samples(studio, one))
    (again,) = studio.make("musicgen", **two.settings)
    assert again.hash == two.hash


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["nobody"], "There is no adapter 'nobody'"),
        (["0@3"], "from 0 to 2"),
        (["0@loud"], "from 0 to 2"),
        (["0@-1"], "from 0 to 2"),
        (["0@nan"], "from 0 to 2"),
        (["0", "0@0.5"], "is named twice"),
    ],
)
def test_adapters_that_cannot_be_used_are_refused(studio, adapters, entries, message):
    entries = [
        entry.replace("0", adapters[0], 1) if entry[0] == "0" else entry for entry in entries
    ]
    with pytest.raises(StudioError, match=message) as caught:
        music(studio, adapters=entries)
    assert caught.value.field == "adapters"


def test_an_adapter_of_another_base_is_refused(studio, adapters):
    with pytest.raises(StudioError, match="warm 1 v1 was trained on tiny and cannot be used with"):
        music(studio, model="stereo", adapters=[adapters[0]])


def test_an_adapter_whose_files_do_not_fit_is_refused(cache, tmp_path, tiny_musicgen):
    save_adapter(make(tmp_path / "wide", hidden_size=64), tmp_path / "liar")
    claims = Adapter("a1", "liar v1", "tiny", tmp_path / "liar")
    engine = owner(cache, {"tiny": tiny_musicgen}, [claims])
    params = MusicGen.Params(prompt="piano", model="tiny", adapters=("a1",))
    with pytest.raises(StudioError, match="was trained on another base"):
        engine.check(params)


def test_choices_name_models_and_adapters(studio, adapters):
    engine = studio.engine("musicgen")
    models = [choice.value for choice in engine.choices("model")]
    assert models[0] == "musicgen-small"
    assert models[-5:] == ["short", "stereo", "tiny", "tuneful", "studio-tiny"]
    offered = {choice.value: choice.label for choice in engine.choices("adapters")}
    assert offered[adapters[0]] == "warm 1 v1 (tiny)" and len(offered) == 2
    assert engine.choices("prompt") == ()


# --- loading --------------------------------------------------------------------------------


def test_loaded_weights_are_kept_and_others_replace_them(cache, device, studio, monkeypatch):
    engine = owner(cache, studio.hub.own(), studio.adapters())
    loads = []
    load = checkpoint.load
    monkeypatch.setattr(
        checkpoint, "load", lambda folder: (loads.append(folder.name), load(folder))[1]
    )
    plain = {"prompt": "piano", "model": "tiny", "precision": "float32"}
    adapter = studio.adapters()[0].id
    for values, expected in (
        ({}, ["tiny"]),
        ({"prompt": "drums", "seed": 3}, []),
        ({"adapters": (f"{adapter}@0",)}, []),
        ({"adapters": (adapter,)}, ["tiny"]),
        ({"adapters": (adapter,), "adapter_scale": 0.5}, ["tiny"]),
        ({"model": "stereo"}, ["stereo"]),
        ({"model": "stereo", "precision": "int8"}, ["stereo"]),
    ):
        loads.clear()
        engine.load(device, MusicGen.Params(**{**plain, **values}))
        assert loads == expected
    engine.unload()
    assert engine._loaded is None and engine._decoder is None


def test_weights_that_were_written_anew_are_loaded_anew(cache, device, tmp_path, new_job):
    folder = make(tmp_path / "mine")
    engine = owner(cache, {"mine": folder})
    params = MusicGen.Params(prompt="piano", model="mine", duration_s=1)
    heard = []
    for seed in (0, 1):
        make(folder, seed=seed)
        engine.load(device, params)
        (clip,) = engine.run(params, new_job())
        heard.append((clip.revision, clip.samples))
    assert heard[0][0] != heard[1][0] and not np.array_equal(heard[0][1], heard[1][1])
    engine.unload()


def test_published_checkpoints_are_downloads_with_their_licence(studio):
    engine = studio.engine("musicgen")
    names = [item.id for item in PUBLISHED]
    assert names[:3] == ["musicgen-small", "musicgen-medium", "musicgen-large"]
    assert len(names) == 10 and all(item.repo == f"facebook/{item.id}" for item in PUBLISHED)
    for item in PUBLISHED:
        assert item.license == "CC-BY-NC-4.0" and item.non_commercial
        assert engine.state_of(item) is Availability.DOWNLOAD
    assert "CC-BY-NC" in engine.card.license_weights
    with pytest.raises(NotReady, match="not on this machine yet"):
        music(studio, model="musicgen-small")
    with pytest.raises(NotReady):
        music(studio, model="facebook/musicgen-melody")


def test_a_download_that_lacks_a_part_is_not_ready(cache, tmp_path, tiny_musicgen):
    folder = shutil.copytree(tiny_musicgen, tmp_path / "small")
    cache.folders["musicgen-small"] = folder
    engine = MusicGen(cache)
    assert all(any(folder.glob(pattern)) for pattern in FILES)
    assert engine.state_of(PUBLISHED[0]) is Availability.READY
    parts = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    (folder / "model.safetensors").rename(folder / parts[0])
    index = {"weight_map": dict(zip("ab", parts, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert engine.state_of(PUBLISHED[0]) is Availability.DOWNLOAD


def test_a_published_checkpoint_s_revision_is_its_commit(cache, device, tiny_musicgen, new_job):
    cache.folders["musicgen-small"] = tiny_musicgen
    engine = owner(cache, {})
    params = MusicGen.Params(prompt="piano", duration_s=1)
    engine.load(device, params)
    (clip,) = engine.run(params, new_job())
    assert clip.revision == "c0ffee" and clip.settings["model"] == "musicgen-small"
    engine.unload()


def test_memory_is_counted_from_parameters(studio):
    engine = studio.engine("musicgen")
    card = engine.card.memory_mb
    assert card["float32"] > card["bfloat16"] > card["int8"] > 1000
    assert engine.memory_mb("bfloat16") == card["bfloat16"]
    tiny = MusicGen.Params(prompt="piano", model="tiny", precision="float32")
    shapes = checkpoint.describe(studio.hub.own()["tiny"]).shapes
    decoder = sum(
        int(np.prod(shape)) for name, shape in shapes.items() if name.startswith("decoder.")
    )
    others = sum(int(np.prod(shape)) for shape in shapes.values()) - decoder
    expected = need_mb(decoder, 2, 32, "float32", others) + decoder * 4 // 2**20
    assert engine.memory_mb("float32", tiny) == expected < 20


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"prompt": "   "}, "prompt"),
        ({"duration_s": 0.5}, "duration_s"),
        ({"duration_s": 121}, "duration_s"),
        ({"variations": 9}, "variations"),
        ({"guidance_scale": 0.5}, "guidance_scale"),
        ({"temperature": 0}, "temperature"),
        ({"precision": "int4"}, "precision"),
        ({"adapter_scale": 2.5}, "adapter_scale"),
        ({"adapters": ["a", "b", "c"]}, "adapters"),
    ],
)
def test_values_out_of_bounds_are_refused_at_their_field(studio, values, field):
    with pytest.raises(InvalidParams) as caught:
        music(studio, **values)
    assert list(caught.value.problems) == [field]


def test_an_unknown_model_is_refused(studio):
    with pytest.raises(StudioError, match="'nothing' is neither a known model nor") as caught:
        music(studio, model="nothing")
    assert caught.value.field == "model"


@pytest.mark.parametrize("field", ["continue_from", "melody"])
def test_files_that_are_no_sound_are_refused(cache, tmp_path, studio, field):
    engine = owner(cache, studio.hub.own())
    (tmp_path / "note.wav").write_text("no sound")
    params = MusicGen.Params(prompt="piano", model="tuneful", **{field: tmp_path / "note.wav"})
    with pytest.raises(StudioError, match=r"note\.wav is not a sound") as caught:
        engine.check(params)
    assert caught.value.field == field


def test_a_sound_that_is_too_long_is_refused(cache, tmp_path, studio):
    import soundfile

    engine = owner(cache, studio.hub.own())
    soundfile.write(tmp_path / "long.wav", np.zeros(601 * 100, np.float32), 100)
    params = MusicGen.Params(prompt="piano", model="tiny", continue_from=tmp_path / "long.wav")
    with pytest.raises(StudioError, match=r"lasts 601 s; give a sound of at most 600 s"):
        engine.check(params)


def test_a_sound_that_is_too_short_is_refused(studio, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "click.wav", np.ones(10, np.float32) * 0.1, RATE)
    with pytest.raises(StudioError, match="shorter than one frame"):
        music(studio, continue_from=str(tmp_path / "click.wav"))


def test_lora_reads_are_the_adapters_of_the_studio(studio, adapters):
    """The registered folders are PEFT folders that fit their base."""
    for adapter in studio.adapters():
        weights = lora.check(adapter.folder, studio.hub.own()["tiny"])
        assert weights.rank == 4


def test_weights_state_the_sampling_that_suits_them(studio, tmp_path, monkeypatch):
    folder = make(tmp_path / "studio_tiny", seed=3)
    monkeypatch.setattr("engines.music.musicgen.engine.SHIPPED", folder)
    file = folder / "generation_config.json"
    stated = json.loads(file.read_text()) | {"guidance_scale": 2.5, "temperature": 0.7}
    file.write_text(json.dumps(stated | {"top_k": 0.5, "top_p": 7, "num_beams": 3}))
    engine = studio.engine("musicgen")
    assert engine.defaults({"model": "studio-tiny"}) == {
        "model": "studio-tiny", "guidance_scale": 2.5, "temperature": 0.7
    }  # fmt: skip
    file.write_text(json.dumps(stated))
    values = {"model": "studio-tiny", "prompt": "jazz"}
    found = studio.resolve("musicgen", values)
    assert (found["guidance_scale"], found["temperature"], found["top_k"]) == (2.5, 0.7, 250)
    assert studio.resolve("musicgen", values | {"temperature": 1.5})["temperature"] == 1.5
    other = studio.resolve("musicgen", values | {"model": "tiny"})
    assert (other["guidance_scale"], other["temperature"]) == (3.0, 1.0)
    assert engine.defaults({"model": "nowhere"}) == {}
    assert engine.defaults({"model": "musicgen-small"}) == {}  # not here
    for broken in (lambda: file.write_text("{"), file.unlink):
        broken()
        assert engine.defaults({"model": "studio-tiny"}) == {"model": "studio-tiny"}


def test_without_a_choice_the_first_weights_that_are_here_play(studio, monkeypatch, tmp_path):
    engine = studio.engine("musicgen")
    first = sorted(engine.cache.own())[0]
    values = {name: value for name, value in PLAIN.items() if name != "seed"}
    assert studio.resolve("musicgen", values)["model"] == first
    shipped = make(tmp_path / "studio_tiny", seed=3)
    monkeypatch.setattr("engines.music.musicgen.engine.SHIPPED", shipped)
    assert engine.weights()[-1] is TINY
    assert engine.defaults()["model"] == first  # a person's own go before the one of the package
    monkeypatch.setattr(engine.cache, "own", dict)
    assert engine.defaults()["model"] == "studio-tiny"
    clip = studio.make("musicgen", **PLAIN)[0]
    assert clip.settings["model"] == "studio-tiny"
    assert clip.revision == checkpoint.fingerprint(shipped)


# --- codes in the file ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["tiny", "stereo", "short"])
def test_a_clip_keeps_the_codes_it_was_made_of(studio, model):
    loaded = checkpoint.load(studio.engine("musicgen").cache.own()[model])
    for clip in music(studio, model=model, variations=2, duration_s=3):
        written = read_tags(clip.path).codes
        known = codes.known(loaded, written, samples(studio, clip), clip.sample_rate)
        assert np.array_equal(known, codes.from_text(written))
    (more,) = music(studio, model=model, continue_from=str(clip.path))
    assert read_tags(more.path).codes == ""  # nobody knows those of its beginning
