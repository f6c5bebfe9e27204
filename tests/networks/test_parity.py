"""Every network computes what the original computed, and has exactly the published keys and shapes."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch

from tests.networks import cases, parity

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in Path(cases.__path__[0]).glob("[a-z]*.py"))


def folder_of(name: str) -> Path:
    """The specifications beside the checkout where they are, else the copy of their fixtures here."""
    beside = HERE.parents[2] / "shared" / "ports" / name
    return beside if beside.is_dir() else HERE / "fixtures" / name


@pytest.mark.parametrize("name", NAMES)
def test_a_network_computes_what_the_original_computed(name: str):
    folder = folder_of(name)
    fixture = parity.Fixture.read(name, folder / "fixture.json", folder / "fixture.safetensors")
    lines = parity.check(fixture)
    assert lines
    assert [str(line) for line in lines if not line.good] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_full_size_has_the_published_keys_and_shapes(name: str):
    manifest = json.loads((folder_of(name) / "manifest.json").read_text(encoding="utf-8"))
    seen = set()
    with torch.device("meta"):
        for model, module in import_module(f"tests.networks.cases.{name}").published(manifest):
            assert parity.differing_keys(module, manifest["models"][model]) == [], model
            seen.add(model)
    assert seen == set(manifest["models"])


def test_the_command_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from safetensors.torch import load_file, save_file

    folder = folder_of("vocoders")
    tensors = load_file(folder / "fixture.safetensors")
    tensors["mel24k.out.log_mel"] = tensors["mel24k.out.log_mel"] + 2e-4
    save_file(tensors, tmp_path / "changed.safetensors")
    given = ["vocoders", str(folder / "fixture.json"), str(tmp_path / "changed.safetensors")]
    assert parity.main(given) == 1
    said = capsys.readouterr().out
    assert "FAIL mel24k.out.log_mel  2.0" in said
    assert "26 of 27 tensors agree" in said
