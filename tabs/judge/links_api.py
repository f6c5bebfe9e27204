"""Endpoints for links to listening tests: making and closing them, and who came by them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from engines.studio import Studio
from engines.studio.judging import own_sounds
from storage import LinkRow
from tabs.http.sent_sounds import received


class LinkEndpoints:
    """Giving listening tests to others."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._links = studio.store.links
        self._tests = studio.store.tests

    def open_link(self, test_id: str, message: str = "") -> dict[str, Any]:
        """Make a link by which others take a test, without a password and with nothing but the test.

        Args:
            test_id: Id of the test.
            message: What raters read before they begin.

        Returns:
            The link: its token, and the address of its page below that of the studio.
        """
        return link_json(self._links.create(test_id, message))

    def import_sounds(
        self,
        generated: list[gr.FileData] | None = None,
        reference: list[gr.FileData] | None = None,
        generated_folders: list[str] | None = None,
        reference_folder: str = "",
        task: str = "tts",
    ) -> list[str]:
        """Store sounds from outside as clips for a listening test.

        Args:
            generated: Files: a zip for each system, named after it, or loose sounds as one system.
            reference: The originals, of the same names; they become the system "reference".
            generated_folders: Folders of this machine instead, one for each system; all as ``name=folder``
                to name them.
            reference_folder: The folder of the originals.
            task: Task of the clips.

        Returns:
            Ids of the clips, for /create_test.
        """
        made, true = ([file.path for file in files or ()] for files in (generated, reference))
        folders = generated_folders or ()
        with received(self._studio, made, true, folders, reference_folder) as sources:
            return own_sounds.add(self._studio.store, sources, task)

    def links(self, test_id: str) -> list[dict[str, Any]]:
        """List the links to a test, newest first, and who came by each.

        Args:
            test_id: Id of the test.

        Returns:
            The links, each with its raters: name, completion code, trials answered.
        """
        self._tests.get(test_id)
        return [
            link_json(link)
            | {
                "raters": [
                    {"name": r.name, "code": r.code, "began_at": r.began_at, "done": r.done}
                    for r in self._links.raters(link.token)
                ]
            }
            for link in self._links.list(test_id)
        ]

    def close_link(self, token: str, closed: bool = True) -> dict[str, Any]:
        """Close a link, or open it again. Answers that were given stay.

        Args:
            token: Token of the link.
            closed: False opens it again.

        Returns:
            The link.
        """
        return link_json(self._links.close(token, closed))


def link_json(link: LinkRow) -> dict[str, Any]:
    """A link as plain values."""
    return asdict(link) | {"address": f"/listen/{link.token}"}
