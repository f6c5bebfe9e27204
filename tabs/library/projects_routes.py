"""The route that hands out project files."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from engines.studio import Studio


def router(studio: Studio) -> APIRouter:
    """The routes of one studio. Files are found by their name in a list, never by a path."""
    routes = APIRouter(tags=["projects"])

    @routes.get("/projects/{name}")
    def project(name: str) -> FileResponse:
        """A project file, as it is on the disk."""
        file = studio.projects.file(name)
        return FileResponse(file.path, media_type="application/zip", filename=file.name)

    return routes
