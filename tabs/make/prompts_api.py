"""Endpoints for prompts, their templates, and making music with them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import gradio as gr
from anyio import to_thread
from pydantic import Field

from engines.base import StudioError
from engines.prompts import PromptParams
from engines.studio import Studio
from storage import JobRow
from tabs.http.rows import clip_file, clips_of, job_json
from tabs.http.uploads import with_media
from tabs.http.waiting import require_done, wait_for
from tabs.make.prompts import save_template
from tabs.ui.rater import user_of

Made = tuple[list[gr.FileData], dict[str, Any]]


class PromptEndpoints:
    """Prompts that were used, templates to start from, and music."""

    def __init__(self, studio: Studio):
        self._studio = studio

    async def music(
        self,
        prompt: str,
        style: str = "",
        mood: str = "",
        tempo: int | None = None,
        key: str = "",
        energy: str = "",
        primary_instruments: list[str] | None = None,
        secondary_instruments: list[str] | None = None,
        duration_s: float | None = None,
        variations: int = 1,
        model: str = "",
        seed: int = -1,
        adapters: list[str] | None = None,
        settings: dict[str, Any] | None = None,
        engine: str = "musicgen",
        wait: bool = True,
        request: gr.Request | None = None,
    ) -> Made:
        """Make music from a prompt with attributes.

        Args:
            prompt: What to hear, in English.
            style: Genre, such as jazz.
            mood: Feeling, such as peaceful.
            tempo: Beats per minute, 40 to 200; left out, it is open.
            key: Such as C major.
            energy: low, medium or high.
            primary_instruments: What leads, by the names of /prompt_vocabulary.
            secondary_instruments: What accompanies.
            duration_s: Length in seconds; the engine's own when left out.
            variations: How many different ones.
            model: Id of the weights; /engine lists them. The engine's own when left out.
            seed: The same seed and settings give the same sound; -1 draws a new one.
            adapters: Ids of adapters, or id@scale. Left out, the active ones are used; an empty
                list means none.
            settings: Other parameters of the engine by name; /engine describes them.
            engine: Id of the music engine.
            wait: Wait for the music. Without it the answer is the queued job.

        Returns:
            The sounds, and the job with its clips.
        """
        maker = self._studio.engine(engine)
        if not issubclass(maker.Params, PromptParams):
            raise StudioError(f"{maker.card.title} takes no prompt; use /submit.", "engine")
        asked = {
            "style": style,
            "mood": mood,
            "tempo": tempo,
            "key": key,
            "energy": energy,
            "primary_instruments": primary_instruments,
            "secondary_instruments": secondary_instruments,
            "duration_s": duration_s,
            "model": model,
            "adapters": adapters,
        }
        given = {name: value for name, value in asked.items() if value not in (None, "")}
        given |= {"seed": seed} if seed != -1 else {}
        given |= {"variations": variations} if variations != 1 else {}
        values = (settings or {}) | given | {"prompt": prompt}

        def submitted() -> JobRow:
            ready = with_media(self._studio, maker, values)
            return self._studio.submit(engine, ready, user_of(request))

        def answer(job: JobRow) -> Made:
            files = [clip_file(clip) for clip in clips_of(self._studio, job)]
            return files, job_json(self._studio, job)

        job = await to_thread.run_sync(submitted)
        if wait:
            job = require_done(await wait_for(self._studio, job.id))
        return await to_thread.run_sync(answer, job)

    def prompt_vocabulary(self) -> dict[str, Any]:
        """List the words for prompts: styles, moods, energies, keys, and instruments by group.

        Returns:
            The lists; instruments are names with the words that a model reads.
        """
        return self._studio.prompt_words()

    def create_prompt(self, text: str, attributes: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check a prompt, keep it in the history, and say what a model reads.

        Args:
            text: What to hear, in English.
            attributes: style, mood, tempo, key, energy, primary_instruments,
                secondary_instruments, each as it is wanted.

        Returns:
            The prompt with its id and ``rendered``, the sentence that a model reads.
        """
        return asdict(self._studio.keep_prompt(self._studio.prompt(text, attributes)))

    def prompts(
        self,
        query: str = "",
        favorite: bool = False,
        style: str = "",
        mood: str = "",
        tempo_min: int | None = None,
        tempo_max: int | None = None,
        date_from: str = "",
        date_to: str = "",
        page: Annotated[int, Field(ge=1)] = 1,
        page_size: Annotated[int, Field(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Search the prompts that were used, the last used first.

        Args:
            query: Words, or beginnings of words, of the prompt.
            favorite: Only favourites.
            style: Only prompts of this style.
            mood: Only prompts of this mood.
            tempo_min: Slowest tempo in beats per minute.
            tempo_max: Fastest tempo in beats per minute.
            date_from: First day of the last use, as 2026-01-31, UTC.
            date_to: Last day of the last use, as 2026-01-31, UTC.
            page: Page, counted from 1.
            page_size: Prompts on a page, 1 to 500.

        Returns:
            The prompts of that page, the number of all that match, and the number of pages.
        """
        found = self._studio.prompts.search(
            query,
            True if favorite else None,
            style,
            mood,
            tempo_min,
            tempo_max,
            date_from or None,
            date_to or None,
            page,
            page_size,
        )
        return {
            "prompts": [asdict(row) for row in found.rows],
            "total": found.total,
            "page": found.page,
            "pages": found.pages,
        }

    def favorite_prompt(self, prompt_id: str, favorite: bool = True) -> dict[str, Any]:
        """Mark a prompt as a favourite, or no longer.

        Args:
            prompt_id: Id of the prompt.
            favorite: Whether it is one.

        Returns:
            The prompt.
        """
        return asdict(self._studio.prompts.set_favorite(prompt_id, favorite))

    def delete_prompt(self, prompt_id: str) -> dict[str, str]:
        """Forget a prompt; clips that were made with it stay.

        Args:
            prompt_id: Id of the prompt.

        Returns:
            The id that is gone.
        """
        self._studio.prompts.delete(prompt_id)
        return {"deleted": prompt_id}

    def prompt_templates(self, category: str = "") -> list[dict[str, Any]]:
        """List the templates, one's own first.

        Args:
            category: Only templates of this category.

        Returns:
            Text and attributes of each; ``system`` ones came with the studio.
        """
        return [asdict(row) for row in self._studio.templates.list(category)]

    def save_template(
        self,
        name: str,
        text: str,
        category: str = "",
        attributes: dict[str, Any] | None = None,
        description: str = "",
    ) -> dict[str, Any]:
        """Keep a prompt as a template; an own one of the same name is replaced.

        Args:
            name: Name of the template.
            text: What to hear, in English.
            category: Where it is listed, such as jazz.
            attributes: As for /create_prompt.
            description: A sentence about it.

        Returns:
            The template.
        """
        values = {**(attributes or {}), "prompt": text}
        return asdict(save_template(self._studio, name, category, values, description))

    def delete_template(self, template_id: str) -> dict[str, str]:
        """Delete an own template.

        Args:
            template_id: Id of the template.

        Returns:
            The id that is gone.
        """
        self._studio.templates.delete(template_id)
        return {"deleted": template_id}
