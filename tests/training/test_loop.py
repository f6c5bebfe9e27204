"""The loop by itself, on a task of four numbers: it knows nothing of music."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from storage.base.errors import DiskFull
from training.config import Keep
from training.record import Recorder, RunRecord, State, read_metrics
from training.run import checkpoints
from training.run.loop import Loss, NotFinite, Plan, Trainer, learning_rate

PLAN = Plan(
    epochs=3, accumulation=4, learning_rate=0.1, weight_decay=0.01, warmup_share=0.0,
    max_grad_norm=1.0, patience=0, keep_last=2, save_every_steps=0, seed=0,
)  # fmt: skip


class Line:
    """Fit four weights to points; noise in training shows whether random numbers are the same."""

    def __init__(self, items=10, validation=4, batch_size=1):
        generator = torch.Generator().manual_seed(1)
        self.points = torch.randn(items + validation, 4, generator=generator)
        self.answers = self.points @ torch.tensor([1.0, -2.0, 0.5, 3.0])
        self.weights = torch.nn.Parameter(torch.zeros(4))
        self.items, self.size = items, batch_size
        self.batches_seen: list[list[int]] = []

    def parameters(self):
        return [self.weights]

    def batches(self, epoch):
        order = torch.randperm(self.items, generator=torch.Generator().manual_seed(epoch)).tolist()
        return [order[i : i + self.size] for i in range(0, self.items, self.size)]

    def validation(self):
        return [[n] for n in range(self.items, len(self.points))]

    def loss(self, batch, training):
        points = self.points[batch]
        if training:
            self.batches_seen.append(list(batch))
            points = points + 0.1 * torch.randn_like(points)
        value = ((points @ self.weights - self.answers[batch]) ** 2).mean()
        return Loss(value, {"size": self.weights.norm()})

    def stepped(self):
        pass

    def describe(self, item):
        return f"point {item}"

    def save(self, folder: Path):
        (folder / "weights.json").write_text(json.dumps(self.weights.tolist()), encoding="utf-8")

    def load(self, folder: Path):
        found = json.loads((folder / "weights.json").read_text(encoding="utf-8"))
        self.weights.data.copy_(torch.tensor(found))


def trainer(folder, task, **more):
    changes = {name: more.pop(name) for name in list(more) if hasattr(PLAN, name)}
    folder.mkdir(exist_ok=True)
    plan = Plan(**(PLAN.__dict__ | changes))
    recorder = Recorder(folder, RunRecord("run"))
    return Trainer(task, plan, Accelerator(cpu=True), recorder, **more)


def after(steps):
    """An answer to "stop?" that is yes after so many questions."""
    asked = iter(range(1, 10**6))
    return lambda: next(asked) >= steps


def test_it_learns_and_says_so(tmp_path):
    task = Line()
    assert trainer(tmp_path, task, epochs=60).run() is State.DONE
    lines = [line for line in read_metrics(tmp_path) if line["split"] == "validation"]
    assert lines[0]["step"] == lines[0]["epoch"] == 0
    assert lines[-1]["loss"] < 0.05 * lines[0]["loss"]
    record = RunRecord.read(tmp_path)
    assert record.best == min(line["loss"] for line in lines[1:])
    assert record.best_by == "validation loss"


@pytest.mark.parametrize(("items", "steps"), [(1, 1), (3, 1), (4, 1), (5, 2), (9, 3)])
def test_batches_left_over_at_an_epochs_end_make_a_step(tmp_path, items, steps):
    task = Line(items=items)
    before = task.weights.clone()
    made = trainer(tmp_path, task, epochs=2)
    assert made.steps == 2 * steps
    made.run()
    assert [line["step"] for line in read_metrics(tmp_path) if line["split"] == "train"] == list(
        range(1, 2 * steps + 1)
    )
    assert not torch.equal(task.weights, before)


def test_a_step_of_few_batches_is_their_mean(tmp_path):
    """One batch of four items and four batches of one make the same step."""
    one, four = Line(items=4, batch_size=4), Line(items=4)
    for task in (one, four):
        task.loss = lambda batch, training, task=task: Loss(
            ((task.points[batch] @ task.weights - task.answers[batch]) ** 2).mean()
        )
    trainer(tmp_path / "one", one, epochs=1).run()
    trainer(tmp_path / "four", four, epochs=1).run()
    assert torch.allclose(one.weights, four.weights, atol=1e-6)


def test_the_learning_rate_counts_optimizer_steps(tmp_path):
    trainer(tmp_path, Line(), epochs=10, warmup_share=0.2).run()
    rates = [line["lr"] for line in read_metrics(tmp_path) if line["split"] == "train"]
    assert len(rates) == 30
    assert rates[:7] == pytest.approx([0.1 * n / 7 for n in range(1, 7)] + [0.1])
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[-1] < 0.001
    assert rates[18] == pytest.approx(learning_rate(18, 30, 0.1, 0.2)) == pytest.approx(0.05)


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 7])
def test_a_run_in_two_parts_is_the_run_in_one(tmp_path, stop_after):
    whole, first, second = Line(), Line(), Line()
    trainer(tmp_path / "whole", whole).run()
    assert trainer(tmp_path / "parts", first, asked=after(stop_after)).run() is State.STOPPED
    assert trainer(tmp_path / "parts", second).run() is State.DONE
    assert torch.equal(second.weights, whole.weights)
    assert first.batches_seen + second.batches_seen == whole.batches_seen
    assert_same_metrics(tmp_path / "whole", tmp_path / "parts")


def assert_same_metrics(one, other):
    timeless = [
        [
            {k: v for k, v in line.items() if k not in ("time", "step_s")}
            for line in read_metrics(folder)
        ]
        for folder in (one, other)
    ]
    assert timeless[0] == timeless[1]


def test_what_was_done_after_the_last_checkpoint_is_done_again(tmp_path):
    class Killed(BaseException):
        pass

    whole, first, second = Line(), Line(), Line()
    trainer(tmp_path / "whole", whole).run()
    loss, calls = first.loss, iter(range(100))

    def killed_at_seventeen(batch, training):
        if training and next(calls) == 17:
            raise Killed
        return loss(batch, training)

    first.loss = killed_at_seventeen
    with pytest.raises(Killed):
        trainer(tmp_path / "parts", first).run()
    trainer(tmp_path / "parts", second).run()
    assert torch.equal(second.weights, whole.weights)
    assert_same_metrics(tmp_path / "whole", tmp_path / "parts")


def test_the_best_and_the_last_checkpoints_are_kept(tmp_path):
    task, saved = Line(), {}
    loss = task.loss
    validated = {0: 9.0, 1: 5.0, 2: 3.0, 3: 4.0, 4: 3.5, 5: 9.0}
    task.loss = lambda batch, training: (
        loss(batch, True) if training else Loss(torch.tensor(validated[len(saved)]))
    )
    keep = lambda epoch: saved.update({epoch: task.weights.tolist()})  # noqa: E731
    trainer(tmp_path, task, epochs=5, after_epoch=keep).run()
    assert json.loads((tmp_path / "best" / "weights.json").read_text()) == saved[2]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-12", "step-15"]
    assert RunRecord.read(tmp_path).best == 3.0


def test_early_stop_waits_for_its_patience(tmp_path):
    task = Line()
    loss = task.loss
    task.loss = lambda batch, training: (
        loss(batch, training) if training else Loss(torch.tensor(1.0))
    )
    trainer(tmp_path, task, epochs=50, patience=2).run()
    assert RunRecord.read(tmp_path).epoch == 3
    again = Line()
    assert trainer(tmp_path, again, epochs=50, patience=2).run() is State.DONE
    assert again.batches_seen == []


def test_the_last_epoch_is_kept_where_that_is_asked_for(tmp_path):
    best, last = Line(), Line()
    for task, keep in ((best, Keep.BEST), (last, Keep.LAST)):
        loss = task.loss
        task.loss = lambda batch, training, task=task, loss=loss: (
            loss(batch, training) if training else Loss(task.weights.norm())  # it only gets worse
        )
        trainer(tmp_path / keep, task, keep=keep, patience=1).run()
    first = RunRecord.read(tmp_path / "best")
    assert (first.epoch, first.best_by) == (2, "validation loss")
    record = RunRecord.read(tmp_path / "last")
    assert (record.epoch, record.best_by) == (PLAN.epochs, "validation loss of the last epoch")
    assert (first.kept, record.kept) == ("best", "last")
    assert record.best == read_metrics(tmp_path / "last")[-1]["loss"]
    kept = [
        json.loads((tmp_path / "last" / part / "weights.json").read_text())
        for part in ("best", f"checkpoints/step-{record.step}")
    ]
    assert kept[0] == kept[1]


def test_without_a_validation_split_the_training_loss_decides_and_it_is_said(tmp_path, caplog):
    trainer(tmp_path, Line(validation=0)).run()
    assert "there is no validation split" in caplog.text
    record = RunRecord.read(tmp_path)
    assert record.best_by == "training loss"
    assert record.best == min(x["loss"] for x in read_metrics(tmp_path) if x["split"] == "epoch")


def test_a_loss_that_is_no_number_stops_and_says_where(tmp_path):
    task = Line()
    task.answers[3] = math.nan
    bad = next(n for n, batch in enumerate(task.batches(0)) if batch == [3])
    with pytest.raises(NotFinite, match=rf"step {bad // 4 + 1} \(epoch 1\), with point 3\. "):
        trainer(tmp_path, task).run()
    assert torch.isfinite(task.weights).all()
    kept = checkpoints.Checkpoints(tmp_path, 2).latest()
    assert kept is not None and kept.name == f"step-{bad // 4}"
    task.answers[3] = 0.0
    mended = Line()
    mended.answers[3] = 0.0
    assert trainer(tmp_path, mended).run() is State.DONE


def test_a_gradient_that_is_no_number_changes_nothing(tmp_path):
    task = Line(items=4)
    task.loss = lambda batch, training: Loss((task.weights * 0).sum().sqrt() + 1.0)
    with pytest.raises(NotFinite, match="The gradient is not a finite number at step 1"):
        trainer(tmp_path, task).run()
    assert torch.equal(task.weights, torch.zeros(4))


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    whole, first, second = Line(), Line(), Line()
    trainer(tmp_path / "whole", whole).run()
    folder = tmp_path / "parts"
    write = Path.write_bytes

    def full(path, content):
        if "step-6" in str(path):
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="disk full"):
        trainer(folder, first).run()
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-3"]
    monkeypatch.undo()
    assert trainer(folder, second).run() is State.DONE
    assert torch.equal(second.weights, whole.weights)


def test_a_kill_between_the_steps_of_a_replacement_is_put_right(tmp_path):
    best = tmp_path / "best"
    checkpoints.replace_folder(best, lambda folder: (folder / "a").write_text("old") and None)
    best.rename(tmp_path / ".old-best")  # killed before the new one got the name
    (tmp_path / ".part-best").mkdir()
    (tmp_path / ".part-record").write_text("{")  # killed while it wrote its record
    checkpoints.Checkpoints(tmp_path, 2).recover()
    assert (best / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_another_configuration_does_not_go_on_with_a_run(tmp_path):
    trainer(tmp_path, Line(), identity="one", asked=after(1)).run()
    with pytest.raises(Exception, match="Configuration, dataset or base changed"):
        trainer(tmp_path, Line(), identity="two").run()
