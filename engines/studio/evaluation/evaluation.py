"""The facade of evaluation: many systems as a job, and results to look at; ``desk`` for single sounds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.base import Report, StudioError
from engines.metrics.base import Score
from engines.metrics.pairing import Item
from engines.metrics.running import Result
from engines.studio.evaluation.desk import Desk
from engines.studio.evaluation.measuring import SetScore, measure_items, measure_sets
from engines.studio.evaluation.plan import Wishes, wishes
from engines.studio.evaluation.results import Results, reasons, slim
from engines.studio.evaluation.sources import Sources, from_clips
from engines.studio.jobs import JobContext
from engines.studio.judging.designs import Designer
from engines.studio.runner import ENDED, Errand, Runner
from storage import (
    ClipQuery,
    ClipRow,
    EvaluationItem,
    EvaluationRow,
    JobRow,
    JobState,
    NotFound,
    Store,
)
from storage.base.ids import new_id

KIND, LANE = "evaluate", "evaluation"
SAVE_EVERY_S = 1.0
KEPT_RESULTS = 4
MOST_CLIPS = 5000


@dataclass
class _Batch:
    """Scores of items on their way into the store."""

    evaluation_id: str
    clips: dict[int, str]
    scores: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)


class Evaluation:
    """What is measured in one studio. ``desk`` takes one sound or a pair at once."""

    def __init__(self, store: Store, runner: Runner):
        self.store = store
        self.desk = Desk(store)
        self._runner = runner
        self._rows = store.evaluations
        self._designer = Designer(store)
        self._results: dict[str, Results] = {}
        runner.adopt(KIND, Errand(LANE, self._run))

    # many systems

    def clip_sources(
        self, query: ClipQuery | None = None, clip_ids: Sequence[str] = (), by: str = "system"
    ) -> Sources:
        """Clips to evaluate: those named, or those found, newest first. ``by`` tells systems apart:
        ``system`` (engine and adapter), ``engine``, ``adapter``, or a setting such as ``voice``."""
        clips = [self.store.clips.get(each) for each in clip_ids] or self._found(query)
        return from_clips(clips, lambda clip: self._designer.system_of(clip, by) or "none")

    def _found(self, query: ClipQuery | None) -> list[ClipRow]:
        found: list[ClipRow] = []
        if query is None:
            return found
        first = self.store.clips.search(query)
        if first.total > MOST_CLIPS:
            raise StudioError(
                f"{first.total:,} clips match; at most {MOST_CLIPS:,} are measured at once. Narrow it "
                "down.",
                "clips",
            )
        for page in range(1, first.pages + 1):
            found += self.store.clips.search(ClipQuery(**{**query.__dict__, "page": page})).rows
        return found

    def new_folder(self) -> Path:
        """An empty folder for sounds that were sent; ``submit`` takes it over."""
        folder = self._uploads / new_id()
        folder.mkdir(parents=True)
        return folder

    @property
    def _uploads(self) -> Path:
        return self.store.folder("cache") / "evaluations"

    def submit(
        self,
        sources: Sources,
        wanted: Wishes,
        name: str = "",
        owner: str = "",
        folder: Path | None = None,
    ) -> EvaluationRow:
        """Queue the measuring of ``sources``. ``folder`` is removed with the evaluation."""
        settings = wanted.as_json() | {"folder": folder.name if folder else ""}
        items = [
            EvaluationItem(
                item.name, item.system, item.generated, item.reference, item.text, item.language,
                sources.clip_ids.get(place, ""),
            )
            for place, item in enumerate(sources.items)
        ]  # fmt: skip
        row = self._rows.add(name.strip() or _title(sources), settings, items, sources.missing)
        self._queue(row, owner)
        return self._rows.get(row.id)

    def resume(self, evaluation_id: str, owner: str = "") -> EvaluationRow:
        """Measure what is missing; what is known is not measured again."""
        row = self._rows.get(evaluation_id)
        if self.running(row):
            raise StudioError(f"“{row.name}” is still being measured.")
        self._queue(row, owner, row.job_id or None)
        return self._rows.get(evaluation_id)

    def _queue(self, row: EvaluationRow, owner: str, retry_of: str | None = None) -> None:
        settings = {
            "evaluation": row.id,
            "title": row.name,
            "metrics": row.settings["metrics"],
            "systems": list(row.systems),
            "sounds": row.items,
        }
        job = self._runner.submit(KIND, "", settings, owner, retry_of)
        self._rows.set_job(row.id, job.id)

    def cancel(self, evaluation_id: str) -> None:
        """Stop measuring; what was measured stays."""
        row = self._rows.get(evaluation_id)
        if self.running(row):
            self._runner.cancel(row.job_id)

    def job(self, row: EvaluationRow) -> JobRow | None:
        """The job that measures, or did last."""
        try:
            return self.store.jobs.get(row.job_id)
        except NotFound:
            return None

    def running(self, row: EvaluationRow) -> bool:
        """Whether it waits or is being measured."""
        job = self.job(row)
        return job is not None and job.state not in ENDED

    def unfinished(self, row: EvaluationRow) -> bool:
        """Whether something is left to measure and nobody does."""
        job = self.job(row)
        return job is None or (job.state in ENDED and job.state is not JobState.DONE)

    # what came out

    def evaluations(self) -> Sequence[EvaluationRow]:
        """All evaluations, newest first."""
        return self._rows.list()

    def get(self, evaluation_id: str) -> EvaluationRow:
        """One evaluation; raises ``StorageError`` for an unknown id."""
        return self._rows.get(evaluation_id)

    def item(self, evaluation_id: str, position: int) -> EvaluationItem:
        """One item, counted from 0."""
        return self._rows.item(evaluation_id, position)

    def rename(self, evaluation_id: str, name: str) -> EvaluationRow:
        """Change the name."""
        self._results.pop(evaluation_id, None)
        return self._rows.rename(evaluation_id, name)

    def delete(self, evaluation_id: str) -> None:
        """Remove an evaluation with the sounds that were sent for it; measured scores stay known."""
        row = self._rows.get(evaluation_id)
        if self.running(row):
            raise StudioError(f"“{row.name}” is being measured; cancel it first.")
        self._results.pop(evaluation_id, None)
        self._rows.delete(evaluation_id)
        if folder := row.settings.get("folder"):
            shutil.rmtree(self._uploads / folder, ignore_errors=True)

    def results(self, evaluation_id: str) -> Results:
        """What was measured so far."""
        row = self._rows.get(evaluation_id)
        kept = self._results.get(evaluation_id)
        if kept is not None and len(kept.rows) == row.measured and len(kept.sets) == len(row.sets):
            return kept
        found = self._read(row)
        if not self.running(row):
            while len(self._results) >= KEPT_RESULTS:
                self._results.pop(next(iter(self._results)), None)
            self._results[evaluation_id] = found
        return found

    def _read(self, row: EvaluationRow) -> Results:
        rows, positions = [], []
        for place, item in enumerate(self._rows.items(row.id)):
            if item.scores is not None:
                scores = tuple(Score.of_json(each) for each in item.scores)
                rows.append(Result(_to_measure(item), scores))
                positions.append(place)
        sets = [SetScore(each["system"], Score.of_json(each["score"])) for each in row.sets]
        return Results(
            row.name, _wishes(row), tuple(rows), tuple(sets), row.missing, tuple(positions)
        )

    # the job

    def _run(self, job: JobRow, context: JobContext) -> Report:
        row = self._rows.get(job.settings["evaluation"])
        self._rows.set_job(row.id, job.id)
        self._results.pop(row.id, None)
        stored = self._rows.items(row.id)
        items, wanted = [_to_measure(item) for item in stored], _wishes(row)
        clips = {place: item.clip_id for place, item in enumerate(stored) if item.clip_id}
        batch, total, cached = _Batch(row.id, clips), len(items) + bool(wanted.of_sets), 0
        tasks = {clip.id: clip.task for clip in self.store.clips.some(clips.values())}
        by_place = {place: tasks.get(clip_id, "") for place, clip_id in clips.items()}
        context.progress(0, total, f"{len(items)} sounds")
        try:
            found = measure_items(
                items,
                wanted,
                self.desk.cache,
                None,
                context.check,
                {p: t for p, t in by_place.items() if t},
            )
            for place, result in enumerate(found):
                batch.scores[place] = [slim(score).as_json() for score in result.scores]
                cached += result.cached
                context.progress(place + 1, total, f"{place + 1} of {len(items)} sounds")
                if time.monotonic() - batch.saved_at > SAVE_EVERY_S:
                    self._save(batch)
        finally:
            self._save(batch)
        if wanted.of_sets:
            context.progress(len(items), total, "Comparing whole sets")
            sets = measure_sets(items, wanted, self.desk.cache, context.check)
            self._rows.set_sets(
                row.id, [{"system": s.system, "score": slim(s.score).as_json()} for s in sets]
            )
        without = reasons(self._read(self._rows.get(row.id)).lines.values())
        return Report(
            {
                "sounds": len(items),
                "scores known before": cached,
                **{f"without a number: {reason}": count for reason, count in without.items()},
            }
        )

    def _save(self, batch: _Batch) -> None:
        self._rows.set_scores(batch.evaluation_id, batch.scores)
        for place, scores in batch.scores.items():
            if clip_id := batch.clips.get(place):
                values = {score["metric"]: score["value"] for score in scores}
                try:
                    self.store.scores.rate_clip(clip_id, values)
                except NotFound:  # deleted while it was measured
                    continue
        batch.scores, batch.saved_at = {}, time.monotonic()


def _wishes(row: EvaluationRow) -> Wishes:
    return wishes(row.settings["metrics"], row.settings["options"], row.settings["settings"])


def _to_measure(item: EvaluationItem) -> Item:
    return Item(item.name, item.generated, item.reference, item.text, item.language, item.system)


def _title(sources: Sources, length: int = 80) -> str:
    systems = ", ".join(filter(None, sources.systems)) or "sounds"
    name = systems if len(systems) <= length else f"{len(sources.systems)} systems"
    references = {item.reference.parent.name for item in sources.items if item.reference}
    return f"{name} against {references.pop()}" if len(references) == 1 else name
