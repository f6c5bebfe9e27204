"""Datasets, runs and adapters through the named endpoints."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path

import httpx
import pytest
import soundfile
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from training.lab import processes

PROMPTS = ("calm piano", "loud drums", "warm strings")


@pytest.fixture
def client(served):
    return served.client()


@pytest.fixture
def judged(served):
    """Three prompts with two clips each, of which the second was liked by two people."""
    clips = []
    judgements = served.studio.store.judgements
    for prompt in PROMPTS:
        pair = [
            served.studio.make("tone", text=prompt, seed=seed, pitch_hz=200 * seed, steps=8)[0]
            for seed in (1, 2)
        ]
        for clip, value in zip(pair, (2, 5), strict=True):
            for rater in ("ann", "ben"):
                judgements.rate(clip.id, "overall", value, rater)
        judgements.prefer(pair[1].id, pair[0].id, rater="ann", strength=2)
        clips += pair
    return clips


@pytest.fixture
def base(served, tiny_musicgen):
    """A tiny model of one's own."""
    from engines.music.musicgen.engine import MusicGen

    shutil.copytree(tiny_musicgen, served.studio.hub.root / "own" / "tiny")
    served.studio.registry.add(MusicGen)
    return "tiny"


@pytest.fixture
def pretend(monkeypatch):
    """Runs keep their folders as real ones do and learn nothing."""
    monkeypatch.setattr(processes, "MODULE", "tests.training.lab.pretend")


def refused(client, endpoint, **values):
    """The message of a refusal."""
    with pytest.raises(AppError) as caught:
        client.predict(**values, api_name=endpoint)
    return caught.value.message


# --- datasets -------------------------------------------------------------------------------


def test_a_dataset_is_counted_frozen_and_looked_at(client, judged):
    found = client.predict(filter={"min_rating": 4}, api_name="/dataset_count")
    assert (found["items"], found["prompts"], found["seconds"]) == (3, 3, 6.0)
    assert "Only 3 clips" in found["warnings"][0]
    assert client.predict("preference", api_name="/dataset_count")["items"] == 3
    row = client.predict(
        "liked", filter={"min_rating": 4}, validation_share=0.34, api_name="/create_dataset"
    )
    assert (row["name"], row["kind"], row["items"]) == ("liked", "supervised", 3)
    assert row["filter"]["min_rating"] == 4
    assert client.predict(api_name="/datasets") == [row]
    whole = client.predict(row["id"], api_name="/dataset")
    assert {item["prompt"] for item in whole["rows"]} == set(PROMPTS)
    assert {item["rating"] for item in whole["rows"]} == {5.0}
    assert whole["quality"]["raters"] == 2
    part = client.predict(row["id"], split="validation", limit=5, api_name="/dataset")
    assert (part["total"], part["rows"][0]["split"]) == (1, "validation")


def test_a_dataset_is_exported_and_imported_again(client, served, judged, tmp_path):
    row = client.predict("pairs", "preference", validation_share=0.34, api_name="/create_dataset")
    exported = client.predict(row["id"], api_name="/export_dataset")
    with zipfile.ZipFile(exported) as archive:
        names = archive.namelist()
    assert sum(name.endswith(".flac") for name in names) == 6
    lines = Path(client.predict(row["id"], "jsonl", api_name="/export_dataset"))
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["prompt"] for line in rows) == sorted(PROMPTS)
    table = Path(client.predict(row["id"], "csv", api_name="/export_dataset"))
    with table.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    again = client.predict(handle_file(exported), "again", api_name="/import_dataset")
    assert again["clips"] == 0  # they are here already
    assert again["dataset"]["content_hash"] == row["content_hash"]
    answer = httpx.get(f"{served.url}/datasets/{row['id']}/audiofolder.zip")
    assert answer.content[:2] == b"PK"
    assert "attachment" in answer.headers["content-disposition"]


def test_sounds_of_a_dataset_stay_when_their_clips_are_deleted(client, served, judged):
    row = client.predict("liked", filter={"min_rating": 4}, api_name="/create_dataset")
    item = client.predict(row["id"], api_name="/dataset")["rows"][0]
    served.studio.clips.purge(served.studio.clips.delete([item["clip_id"]]))
    sound = httpx.get(f"{served.url}/datasets/{row['id']}/sounds/{item['hash']}")
    assert (sound.status_code, sound.headers["content-type"]) == (200, "audio/flac")
    for wrong in ("x", "../../studio.db", "%2e%2e%2fstudio.db"):
        assert httpx.get(f"{served.url}/datasets/{row['id']}/sounds/{wrong}").status_code == 404
    assert httpx.get(f"{served.url}/datasets/none/rows.csv").status_code == 404
    assert httpx.get(f"{served.url}/datasets/{row['id']}/dataset.json").status_code == 400


def test_a_dataset_is_renamed_and_deleted(client, judged):
    row = client.predict("liked", api_name="/create_dataset")
    assert client.predict(row["id"], "July", api_name="/rename_dataset")["name"] == "July"
    assert client.predict(row["id"], api_name="/delete_dataset") == {"result": "deleted"}
    assert client.predict(api_name="/datasets") == []


@pytest.mark.parametrize(
    ("endpoint", "values", "words"),
    [
        ("/create_dataset", {"name": "x"}, "an empty dataset teaches nothing"),
        ("/dataset_count", {"filter": {"stars": 4}}, "'stars' is no filter; there are kind"),
        ("/dataset_count", {"kind": "odd"}, "kind: Input should be 'supervised' or 'preference'"),
        ("/dataset", {"dataset_id": "x"}, "There is no dataset x"),
        ("/run", {"run_id": "x"}, "There is no run x"),
        ("/adapter_verdict", {"adapter_id": "x"}, "There is no adapter x"),
        ("/activate_adapter", {"adapter_id": "x", "scale": 3}, "less than or equal to 2, not 3"),
        ("/compare_with_base", {"adapter_id": "x", "prompts": []}, "at least one prompt"),
    ],
)
def test_refusals_are_sentences(client, endpoint, values, words):
    assert words in refused(client, endpoint, **values)


def test_uploads_are_files_that_were_sent(client, tmp_path):
    for endpoint in ("/import_dataset", "/import_adapter"):
        values = {"name": "x"} | ({"base": "b"} if "adapter" in endpoint else {})
        message = refused(client, endpoint, file={"path": "/etc/passwd"}, **values)
        assert "Send the file itself" in message


# --- runs -----------------------------------------------------------------------------------


def test_a_run_is_started_followed_stopped_and_resumed(client, judged, base, pretend):
    dataset = client.predict("liked", validation_share=0.34, api_name="/create_dataset")
    options = client.predict(api_name="/training_options")
    assert (options["bases"], set(options["presets"])) == (
        ["tiny", "studio-tiny"],
        {"quick", "balanced", "quality"},
    )
    assert "learning_rate" in options["settings"]["properties"]
    run_id = client.predict(
        dataset["id"], "tiny", preset="quick", name="long", settings={"epochs": 100},
        api_name="/train",
    )  # fmt: skip
    while not (run := client.predict(run_id, api_name="/run"))["series"]:
        assert run["state"] in ("queued", "running"), run["error"]
    assert (run["config"]["lora_r"], run["config"]["epochs"]) == (8, 100)
    assert run["experiment"] == "liked"
    client.predict(run_id, api_name="/stop_run")
    stopped = client.predict(run_id, api_name="/wait_run")
    assert stopped["state"] == "stopped"
    client.predict(run_id, api_name="/resume_run")
    again = client.predict(run_id, 0.2, api_name="/wait_run")
    assert again["state"] in ("queued", "running")
    assert [row["id"] for row in client.predict(api_name="/runs")] == [run_id]
    assert client.predict(state="done", api_name="/runs") == []
    assert client.predict(dataset["id"], api_name="/delete_dataset") == {"result": "archived"}
    assert client.predict(run_id, api_name="/delete_run") == {"result": "deleted"}
    assert client.predict(api_name="/runs") == []


def test_runs_are_compared(client, judged, base, pretend):
    dataset = client.predict("liked", validation_share=0.34, api_name="/create_dataset")
    runs = [
        client.predict(
            dataset["id"], "tiny", preset="quick", settings={"epochs": epochs}, api_name="/train"
        )
        for epochs in (1, 2)
    ]
    for run_id in runs:
        assert client.predict(run_id, api_name="/wait_run")["state"] == "done"
    found = client.predict(runs, api_name="/compare_runs")
    assert found["differences"] == {"epochs": [1, 2]}
    assert [values["best"] for values in found["metrics"]] == [3.0, 1.5]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"base": "nothing"}, "There is no base 'nothing'; known are"),
        ({"settings": {"epochs": 0}}, "epochs: Epochs must be 1 to 1,000, not 0."),
        ({"settings": {"speed": 1}}, "speed: is not a parameter here"),
        ({"method": "dpo"}, "preference"),
        ({"dataset": "x"}, "There is no dataset x"),
    ],
)
def test_a_run_that_cannot_go_is_refused(client, judged, base, values, words):
    dataset = client.predict("liked", api_name="/create_dataset")
    given = {"dataset": dataset["id"], "base": "tiny"} | values
    assert words in refused(client, "/train", **given)
    assert client.predict(api_name="/runs") == []


# --- from training to verdict ----------------------------------------------------------------


def test_the_loop_from_dataset_to_verdict(client, served, judged, base):
    dataset = client.predict("liked", filter={"min_rating": 4}, api_name="/create_dataset")
    run_id = client.predict(
        dataset["id"], base, preset="quick", name="warm",
        settings={"epochs": 2, "sample_prompts": ["calm piano"], "sample_duration_s": 0.5},
        api_name="/train",
    )  # fmt: skip
    run = client.predict(run_id, 300, api_name="/wait_run")
    assert run["state"] == "done", run["log"] + run["error"]
    sample = httpx.get(served.url + run["samples"][-1]["url"])
    assert (sample.status_code, sample.headers["content-type"]) == (200, "audio/flac")
    (adapter,) = client.predict(api_name="/adapters")
    assert (adapter["id"], adapter["base"]) == (run["adapter_id"], base)
    assert (adapter["dataset_id"], adapter["label"]) == (dataset["id"], "warm v1")

    active = client.predict(adapter["id"], 1.5, api_name="/activate_adapter")
    assert (active["active"], active["scale"]) == (True, 1.5)
    edited = client.predict(adapter["id"], notes="first try", api_name="/edit_adapter")
    assert (edited["notes"], edited["name"]) == ("first try", "warm")
    exported = client.predict(adapter["id"], api_name="/export_adapter")
    message = refused(client, "/import_adapter", file=handle_file(exported), base=base, name="copy")
    assert message == "This very adapter is here already, as warm v1."
    again = client.predict(run_id, api_name="/register_adapter")
    assert again["id"] == adapter["id"]  # the run had done so by itself
    away = client.predict(adapter["id"], api_name="/archive_adapter")
    assert (away["archived"], client.predict(api_name="/adapters")) == (True, [])
    back = client.predict(adapter["id"], False, api_name="/archive_adapter")
    assert (back["archived"], back["active"]) == (False, False)
    merged = client.predict(adapter["id"], "tiny-warm", api_name="/merge_adapter")
    assert merged["weights"] in client.predict(api_name="/training_options")["bases"]

    test = client.predict(
        adapter["id"],
        ["calm piano"],
        [3],
        settings={"duration_s": 1},
        api_name="/compare_with_base",
    )
    assert (test["of"], test["test_id"]) == (2, "")
    for job in served.studio.jobs.list(limit=2):
        assert served.studio.wait(job.id, 120).state == "done"
    (test,) = client.predict(adapter["id"], api_name="/adapter")["tests"]
    (trial,) = served.studio.store.tests.trials(test["test_id"])
    systems = [stimulus.system for stimulus in trial.stimuli]
    better = next(place for place, system in enumerate(systems) if system != "base")
    served.studio.store.tests.vote(trial.id, "ann", {"choice": better, "strength": 2})
    verdict = client.predict(adapter["id"], api_name="/adapter_verdict")
    assert (verdict["wins"], verdict["losses"], verdict["raters"]) == (1, 0, 1)
    assert client.predict(adapter["id"], api_name="/delete_adapter") == {"result": "archived"}
    sounds = [served.studio.clip(stimulus.clip_id).path for stimulus in trial.stimuli]
    assert soundfile.info(sounds[0]).duration == soundfile.info(sounds[1]).duration
