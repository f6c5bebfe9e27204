"""Whole runs by the command line: what they leave, how they stop, go on and fail."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from engines.music.musicgen import lora
from tests.training.conftest import arguments, tone, write_dataset
from training import cli
from training.config import Precision
from training.musicgen import session
from training.record import RunRecord, State, read_metrics
from training.run import devices, loggers

ROOT = Path(__file__).parents[2]
QUICK = {"epochs": 2, "accumulation": 3, "learning_rate": 1e-3}
COMMAND = [sys.executable, "-m", "training.cli"]


def weights(folder):
    return load_file(folder / "adapter_model.safetensors")


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_a_run_leaves_an_adapter_curves_sounds_and_a_record(run, sounds, base, capsys):
    prompts = ["slow piano", "fast drums"]
    code, folder = run(sounds, **QUICK, sample_prompts=prompts, sample_duration_s=0.5)
    assert code == 0
    record = RunRecord.read(folder)
    assert (record.state, record.epoch, record.step, record.steps, record.error) == (
        "done",
        2,
        4,
        4,
        "",
    )
    assert record.pid == os.getpid()
    lora.check(folder / "best", base)  # as the engine accepts it
    config = json.loads((folder / "best" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)

    validated = [line for line in read_metrics(folder) if line["split"] == "validation"]
    assert [line["epoch"] for line in validated] == [0, 1, 2]
    assert record.best == min(line["loss"] for line in validated[1:])
    assert "epoch 2, step 4" in (folder / "log.txt").read_text()

    heard = []
    for epoch in range(3):
        samples = json.loads((folder / "samples" / f"epoch-{epoch}" / "samples.json").read_text())
        assert [(entry["prompt"], entry["seed"]) for entry in samples] == list(
            zip(prompts, (0, 1), strict=True)
        )
        sound, rate = soundfile.read(folder / "samples" / f"epoch-{epoch}" / samples[0]["file"])
        assert (len(sound), rate) == (1600, 3200)
        heard.append(sound.tobytes())
    assert len(set(heard)) > 1  # the same random numbers, another adapter

    assert cli.main(["show", str(folder)]) == 0
    assert "done, epoch 2 of 2, step 4 of 4" in capsys.readouterr().out
    files = [path for path in folder.rglob("*") if path.suffix in (".pt", ".bin", ".pkl")]
    assert {path.name for path in files} == {"optimizer.pt"}
    torch.load(files[0], weights_only=True)


def test_the_same_run_again_gives_the_same_bits(run, sounds):
    found = [run(sounds, output=name, **QUICK)[1] for name in ("one", "two")]
    assert_equal(*(weights(folder / "best") for folder in found))
    _, other = run(sounds, output="three", **QUICK, seed=1)
    one, three = weights(found[0] / "best"), weights(other / "best")
    assert not any(torch.equal(one[name], three[name]) for name in one)


def test_a_run_killed_and_resumed_is_the_uninterrupted_one(run, sounds, base, tmp_path):
    fields = QUICK | {"epochs": 4, "save_every_steps": 1}
    _, whole = run(sounds, output="whole", **fields)
    killed = tmp_path / "killed"
    process = start([*COMMAND, *arguments(base, sounds, killed, **fields)], STUDIO_THREADS="1")
    wait_for(lambda: len(lines(killed)) >= 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    step = RunRecord.read(killed).step
    assert RunRecord.read(killed).state is State.RUNNING
    assert step < 8
    assert cli.main(["train", "--run", str(killed)]) == 0
    assert "going on at step" in (killed / "log.txt").read_text()
    assert_equal(weights(killed / "best"), weights(whole / "best"))
    last = [folder / "checkpoints" / "step-8" for folder in (whole, killed)]
    assert_equal(*map(weights, last))
    assert [line["step"] for line in lines(killed)] == list(range(1, 9))
    assert [line["loss"] for line in lines(killed)] == [line["loss"] for line in lines(whole)]


def lines(folder):
    return [line for line in read_metrics(folder) if line["split"] == "train"]


def start(command, **environment):
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "STUDIO_DEVICE": "cpu", "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(happened, process, timeout_s=240):
    deadline = time.monotonic() + timeout_s
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(process.communicate()[0])
        time.sleep(0.02)


def test_sigterm_finishes_the_step_and_saves(run, sounds, monkeypatch):
    recorder_metrics = session.Recorder.metrics

    def signalled(self, split, step, epoch, values):
        recorder_metrics(self, split, step, epoch, values)
        if (split, step) == ("train", 3):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(session.Recorder, "metrics", signalled)
    code, folder = run(sounds, **QUICK)
    assert code == 0
    assert signal.getsignal(signal.SIGTERM) is before
    record = RunRecord.read(folder)
    assert record.state is State.STOPPED
    assert (folder / "checkpoints" / f"step-{record.step}" / "progress.json").is_file()
    monkeypatch.undo()
    assert 3 <= record.step <= 4


def test_the_stop_file_stops_and_the_run_goes_on_later(run, sounds, tmp_path):
    _, whole = run(sounds, output="whole", **QUICK)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "stop").touch()
    code, _ = run(sounds, **QUICK)
    assert code == 0
    assert RunRecord.read(folder).state is State.STOPPED
    assert not (folder / "stop").exists()
    assert cli.main(["train", "--run", str(folder)]) == 0
    record = RunRecord.read(folder)
    assert (record.state, record.step) == (State.DONE, 4)
    assert_equal(weights(folder / "best"), weights(whole / "best"))


def test_preferences_are_trained_by_the_same_command(run, tmp_path):
    rows = [("train", f"slow piano {n}", [tone(150 + n), tone(700 + n)]) for n in range(4)]
    rows += [("validation", "fast drums", [tone(160), tone(690)])]
    pairs = write_dataset(tmp_path / "pairs", rows, strength=2)
    code, folder = run(pairs, method="dpo", epochs=3, accumulation=2, learning_rate=3e-3)
    assert code == 0
    validated = [line for line in read_metrics(folder) if line["split"] == "validation"]
    assert (validated[0]["accuracy"], validated[0]["margin"]) == (0.5, 0)
    assert validated[-1]["accuracy"] == 1
    assert validated[-1]["margin"] > 0.1
    assert validated[-1]["loss"] < validated[0]["loss"]
    assert all("accuracy" in line and "margin" in line for line in lines(folder))


def test_two_processes_make_the_same_adapter(run, sounds, base, tmp_path):
    fields = QUICK | {"accumulation": 2, "lora_dropout": 0.1}
    _, alone = run(sounds, output="alone", **fields)
    # accelerate launch starts processes on GPUs by this module; on a CPU it would need MPI
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    launch += ["-m", "training.cli"]
    process = start([*launch, *arguments(base, sounds, tmp_path / "both", **fields)])
    said = process.communicate(timeout=280)[0]
    assert process.returncode == 0, said
    assert "2 processes" in (tmp_path / "both" / "log.txt").read_text()
    one, two = weights(alone / "best"), weights(tmp_path / "both" / "best")
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    assert [line["step"] for line in lines(tmp_path / "both")] == [
        line["step"] for line in lines(alone)
    ]


def test_ids_are_looked_up_in_the_data_folder(base, sounds, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    data = tmp_path / "data"
    shutil.copytree(base, data / "models" / "own" / "mine")
    shutil.copytree(sounds, data / "datasets" / "d1")
    given = ["--data", str(data), "--epochs", "1", "--output", str(tmp_path / "run")]
    assert cli.main(["train", "--base", "mine", "--dataset", "d1", *given]) == 0
    paths = session.Paths.read(tmp_path / "run")
    assert (paths.base_id, paths.base_folder) == ("mine", data / "models" / "own" / "mine")
    assert paths.dataset_folder == data / "datasets" / "d1"
    for wrong, said in [
        (["--base", "mine", "--dataset", "d2"], "There is no dataset folder 'd2'"),
        (["--base", "yours", "--dataset", "d1"], "There is no base 'yours'; known are"),
        (["--base", "musicgen-small", "--dataset", "d1"], "is not in"),
    ]:
        other = ["--data", str(data), "--output", str(tmp_path / "other")]
        assert cli.main(["train", *wrong, *other]) == 1
        assert said in capsys.readouterr().err
        assert not (tmp_path / "other").exists()


# what can go wrong


def test_an_empty_dataset_is_said_so(run, tmp_path, capsys):
    empty = tmp_path / "empty"
    (empty / "train").mkdir(parents=True)
    (empty / "train" / "metadata.jsonl").touch()
    assert_fails(run(empty), capsys, "The dataset empty is empty")


def test_a_dataset_of_one_item_is_refused(run, tmp_path, capsys):
    one = write_dataset(tmp_path / "one", [("train", "slow piano", [tone(200)])])
    assert_fails(run(one), capsys, "has one item; training needs at least two")


def test_a_dataset_of_the_other_kind_is_refused(run, sounds, capsys):
    assert_fails(run(sounds, method="dpo"), capsys, "is a supervised dataset; method dpo cannot")


def test_missing_and_unreadable_sounds_are_named(run, sounds, capsys):
    (sounds / "train" / "2-0.flac").unlink()
    assert_fails(run(sounds), capsys, "2-0.flac is missing")
    (sounds / "train" / "2-0.flac").write_bytes(b"no sound")
    assert_fails(run(sounds, output="other"), capsys, "2-0.flac cannot be read as a sound")


def assert_fails(done, capsys, message):
    code, folder = done
    assert code == 1
    assert message in capsys.readouterr().err
    record = RunRecord.read(folder)
    assert record.state is State.FAILED
    assert message in record.error
    assert record.finished_at


def test_a_loss_that_is_no_number_names_the_item_and_keeps_the_last_checkpoint(
    run, base, tmp_path, capsys
):
    """The base has a broken entry for a code that one clip alone has."""
    rows = [("train", "slow piano", [tone(hertz)]) for hertz in (200, 201, 202, 900)]
    dataset = write_dataset(tmp_path / "data", rows)
    _, folder = run(dataset, output="good", **QUICK)
    cached = (folder / "cache" / "codes").iterdir()
    used = [set(load_file(path)["codes"][0].tolist()) for path in cached]
    rare = next(code for one in used for code in one if sum(code in other for other in used) == 1)
    broken = shutil.copytree(base, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    tensors["decoder.model.decoder.embed_tokens.0.weight"][rare] = float("nan")
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    assert_fails(
        run(dataset, output="bad", base=broken, **(QUICK | {"accumulation": 1})),
        capsys,
        "The loss is not a finite number at step",
    )
    record = RunRecord.read(tmp_path / "bad")
    assert f"step {record.step + 1} (epoch 1), with " in record.error
    assert ".flac ('slow piano')" in record.error
    kept = weights(tmp_path / "bad" / "checkpoints" / f"step-{record.step}")
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())


def test_an_output_folder_of_another_run_is_left_alone(run, sounds, capsys):
    code, folder = run(sounds, **(QUICK | {"epochs": 1}))
    before = (folder / "config.yaml").read_text()
    assert run(sounds, **(QUICK | {"epochs": 3}))[0] == 1
    assert "holds a run of another configuration" in capsys.readouterr().err
    assert (folder / "config.yaml").read_text() == before
    assert run(sounds, **(QUICK | {"epochs": 1}))[0] == code == 0


@pytest.mark.parametrize("logger", ["tensorboard", "trackio"])
def test_a_logger_that_is_missing_is_named_with_its_command(
    logger, monkeypatch, run, sounds, capsys
):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    assert_fails(run(sounds, logger=logger), capsys, f"pip install {logger}")


def test_a_device_that_is_not_here_is_refused(run, sounds, capsys, monkeypatch):
    monkeypatch.setenv("STUDIO_DEVICE", "mps")
    if torch.backends.mps.is_available():
        pytest.skip("this machine has mps")
    with pytest.raises(Exception, match="Device 'mps' is not here"):
        devices.prepare(Precision.FLOAT32)


def test_a_folder_that_is_no_run_is_said_so(tmp_path, capsys):
    assert cli.main(["train", "--run", str(tmp_path)]) == 1
    assert "config.yaml is missing" in capsys.readouterr().err


def test_the_log_is_written_once_where_standard_error_is_the_log(tmp_path):
    """As the studio starts it."""
    path = tmp_path / "log.txt"
    with path.open("ab") as log:
        code = "import sys, logging, pathlib; from training import record; "
        code += "record.open_log(pathlib.Path(sys.argv[1])); logging.info('once')"
        subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, stderr=log, check=True)
    assert path.read_text().count("once") == 1
    assert logging.getLogger().handlers is not None


def test_merge_writes_a_model_that_decodes_like_base_and_adapter(run, sounds, base, tmp_path):
    from engines.music.musicgen import checkpoint

    _, folder = run(sounds, **(QUICK | {"learning_rate": 1e-2}))
    merged = tmp_path / "merged"
    given = ["--base", base, "--adapter", folder / "best", "--output", merged, "--scale", "0.5"]
    assert cli.main(["merge", *map(str, given)]) == 0
    before, after = checkpoint.load(base).model.decoder, checkpoint.load(merged).model.decoder
    changes = lora.deltas(before, [(lora.read(folder / "best"), 0.5)])
    for name, change in changes.items():
        old = before.get_submodule(name).weight
        assert torch.allclose(after.get_submodule(name).weight, old + change, atol=1e-6)
        assert not torch.equal(after.get_submodule(name).weight, old)
