"""The training loop: any task, one or several processes, exact to the bit after a kill.

An epoch's batches depend on (seed, epoch) alone, and the random numbers of a batch on (seed, epoch,
batch) alone. So a resumed run needs no generator's state, and the number of processes changes who does
a batch and not what is done: each optimizer step takes the same ``accumulation`` batches, shared out.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np
import torch

from engines.base import StudioError
from training.config import Keep
from training.record import Recorder, State
from training.run.checkpoints import Checkpoints, Progress, read_optimizer, read_progress

if TYPE_CHECKING:
    from accelerate import Accelerator

    from training.run.loggers import Log

log = logging.getLogger(__name__)

BETAS = (0.9, 0.99)
Batch = Sequence[Any]


@dataclass(frozen=True)
class Loss:
    """The mean ``value`` over a batch, to be minimised, and further means to be written down."""

    value: torch.Tensor
    metrics: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Task(Protocol):
    """What is learned. Knows the model and the data; knows nothing of steps, files or processes."""

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained."""

    def batches(self, epoch: int) -> Sequence[Batch]:
        """The batches of an epoch in order; the same on every process and every call."""

    def validation(self) -> Sequence[Batch]:
        """The batches that are never trained on; may be empty."""

    def loss(self, batch: Batch, training: bool) -> Loss:
        """The loss of a batch, with dropout when ``training``."""

    def stepped(self) -> None:
        """Called after each optimizer step, on every process."""

    def describe(self, item: Any) -> str:
        """An item of a batch in words, for messages."""

    def save(self, folder: Path) -> None:
        """Write the trained weights as files."""

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""


@dataclass(frozen=True)
class Plan:
    """How a task is trained; see ``RunConfig`` for the meaning of each field."""

    epochs: int
    accumulation: int
    learning_rate: float
    weight_decay: float
    warmup_share: float
    max_grad_norm: float
    patience: int
    keep_last: int
    save_every_steps: int
    seed: int
    keep: Keep = Keep.BEST


class NotFinite(StudioError):
    """The loss or gradient is no number; the message says where."""


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """Of optimizer step ``step`` (from 0) of ``steps``: a line up to ``peak``, a cosine down to 0."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def seed_all(*key: int) -> None:
    """Seed Python, numpy and torch from ``key`` alone."""
    state = int(np.random.SeedSequence(key).generate_state(1)[0])
    random.seed(state)
    np.random.seed(state)
    torch.manual_seed(state)


class Trainer:
    """Trains ``task`` by ``plan`` and keeps the run's folder.

    ``autocast`` gives the context of each forward pass; ``after_epoch(epoch)`` is called on the
    first process, with 0 before training; ``asked`` says whether somebody wants the run to stop.
    """

    def __init__(
        self,
        task: Task,
        plan: Plan,
        accelerator: Accelerator,
        recorder: Recorder,
        *,
        identity: str = "",
        logger: Log | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
        after_epoch: Callable[[int], None] = lambda epoch: None,
        asked: Callable[[], bool] = lambda: False,
    ):
        self._task, self._plan, self._accelerator = task, plan, accelerator
        self._recorder, self._logger = recorder, logger
        self._autocast = autocast or accelerator.autocast
        self._after_epoch, self._asked = after_epoch, asked
        self._files = Checkpoints(recorder.folder, plan.keep_last)
        self._parameters = task.parameters()
        self._optimizer = torch.optim.AdamW(
            self._parameters, plan.learning_rate, BETAS, weight_decay=plan.weight_decay
        )
        self._at = Progress(identity)
        self._saved = -1
        self.steps = sum(len(self._groups(epoch)) for epoch in range(plan.epochs))

    # the whole

    def run(self) -> State:
        """Train from the last checkpoint, or from the start, until done or asked to stop.

        Raises ``NotFinite`` for a loss that is no number and ``StorageError`` for a full disk; the
        last good checkpoint stays.
        """
        self._resume()
        self._recorder.update(
            now=True, phase="training", steps=self.steps, epochs=self._plan.epochs
        )
        while not self._finished:
            for number, group in self._left():
                stop = self._step(number, group)
                self._at.group += 1
                every = self._plan.save_every_steps
                if stop:
                    self._save()
                    return State.STOPPED
                if every and self._at.step % every == 0:
                    self._save()
            self._end_epoch()
            if self._agree(self._asked()):
                return State.DONE if self._finished else State.STOPPED
        return State.DONE

    @property
    def _finished(self) -> bool:
        patience = self._plan.patience
        if patience and self._at.worse >= patience:
            log.info("stopped early: no better result for %d epochs", patience)
            return True
        return self._at.epoch >= self._plan.epochs

    def _resume(self) -> None:
        """Go to where the last checkpoint was, on every process."""
        if self._first:
            self._files.recover()
        self._accelerator.wait_for_everyone()
        checkpoint = self._files.latest()
        if checkpoint is None:
            self._begin()
            return
        self._at = read_progress(checkpoint, self._at.identity)
        self._task.load(checkpoint)
        read_optimizer(checkpoint, self._optimizer)
        self._recorder.rewind(self._at.metrics_size)
        self._saved = self._at.step
        self._recorder.update(step=self._at.step, epoch=self._at.epoch, best=self._at.best)
        log.info("going on at step %d of %d, epoch %d", self._at.step, self.steps, self._at.epoch)

    def _begin(self) -> None:
        """A run from the start: how the untrained model does, and a place to come back to."""
        log.info("%d optimizer steps in %d epochs", self.steps, self._plan.epochs)
        self._recorder.rewind(0)
        if not self._task.validation():
            log.warning("there is no validation split: the best is chosen by the training loss")
        self._validate()
        if self._first:
            self._after_epoch(0)

    # a step

    def _groups(self, epoch: int) -> list[Sequence[Batch]]:
        """The batches of each optimizer step; the last may have fewer."""
        batches = self._task.batches(epoch)
        size = self._plan.accumulation
        return [batches[start : start + size] for start in range(0, len(batches), size)]

    def _left(self) -> Iterator[tuple[int, Sequence[Batch]]]:
        groups = self._groups(self._at.epoch)
        return iter(list(enumerate(groups))[self._at.group :])

    def _step(self, number: int, group: Sequence[Batch]) -> bool:
        """One optimizer step; returns whether some process was asked to stop."""
        started = time.perf_counter()
        rate = learning_rate(
            self._at.step, self.steps, self._plan.learning_rate, self._plan.warmup_share
        )
        sums, stop = self._gradients(number, group)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._plan.max_grad_norm))
        if not math.isfinite(norm):
            self._give_up("gradient", group)
        for options in self._optimizer.param_groups:
            options["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._task.stepped()
        self._at.step += 1
        items = sum(map(len, group))
        self._at.items += items
        for name, value in sums.items():
            self._at.sums[name] = self._at.sums.get(name, 0.0) + value
        seconds = time.perf_counter() - started
        means = {name: value / items for name, value in sums.items()}
        values = means | {"lr": rate, "grad_norm": norm, "step_s": seconds}
        self._write("train", values, self._at.epoch + 1)
        self._recorder.update(step=self._at.step)
        return stop

    def _gradients(self, number: int, group: Sequence[Batch]) -> tuple[dict[str, float], bool]:
        """Add up the gradients of a step's batches over all processes.

        Returns the sums over items of each metric, and whether some process was asked to stop.
        """
        items = sum(map(len, group))
        sums: dict[str, float] = {}
        wrong = False
        for position, batch in self._mine(list(enumerate(group))):
            index = number * self._plan.accumulation + position
            seed_all(self._plan.seed, self._at.epoch, index)
            with self._autocast():
                found = self._task.loss(batch, True)
            wrong = wrong or not bool(torch.isfinite(found.value))
            if wrong:
                break
            (found.value * (len(batch) / items)).backward()
            _add(sums, found, len(batch))
        if self._agree(wrong):  # before the exchange, so that no process waits for one that left
            self._give_up("loss", group)
        self._exchange_gradients()
        return self._total(sums), self._agree(self._asked())

    def _give_up(self, what: str, group: Sequence[Batch], keep: bool = True) -> NoReturn:
        """Keep what is good, find the item, and say where it was. All processes come here.

        A step that was not taken leaves good weights to ``keep``; weights that validate to nonsense
        are not worth a checkpoint.
        """
        self._optimizer.zero_grad(set_to_none=True)
        names = [self._task.describe(item) for item in self._culprits(group)]
        if keep and self._saved != self._at.step:
            self._save()
        where = f"step {self._at.step + 1} (epoch {self._at.epoch + 1})"
        raise NotFinite(
            f"The {what} is not a finite number at {where}, with {'; '.join(names)}. Training "
            "stopped and the last good checkpoint is kept. Lower the learning rate, use float32, or "
            "take this item out of the dataset."
        )

    def _culprits(self, group: Sequence[Batch]) -> list[Any]:
        """The items whose own loss is no number; all of the step's where none is alone."""
        items = [item for batch in group for item in batch]
        with torch.no_grad(), self._autocast():
            wrong = [
                item
                for item in items
                if not bool(torch.isfinite(self._task.loss([item], False).value))
            ]
        return wrong or items

    # an epoch

    def _end_epoch(self) -> None:
        """Validate, keep the best or the last, listen, save."""
        self._at.epoch, self._at.group = self._at.epoch + 1, 0
        means = {name: value / self._at.items for name, value in self._at.sums.items()}
        self._at.items, self._at.sums = 0.0, {}
        self._write("epoch", means)
        validated = self._validate()
        value = (validated or means)["loss"]
        if self._plan.keep is Keep.LAST or self._at.best is None or value < self._at.best:
            self._at.best, self._at.best_epoch, self._at.worse = value, self._at.epoch, 0
            if self._first:
                self._files.save_best(self._task.save)
        else:
            self._at.worse += 1
        shown = " ".join(f"{name} {value:.4f}" for name, value in (validated or means).items())
        log.info("epoch %d, step %d: %s", self._at.epoch, self._at.step, shown)
        by = f"{'validation' if validated else 'training'} loss"
        by += " of the last epoch" if self._plan.keep is Keep.LAST else ""
        self._recorder.update(
            epoch=self._at.epoch, best=self._at.best, best_by=by, kept=self._plan.keep
        )
        if self._first:
            self._after_epoch(self._at.epoch)
        self._save()

    def _validate(self) -> dict[str, float]:
        """Means over the validation items, without dropout; empty when there are none."""
        batches = self._task.validation()
        if not batches:
            return {}
        sums: dict[str, float] = {}
        with torch.no_grad():
            for batch in self._mine(batches):
                with self._autocast():
                    found = self._task.loss(batch, False)
                _add(sums, found, len(batch))
                self._recorder.update()
        items = sum(map(len, batches))
        means = {name: value / items for name, value in self._total(sums).items()}
        self._write("validation", means)
        if not math.isfinite(means["loss"]):
            self._give_up("validation loss", batches, keep=False)
        return means

    def _save(self) -> None:
        if self._first:
            self._at.metrics_size = self._recorder.metrics_size()
            self._files.save(self._at, self._optimizer, self._task.save)
        self._saved = self._at.step
        self._recorder.update(now=True, step=self._at.step)

    def _write(self, split: str, means: Mapping[str, float], epoch: int | None = None) -> None:
        """Epochs count from 1; 0 is before training."""
        epoch = self._at.epoch if epoch is None else epoch
        self._recorder.metrics(split, self._at.step, epoch, means)
        if self._logger:
            self._logger.add(split, self._at.step, means)

    # processes

    @property
    def _first(self) -> bool:
        return self._accelerator.is_main_process

    def _mine(self, batches: Sequence[Any]) -> Sequence[Any]:
        """This process's share."""
        return batches[self._accelerator.process_index :: self._accelerator.num_processes]

    def _agree(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any process."""
        if self._accelerator.num_processes == 1:
            return flag
        own = torch.tensor([float(flag)], device=self._accelerator.device)
        return bool(self._accelerator.reduce(own, "sum").item())

    def _total(self, sums: dict[str, float]) -> dict[str, float]:
        """Sums over all processes; one without a batch has none of its own."""
        if self._accelerator.num_processes == 1:
            return sums
        from accelerate.utils import gather_object

        total: dict[str, float] = {}
        for part in gather_object([sums]):
            for name, value in part.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def _exchange_gradients(self) -> None:
        """Sum the gradients of all processes in one message."""
        if self._accelerator.num_processes == 1:
            return
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [p.grad for p in self._parameters if p.grad is not None]
        flat = torch.cat([grad.flatten().float() for grad in grads])
        total = self._accelerator.reduce(flat, "sum").split([grad.numel() for grad in grads])
        for grad, part in zip(grads, total, strict=True):
            grad.copy_(part.view_as(grad))


def _add(sums: dict[str, float], found: Loss, items: int) -> None:
    for name, value in {"loss": found.value, **found.metrics}.items():
        sums[name] = sums.get(name, 0.0) + float(value.detach()) * items
