"""Endpoints for adapters: registering, moving, using and testing them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import gradio as gr
from pydantic import Field

from engines.base import StudioError
from engines.studio import Studio
from storage.learning.adapters import AdapterRow
from tabs.http.threads import heavy
from tabs.http.uploads import uploaded
from tabs.learn.datasets_api import offered
from tabs.learn.steps import lab_of
from training.lab.trials import AdapterTest

Scale = Annotated[float | None, Field(ge=0, le=2)]


class AdapterEndpoints:
    """What training made."""

    def __init__(self, studio: Studio):
        self._lab = lab_of(studio)

    def adapters(self, base: str = "", archived: bool = False) -> list[dict[str, Any]]:
        """List adapters by name, newest version first.

        Args:
            base: Only those that fit these weights.
            archived: List those that were archived instead.

        Returns:
            The adapters with where they come from.
        """
        return [adapter_json(row) for row in self._lab.adapters(base, archived)]

    def adapter(self, adapter_id: str) -> dict[str, Any]:
        """Look at one adapter.

        Args:
            adapter_id: Id of the adapter.

        Returns:
            The adapter, with its tests against the base.
        """
        tests = [asdict(test) for test in self._lab.adapter_tests(adapter_id)]
        return {**adapter_json(self._lab.adapter(adapter_id)), "tests": tests}

    def register_adapter(self, run_id: str, name: str = "") -> dict[str, Any]:
        """Register the best adapter of a run. One that ended well has done so by itself.

        Args:
            run_id: Id of the run.
            name: Name of the adapter; one that exists gets its next version.

        Returns:
            The adapter.
        """
        return adapter_json(self._lab.register_adapter(run_id, name))

    @heavy
    def import_adapter(self, file: gr.FileData, base: str, name: str = "") -> dict[str, Any]:
        """Take in an adapter from elsewhere, after it was checked against its base.

        Args:
            file: A zip with adapter_config.json and adapter_model.safetensors.
            base: Id of the weights it was trained on.
            name: Name of the adapter; else that of the zip.

        Returns:
            The adapter.
        """
        return adapter_json(self._lab.import_adapter(uploaded(file.path), base, name))

    @heavy
    def export_adapter(self, adapter_id: str) -> gr.FileData:
        """Save an adapter as a zip that peft and /import_adapter read.

        Args:
            adapter_id: Id of the adapter.

        Returns:
            The zip.
        """
        return offered(self._lab.export_adapter(adapter_id))

    def edit_adapter(
        self, adapter_id: str, name: str | None = None, notes: str | None = None
    ) -> dict[str, Any]:
        """Change what is noted about an adapter; what is left out stays.

        Args:
            adapter_id: Id of the adapter.
            name: New name.
            notes: New notes.

        Returns:
            The adapter.
        """
        if name is not None:
            self._lab.rename_adapter(adapter_id, name)
        if notes is not None:
            self._lab.set_adapter_notes(adapter_id, notes)
        return adapter_json(self._lab.adapter(adapter_id))

    def activate_adapter(self, adapter_id: str, scale: Scale = 1.0) -> dict[str, Any]:
        """Choose an adapter wherever its base is used.

        Args:
            adapter_id: Id of the adapter.
            scale: How strongly, from 0 (like the base) to 2; None to use it no more.

        Returns:
            The adapter.
        """
        return adapter_json(self._lab.activate_adapter(adapter_id, scale))

    def archive_adapter(self, adapter_id: str, archived: bool = True) -> dict[str, Any]:
        """Offer an adapter no longer, or again.

        Args:
            adapter_id: Id of the adapter.
            archived: Whether to put it away.

        Returns:
            The adapter.
        """
        return adapter_json(self._lab.archive_adapter(adapter_id, archived))

    def delete_adapter(self, adapter_id: str) -> dict[str, str]:
        """Delete an adapter, or archive it when a clip, test or dataset refers to it.

        Args:
            adapter_id: Id of the adapter.

        Returns:
            Whether it was deleted or archived.
        """
        return {"result": str(self._lab.delete_adapter(adapter_id))}

    @heavy
    def merge_adapter(
        self, adapter_id: str, name: str, scale: Annotated[float, Field(ge=0, le=2)] = 1.0
    ) -> dict[str, str]:
        """Write base and adapter as one full model, which can then be chosen like any weights.

        Args:
            adapter_id: Id of the adapter.
            name: Name of the model.
            scale: How strongly the adapter counts, from 0 to 2.

        Returns:
            The id of the new weights.
        """
        return {"weights": self._lab.merge_adapter(adapter_id, name, scale).name}

    def compare_with_base(
        self,
        adapter_id: str,
        prompts: list[str],
        seeds: list[int] | None = None,
        scale: Annotated[float, Field(gt=0, le=2)] = 1.0,
        settings: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a blind test: the same prompts and seeds by the base and with the adapter.

        Args:
            adapter_id: Id of the adapter.
            prompts: What to make.
            seeds: Each prompt is made with each of them.
            scale: How strongly the adapter counts.
            settings: Other settings of the engine, the same for both.

        Returns:
            The test in the making; test_id is set when all clips are there, see /adapter.
        """
        if not prompts:
            raise StudioError("Give at least one prompt.", "prompts")
        wanted = [1] if seeds is None else seeds
        return test_json(
            self._lab.compare_with_base(adapter_id, prompts, wanted, scale, settings or {})
        )

    def adapter_verdict(self, adapter_id: str) -> dict[str, Any]:
        """What listeners said in the blind tests of an adapter against its base.

        Args:
            adapter_id: Id of the adapter.

        Returns:
            Wins, losses, ties, the share with its interval and p, and a sentence.
        """
        return asdict(self._lab.verdict(adapter_id))


def adapter_json(row: AdapterRow) -> dict[str, Any]:
    """An adapter's row; ``label`` is its name with its version."""
    return {**asdict(row), "label": row.label}


def test_json(test: AdapterTest) -> dict[str, Any]:
    """A test in the making."""
    return asdict(test)
