"""Endpoints for engines, their weights and presets, and the state of the studio."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from engines.base import Task
from engines.studio import Studio
from storage import JobRow
from tabs.http.rows import engine_json, status_json
from tabs.http.waiting import require_done, wait_for

# a literal, so that clients see the choices
TaskName = Literal["", "tts", "vc", "svc", "tta", "music", "codec", "vocoder", "asr", "metrics"]


class EngineEndpoints:
    """What can run, and what is in memory and on disk."""

    def __init__(self, studio: Studio):
        self._studio = studio

    def engines(self, task: TaskName = "") -> list[dict[str, Any]]:
        """List the engines.

        Args:
            task: Only engines of this task; empty for all.

        Returns:
            Card, state, weights and parameters of each.
        """
        found = self._studio.engines(Task(task) if task else None)
        return [engine_json(self._studio, engine) for engine in found]

    def engine(self, engine_id: str) -> dict[str, Any]:
        """Describe one engine.

        Args:
            engine_id: Id of the engine.

        Returns:
            Its card, state and weights, the JSON schema of its parameters, and the choices that
            only this machine knows.
        """
        return engine_json(self._studio, self._studio.engine(engine_id))

    async def load(self, engine: str, wait: bool = True) -> dict[str, Any]:
        """Bring an engine into memory.

        Args:
            engine: Id of the engine.
            wait: Wait until it is loaded.

        Returns:
            The job.
        """
        return await self._followed(self._studio.load(engine), wait)

    def unload(self, engine: str) -> dict[str, bool]:
        """Free the memory of an engine.

        Args:
            engine: Id of the engine.

        Returns:
            Whether it was loaded.
        """
        return {"unloaded": self._studio.unload(engine)}

    async def download(self, engine: str, weights: str, wait: bool = False) -> dict[str, Any]:
        """Download weights of an engine from the model hub.

        Args:
            engine: Id of the engine.
            weights: Id of the weights; /engine lists them.
            wait: Wait until they are here.

        Returns:
            The job.
        """
        return await self._followed(self._studio.download(engine, weights), wait)

    def remove_weights(self, engine: str, weights: str) -> dict[str, int]:
        """Delete downloaded weights.

        Args:
            engine: Id of the engine.
            weights: Id of the weights.

        Returns:
            The bytes freed.
        """
        return {"freed_bytes": self._studio.remove_weights(engine, weights)}

    def status(self) -> dict[str, Any]:
        """Show the device, its memory, the engines in memory and the queue.

        Returns:
            These values.
        """
        return status_json(self._studio)

    async def _followed(self, job: JobRow, wait: bool) -> dict[str, Any]:
        if wait:
            job = require_done(await wait_for(self._studio, job.id))
        return asdict(job)


class PresetEndpoints:
    """Named settings of an engine."""

    def __init__(self, studio: Studio):
        self._studio = studio

    def presets(self, engine: str) -> list[dict[str, Any]]:
        """List the presets of an engine.

        Args:
            engine: Id of the engine.

        Returns:
            Name and settings of each.
        """
        return [asdict(preset) for preset in self._studio.presets.list(self._id(engine))]

    def save_preset(self, engine: str, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Keep settings under a name; a preset of the same name is replaced.

        Args:
            engine: Id of the engine.
            name: Name of the preset.
            settings: Parameters of the engine by name.

        Returns:
            The preset.
        """
        return asdict(self._studio.presets.save(self._id(engine), name, settings))

    def delete_preset(self, engine: str, name: str) -> dict[str, str]:
        """Delete a preset.

        Args:
            engine: Id of the engine.
            name: Name of the preset.

        Returns:
            The name that is gone.
        """
        self._studio.presets.delete(self._id(engine), name)
        return {"deleted": name}

    def _id(self, engine: str) -> str:
        return self._studio.engine(engine).card.id
