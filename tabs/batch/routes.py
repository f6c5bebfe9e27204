"""Routes of batches: templates to start from, and results to take away."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from engines.studio import Studio
from engines.studio.batch.templates import TableFormat
from storage import Format
from tabs.http.threads import heavy

MEDIA_TYPES = {
    TableFormat.CSV: "text/csv; charset=utf-8",
    TableFormat.JSON: "application/json",
    TableFormat.JSONL: "application/jsonl",
}


def router(studio: Studio) -> APIRouter:
    """The routes of one studio."""
    routes = APIRouter(tags=["batches"])

    @routes.get("/batches/template/{engine_id}.{form}")
    def template(engine_id: str, form: TableFormat) -> Response:
        """A table to start from, made of an engine's parameters."""
        content = studio.batches.template(engine_id, form)
        return Response(
            content, media_type=MEDIA_TYPES[form], headers=_named(f"{engine_id}.{form}")
        )

    @routes.get("/batches/{batch_id}/sounds.{form}.zip")
    def zipped(batch_id: str, form: Format) -> StreamingResponse:
        """The sounds of a batch and a table of its results, sent while it is put together."""
        name = studio.store.batches.get(batch_id).name
        pieces = studio.batches.zip(batch_id, form)
        return StreamingResponse(
            pieces, media_type="application/zip", headers=_named(f"{name}.zip")
        )

    @routes.get("/batches/{batch_id}/results.csv")
    @heavy
    def table(batch_id: str) -> Response:
        """The table of the results alone."""
        content = studio.batches.table(batch_id)
        return Response(
            content, media_type=MEDIA_TYPES[TableFormat.CSV], headers=_named("results.csv")
        )

    return routes


def _named(name: str) -> dict[str, str]:
    """The name of a download, in the form that can hold any letter (RFC 6266)."""
    return {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}"}
