"""Endpoints for projects: the whole studio, or a part of it, as one file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from engines.studio import Studio
from tabs.http.rows import job_json
from tabs.http.threads import heavy
from tabs.http.uploads import uploaded
from tabs.ui.rater import user_of


class ProjectEndpoints:
    """Exporting to a file, and importing one."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._projects = studio.projects

    @heavy
    def project_size(self, select: dict[str, Any] | None = None) -> dict[str, Any]:
        """How much an export would hold now.

        Args:
            select: What to export; everything if left out. Any of clips (true, false, or text, tag,
                engine and favorite to search by), datasets and adapters (true, false, or ids),
                tests, prompts and runs (true or false). What is not named is included, and clips
                that something chosen needs always are.

        Returns:
            Rows by table, and bytes about.
        """
        return asdict(self._projects.measure(select))

    def export_project(
        self,
        name: str = "",
        select: dict[str, Any] | None = None,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Write clips with their settings and judgements, datasets and adapters to one file.

        Args:
            name: Name of the file without ".zip"; by default the time.
            select: As for /project_size.

        Returns:
            The job. When it is done, its report names the file, which is at /projects/<file>.
        """
        return job_json(self._studio, self._projects.export(select, name, user_of(request)))

    def projects(self) -> list[dict[str, Any]]:
        """List the project files in the data folder, newest first.

        Returns:
            Name, bytes, time and address of each.
        """
        return [
            {"name": file.name, "bytes": file.bytes, "made_at": file.made_at,
             "url": f"/projects/{file.name}"}
            for file in self._projects.files()
        ]  # fmt: skip

    def delete_project(self, name: str) -> str:
        """Remove a project file from the data folder; what it was made from stays.

        Args:
            name: Name of the file.

        Returns:
            The name.
        """
        self._projects.delete(name)
        return name

    @heavy
    def check_project(self, file: gr.FileData, request: gr.Request | None = None) -> dict[str, Any]:
        """Check a project file wholly, and count what an import would bring. Nothing is changed.

        Args:
            file: The project file.

        Returns:
            The job. Its report counts what is new, here already, and in conflict.
        """
        return self._checking(uploaded(file.path), request)

    def check_project_here(self, name: str, request: gr.Request | None = None) -> dict[str, Any]:
        """Check a project file of the data folder, as /check_project does one that is sent.

        Args:
            name: Name of a file in the folder "projects" of the data folder.

        Returns:
            The job.
        """
        return self._checking(self._projects.file(name).path, request)

    def _checking(self, path: Path, request: gr.Request | None) -> dict[str, Any]:
        return job_json(self._studio, self._projects.check(path, path.name, user_of(request)))

    def import_project(self, job_id: str) -> dict[str, Any]:
        """Import the project file that /check_project found good. What is here stays as it is.

        Args:
            job_id: Id of the job of the check.

        Returns:
            The job of the import. Its report says what was added and what was in conflict.
        """
        return job_json(self._studio, self._projects.confirm(job_id))

    def discard_project(self, job_id: str) -> str:
        """Throw away a project file that was sent to be checked.

        Args:
            job_id: Id of the job of the check.

        Returns:
            The id.
        """
        self._projects.discard(job_id)
        return job_id
