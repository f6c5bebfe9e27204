"""The route of the pictures in Compare: spectrogram and F0 of a clip on axes that others share."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse

from engines.studio import Studio
from engines.studio.evaluation.desk import Desk
from engines.studio.evaluation.drawings import PALETTES, picture_beside
from storage.audio.files import write_whole
from tabs.http.threads import heavy

MAX_S = 3600.0


def router(studio: Studio) -> APIRouter:
    """The routes of one studio."""
    routes = APIRouter(tags=["compare"])

    @routes.get("/compare/{clip_id}.svg")
    @heavy
    def picture(
        clip_id: str,
        until_s: Annotated[float, Query(gt=0, le=MAX_S)],
        rate: Annotated[int, Query(ge=1000, le=700_000)],
        theme: Literal["light", "dark"] = "light",
    ) -> FileResponse:
        """Spectrogram and F0 from 0 to ``until_s``, up to half of ``rate``; drawn once and kept."""
        clip = studio.clip(clip_id)
        if not clip.path.exists():
            raise HTTPException(410, f"The sound of clip {clip_id} is no longer here.")
        name = f"{clip.hash}-{until_s:g}-{rate}-{theme}.svg"
        kept = studio.store.folder("cache") / "compare" / name
        if not kept.exists():
            sound = Desk.case(clip.path).generated
            write_whole(kept, picture_beside(sound, until_s, rate, PALETTES[theme]).encode())
        headers = {"Cache-Control": "private, max-age=86400"}
        return FileResponse(kept, media_type="image/svg+xml", headers=headers)

    return routes
