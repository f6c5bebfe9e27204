"""Adapters through the lab: import, export, merge, versions, deletion, and what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest

from engines.base import StudioError
from storage import StorageError
from tests import tiny_musicgen

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def scaled(folder: Path, to: Path, factor: float) -> Path:
    """Another adapter: the same with all changes times ``factor``."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, to)
    found = load_file(to / WEIGHTS)
    save_file({k: v * factor if "lora_B" in k else v for k, v in found.items()}, to / WEIGHTS)
    return to


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def nothing_taken_in(lab):
    folders = [lab.store.folder(name) for name in ("adapters", "work")]
    return lab.adapters() == [] and [*folders[0].iterdir(), *folders[1].glob(".part-*")] == []


@pytest.mark.usefixtures("musicgen")
def test_import_versions_rename_and_provenance(lab, peft_folder, tmp_path):
    first = lab.import_adapter(peft_folder, "tiny")
    assert (first.label, first.base, first.source) == ("warm v1", "tiny", "imported")
    assert len(first.base_revision) == 40
    folder = lab.store.data_dir / first.folder
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]
    assert (folder / WEIGHTS).read_bytes() == (peft_folder / WEIGHTS).read_bytes()
    config = json.loads((folder / CONFIG).read_text())
    assert (config["base_model_name_or_path"], config["r"]) == ("tiny", 2)
    second = lab.register_adapter(scaled(peft_folder, tmp_path / "b", 2), "warm", "tiny")
    assert second.label == "warm v2"
    assert lab.rename_adapter(first.id, "bright").label == "bright v1"
    assert lab.set_adapter_notes(first.id, "too bright").notes == "too bright"
    assert lab.activate_adapter(second.id, 1.5).scale == 1.5
    with pytest.raises(StorageError, match="from 0 to 2"):
        lab.activate_adapter(second.id, 2.5)
    assert lab.archive_adapter(second.id).active is False
    assert [row.id for row in lab.adapters("tiny")] == [first.id]
    with pytest.raises(StudioError, match=r"here already, as bright v1"):
        lab.import_adapter(peft_folder, "tiny", "again")


def test_the_engine_sees_registered_adapters_where_they_are(lab, musicgen, peft_folder):
    row = lab.import_adapter(peft_folder, "tiny")
    lab.activate_adapter(row.id, 0.5)
    (found,) = musicgen.engine("musicgen").cache.adapters()
    assert (found.id, found.title, found.base) == (row.id, "warm v1", "tiny")
    assert (found.active, found.scale) == (True, 0.5)
    assert (found.folder / WEIGHTS).is_file()
    lab.archive_adapter(row.id)
    assert list(musicgen.engine("musicgen").cache.adapters()) == []


@pytest.mark.usefixtures("musicgen")
def test_an_export_can_be_imported_and_says_where_it_comes_from(lab, peft_folder):
    row = lab.import_adapter(peft_folder, "tiny")
    path = lab.export_adapter(row.id)
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == [
            "warm-v1/README.md", f"warm-v1/{CONFIG}", f"warm-v1/{WEIGHTS}",
        ]  # fmt: skip
        card = archive.read("warm-v1/README.md").decode()
    assert f"Base: tiny at {row.base_revision}" in card
    assert row.hash in card
    assert str(lab.store.data_dir) not in card
    assert lab.delete_adapter(row.id) == "deleted"
    assert not (lab.store.data_dir / row.folder).exists()
    again = lab.import_adapter(path, "tiny", "back")
    assert (again.hash, again.label) == (row.hash, "back v1")


@pytest.mark.usefixtures("musicgen")
def test_merging_gives_a_model_that_loads_and_differs(lab, peft_folder, tiny_musicgen):
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    row = lab.import_adapter(peft_folder, "tiny")
    folder = lab.merge_adapter(row.id, "tiny-warm", 1.0)
    assert folder == lab.studio.hub.root / "own" / "tiny-warm"
    assert "tiny-warm" in lab.bases()
    merged = MusicgenForConditionalGeneration.from_pretrained(folder).eval()
    base = MusicgenForConditionalGeneration.from_pretrained(tiny_musicgen).eval()
    plain = base.decoder.state_dict()["model.decoder.layers.0.fc1.weight"].clone()
    adapted = PeftModel.from_pretrained(base.decoder, peft_folder).merge_and_unload().state_dict()
    ours = merged.decoder.state_dict()
    assert ours.keys() == adapted.keys()
    assert all(torch.allclose(ours[name], adapted[name], atol=1e-6) for name in ours)
    assert not torch.allclose(ours["model.decoder.layers.0.fc1.weight"], plain)
    assert AutoTokenizer.from_pretrained(folder)("warm piano").input_ids
    assert "warm v1 merged" in (folder / "README.md").read_text()
    with pytest.raises(StudioError, match="a model named 'tiny-warm' already"):
        lab.merge_adapter(row.id, "tiny-warm")
    for name in ("../out", "", "musicgen-small", ".hidden"):
        with pytest.raises(StudioError) as error:
            lab.merge_adapter(row.id, name)
        assert error.value.field == "name"


@pytest.mark.usefixtures("musicgen")
def test_an_adapter_that_something_refers_to_is_archived_instead_of_deleted(lab, peft_folder, clip):
    row = lab.import_adapter(peft_folder, "tiny")
    clip("made with it", adapter=row.id, adapter_scale=1.0)
    assert lab.delete_adapter(row.id) == "archived"
    assert lab.adapters() == []
    assert [found.id for found in lab.adapters(archived=True)] == [row.id]
    assert (lab.store.data_dir / row.folder / WEIGHTS).is_file()


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.usefixtures("musicgen")
def test_an_adapter_of_another_base_is_refused(lab, peft_folder):
    own = lab.studio.hub.root / "own"
    tiny_musicgen.make(own / "wider", hidden_size=64)
    with pytest.raises(StudioError, match="another base"):
        lab.import_adapter(peft_folder, "wider")
    with pytest.raises(StudioError, match="no base 'gone'"):
        lab.import_adapter(peft_folder, "gone")
    assert nothing_taken_in(lab)


@pytest.mark.usefixtures("musicgen")
def test_an_adapter_that_changes_nothing_is_refused(lab, peft_folder, tmp_path):
    with pytest.raises(StudioError, match="changes nothing"):
        lab.import_adapter(scaled(peft_folder, tmp_path / "zero", 0), "tiny")
    assert nothing_taken_in(lab)


@pytest.mark.usefixtures("musicgen")
def test_a_pickle_is_refused_and_never_opened(lab, peft_folder, tmp_path):
    opened = tmp_path / "opened"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (opened,)

    config, bomb = (peft_folder / CONFIG).read_bytes(), pickle.dumps(Bomb())
    files = {"a/" + CONFIG: config, "a/adapter_model.bin": bomb}
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / CONFIG).write_bytes(config)
    (folder / "adapter_model.bin").write_bytes(bomb)
    disguised = {CONFIG: config, WEIGHTS: bomb}
    for path, words in (
        (zipped(tmp_path / "bomb.zip", files), r"adapter_model\.bin, a pickle"),
        (folder, r"adapter_model\.bin, a pickle"),
        (zipped(tmp_path / "disguised.zip", disguised), "not a readable safetensors"),
    ):
        with pytest.raises(StudioError, match=words):
            lab.import_adapter(path, "tiny")
    assert not opened.exists()
    assert nothing_taken_in(lab)


@pytest.mark.usefixtures("musicgen")
def test_hostile_and_damaged_zips_are_refused(lab, peft_folder, tmp_path, monkeypatch):
    good = {name: (peft_folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    hostile = zipped(tmp_path / "hostile.zip", good | {"../../outside.txt": b"x"})
    with pytest.raises(StudioError, match="written outside its folder"):
        lab.import_adapter(hostile, "tiny")
    (tmp_path / "torn.zip").write_bytes(hostile.read_bytes()[:500])
    with pytest.raises(StudioError, match="not a whole zip"):
        lab.import_adapter(tmp_path / "torn.zip", "tiny")
    two = zipped(tmp_path / "two.zip", {f"{n}/{k}": v for n in "ab" for k, v in good.items()})
    with pytest.raises(StudioError, match="holds 2 adapters"):
        lab.import_adapter(two, "tiny")
    with pytest.raises(StudioError, match="is no PEFT adapter"):
        lab.import_adapter(zipped(tmp_path / "empty.zip", {"readme": b"x"}), "tiny")
    monkeypatch.setattr("training.lab.adapters.MAX_BYTES", 1000)
    with pytest.raises(StudioError, match="at most 0 MB are taken"):
        lab.import_adapter(zipped(tmp_path / "big.zip", good), "tiny")
    monkeypatch.undo()
    assert nothing_taken_in(lab)
    extra = zipped(tmp_path / "extra.zip", good | {"run_me.py": b"print('no')"})
    row = lab.import_adapter(extra, "tiny")
    assert sorted(path.name for path in (lab.store.data_dir / row.folder).iterdir()) == sorted(good)


@pytest.mark.usefixtures("musicgen")
def test_a_full_disk_while_an_adapter_is_copied_leaves_nothing(lab, peft_folder, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match="disk full"):
        lab.import_adapter(peft_folder, "tiny")
    assert nothing_taken_in(lab)
