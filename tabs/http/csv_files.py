"""Routes that serve judgements as CSV files."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from engines.studio import Studio
from tabs.http.threads import heavy


def router(studio: Studio) -> APIRouter:
    """The files of one studio."""
    routes = APIRouter(prefix="/judgements", tags=["judgements"])

    @routes.get("/ratings.csv", summary="All ratings")
    @heavy
    def ratings() -> Response:
        return csv_response(studio.judging.ratings_csv(), "ratings")

    @routes.get("/comparisons.csv", summary="All comparisons")
    @heavy
    def comparisons() -> Response:
        return csv_response(studio.judging.preferences_csv(), "comparisons")

    @routes.get("/tests/{test_id}.csv", summary="All votes of a listening test")
    @heavy
    def votes(test_id: str) -> Response:
        name = studio.store.tests.get(test_id).name
        return csv_response(studio.judging.csv(test_id), file_stem(name))

    return routes


def csv_response(text: str, stem: str) -> Response:
    """A CSV file to be saved."""
    headers = {"Content-Disposition": f'attachment; filename="{stem}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def file_stem(name: str) -> str:
    """A name that any file system and header takes."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
    return "-".join(filter(None, kept.split("-")))[:60] or "votes"
