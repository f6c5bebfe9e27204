"""Endpoints for evaluation: measures of one sound, of pairs, and of many systems as a job."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import gradio as gr
from pydantic import Field

from engines.base import StudioError
from engines.metrics.case import Case
from engines.studio import Studio
from engines.studio.evaluation.exports import SUFFIXES, WRITERS, tested_json
from engines.studio.evaluation.plan import availability, cards, named, wishes
from engines.studio.evaluation.results import Results
from engines.studio.evaluation.sources import Sources
from storage import EvaluationRow
from tabs.http.csv_files import file_stem
from tabs.http.sent_sounds import guarded, local, submit_sent
from tabs.http.threads import heavy
from tabs.http.uploads import export_folder, uploaded
from tabs.ui.rater import user_of

Settings = dict[str, Any]
FIRST_ITEMS = 100


class EvaluationEndpoints:
    """Measuring sounds, alone, against a reference, or system against system."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._evaluation = studio.evaluation

    def metrics(self) -> list[dict[str, Any]]:
        """List every measure with its card.

        Returns:
            What each measures, its range, which way is better, what it needs, its sample rate, source,
            weights and licences, and whether it can run here.
        """
        return [
            {
                **asdict(card),
                "state": str(availability(card.id)[0]),
                "missing": list(availability(card.id)[1]),
            }
            for card in cards()
        ]

    @heavy
    def evaluate_clip(
        self,
        clip_id: str,
        metrics: list[str] | None = None,
        text: str = "",
        reference_id: str = "",
        options: Settings | None = None,
        settings: Settings | None = None,
    ) -> dict[str, Any]:
        """Measure a clip of the history; the scores stay with it.

        Args:
            clip_id: Id of the clip.
            metrics: Ids from /metrics, families such as pesq, or groups; all that fit when left out.
            text: What it says or should be; empty takes the clip's own text.
            reference_id: Id of a clip to compare with.
            options: Any of align (own, cut, pad, dtw), tracker (harvest, praat), embedding and
                recogniser.
            settings: Settings of single metrics by id, such as {"mcd": {"order": 34}}.

        Returns:
            A score for each metric: its value, or a reason and a sentence why there is none.
        """
        desk = self._evaluation.desk
        reference = self._studio.clip(reference_id).path if reference_id else None
        case = desk.clip_case(clip_id, reference)
        case.text = text or case.text
        return self._scored(case, metrics, options, settings, clip_id)

    @heavy
    def evaluate_pair(
        self,
        generated: gr.FileData,
        reference: gr.FileData | None = None,
        metrics: list[str] | None = None,
        text: str = "",
        language: str = "en",
        options: Settings | None = None,
        settings: Settings | None = None,
    ) -> dict[str, Any]:
        """Measure a sound file against a reference file, or alone without one.

        Args:
            generated: The sound to judge.
            reference: What it should sound like.
            metrics: Ids from /metrics, families such as pesq, or groups; all that fit when left out.
            text: What it says, for WER and CER, or a description, for the CLAP score.
            language: Language of the text.
            options: As for /evaluate_clip.
            settings: As for /evaluate_clip.

        Returns:
            As /evaluate_clip.
        """
        target = uploaded(reference.path) if reference is not None else None
        case = self._evaluation.desk.case(uploaded(generated.path), target, text, language)
        return self._scored(case, metrics, options, settings)

    def _scored(
        self,
        case: Case,
        metrics: list[str] | None,
        options: Settings | None,
        settings: Settings | None,
        clip_id: str = "",
    ) -> dict[str, Any]:
        desk = self._evaluation.desk
        all_of = desk.alone if case.reference is None else desk.paired
        wanted = guarded(self._studio, all_of(metrics or (), options=options, settings=settings))
        return {"scores": [score.as_json() for score in desk.score(case, wanted, clip_id)]}

    @heavy
    def evaluate(
        self,
        metrics: list[str],
        generated: list[gr.FileData] | None = None,
        reference: list[gr.FileData] | None = None,
        generated_folders: list[str] | None = None,
        reference_folder: str = "",
        clip_ids: list[str] | None = None,
        by: str = "system",
        name: str = "",
        language: str = "en",
        options: Settings | None = None,
        settings: Settings | None = None,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Measure many sounds as a job: files that are sent, folders of the machine, or clips.

        Args:
            metrics: Ids from /metrics, families such as pesq, or groups.
            generated: Sounds, a zip of each system, or one CSV manifest with its sounds.
            reference: Sounds or a zip with the same names, where metrics need them.
            generated_folders: Instead, folders of the machine, each a system, or one CSV manifest;
                only where the studio answers to its own machine alone.
            reference_folder: The folder of the references.
            clip_ids: Instead, ids of clips.
            by: What tells the systems of clips apart: system, engine, adapter, or a setting.
            name: Name of the evaluation.
            language: Language of the texts.
            options: As for /evaluate_clip.
            settings: As for /evaluate_clip.

        Returns:
            The evaluation with the id of its job, for /job, /wait and /cancel.
        """
        wanted = guarded(self._studio, wishes(named(metrics), options, settings))
        given = [each for each in (generated, generated_folders, clip_ids) if each]
        if len(given) != 1:
            raise StudioError("Give generated, generated_folders or clip_ids: one of them.")

        def go(sources: Sources, folder: Path | None = None) -> EvaluationRow:
            return self._evaluation.submit(sources, wanted, name, user_of(request), folder)

        if generated:
            sent = [[file.path for file in side or ()] for side in (generated, reference)]
            return asdict(submit_sent(self._evaluation, sent[0], sent[1], go, language))
        if generated_folders:
            return asdict(go(local(self._studio, generated_folders, reference_folder, language)))
        return asdict(go(self._evaluation.clip_sources(clip_ids=clip_ids or (), by=by)))

    def evaluations(self) -> list[dict[str, Any]]:
        """List the evaluations, newest first.

        Returns:
            Name, systems, how many sounds there are and how many are measured, and the job.
        """
        return [asdict(row) for row in self._evaluation.evaluations()]

    def evaluation(
        self,
        evaluation_id: str,
        sort: str = "",
        descending: bool = False,
        limit: Annotated[int, Field(ge=0)] = FIRST_ITEMS,
        offset: Annotated[int, Field(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Read what an evaluation found so far.

        Args:
            evaluation_id: Id of the evaluation.
            sort: name, system or a metric to order the sounds by; empty keeps their order.
            descending: The largest first.
            limit: The most sounds to list.
            offset: Sounds to leave out at the beginning.

        Returns:
            The evaluation, means with 95 % intervals by system and metric, distances of sets, tests of
            each pair of systems, and the sounds with their scores.
        """
        row = self._evaluation.get(evaluation_id)
        found = self._evaluation.results(evaluation_id)
        job = self._evaluation.job(row)
        order = found.ordered(sort, descending)[offset : offset + limit]
        return {
            **asdict(row),
            "state": str(job.state) if job else "",
            "means": _means(found),
            "comparisons": [
                tested_json(each) for a, b in found.pairs for each in found.tested(a, b)
            ],
            "sounds": [_sound(found, place) for place in order],
        }

    def evaluation_file(
        self, evaluation_id: str, format: Literal["csv", "json", "latex"] = "csv"
    ) -> gr.FileData:
        """Save the results of an evaluation.

        Args:
            evaluation_id: Id of the evaluation.
            format: csv (a row for each sound), json (everything), or latex (a table of means).

        Returns:
            The file.
        """
        found = self._evaluation.results(evaluation_id)
        path = export_folder() / f"{file_stem(found.name)}-{evaluation_id}.{SUFFIXES[format]}"
        path.write_text(WRITERS[format](found), encoding="utf-8")
        return gr.FileData(path=str(path))

    def resume_evaluation(
        self, evaluation_id: str, request: gr.Request | None = None
    ) -> dict[str, Any]:
        """Go on with an evaluation that was cancelled or interrupted; known scores are kept.

        Args:
            evaluation_id: Id of the evaluation.

        Returns:
            The evaluation with its new job.
        """
        return asdict(self._evaluation.resume(evaluation_id, user_of(request)))

    def delete_evaluation(self, evaluation_id: str) -> bool:
        """Delete an evaluation and the sounds that were sent for it; clips keep their scores.

        Args:
            evaluation_id: Id of the evaluation.

        Returns:
            True.
        """
        self._evaluation.delete(evaluation_id)
        return True


def _means(found: Results) -> list[dict[str, Any]]:
    rows = []
    for (system, metric), line in found.lines.items():
        estimate = asdict(line.estimate) if line.estimate else None
        best = system in found.best(metric)
        rows.append(
            {"system": system, "metric": metric, "estimate": estimate, "reasons": line.reasons,
             "best": best}
        )  # fmt: skip
    for (system, metric), score in found.set_scores.items():
        rows.append({"system": system, **score.as_json(), "best": system in found.best(metric)})
    return rows


def _sound(found: Results, place: int) -> dict[str, Any]:
    row = found.rows[place]
    return {
        "name": row.item.name,
        "system": row.item.system,
        "text": row.item.text,
        "scores": [score.as_json() for score in row.scores],
    }
