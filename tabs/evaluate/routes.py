"""Routes of evaluations: the sounds of their items, results as files, plots."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response

from engines.studio import Studio
from engines.studio.evaluation.drawings import PALETTES, boxes
from engines.studio.evaluation.exports import SUFFIXES, WRITERS
from tabs.http.csv_files import file_stem
from tabs.http.threads import heavy

FORMATS = {suffix: name for name, suffix in SUFFIXES.items()}
TYPES = {"csv": "text/csv", "json": "application/json", "tex": "application/x-tex"}
PICTURES = {"svg": "image/svg+xml", "png": "image/png"}


def router(studio: Studio) -> APIRouter:
    """The routes of one studio. Sounds are named by evaluation and place, never by a path."""
    routes = APIRouter(prefix="/evaluations", tags=["evaluations"])
    evaluation = studio.evaluation

    @routes.get("/{evaluation_id}/items/{position}/{side}", summary="A sound of an evaluation")
    def sound(
        evaluation_id: str, position: int, side: Literal["generated", "reference"]
    ) -> FileResponse:
        item = evaluation.item(evaluation_id, position)
        path = item.generated if side == "generated" else item.reference
        if path is None or not path.is_file():
            raise HTTPException(404, "That sound is not here any more.")
        return FileResponse(path)

    @routes.get("/{evaluation_id}/results.{suffix}", summary="All results as a file")
    @heavy
    def results(evaluation_id: str, suffix: Literal["csv", "json", "tex"]) -> Response:
        found = evaluation.results(evaluation_id)
        text = WRITERS[FORMATS[suffix]](found)
        name = f"{file_stem(found.name)}.{suffix}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text, media_type=f"{TYPES[suffix]}; charset=utf-8", headers=headers)

    @routes.get("/{evaluation_id}/{metric}.{form}", summary="Box plots of one metric")
    @heavy
    def plot(
        evaluation_id: str,
        metric: str,
        form: Literal["svg", "png"],
        theme: Literal["light", "dark"] = "light",
    ) -> Response:
        found = evaluation.results(evaluation_id)
        if metric not in found.metrics:
            raise HTTPException(404, f"{metric!r} was not measured there.")
        name = f"{file_stem(found.name)}-{metric}.{form}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        content = boxes(found, metric, PALETTES[theme], form)
        return Response(content, media_type=PICTURES[form], headers=headers)

    return routes
