"""Datasets through the lab: frozen folders, import and export, quality."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.base import StudioError
from engines.studio import Studio
from storage import DatasetFilter, DiskFull, StorageError
from tests.conftest import make_settings
from training.lab.lab import Lab


def rated(studio, clip, number=6, prompts=3):
    """Clips of some prompts, each rated by two people; returns them."""
    clips = []
    for place in range(number):
        made = clip(f"prompt {place % prompts}", 200 + 50 * place)
        studio.store.judgements.rate(made.id, "overall", 1 + place % 5, "ann")
        studio.store.judgements.rate(made.id, "overall", min(5, 2 + place % 5), "bob")
        clips.append(made)
    return clips


def compared(studio, clip, prompts=3):
    """Two clips for each prompt, the second better for two people; returns the pairs."""
    pairs = []
    for place in range(prompts):
        worse, better = clip(f"prompt {place}", 200 + place), clip(f"prompt {place}", 500 + place)
        for rater in ("ann", "bob"):
            studio.store.judgements.prefer(better.id, worse.id, rater=rater, strength=2)
        pairs.append((better, worse))
    return pairs


def values(items):
    """What must survive an export and import."""
    rows = [
        (i.prompt, i.hash, i.rejected_hash, i.rating, i.raters, i.strength, i.split, i.duration_s)
        for i in items
    ]
    return sorted(rows, key=repr)


def lines(path: Path):
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


# --- snapshots ------------------------------------------------------------------------------


def test_a_snapshot_is_a_folder_with_sounds_that_outlives_its_clips(lab, studio, clip):
    clips = rated(studio, clip)
    filter = DatasetFilter(min_rating=2, min_raters=2)
    assert lab.count(filter).items == 4
    assert len(lab.preview(filter, 2)) == 2
    row = lab.create_dataset("good ones", filter, validation_share=0.3, seed=1)
    folder = studio.store.folder("datasets") / row.id
    card = json.loads((folder / "dataset.json").read_text())
    assert (card["format"], card["kind"], card["items"]) == (1, "supervised", 4)
    assert (card["content_hash"], card["filter"]["min_rating"]) == (row.content_hash, 2)
    train, held_out = (lines(folder / s / "metadata.jsonl") for s in ("train", "validation"))
    assert len(train) + len(held_out) == 4
    assert train and held_out
    assert not {line["prompt"] for line in train} & {line["prompt"] for line in held_out}
    by_clip = {made.id: made for made in clips}
    for split, found in (("train", train), ("validation", held_out)):
        for line in found:
            made = by_clip[line["clip"]]
            assert line["prompt"] == made.text
            assert line["hash"] == made.hash
            assert line["duration_s"] == pytest.approx(1.5)
            assert (folder / split / line["file_name"]).read_bytes() == made.path.read_bytes()
    studio.store.clips.purge(studio.store.clips.delete([made.id for made in clips]))
    line = train[0]
    assert soundfile.info(folder / "train" / line["file_name"]).duration == pytest.approx(1.5)
    assert values(lab.dataset_items(row.id)) != []


def test_a_preference_snapshot_names_both_sounds(lab, studio, clip):
    pairs = compared(studio, clip)
    row = lab.create_dataset("pairs", DatasetFilter(kind="preference"), 0.34)
    folder = studio.store.folder("datasets") / row.id
    found = lines(folder / "train/metadata.jsonl") + lines(folder / "validation/metadata.jsonl")
    assert {(line["chosen_clip"], line["rejected_clip"]) for line in found} == {
        (better.id, worse.id) for better, worse in pairs
    }
    line = lines(folder / "train/metadata.jsonl")[0]
    assert line["strength"] == 2
    assert (folder / "train" / line["chosen_file_name"]).stem == line["chosen_hash"]
    assert (folder / "train" / line["rejected_file_name"]).is_file()


def test_an_empty_dataset_is_refused_and_leaves_nothing(lab, studio, clip):
    clip("never judged")
    with pytest.raises(StorageError, match=r"empty dataset|No judged clip"):
        lab.create_dataset("nothing", DatasetFilter())
    assert lab.datasets() == []
    assert list(studio.store.folder("datasets").iterdir()) == []


@pytest.mark.parametrize("number", [1, 3])
def test_a_full_disk_while_a_snapshot_is_written_leaves_nothing(
    lab, studio, clip, monkeypatch, number
):
    rated(studio, clip)
    link, calls = os.link, []

    def full(source, target):
        calls.append(target)
        if len(calls) >= number:
            raise OSError(errno.ENOSPC, "No space left on device")
        link(source, target)

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(DiskFull, match="disk full"):
        lab.create_dataset("too much", DatasetFilter())
    assert len(calls) == number
    assert lab.datasets() == []
    assert list(studio.store.folder("datasets").iterdir()) == []
    monkeypatch.undo()
    assert lab.create_dataset("now it fits", DatasetFilter()).items == 6


def test_a_disk_without_links_gets_copies(lab, studio, clip, monkeypatch):
    rated(studio, clip)

    def refuse(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    row = lab.create_dataset("copied", DatasetFilter())
    files = list((studio.store.folder("datasets") / row.id).rglob("*.flac"))
    assert len(files) == 6
    assert all(file.stat().st_nlink == 1 for file in files)


def test_the_next_start_mends_what_a_crash_left(tmp_path, no_engines, clip, studio, lab):
    rated(studio, clip)
    row = lab.create_dataset("frozen", DatasetFilter())
    folder = studio.store.folder("datasets")
    shutil.rmtree(folder / row.id)
    (folder / ".part-half").mkdir()
    lab.close()
    studio.close()
    with Studio(make_settings(tmp_path)) as again, Lab(again) as reopened:
        assert [path.name for path in folder.iterdir()] == [row.id]
        assert reopened.dataset(row.id).content_hash == row.content_hash
        assert len(list((folder / row.id).rglob("*.flac"))) == 6


def test_deleting_removes_the_folder_unless_a_run_refers_to_it(lab, studio, clip):
    rated(studio, clip)
    used, free = (lab.create_dataset(name, DatasetFilter()) for name in ("used", "free"))
    studio.store.runs.add("a run", "sft", "tiny", used.id)
    assert lab.delete_dataset(free.id) == "deleted"
    assert lab.delete_dataset(used.id) == "archived"
    assert [path.name for path in studio.store.folder("datasets").iterdir()] == [used.id]
    assert ([row.id for row in lab.datasets(archived=True)], lab.datasets()) == ([used.id], [])


# --- export and import ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["supervised", "preference"])
def test_export_and_import_give_the_same_rows(lab, studio, clip, kind, tmp_path):
    (rated if kind == "supervised" else compared)(studio, clip)
    row = lab.create_dataset("mine", DatasetFilter(kind=kind), 0.34, seed=3)
    exported = lab.export_dataset(row.id)
    assert exported.suffix == ".zip"
    for path in (exported, lab.export_dataset(row.id, "jsonl"), lab.export_dataset(row.id, "csv")):
        again = lab.import_folder(path, f"again from {path.suffix}")
        assert (again.clips, again.skipped) == (0, ())
        assert again.dataset.content_hash == row.content_hash
        assert values(lab.dataset_items(again.dataset.id)) == values(lab.dataset_items(row.id))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Studio(make_settings(elsewhere)) as other, Lab(other) as there:
        moved = there.import_folder(exported, "moved")
        assert moved.clips == row.clips
        assert values(there.dataset_items(moved.dataset.id)) == values(lab.dataset_items(row.id))
        for item in there.dataset_items(moved.dataset.id):
            mine = studio.clips.find_by_hash(item.hash)
            assert mine is not None
            assert other.clip(item.clip_id).settings == mine.settings


def test_exports_follow_the_rules_of_an_audiofolder(lab, studio, clip):
    """https://huggingface.co/docs/datasets/audio_dataset: each split a folder whose metadata.jsonl
    has a ``file_name`` column with paths relative to it."""
    rated(studio, clip)
    row = lab.create_dataset("folder", DatasetFilter(), 0.34)
    with zipfile.ZipFile(lab.export_dataset(row.id)) as archive:
        names = set(archive.namelist())
        assert {name.split("/")[0] for name in names} == {"dataset.json", "train", "validation"}
        for split in ("train", "validation"):
            found = [
                json.loads(text)
                for text in archive.read(f"{split}/metadata.jsonl").decode().splitlines()
            ]
            assert {f"{split}/{line['file_name']}" for line in found} <= names
            assert {line["prompt"] for line in found} <= {f"prompt {n}" for n in range(3)}
    with lab.export_dataset(row.id, "csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    rows = lines(lab.export_dataset(row.id, "jsonl"))
    assert [line["hash"] for line in rows] == [line["hash"] for line in table]
    assert [float(line["rating"]) for line in table] == [line["rating"] for line in rows]
    with pytest.raises(StudioError, match="audiofolder, jsonl, csv, not 'parquet'"):
        lab.export_dataset(row.id, "parquet")


def test_the_datasets_library_reads_an_export(lab, studio, clip, tmp_path):
    datasets = pytest.importorskip("datasets")
    if int(datasets.__version__.split(".")[0]) >= 4:
        try:
            import torchcodec  # noqa: F401 - what newer ones read sound with
        except (ImportError, OSError, RuntimeError) as error:
            pytest.skip(f"datasets cannot read sound: {error}")
    rated(studio, clip)
    row = lab.create_dataset("folder", DatasetFilter(), 0.34)
    with zipfile.ZipFile(lab.export_dataset(row.id)) as archive:
        archive.extractall(tmp_path / "export")
    found = datasets.load_dataset("audiofolder", data_dir=str(tmp_path / "export"))
    assert {name: len(part) for name, part in found.items()} == {
        split: len(lab.dataset_items(row.id, split)) for split in ("train", "validation")
    }
    assert set(found["train"]["prompt"]) == {
        item.prompt for item in lab.dataset_items(row.id, "train")
    }


def sound(path: Path, pitch_hz: float, rate: int = 22_050) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(rate) / rate
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * pitch_hz * t), rate)
    return path


def test_texts_beside_sounds_become_captions(lab, studio, tmp_path):
    for number in range(4):
        file = sound(tmp_path / f"in/{number}.wav", 300 + 40 * number)
        file.with_suffix(".txt").write_text(f"a tone,\n number {number}\n", encoding="utf-8")
    sound(tmp_path / "in/silent words.wav", 200)
    (tmp_path / "in/broken.wav").write_bytes(b"RIFF no sound at all")
    (tmp_path / "in/broken.txt").write_text("broken")
    result = lab.import_folder(tmp_path / "in", "tones", 0.25)
    assert (result.clips, result.dataset.items, result.dataset.prompts) == (4, 4, 4)
    assert {problem.where for problem in result.skipped} == {"silent words.wav", "broken.wav"}
    assert "silent words.txt is not beside it" in str(result.skipped)
    assert "silent words.wav" in result.dataset.notes
    assert {item.split for item in lab.dataset_items(result.dataset.id)} == {"train", "validation"}
    added = studio.clip(lab.dataset_items(result.dataset.id)[0].clip_id)
    assert (added.text, added.engine, added.sample_rate) == ("a tone, number 0", "import", 22_050)
    assert added.peak_db == pytest.approx(-6.02, abs=0.05)
    assert added.loudness_lufs == pytest.approx(-9.7, abs=1.5)


def test_a_plain_audiofolder_of_pairs_or_captions_is_read(lab, tmp_path):
    for number in range(2):
        sound(tmp_path / f"in/train/{number}.wav", 300 + 40 * number)
        sound(tmp_path / f"in/test/{number}.flac", 500 + 40 * number)
    (tmp_path / "in/train/metadata.csv").write_text(
        "file_name,caption,rating\n0.wav,low,4\n1.wav,high,2.5\nmissing.wav,none,1\n1.wav,,2\n"
    )
    (tmp_path / "in/test/metadata.jsonl").write_text(
        '{"file_name": "0.flac", "text": "tested"}\n{"file_name": "1.flac", "text": "too"}\n'
    )
    result = lab.import_folder(tmp_path / "in", "plain")
    items = lab.dataset_items(result.dataset.id)
    assert sorted((i.prompt, i.rating, i.split) for i in items if i.rating) == [
        ("high", 2.5, "train"), ("low", 4.0, "train"),
    ]  # fmt: skip
    assert {i.prompt for i in items if i.split == "validation"} == {"tested", "too"}
    reasons = " ".join(problem.reason for problem in result.skipped)
    assert len(result.skipped) == 2
    assert "missing.wav" in reasons
    assert "no caption" in reasons


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "a/../../secret.wav", "link.wav"])
def test_a_path_that_leads_out_of_the_folder_is_refused(lab, studio, tmp_path, name):
    sound(tmp_path / "secret.wav", 300)
    sound(tmp_path / "in/fine.wav", 300)
    (tmp_path / "in/link.wav").symlink_to(tmp_path / "secret.wav")
    rows = [{"file_name": "fine.wav", "text": "fine"}, {"file_name": name, "text": "not fine"}]
    (tmp_path / "in/metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(StudioError, match=r"outside the folder; nothing was imported"):
        lab.import_folder(tmp_path / "in", "hostile")
    assert (lab.datasets(), studio.clips.engines()) == ([], [])


def test_a_hostile_zip_is_refused(lab, studio, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("metadata.jsonl", '{"file_name": "a.wav", "text": "a"}')
        archive.writestr("../../outside.wav", b"x")
    with pytest.raises(StudioError, match="written outside its folder"):
        lab.import_folder(tmp_path / "bad.zip", "hostile")
    (tmp_path / "no.zip").write_bytes(b"PK no zip")
    with pytest.raises(StudioError, match="not a whole zip"):
        lab.import_folder(tmp_path / "no.zip", "hostile")
    assert list(studio.store.folder("work").glob(".part-*")) == []


def test_an_import_with_nothing_good_adds_nothing(lab, studio, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(StudioError, match="holds no sounds with captions"):
        lab.import_folder(tmp_path / "in", "empty")
    (tmp_path / "in/a.wav").write_bytes(b"nothing")
    (tmp_path / "in/a.txt").write_text("words")
    with pytest.raises(StudioError, match=r"Nothing here can be used. a\.wav"):
        lab.import_folder(tmp_path / "in", "empty")
    with pytest.raises(StudioError, match="not here"):
        lab.import_folder(tmp_path / "gone", "empty")
    assert (lab.datasets(), studio.clips.engines()) == ([], [])


def test_a_disk_that_fills_up_during_an_import_leaves_nothing(lab, studio, tmp_path, monkeypatch):
    for number in range(3):
        sound(tmp_path / f"in/{number}.wav", 300 + number).with_suffix(".txt").write_text("words")
    keep, kept = studio.store.files.keep, []

    def full(encoded):
        kept.append(encoded.hash)
        if len(kept) == 3:
            raise DiskFull("disk full")
        return keep(encoded)

    monkeypatch.setattr(studio.store.files, "keep", full)
    with pytest.raises(DiskFull):
        lab.import_folder(tmp_path / "in", "too much")
    assert (lab.datasets(), studio.clips.engines()) == ([], [])
    assert [path for path in studio.store.files.root.rglob("*") if path.is_file()] == []


# --- quality --------------------------------------------------------------------------------


def test_quality_of_ratings(lab, studio, clip):
    rated(studio, clip)
    loud = clip("prompt 0", 900, peak=1.0)
    still = clip("prompt 0", 901, peak=0.0005)
    brief = clip("prompt 0", 902, duration_s=0.4)
    same = [clip("prompt 1", 777), clip("prompt 2", 777)]
    for made in (loud, still, brief, *same):
        studio.store.judgements.rate(made.id, "overall", 3, "ann")
    report = lab.quality(DatasetFilter())
    assert (report.items, report.clips, report.prompts, report.raters) == (11, 11, 3, 2)
    assert report.agreement == pytest.approx(0.74, abs=0.1)
    assert (report.clipped, report.silent, report.short) == ((loud.id,), (still.id,), (brief.id,))
    assert report.duplicates == (tuple(made.id for made in same),)
    assert (report.lengths.minimum, report.lengths.median) == (pytest.approx(0.4), 1.5)
    assert report.balance["prompt"] == {"prompt 0": 5, "prompt 1": 3, "prompt 2": 3}
    assert report.balance["engine"] == {"tone": 11}
    assert sum(report.balance["rating"].values()) == 11
    text = " ".join(report.warnings)
    for words in ("Only 11 clips", "Only 3 prompts", "1 clip is clipped", "1 clip is silent",
                  "2 clips are the same 1 sound"):  # fmt: skip
        assert words in text
    frozen = lab.quality(lab.create_dataset("frozen", DatasetFilter()).id)
    assert (frozen.items, frozen.agreement, frozen.clipped) == (11, report.agreement, (loud.id,))


def test_quality_of_preferences_finds_contradictions_and_circles(lab, studio, clip):
    a, b, c = (clip("round", pitch) for pitch in (300, 400, 500))
    d, e = (clip("two minds", pitch) for pitch in (600, 700))
    prefer = studio.store.judgements.prefer
    for better, worse in ((a, b), (b, c), (c, a)):
        prefer(better.id, worse.id, rater="ann")
    prefer(d.id, e.id, rater="ann")
    prefer(e.id, d.id, rater="bob")
    report = lab.quality(DatasetFilter(kind="preference"))
    assert (report.items, report.raters) == (3, 2)
    assert report.contradictions == (tuple(sorted((d.id, e.id))),)
    assert report.cycles == (tuple(sorted((a.id, b.id, c.id))),)
    assert report.agreement is not None and report.agreement <= 0
    text = " ".join(report.warnings)
    assert "disagree about 1 pair" in text
    assert "3 clips beat one another in 1 circle" in text


def test_quality_of_nothing_says_so(lab):
    report = lab.quality(DatasetFilter())
    assert (report.items, report.lengths, report.agreement) == (0, None, None)
    assert "Nothing is found" in report.warnings[0]
