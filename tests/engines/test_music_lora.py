"""Adapters saved by PEFT, read by us: the same weights, and a clear word for what is wrong."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.base import StudioError
from engines.music.musicgen import checkpoint, lora
from tests.tiny_musicgen import make

B_WEIGHT = "base_model.model.model.decoder.layers.0.self_attn.q_proj.lora_B.weight"


def save_adapter(base, folder, seed=1, trained=True, **config):
    """Save a PEFT adapter with random changes of the decoder in ``base``; returns its model."""
    from peft import LoraConfig, get_peft_model

    values = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "fc1"], **config}
    decoder = checkpoint.load(base).model.decoder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = get_peft_model(decoder, LoraConfig(**values))
        for name, weight in adapted.named_parameters():
            if trained and "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.2)
    adapted.save_pretrained(folder)
    return adapted


@pytest.fixture
def adapter(tmp_path, tiny_musicgen):
    """A trained adapter of the tiny model."""
    save_adapter(tiny_musicgen, tmp_path / "warm")
    return tmp_path / "warm"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"target_modules": ["lm_heads.0", "lm_heads.3", "out_proj"], "r": 2},
        {"use_rslora": True},
        {"alpha_pattern": {"layers.1.self_attn.q_proj": 3}, "rank_pattern": {"fc1": 2}},
        {"target_modules": r".*layers\.1\.fc\d", "lora_alpha": 1},
        {"target_modules": "all-linear"},
        {"layers_to_transform": [1], "layers_pattern": "layers"},
    ],
)
@pytest.mark.parametrize("scale", [1.0, 0.7, 2.0])
def test_deltas_are_peft_s_merged_weights(tmp_path, tiny_musicgen, config, scale):
    adapted = save_adapter(tiny_musicgen, tmp_path / "warm", **config)
    weights = lora.check(tmp_path / "warm", tiny_musicgen)
    for module in adapted.modules():
        if hasattr(module, "scaling") and isinstance(module.scaling, dict):
            module.scaling = {name: value * scale for name, value in module.scaling.items()}
    merged = adapted.merge_and_unload()
    base = checkpoint.load(tiny_musicgen).model.decoder
    changes = lora.deltas(base, [(weights, scale)])
    assert changes.keys() == weights.pairs.keys()
    state = merged.state_dict()
    for name, weight in base.state_dict().items():
        path = name.removesuffix(".weight")
        expected = weight + changes[path] if path in changes else weight
        torch.testing.assert_close(state[name], expected, atol=1e-6, rtol=0)


def test_several_adapters_add_up(tmp_path, tiny_musicgen):
    base = checkpoint.load(tiny_musicgen).model.decoder
    read = []
    for seed, targets in ((1, ["q_proj"]), (2, ["q_proj", "k_proj"])):
        save_adapter(tiny_musicgen, tmp_path / str(seed), seed=seed, target_modules=targets)
        read.append(lora.read(tmp_path / str(seed)))
    both = lora.deltas(base, [(read[0], 1.0), (read[1], 0.5)])
    first, second = lora.deltas(base, [(read[0], 1.0)]), lora.deltas(base, [(read[1], 1.0)])
    assert both.keys() == second.keys() > first.keys()
    for path, change in both.items():
        torch.testing.assert_close(change, first.get(path, 0) + 0.5 * second[path])


def test_scale_0_changes_nothing(adapter, tiny_musicgen):
    base = checkpoint.load(tiny_musicgen).model.decoder
    assert lora.deltas(base, [(lora.read(adapter), 0.0)]) == {}


def test_facts_of_an_adapter(adapter):
    weights = lora.read(adapter)
    assert weights.name == "warm" and weights.rank == 4
    pair = weights.pairs["model.decoder.layers.0.fc1"]
    assert pair.shape == (64, 32) and pair.scaling == 2


# --- what is wrong --------------------------------------------------------------------------


def change(folder, edit):
    """Change the tensors of an adapter file in place."""
    path = folder / lora.WEIGHTS
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def refuse(folder, base, message):
    """Both doors refuse the adapter: files only, and the loaded decoder."""
    with pytest.raises(StudioError, match=message) as caught:
        lora.check(folder, base)
    assert caught.value.field == "adapters"
    decoder = checkpoint.load(base).model.decoder
    with pytest.raises(StudioError, match=message):
        lora.deltas(decoder, [(lora.read(folder), 1.0)])


def test_half_of_a_change_is_missing(adapter, tiny_musicgen):
    change(adapter, lambda tensors: tensors.pop(B_WEIGHT))
    refuse(adapter, tiny_musicgen, r"lacks the key .*layers\.0\.self_attn\.q_proj\.lora_B")


def test_a_target_module_is_missing(adapter, tiny_musicgen):
    def drop(tensors):
        for half in "AB":
            tensors.pop(B_WEIGHT.replace("lora_B", f"lora_{half}"))

    change(adapter, drop)
    refuse(adapter, tiny_musicgen, r"lacks keys.*layers\.0\.self_attn\.q_proj")


def test_an_adapter_of_another_size_is_refused(adapter, tmp_path):
    other = make(tmp_path / "wide", hidden_size=64)
    refuse(adapter, other, "trained on another base: .* is .*32 × 32.* there and 64 × 64")


def test_an_adapter_of_a_deeper_base_is_refused(tmp_path, tiny_musicgen):
    save_adapter(make(tmp_path / "deep", num_layers=3), tmp_path / "warm")
    refuse(
        tmp_path / "warm", tiny_musicgen, r"another base: it changes .*layers\.2\..*does not have"
    )


def test_an_adapter_of_a_shallower_base_is_refused(adapter, tmp_path):
    refuse(adapter, make(tmp_path / "deep", num_layers=3), r"lacks keys.*layers\.2")


def test_an_untrained_adapter_is_refused(tmp_path, tiny_musicgen):
    save_adapter(tiny_musicgen, tmp_path / "fresh", trained=False)
    refuse(tmp_path / "fresh", tiny_musicgen, "changes nothing: all its lora_B weights are zero")


def test_values_that_are_not_finite_are_refused(adapter, tiny_musicgen):
    change(adapter, lambda tensors: tensors[B_WEIGHT].fill_(float("nan")))
    refuse(adapter, tiny_musicgen, "not finite")


def test_halves_that_do_not_fit_are_refused(adapter, tiny_musicgen):
    change(adapter, lambda tensors: tensors.update({B_WEIGHT: torch.ones(32, 3)}))
    refuse(adapter, tiny_musicgen, "do not fit")


def test_a_pickle_is_refused_and_not_opened(adapter, tiny_musicgen, tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "opened"), "w"))

    (adapter / lora.WEIGHTS).unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Bad()))
    refuse(adapter, tiny_musicgen, r"adapter_model\.bin, a pickle.*Save the adapter as")
    shutil.move(adapter / "adapter_model.bin", adapter / lora.WEIGHTS)
    refuse(adapter, tiny_musicgen, "not a readable safetensors file")
    assert not (tmp_path / "opened").exists()


def test_files_that_are_missing_are_named(adapter, tiny_musicgen):
    (adapter / lora.WEIGHTS).unlink()
    refuse(adapter, tiny_musicgen, r"has no adapter_model\.safetensors")
    (adapter / lora.CONFIG).unlink()
    refuse(adapter, tiny_musicgen, "it is not a PEFT adapter")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peft_type": "IA3"}, "an? 'IA3' adapter; only LORA"),
        ({"use_dora": True}, "uses use_dora"),
        ({"bias": "all"}, "uses bias"),
        ({"modules_to_save": ["lm_heads"]}, "uses modules_to_save"),
    ],
)
def test_other_kinds_of_adapter_are_refused(adapter, tiny_musicgen, settings, message):
    path = adapter / lora.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    refuse(adapter, tiny_musicgen, message)


def test_a_configuration_that_is_not_json_is_refused(adapter, tiny_musicgen):
    (adapter / lora.CONFIG).write_text("r: 4")
    refuse(adapter, tiny_musicgen, "is not JSON")


def test_changes_of_embeddings_are_refused(tmp_path, tiny_musicgen):
    save_adapter(tiny_musicgen, tmp_path / "warm", target_modules=["embed_tokens.0", "fc1"])
    refuse(tmp_path / "warm", tiny_musicgen, "not the LoRA change of a linear layer")


def configure(folder, **values):
    """Change the configuration of an adapter in place."""
    path = folder / lora.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | values), encoding="utf-8")


def test_patterns_that_would_run_for_ever_are_harmless(adapter, tiny_musicgen):
    evil = "(([a-z_.]+)+)+Z"
    configure(adapter, alpha_pattern={evil: 3})
    assert lora.check(adapter, tiny_musicgen).rank == 4
    configure(adapter, target_modules=evil)
    assert lora.check(adapter, tiny_musicgen).rank == 4


def test_a_pattern_that_cannot_be_used_is_refused(adapter, tiny_musicgen):
    configure(adapter, alpha_pattern={"(?=q)": 3})
    refuse(adapter, tiny_musicgen, "names its layers by")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_alpha": 1e300}, "lora_alpha"),
        ({"lora_alpha": "8"}, "lora_alpha"),
        ({"r": -1}, "r is -1"),
        ({"alpha_pattern": {"q_proj": float("inf")}}, "lora_alpha is inf"),
        ({"alpha_pattern": ["q_proj"]}, "alpha_pattern"),
    ],
)
def test_numbers_that_no_training_gives_are_refused(adapter, tiny_musicgen, settings, message):
    configure(adapter, **settings)
    refuse(adapter, tiny_musicgen, message)


def test_weights_beyond_measure_are_refused(adapter, tiny_musicgen):
    weights = load_file(adapter / lora.WEIGHTS)
    weights[B_WEIGHT][0, 0] = 1e38
    save_file(weights, adapter / lora.WEIGHTS)
    refuse(adapter, tiny_musicgen, r"holds a weight of 1e\+38")


def test_a_configuration_nested_without_end_is_refused(adapter, tiny_musicgen):
    (adapter / lora.CONFIG).write_text('{"a":' * 100_000 + "1" + "}" * 100_000, encoding="utf-8")
    refuse(adapter, tiny_musicgen, "nested too deeply|not JSON")
