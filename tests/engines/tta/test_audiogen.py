"""AudioGen and the converter, on a synthetic checkpoint in audiocraft's layout."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from engines.base import Availability, Cancelled, StudioError
from engines.parameters import parse
from engines.parts import audiocraft
from engines.studio import Studio
from engines.tta.audiogen import MEDIUM, T5, AudioGen
from tests import tiny_musicgen
from tests.conftest import make_settings
from tests.engines.conftest import FakeCache, FakeDevice, FakeJob
from tests.small_hub import small_hub

SHORT = {"prompt": "slow rain", "duration_s": 0.3, "seed": 7}
BACK = (
    (r"^model\.decoder\.embed_tokens\.(\d+)\.", r"emb.\1."),
    (r"^lm_heads\.", "linears."),
    (r"^model\.decoder\.layer_norm\.", "out_norm."),
    (r"^model\.decoder\.layers\.", "transformer.layers."),
    (r"\.encoder_attn_layer_norm\.", ".norm_cross."),
    (r"\.self_attn_layer_norm\.", ".norm1."),
    (r"\.final_layer_norm\.", ".norm2."),
    (r"\.encoder_attn\.", ".cross_attention."),
    (r"\.fc([12])\.", r".linear\1."),
)


def exported(folder, model):
    """Write ``model`` as audiocraft's export does, with its T5 in a folder of its own."""
    state = {}
    for name, value in model.decoder.state_dict().items():
        for pattern, new in BACK:
            name = re.sub(pattern, new, name)
        state[name] = value.half()
    for name in [each for each in state if each.endswith("q_proj.weight")]:
        stem = name.removesuffix("q_proj.weight")
        parts = [state.pop(f"{stem}{part}_proj.weight") for part in "qkv"]
        state[f"{stem}in_proj_weight"] = torch.cat(parts)
    for name, value in model.enc_to_dec_proj.state_dict().items():
        state[f"condition_provider.conditioners.description.output_proj.{name}"] = value.half()
    config = {
        "transformer_lm": {"num_heads": 4, "dim": 32}, "channels": 1,
        "conditioners": {"description": {"model": "t5", "t5": {"name": "t5-large"}}},
    }  # fmt: skip
    folder.mkdir()
    torch.save({"best_state": state, "xp.cfg": yaml.dump(config)}, folder / "state_dict.bin")
    codec, state = model.audio_encoder, {}
    for name, value in codec.state_dict().items():
        name = re.sub(r"^(encoder|decoder)\.layers\.", r"\1.model.", name)
        name = name.replace("quantizer.layers", "quantizer.vq.layers").replace(
            ".codebook.", "._codebook."
        )
        up = re.match(r"decoder\.model\.(3|6|9)\.conv", name)
        name = re.sub(r"\.conv\.", ".convtr.convtr." if up else ".conv.conv.", name)
        name = name.replace("parametrizations.weight.original0", "weight_g")
        state[name.replace("parametrizations.weight.original1", "weight_v")] = value.clone()
    facts = codec.config
    config = {
        "sample_rate": facts.sampling_rate, "channels": 1, "rvq": {"bins": 2048, "n_q": 4},
        "seanet": {
            "ratios": list(facts.upsampling_ratios), "n_filters": facts.num_filters, "causal": False,
            "true_skip": True, "lstm": 2, "norm": "weight_norm",
        },
    }  # fmt: skip
    torch.save(
        {"best_state": state, "xp.cfg": yaml.dump(config)}, folder / "compression_state_dict.bin"
    )
    return folder


@pytest.fixture(scope="module")
def original(tiny_musicgen):
    from transformers import MusicgenForConditionalGeneration

    return MusicgenForConditionalGeneration.from_pretrained(tiny_musicgen).eval()


@pytest.fixture(scope="module")
def folders(original, tmp_path_factory):
    """The exported checkpoint and its T5."""
    root = tmp_path_factory.mktemp("audiocraft")
    t5 = root / "t5"
    original.text_encoder.save_pretrained(t5)
    tiny_musicgen.tokenizer().save_pretrained(t5)
    return exported(root / "audiogen", original), t5


@pytest.fixture(scope="module")
def engine(folders):
    loaded = AudioGen(FakeCache({MEDIUM.id: folders[0], T5.id: folders[1]}))
    loaded.load(FakeDevice(threads=1))
    return loaded


def make(engine, **values):
    params = parse(AudioGen.Params, SHORT | values)
    return list(engine.run(params, FakeJob(seed=params.seed)))


def test_each_weight_lands_where_it_was(folders, original):
    model, _ = audiocraft.whole(*folders)
    state = model.state_dict()
    for name, value in original.state_dict().items():
        np.testing.assert_allclose(state[name], value, atol=1e-3, err_msg=name)
    ids = torch.randint(0, 2048, (8, 5), generator=torch.Generator().manual_seed(0))
    text = {"input_ids": torch.tensor([[5, 6, 1], [7, 8, 1]]), "attention_mask": torch.ones(2, 3)}
    with torch.inference_mode():
        np.testing.assert_allclose(
            model(**text, decoder_input_ids=ids).logits,
            original(**text, decoder_input_ids=ids).logits,
            atol=0.02,
        )


def test_our_decoding_is_that_of_transformers(engine):
    text = engine._tokenizer(["slow rain"], return_tensors="pt")
    wanted = engine._model.generate(
        **text, do_sample=False, guidance_scale=3.0, max_new_tokens=15 + 3
    )
    (clip,) = make(engine, top_k=1)
    np.testing.assert_allclose(clip.samples[: 14 * 64], wanted[0, 0, : 14 * 64], atol=1e-4)


def test_from_download_to_clip_through_the_studio(folders, tmp_path, no_engines):
    with small_hub({MEDIUM.repo: folders[0], T5.repo: folders[1]}):
        with Studio(make_settings(tmp_path)) as studio:
            studio.registry.add(AudioGen)
            assert studio.engine("audiogen").availability() is Availability.DOWNLOAD
            studio.wait(studio.download("audiogen", MEDIUM.id).id, 60)
            made = [studio.make("audiogen", 60, **SHORT, variations=2) for _ in range(2)]
    for clip in made[0]:
        assert (clip.sample_rate, clip.channels) == (3200, 1)
        assert clip.duration_s == pytest.approx(0.3, abs=0.001)
    hashes = [[clip.path.name for clip in each] for each in made]
    assert hashes[0] == hashes[1] and hashes[0][0] != hashes[0][1]


def test_a_variation_alone_is_what_it_is_among_others(engine):
    three = make(engine, variations=3)
    alone = make(engine, **three[2].settings)
    np.testing.assert_allclose(alone[0].samples, three[2].samples, atol=1e-4)


def test_cancel_within_one_step_and_unload(folders):
    engine = AudioGen(FakeCache({MEDIUM.id: folders[0], T5.id: folders[1]}))
    engine.load(FakeDevice(threads=1))
    job = FakeJob()

    def check():
        if len(job.notes) == 4:
            raise Cancelled("test")

    job.check = check
    with pytest.raises(Cancelled):
        list(engine.run(parse(AudioGen.Params, SHORT), job))
    assert len(job.notes) == 4
    engine.unload()
    assert engine._model is None and engine._tokenizer is None


def test_a_fine_tune_becomes_a_folder_of_musicgens(folders, tmp_path):
    from engines.music.musicgen import checkpoint

    out = tmp_path / "mine"
    subprocess.run(
        [sys.executable, "-m", "engines.parts.audiocraft", folders[0], out, "--text-encoder", folders[1]],
        check=True, timeout=120,
    )  # fmt: skip
    loaded = checkpoint.load(out)
    assert loaded.checkpoint.codebooks == 4 and loaded.checkpoint.frame_rate == 50


def test_refusals(folders, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "state_dict.bin").write_bytes((folders[0] / "state_dict.bin").read_bytes()[:5000])
    with pytest.raises(
        StudioError, match=r"broken/state_dict.bin is not a checkpoint that can be read safely"
    ):
        audiocraft.read(broken / "state_dict.bin")
    content = dict(audiocraft.read(folders[0] / "state_dict.bin"))
    state = dict(content["best_state"])
    del state["transformer.layers.1.norm_cross.bias"]
    with pytest.raises(
        StudioError, match=r"lacks model.decoder.layers.1.encoder_attn_layer_norm.bias"
    ):
        audiocraft.language_model(content | {"best_state": state})
    state = dict(content["best_state"]) | {
        "condition_provider.conditioners.self_wav.output_proj.weight": torch.zeros(1)
    }
    with pytest.raises(StudioError, match="follow a melody"):
        audiocraft.language_model(content | {"best_state": state})
    evil = tmp_path / "evil.bin"
    torch.save({"best_state": {}, "xp.cfg": subprocess.Popen}, evil)
    with pytest.raises(StudioError, match="can be read safely"):
        audiocraft.read(evil)
