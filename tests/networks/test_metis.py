"""Metis' published files: how they come together, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engines.networks.blocks.draws import uniform
from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.metis.lora import Lora
from engines.networks.metis.pipeline import (
    SECOND_STAGE,
    Metis,
    Task,
    stage_from_published,
    target_length,
)
from engines.networks.metis.stage1 import MetisConfig, MetisGenerator
from engines.networks.weights import WeightsError
from tests.networks.recording import last
from tests.networks.test_maskgct import folders, whole  # noqa: F401

SIZES = MetisConfig(32, 2, 4, 64, cond_dim=32)
CONFIG = (
    '{"stage1": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "cond_codebook_size": 64, '
    '"cond_dim": 32}}'
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, dict[str, Tensor]]:
    """The three files of voice conversion, which ``write`` puts into a folder."""
    torch.manual_seed(4)
    stage = MetisGenerator(SIZES)
    state = {key: torch.randn_like(tensor) * 0.2 for key, tensor in stage.state_dict().items()}
    lora = {k: torch.randn_like(t) * 0.2 for k, t in Lora(stage, 3).state_dict().items()}
    adapter = {f"model.{k}": t for k, t in state.items() if k.startswith("cond_adapter.")}
    base = {k: t for k, t in state.items() if not k.startswith("cond_adapter.")}
    return {"base": base, "lora": lora, "adapter": adapter}


def write(folder: Path, files: dict[str, dict[str, Tensor]]) -> Path:
    stem = Task.CONVERSION.stem
    (folder / "metis_base").mkdir(parents=True, exist_ok=True)
    (folder / "metis_vc").mkdir(exist_ok=True)
    (folder / "config.json").write_text(CONFIG)
    save_file(files["base"], folder / "metis_base/model.safetensors")
    save_file(files["lora"], folder / f"{stem}.safetensors")
    save_file(files["adapter"], folder / f"{stem}_adapter.safetensors")
    return folder


def test_every_target_is_changed_by_its_factors(tmp_path: Path, files):
    network = stage_from_published(write(tmp_path, files), Task.CONVERSION)
    changed = [key for key in files["base"] if key.rpartition("_proj")[1]]
    assert len(changed) == 2 * 7
    for key in changed:
        first, second = (
            files["lora"][f"model.{key.removesuffix('weight')}lora_{side}.default.weight"]
            for side in "AB"
        )
        expected = files["base"][key] + 32 / 3 * second @ first
        torch.testing.assert_close(network.get_parameter(key).data, expected)
    gate = files["adapter"]["model.cond_adapter.gate_scale"]
    assert torch.equal(network.cond_adapter.gate_scale.data, gate)


@pytest.mark.parametrize("prefix", ["", "model.", "base_model.model.", "base_model.model.model."])
@pytest.mark.parametrize("name", [".default.", "."])
def test_adapters_are_read_however_peft_named_them(tmp_path: Path, files, prefix: str, name: str):
    expected = stage_from_published(write(tmp_path / "a", files), Task.CONVERSION).state_dict()
    files["lora"] = {
        key.replace("model.", prefix, 1).replace(".default.", name): tensor
        for key, tensor in files["lora"].items()
    }
    network = stage_from_published(write(tmp_path / "b", files), Task.CONVERSION)
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[key])


def test_an_adapter_that_lacks_a_layer_is_refused_by_name(tmp_path: Path, files):
    del files["lora"]["model.diff_estimator.layers.1.mlp.up_proj.lora_B.default.weight"]
    with pytest.raises(
        WeightsError, match=r"the adapter.*1 missing: model\.diff_estimator\.layers\.1"
    ):
        stage_from_published(write(tmp_path, files), Task.CONVERSION)


def test_a_base_without_its_adapter_is_refused(tmp_path: Path, files):
    files["adapter"].popitem()
    with pytest.raises(WeightsError, match=r"Metis.*1 missing: cond_adapter"):
        stage_from_published(write(tmp_path, files), Task.CONVERSION)


def test_a_wholly_tuned_network_is_read_from_its_one_file(tmp_path: Path):
    network = MetisGenerator(SIZES)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    again = MetisGenerator.tuned(tmp_path / "model.safetensors", SIZES)
    assert torch.equal(again.to_logit.weight, network.to_logit.weight)


def test_length_goes_by_bytes_of_the_texts():
    assert target_length(100, "ab", "abc") == 150
    assert target_length(100, "你", "ab") == 66


@pytest.mark.parametrize("task", list(Task))
def test_a_source_keeps_its_length(whole, tmp_path: Path, files, task: Task):  # noqa: F811
    stage = MetisGenerator.tuned(_one_file(tmp_path, files), SIZES)
    metis = Metis(whole.tokens, stage, whole.acoustic)
    sound = torch.randn(24000, generator=torch.Generator().manual_seed(1)) * 0.1
    prompt = (None, None) if task is Task.ENHANCEMENT else (sound[:16000], sound)
    steps = []

    def convert(seed: int) -> Tensor:
        return metis.convert(
            sound[:16000],
            *prompt,
            settings=task.settings,
            generator=torch.Generator().manual_seed(seed),
            acoustic=replace(SECOND_STAGE, steps=(2, 1, 1)),
            progress=lambda done, total: steps.append((done, total)),
        )

    first = convert(1)
    assert steps[-1] == (task.settings.steps + 42, task.settings.steps + 42)
    assert abs(first.shape[1] - 24000) <= 2 * 480
    assert torch.equal(first, convert(1))
    assert not torch.equal(first, convert(2))


def _one_file(folder: Path, files) -> Path:
    adapter = {key.removeprefix("model."): tensor for key, tensor in files["adapter"].items()}
    save_file(files["base"] | adapter, folder / "tuned.safetensors")
    return folder / "tuned.safetensors"


def test_the_condition_moves_the_tokens_and_the_gate_closes_it():
    torch.manual_seed(1)
    network = MetisGenerator(SIZES).eval()
    base = SemanticGenerator(SemanticConfig(32, 2, 4, 64, use_phone_cond=False)).eval()
    base.load_state_dict(
        {k: t for k, t in network.state_dict().items() if not k.startswith("cond_adapter.")}
    )
    prompt, features = torch.randint(64, (1, 3)), 5 * torch.randn(1, 12, 32)

    def draw():
        return uniform(torch.Generator().manual_seed(2))

    settings = Task.CONVERSION.settings
    with torch.no_grad():
        free = last(base.sample(prompt, 9, settings, draw()))
        assert torch.equal(last(network.convert(features, prompt, settings, draw())), free)
        network.cond_adapter.gate_scale.fill_(5.0)
        assert not torch.equal(last(network.convert(features, prompt, settings, draw())), free)
