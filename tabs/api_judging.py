"""Endpoints for judging: ratings, preferences, tags, and listening tests."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import gradio as gr
from pydantic import Field

from engines.designs import Design
from engines.judging import criterion as criterion_of
from engines.listening import Presentation
from engines.results import Results
from engines.studio import Studio
from storage import ClipRow
from tabs.judge_files import file_stem
from tabs.rater import rater_name
from tabs.uploads import export_folder

Kind = Literal["ab", "mos", "mushra"]
Opinion = Literal["good", "bad", "neutral", "none"]
OPINIONS: dict[str, bool | None] = {"good": True, "bad": False, "neutral": None}


class JudgingEndpoints:
    """Saying what clips are worth."""

    def __init__(self, studio: Studio):
        self._judging = studio.judging
        self._judgements = studio.judging.judgements

    def rate(
        self,
        clip_id: str,
        value: int,
        criterion: str = "overall",
        rater: str = "",
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Rate a clip; who rates it again changes the rating.

        Args:
            clip_id: Id of the clip.
            value: 1 (bad) to 5 (excellent).
            criterion: overall, melody, harmony, rhythm, timbre, production, prompt, naturalness,
                intelligibility or similarity.
            rater: Name of who rates, where nobody has to log in.

        Returns:
            The rating.
        """
        name = rater_name(request, rater)
        return asdict(self._judgements.rate(clip_id, criterion, value, name))

    def unrate(
        self,
        clip_id: str,
        criterion: str = "overall",
        rater: str = "",
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Take a rating back.

        Args:
            clip_id: Id of the clip.
            criterion: What the rating is about.
            rater: Name of who rated, where nobody has to log in.

        Returns:
            Everything that is still said about the clip.
        """
        self._judgements.unrate(clip_id, criterion, rater_name(request, rater))
        return self.feedback(clip_id)

    def prefer(
        self,
        chosen_id: str,
        rejected_id: str,
        tie: bool = False,
        strength: int = 1,
        rater: str = "",
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Say which of two clips of the same prompt is better.

        Args:
            chosen_id: Id of the better clip.
            rejected_id: Id of the other one.
            tie: Neither is better.
            strength: How much better: 1 slightly, 2 noticeably, 3 clearly.
            rater: Name of who judges, where nobody has to log in.

        Returns:
            The preference.
        """
        return asdict(
            self._judgements.prefer(
                chosen_id,
                rejected_id,
                rater=rater_name(request, rater),
                tie=tie,
                strength=strength,
                source="api",
            )
        )

    def rank(
        self, clip_ids: list[str], rater: str = "", request: gr.Request | None = None
    ) -> list[dict[str, Any]]:
        """Put clips of one prompt in order; every pair of them becomes a preference.

        Args:
            clip_ids: Ids of the clips, the best first.
            rater: Name of who judges, where nobody has to log in.

        Returns:
            All the preferences.
        """
        found = self._judgements.rank(clip_ids, rater_name(request, rater))
        return [asdict(row) for row in found]

    def tag(
        self,
        clip_id: str,
        tag: str,
        opinion: Opinion = "neutral",
        rater: str = "",
        request: gr.Request | None = None,
    ) -> list[dict[str, Any]]:
        """Give a clip a tag that praises, blames or only describes it, or take the tag back.

        Args:
            clip_id: Id of the clip.
            tag: A word or two.
            opinion: good, bad, neutral, or none to take it back.
            rater: Name of who judges, where nobody has to log in.

        Returns:
            All such tags of the clip.
        """
        name = rater_name(request, rater)
        if opinion == "none":
            self._judgements.unmark(clip_id, tag, name)
        else:
            self._judgements.mark(clip_id, tag, name, OPINIONS[opinion])
        return [asdict(row) for row in self._judgements.marks(clip_id)]

    def feedback(self, clip_id: str) -> dict[str, Any]:
        """Read everything that was said about one clip.

        Args:
            clip_id: Id of the clip.

        Returns:
            Ratings, tags, comparisons and notes.
        """
        return asdict(self._judgements.feedback(clip_id))

    def feedback_stats(self) -> dict[str, Any]:
        """Count what was judged, and read how the systems stand.

        Returns:
            Numbers of ratings, raters, comparisons and tags; count and mean by criterion; and the
            engines with their adapters by strength (Bradley-Terry) over all comparisons.
        """
        stats = asdict(self._judgements.stats())
        stats["by_criterion"] = {
            name: {"count": count, "mean": mean}
            for name, (count, mean) in stats["by_criterion"].items()
        }
        pairs, strengths = self._judging.standing()
        return {
            **stats,
            "pairs": [asdict(pair) for pair in pairs],
            "strengths": [asdict(row) for row in strengths.rows] if strengths else [],
        }


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
        "question": criterion_of(str(found.test.criterion)).question,
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
