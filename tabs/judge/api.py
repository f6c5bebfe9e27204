"""Endpoints for judging: ratings, preferences, tags."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import gradio as gr

from engines.studio import Studio
from tabs.ui.rater import rater_name

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
