"""Routes of the learning loop: the sounds of datasets and runs, exports as downloads."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from engines.studio import Studio
from tabs.http.media import MEDIA_TYPES
from tabs.http.threads import heavy
from tabs.learn.steps import lab_of

FORMATS = {"audiofolder.zip": "audiofolder", "rows.jsonl": "jsonl", "rows.csv": "csv"}


def router(studio: Studio) -> APIRouter:
    """The routes of one studio. Files are named by ids and hashes, never by a path."""
    routes, lab = APIRouter(tags=["learning"]), lab_of(studio)

    @routes.get("/datasets/{dataset_id}/sounds/{hash}")
    def sound(dataset_id: str, hash: str) -> FileResponse:
        """A sound of a dataset, by its content hash; it stays when its clip is deleted."""
        for item in lab.dataset_items(dataset_id):
            for found, path in ((item.hash, item.file), (item.rejected_hash, item.rejected_file)):
                if found == hash and path is not None and path.is_file():
                    return FileResponse(path, media_type=MEDIA_TYPES.get(path.suffix))
        raise HTTPException(404, "The dataset has no such sound.")

    @routes.get("/datasets/{dataset_id}/{name}")
    @heavy
    def export(
        dataset_id: str, name: Literal["audiofolder.zip", "rows.jsonl", "rows.csv"]
    ) -> FileResponse:
        """A dataset as a file."""
        path = lab.export_dataset(dataset_id, FORMATS[name])
        return FileResponse(path, filename=path.name)

    @routes.get("/runs/{run_id}/samples/{epoch}/{name}")
    def sample(run_id: str, epoch: int, name: str) -> FileResponse:
        """A sound that a run made after an epoch."""
        for found in lab.samples(run_id):
            if (found.epoch, found.path.name) == (epoch, name) and found.path.is_file():
                return FileResponse(found.path, media_type=MEDIA_TYPES.get(found.path.suffix))
        raise HTTPException(404, "The run has no such sample.")

    @routes.get("/adapters/{adapter_id}/adapter.zip")
    @heavy
    def adapter(adapter_id: str) -> FileResponse:
        """An adapter as a zip of its PEFT folder."""
        path = lab.export_adapter(adapter_id)
        return FileResponse(path, filename=path.name)

    return routes
