"""Endpoints for comparing: more clips like one, and a blind test of some."""

from __future__ import annotations

from typing import Annotated, Any

import gradio as gr
from pydantic import Field

from engines.studio import Studio, variants
from tabs.http.rows import job_json
from tabs.ui.rater import user_of


class CompareEndpoints:
    """What the Compare tab makes; its players, pictures and tables are for people."""

    def __init__(self, studio: Studio):
        self._studio = studio

    def same_text(self, clip_id: str, request: gr.Request | None = None) -> list[dict[str, Any]]:
        """Make what a clip was asked for with every other model that is ready, at most seven.

        Args:
            clip_id: Id of the clip.

        Returns:
            The jobs.
        """
        clip = self._studio.clip(clip_id)
        made = variants.by_models(self._studio, clip, variants.MOST - 1, user_of(request))
        return [job_json(self._studio, job) for job in made.jobs]

    def same_settings(
        self,
        clip_id: str,
        count: Annotated[int, Field(ge=1, le=7)] = 3,
        request: gr.Request | None = None,
    ) -> list[dict[str, Any]]:
        """Make a clip again with its settings and new seeds.

        Args:
            clip_id: Id of the clip.
            count: How many, 1 to 7.

        Returns:
            The jobs.
        """
        clip = self._studio.clip(clip_id)
        made = variants.by_seeds(self._studio, clip, count, user_of(request))
        return [job_json(self._studio, job) for job in made.jobs]

    def blind_test(self, clip_ids: list[str], name: str = "") -> str:
        """Make a blind A/B test of every pair of some clips.

        Args:
            clip_ids: Ids of two to eight clips.
            name: Name of the test; by default after the first clip.

        Returns:
            The id of the test; /next_trial and /vote take it.
        """
        return variants.blind_test(self._studio, clip_ids, name).id
