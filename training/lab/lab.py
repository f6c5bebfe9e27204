"""The learning loop behind one door: datasets, runs, adapters and their tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.lab.adapters import Adapters
from training.lab.quality import Quality, report
from training.lab.run_files import RunSample
from training.lab.runs import Comparison, Runs
from training.lab.snapshots import Imported, Snapshots
from training.lab.trials import AdapterTest, Trials
from training.lab.verdicts import Verdict, verdict

if TYPE_CHECKING:
    from engines.studio import Studio
    from storage import (
        AdapterRow,
        DatasetCount,
        DatasetFilter,
        DatasetItem,
        DatasetRow,
        ExperimentRow,
        RunRow,
    )
    from training.config import RunConfig


class Lab:
    """The facade of the learning loop, one a studio. Use as a context manager, or start and close.

    All methods raise ``StudioError`` or ``StorageError`` with a sentence for a person. Closing the
    lab leaves a training process running; the next start finds it again.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        self.store = studio.store
        self._snapshots = Snapshots(studio.store)
        self._adapters = Adapters(studio)
        self._runs = Runs(studio, self._snapshots, self._adapters.register_run)
        self._trials = Trials(studio)

    def start(self) -> Lab:
        """Mend what a crash left, find runs again, follow them and the queue."""
        self._snapshots.mend()
        self._runs.start()
        self._trials.start()
        return self

    def close(self) -> None:
        """Stop following; training processes go on."""
        self._trials.close()
        self._runs.close()

    def __enter__(self) -> Lab:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # datasets

    def count(self, filter: DatasetFilter) -> DatasetCount:
        """How many items, clips, prompts and seconds a filter finds now."""
        return self.store.datasets.count(filter)

    def preview(self, filter: DatasetFilter, limit: int = 20, offset: int = 0) -> list[DatasetItem]:
        """The first items that a filter finds now."""
        return self.store.datasets.select(filter, limit, offset)

    def quality(self, source: DatasetFilter | str) -> Quality:
        """What is good and bad about what a filter finds, or about a dataset by its id."""
        return report(self.store, source)

    def create_dataset(
        self, name: str, filter: DatasetFilter, validation_share: float = 0.1, seed: int = 0
    ) -> DatasetRow:
        """Freeze what a filter finds: rows, and a folder ``data/datasets/<id>`` with the sounds.

        The split is by prompt. Nothing is left behind when it fails, as on a full disk.
        """
        return self._snapshots.create(name, filter, validation_share, seed)

    def datasets(self, archived: bool = False) -> list[DatasetRow]:
        """The datasets that are (or are not) archived, newest first."""
        return self.store.datasets.list(archived)

    def dataset(self, dataset_id: str) -> DatasetRow:
        """A dataset's row."""
        return self.store.datasets.get(dataset_id)

    def dataset_items(self, dataset_id: str, split: str = "") -> list[DatasetItem]:
        """Its frozen items, of both splits or of ``train`` or ``validation``."""
        return self.store.datasets.items(dataset_id, split)

    def import_folder(
        self, path: Path, name: str, validation_share: float = 0.1, seed: int = 0
    ) -> Imported:
        """A folder (or zip) of sounds with captions as clips and a dataset.

        Read are ``metadata.jsonl`` or ``metadata.csv`` (``file_name`` and ``prompt``, ``text`` or
        ``caption``; what ``export_dataset`` writes, too), or else ``name.txt`` beside ``name.wav``.
        Files that are no sound or have no caption are left out and listed. Raises ``StudioError``
        when none is left or a path leads out of the folder; then nothing is imported.
        """
        return self._snapshots.import_folder(Path(path), name, validation_share, seed)

    def export_dataset(self, dataset_id: str, format: str = "audiofolder") -> Path:
        """A file of a dataset: ``audiofolder`` (a zip that the ``datasets`` library and
        ``import_folder`` read), ``jsonl`` or ``csv`` (the rows alone)."""
        return self._snapshots.export(dataset_id, format)

    def rename_dataset(self, dataset_id: str, name: str) -> DatasetRow:
        """Give a dataset another name."""
        return self._snapshots.rename(dataset_id, name)

    def delete_dataset(self, dataset_id: str) -> str:
        """``"deleted"``, or ``"archived"`` when a run or an adapter refers to it."""
        return self._snapshots.delete(dataset_id)

    # runs

    def presets(self, base: str = "") -> dict[str, dict[str, Any]]:
        """Named changes to the default configuration (quick, balanced, quality) that suit ``base``.

        Raises ``StudioError`` for a base that is unknown or not here.
        """
        from training.config import presets

        return presets(self._adapters.base(base).width) if base else presets()

    def bases(self) -> list[str]:
        """Weights that are on this machine and can be trained."""
        return self._adapters.bases()

    def train(self, config: RunConfig | Mapping[str, Any]) -> RunRow:
        """Queue a training run and return its row; it runs in a process of its own, one at a time.

        Raises ``StudioError`` naming the field when the base is not here, the dataset is unknown,
        has fewer than two items or does not suit the method, or the disk has too little room.
        """
        return self._runs.train(config)

    def run(self, run_id: str) -> RunRow:
        """A run's row as of now."""
        return self._runs.fresh(run_id)

    def runs(self, experiment_id: str = "") -> list[RunRow]:
        """All runs, newest first, or those of one experiment."""
        return self.store.runs.list(experiment_id)

    def experiments(self) -> list[ExperimentRow]:
        """All experiments."""
        return self.store.runs.experiments()

    def wait_run(self, run_id: str, timeout_s: float | None = None) -> RunRow:
        """Block until a run has ended; raises ``TimeoutError`` after ``timeout_s`` seconds."""
        return self._runs.wait(run_id, timeout_s)

    def metrics(self, run_id: str) -> list[dict[str, Any]]:
        """The series a run has written so far, oldest first; see ``training/record.py``."""
        return self._runs.metrics(run_id)

    def log(self, run_id: str, tail: int = 200) -> str:
        """The last ``tail`` lines of a run's log."""
        return self._runs.log(run_id, tail)

    def samples(self, run_id: str) -> list[RunSample]:
        """The sounds a run made after each epoch."""
        return self._runs.samples(run_id)

    def stop_run(self, run_id: str) -> RunRow:
        """Ask a run to stop: a queued one at once, a running one after its step, saved."""
        return self._runs.stop(run_id)

    def resume_run(self, run_id: str) -> RunRow:
        """Queue a run that was stopped, interrupted or failed again; it goes on where it was."""
        return self._runs.resume(run_id)

    def rename_run(self, run_id: str, name: str) -> RunRow:
        """Give a run another name."""
        return self._runs.rename(run_id, name)

    def delete_run(self, run_id: str) -> None:
        """Stop a run if it goes on, and remove its row and folder; its adapter stays."""
        self._runs.delete(run_id)

    def compare(self, run_ids: Sequence[str]) -> Comparison:
        """Where configurations of runs differ, and their best metrics."""
        return self._runs.compare(run_ids)

    # adapters

    def adapters(self, base: str = "", archived: bool = False) -> list[AdapterRow]:
        """Adapters of a base ("": of all) that are (or are not) archived, by name, newest first."""
        return self.store.adapters.list(base, archived)

    def adapter(self, adapter_id: str) -> AdapterRow:
        """An adapter's row."""
        return self.store.adapters.get(adapter_id)

    def register_adapter(self, source: str | Path, name: str = "", base: str = "") -> AdapterRow:
        """Register the best adapter of a run (by id), or a PEFT folder trained on ``base``.

        A name that exists already gives the next version. The folder is copied.
        """
        return self._adapters.register(source, name, base)

    def import_adapter(self, path: Path, base: str, name: str = "") -> AdapterRow:
        """Take in a PEFT folder or zip from elsewhere, checked against ``base`` before.

        Raises ``StudioError`` for pickles, paths that lead out of the zip, sizes beyond reason, and
        adapters of another base or without effect.
        """
        return self._adapters.import_(Path(path), base, name)

    def export_adapter(self, adapter_id: str) -> Path:
        """A zip with the PEFT folder and a README that says where it comes from."""
        return self._adapters.export(adapter_id)

    def merge_adapter(self, adapter_id: str, name: str, scale: float = 1.0) -> Path:
        """Write base plus adapter as a full model ``models/own/<name>``, ready to be chosen."""
        return self._adapters.merge(adapter_id, name, scale)

    def rename_adapter(self, adapter_id: str, name: str) -> AdapterRow:
        """Give an adapter another name, as that name's next version."""
        return self.store.adapters.rename(adapter_id, name)

    def set_adapter_notes(self, adapter_id: str, notes: str) -> AdapterRow:
        """Replace an adapter's notes."""
        return self.store.adapters.set_notes(adapter_id, notes)

    def archive_adapter(self, adapter_id: str, archived: bool = True) -> AdapterRow:
        """Hide an adapter from the pickers, or bring it back."""
        return self.store.adapters.archive(adapter_id, archived)

    def activate_adapter(self, adapter_id: str, scale: float | None) -> AdapterRow:
        """Preselect an adapter with a scale from 0 to 2 wherever its base is used; None: no more."""
        return self.store.adapters.activate(adapter_id, scale)

    def delete_adapter(self, adapter_id: str) -> str:
        """``"deleted"``, or ``"archived"`` when a clip, test or dataset refers to it."""
        return self._adapters.delete(adapter_id)

    # the adapter's test

    def compare_with_base(
        self,
        adapter_id: str,
        prompts: Sequence[str],
        seeds: Sequence[int] = (1,),
        scale: float = 1.0,
        settings: Mapping[str, Any] | None = None,
    ) -> AdapterTest:
        """Queue music for every prompt and seed, once by the base and once with the adapter.

        ``settings`` are further parameters of the engine, the same for both. When all clips are
        there, a blind A/B test is made of them; it is ``AdapterTest.test_id``.
        """
        return self._trials.begin(adapter_id, prompts, seeds, scale, settings or {})

    def adapter_test(self, id: str) -> AdapterTest:
        """How far the making of an adapter's test is."""
        return self._trials.get(id)

    def retry_adapter_test(self, id: str) -> AdapterTest:
        """Queue what failed in the making of a test again."""
        return self._trials.retry(id)

    def adapter_tests(self, adapter_id: str = "") -> list[AdapterTest]:
        """All tests of an adapter (or of all), newest first, those in the making too."""
        return self._trials.list(adapter_id)

    def verdict(self, adapter_id: str) -> Verdict:
        """What the listeners of all blind tests of an adapter against its base said."""
        return verdict(self.store, adapter_id)
