"""Endpoints for the clips that are stored."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import gradio as gr
from pydantic import Field

from engines.base import StudioError
from engines.studio import Studio
from storage import ClipQuery, Sort
from tabs.http.rows import Result, clip_file, clip_json, job_json
from tabs.http.threads import heavy
from tabs.http.uploads import export_folder, uploaded
from tabs.ui.rater import user_of

Duration = Annotated[float | None, Field(ge=0)]


class ClipEndpoints:
    """Finding, changing and saving clips."""

    def __init__(self, studio: Studio):
        self._studio = studio

    def clips(
        self,
        query: str = "",
        engine: str = "",
        task: str = "",
        tag: str = "",
        favorite: bool = False,
        sort: Literal["created", "duration", "title", "engine", "loudness"] = "created",
        descending: bool = True,
        page: Annotated[int, Field(ge=1)] = 1,
        page_size: Annotated[int, Field(ge=1, le=500)] = 50,
        date_from: str = "",
        date_to: str = "",
        min_s: Duration = None,
        max_s: Duration = None,
    ) -> dict[str, Any]:
        """Search the history.

        Args:
            query: Words in title, text, tags or notes.
            engine: Only clips of this engine.
            task: Only clips of this task, such as tts.
            tag: Only clips with this tag.
            favorite: Only favourites.
            sort: What to order by.
            descending: The newest, longest or last first.
            page: Page, counted from 1.
            page_size: Clips on a page, 1 to 500.
            date_from: First day, as 2026-01-31, UTC.
            date_to: Last day, as 2026-01-31, UTC.
            min_s: Shortest duration in seconds.
            max_s: Longest duration in seconds.

        Returns:
            The clips of that page, the number of all that match, and the number of pages.
        """
        found = self._studio.clips.search(
            ClipQuery(
                text=query,
                engine=engine,
                task=task,
                tag=tag,
                favorite=True if favorite else None,
                sort=Sort(sort),
                descending=descending,
                page=page,
                page_size=page_size,
                created_from=_day("date_from", date_from),
                created_to=_day("date_to", date_to),
                duration_min_s=min_s,
                duration_max_s=max_s,
            )
        )
        return {
            "clips": [clip_json(clip) for clip in found.rows],
            "total": found.total,
            "page": found.page,
            "pages": found.pages,
        }

    def clip(self, clip_id: str) -> Result:
        """Look at one clip.

        Args:
            clip_id: Id of the clip.

        Returns:
            The sound, and the clip with its settings.
        """
        clip = self._studio.clip(clip_id)
        return clip_file(clip), clip_json(clip)

    @heavy
    def download_clip(
        self, clip_id: str, format: Literal["flac", "wav", "mp3", "ogg"] = "flac"
    ) -> gr.FileData:
        """Save a clip in another format, with its settings inside the file.

        Args:
            clip_id: Id of the clip.
            format: Format of the file.

        Returns:
            The file.
        """
        clip = self._studio.clip(clip_id)
        path = self._studio.store.files.export(
            clip.path, format, export_folder() / f"{clip.id}.{format}"
        )
        return gr.FileData(path=str(path))

    def edit_clip(
        self,
        clip_id: str,
        title: str | None = None,
        favorite: bool | None = None,
        notes: str | None = None,
        add_tags: list[str] | None = None,
        remove_tags: list[str] | None = None,
    ) -> dict[str, Any]:
        """Change what is noted about a clip; what is left out stays.

        Args:
            clip_id: Id of the clip.
            title: New title.
            favorite: Whether it is a favourite.
            notes: New notes.
            add_tags: Tags to add.
            remove_tags: Tags to remove.

        Returns:
            The clip.
        """
        clips = self._studio.clips
        self._studio.clip(clip_id)
        if title is not None:
            clips.rename(clip_id, title)
        if favorite is not None:
            clips.set_favorite(clip_id, favorite)
        if notes is not None:
            clips.set_notes(clip_id, notes)
        for tag in add_tags or ():
            clips.add_tag(clip_id, tag)
        for tag in remove_tags or ():
            clips.remove_tag(clip_id, tag)
        return clip_json(self._studio.clip(clip_id))

    def delete_clip(self, clip_id: str) -> dict[str, str]:
        """Delete a clip. It can be brought back until the studio is started again.

        Args:
            clip_id: Id of the clip.

        Returns:
            The token that /undelete takes.
        """
        return {"token": self._studio.clips.delete([clip_id])}

    def undelete(self, token: str) -> list[str]:
        """Bring back what was deleted.

        Args:
            token: What /delete_clip answered.

        Returns:
            The ids of the clips.
        """
        return self._studio.clips.undelete(token)

    def rebuild_clips(self, request: gr.Request | None = None) -> dict[str, Any]:
        """Bring back clips whose sounds are in the data folder but which the database does not know.

        Returns:
            The job. When it is done, its report says how many were added, how many of them carry no
            settings, and which files are damaged.
        """
        return job_json(self._studio, self._studio.rebuilding.start(user_of(request)))

    @heavy
    def restore(self, file: gr.FileData) -> dict[str, Any]:
        """Read the settings that a sound file of this studio carries.

        Args:
            file: The sound file.

        Returns:
            The engine, its settings, and what of them is not here, if anything.
        """
        found = self._studio.restore(uploaded(file.path))
        return {"engine": found.engine, "settings": found.settings, "missing": found.missing}


def _day(name: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise StudioError(f"{name} must be a day such as 2026-01-31, not {text!r}.", name) from None
