"""Endpoints for listening tests: making them, taking them, reading them."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import gradio as gr
from pydantic import Field

from engines.studio import Studio
from engines.studio.judging.designs import Design
from engines.studio.judging.judging import criterion as criterion_of
from engines.studio.judging.listening import Presentation
from engines.studio.judging.results import Results
from storage import ClipRow
from tabs.http.csv_files import file_stem
from tabs.http.uploads import export_folder
from tabs.ui.rater import rater_name

Kind = Literal["ab", "mos", "mushra"]


class ListeningEndpoints:
    """Making and taking listening tests."""

    def __init__(self, studio: Studio):
        self._judging = studio.judging
        self._tests = studio.store.tests

    def create_test(
        self,
        name: str,
        kind: Kind = "ab",
        criterion: str = "overall",
        by: str = "system",
        systems: list[str] | None = None,
        reference: str = "",
        clip_ids: list[str] | None = None,
        task: str = "",
        engine: str = "",
        text: str = "",
        per_prompt: Annotated[int, Field(ge=1, le=10)] = 1,
        max_prompts: Annotated[int, Field(ge=0)] = 0,
        anchor: bool = True,
    ) -> dict[str, Any]:
        """Make a blind listening test of clips that answer the same prompts.

        Args:
            name: Name of the test, used once.
            kind: ab (which of two), mos (1 to 5), mushra (0 to 100 beside a reference).
            criterion: What is asked, such as overall or naturalness.
            by: What tells the clips apart: system (engine and adapter), engine, adapter, or the name
                of a setting such as voice.
            systems: Some of the values of ``by``; all when left out.
            reference: The one of them that MUSHRA takes as the truth.
            clip_ids: The clips; all that match the next three when left out.
            task: Only clips of this task, such as tts.
            engine: Only clips of this engine.
            text: Only clips with these words in text, title, tags or notes.
            per_prompt: So many clips of each system for each prompt.
            max_prompts: No more prompts than this; 0 is all.
            anchor: Add the 3.5 kHz low-pass anchor to MUSHRA.

        Returns:
            The test.
        """
        design = Design(
            kind=kind,
            clip_ids=tuple(clip_ids or ()),
            task=task,
            engine=engine,
            text=text,
            by=by,
            systems=tuple(systems or ()),
            reference=reference,
            anchor=anchor,
            per_prompt=per_prompt,
            max_prompts=max_prompts,
        )
        criterion_of(criterion)
        return asdict(self._judging.create_test(name, design, criterion=criterion))

    def tests(self, archived: bool = False) -> list[dict[str, Any]]:
        """List the listening tests, the newest first.

        Args:
            archived: Those in the archive instead.

        Returns:
            The tests.
        """
        return [asdict(test) for test in self._tests.list(archived)]

    def edit_test(
        self, test_id: str, name: str | None = None, archived: bool | None = None
    ) -> dict[str, Any]:
        """Rename a test, or put it into the archive; what is left out stays.

        Args:
            test_id: Id of the test.
            name: New name.
            archived: Whether it lies in the archive.

        Returns:
            The test.
        """
        self._tests.get(test_id)
        if name is not None:
            self._tests.rename(test_id, name)
        if archived is not None:
            self._tests.archive(test_id, archived)
        return asdict(self._tests.get(test_id))

    def delete_test(self, test_id: str) -> dict[str, str]:
        """Delete a test with its votes for good.

        Args:
            test_id: Id of the test.

        Returns:
            Its name.
        """
        name = self._tests.get(test_id).name
        self._tests.delete(test_id)
        return {"deleted": name}

    def trial(
        self,
        test_id: str,
        rater: str = "",
        position: int | None = None,
        request: gr.Request | None = None,
    ) -> tuple[list[gr.FileData], gr.FileData | None, dict[str, Any]]:
        """Fetch the next trial of a test. Files carry no settings, and come in a blind order.

        Args:
            test_id: Id of the test.
            rater: Name of who listens, where nobody has to log in.
            position: A trial answered before, counted from 1, to answer it again.

        Returns:
            The sounds to judge, the reference of MUSHRA, and the trial: its id, prompt, question and
            place. The id is empty when all are answered.
        """
        name = rater_name(request, rater)
        found = self._judging.present(test_id, name, position)
        if found is None:
            test = self._tests.get(test_id)
            return [], None, {"trial_id": "", "done": test.trials, "of": test.trials}
        folder = export_folder() / f"trial-{secrets.token_hex(8)}"
        folder.mkdir()
        files = [
            blind_file(clip, folder / f"{number}.wav") for number, clip in enumerate(found.clips, 1)
        ]
        reference = (
            blind_file(found.reference, folder / "reference.wav") if found.reference else None
        )
        return files, reference, trial_json(found)

    def vote(
        self,
        trial_id: str,
        choice: int | None = None,
        strength: int = 1,
        scores: list[int] | None = None,
        seconds: Annotated[float | None, Field(ge=0)] = None,
        rater: str = "",
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Answer a trial; a second answer replaces the first.

        Args:
            trial_id: Id of the trial, as /trial gave it.
            choice: A/B: 1 for the first sound, 2 for the second, 0 for no difference.
            strength: A/B: how much better: 1 slightly, 2 noticeably, 3 clearly.
            scores: MOS and MUSHRA: a score for each sound in the order of /trial.
            seconds: How long it took.
            rater: Name of who listened, where nobody has to log in.

        Returns:
            The number of trials answered, and of all.
        """
        name = rater_name(request, rater)
        test = self._tests.get(self._tests.trial(trial_id).test_id)
        answer = (
            {"choice": choice, "strength": strength} if test.kind == "ab" else {"scores": scores}
        )
        self._judging.vote(trial_id, name, answer, seconds)
        return {"done": len(self._tests.votes(test.id, name)), "of": test.trials}

    def test_results(
        self, test_id: str, screened: bool = False
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Evaluate a test.

        Args:
            test_id: Id of the test.
            screened: Leave out listeners who did not hear MUSHRA's hidden reference.

        Returns:
            All votes as a CSV file, and the results: means with 95 % intervals, exact binomial tests
            of preferences, strengths (Bradley-Terry), agreement (Krippendorff's alpha).
        """
        found = self._judging.results(test_id, screened=screened)
        return votes_file(self._judging.csv(test_id), found.test.name), results_json(found)


def blind_file(clip: ClipRow, path: Path) -> gr.FileData:
    """The sound of a clip as a 24-bit WAV that does not say what it is."""
    import soundfile

    samples, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
    soundfile.write(path, samples, rate, subtype="PCM_24")
    return gr.FileData(path=str(path))


def trial_json(found: Presentation) -> dict[str, Any]:
    """A trial as a listener may know it: nothing says which system is which."""
    return {
        "trial_id": found.trial.id,
        "test_id": found.test.id,
        "kind": str(found.test.kind),
        "prompt": found.trial.prompt,
        "question": criterion_of(str(found.test.criterion)).asked(str(found.test.kind)),
        "position": found.position,
        "of": found.of,
        "done": found.done,
        "answer": found.answer,
    }


def results_json(found: Results) -> dict[str, Any]:
    """Results as plain values."""
    values = asdict(found)
    strengths = values.pop("strengths")
    values["strengths"] = strengths["rows"] if strengths else []
    return values


def votes_file(text: str, name: str) -> gr.FileData:
    """A CSV file named after its test."""
    folder = export_folder() / secrets.token_hex(8)
    folder.mkdir()
    path = folder / f"{file_stem(name)}.csv"
    path.write_text(text, encoding="utf-8")
    return gr.FileData(path=str(path))
