"""A real run through the lab: it learns, its best adapter is registered with where it comes from."""

from __future__ import annotations

import json
import zipfile

import pytest

from storage import DatasetFilter

SMALLEST = {
    "base": "tiny",
    "epochs": 2,
    "accumulation": 1,
    "learning_rate": 0.01,
    "lora_r": 2,
    "lora_alpha": 4,
    "max_duration_s": 1.0,
    "sample_duration_s": 0.5,
    "early_stop_patience": 0,
}


@pytest.mark.usefixtures("musicgen")
def test_a_finished_run_registers_its_best_adapter_with_its_provenance(lab, studio, dataset):
    config = SMALLEST | {"dataset": dataset.id, "name": "warm", "sample_prompts": ["warm piano"]}
    run = lab.wait_run(lab.train(config).id, 200)
    assert (run.state, run.error) == ("done", ""), lab.log(run.id)
    assert run.progress == 1
    losses = [line["loss"] for line in lab.metrics(run.id) if line["split"] == "validation"]
    assert len(losses) == 3  # untrained, and after each epoch
    assert run.best == min(losses[1:])
    assert run.metrics["best_by"] == "validation loss"
    assert [sample.epoch for sample in lab.samples(run.id)] == [0, 1, 2]
    adapter = lab.adapter(run.adapter_id)
    assert (adapter.label, adapter.base, adapter.source) == ("warm v1", "tiny", "trained")
    assert (adapter.run_id, adapter.dataset_id) == (run.id, dataset.id)
    assert (
        adapter.base_revision
        == json.loads((studio.store.folder("runs") / run.id / "paths.json").read_text())[
            "base_revision"
        ]
    )
    assert adapter.config["learning_rate"] == 0.01
    assert adapter.config["dataset"] == dataset.id
    with zipfile.ZipFile(lab.export_adapter(adapter.id)) as archive:
        card = archive.read("warm-v1/README.md").decode()
    assert f"content {dataset.content_hash}" in card
    assert '"learning_rate": 0.01' in card
    assert adapter.metrics["loss"] == run.best
    (clip,) = map(studio.clip, adapter.sample_clips)
    assert (clip.text, clip.engine, clip.adapter) == ("warm piano", "musicgen", adapter.id)
    assert clip.duration_s == pytest.approx(0.5, abs=0.02)
    assert lab.register_adapter(run.id).id == adapter.id
    lab.delete_run(run.id)
    assert lab.adapter(adapter.id).label == "warm v1"
    assert lab.delete_dataset(dataset.id) == "archived"


@pytest.mark.usefixtures("musicgen")
def test_a_run_learns_from_preferences(lab, studio, clip):
    for prompt in ("warm piano", "dark drums"):
        worse, better = clip(prompt, 300), clip(prompt, 700)
        studio.store.judgements.prefer(better.id, worse.id, rater="ann", strength=3)
    pairs = lab.create_dataset("pairs", DatasetFilter(kind="preference"), 0.5)
    config = SMALLEST | {"dataset": pairs.id, "method": "dpo", "epochs": 1}
    run = lab.wait_run(lab.train(config).id, 200)
    assert run.state == "done", lab.log(run.id)
    assert 0 <= run.metrics["accuracy"] <= 1
    assert lab.adapter(run.adapter_id).config["method"] == "dpo"
