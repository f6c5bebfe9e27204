"""The named endpoints: everything the tabs do, for scripts, ``gradio_client``, curl and MCP.

Each public method of the classes in ``GROUPS`` is one endpoint of that name, and so is each engine.
Their docstrings are what the API page and MCP clients show. See ``docs/api.md``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from engines.studio import Studio
from tabs.api_adapters import AdapterEndpoints
from tabs.api_batch import BatchEndpoints
from tabs.api_clips import ClipEndpoints
from tabs.api_compare import CompareEndpoints
from tabs.api_engines import EngineEndpoints, PresetEndpoints
from tabs.api_evaluation import EvaluationEndpoints
from tabs.api_jobs import JobEndpoints, MakeEndpoints, engine_endpoint
from tabs.api_judging import JudgingEndpoints
from tabs.api_learning import DatasetEndpoints
from tabs.api_links import LinkEndpoints
from tabs.api_listening import ListeningEndpoints
from tabs.api_projects import ProjectEndpoints
from tabs.api_prompts import PromptEndpoints
from tabs.api_training import TrainingEndpoints
from tabs.endpoint import checked, publish

GROUPS = (
    MakeEndpoints,
    JobEndpoints,
    ClipEndpoints,
    BatchEndpoints,
    EngineEndpoints,
    PresetEndpoints,
    PromptEndpoints,
    JudgingEndpoints,
    CompareEndpoints,
    ListeningEndpoints,
    LinkEndpoints,
    EvaluationEndpoints,
    DatasetEndpoints,
    TrainingEndpoints,
    AdapterEndpoints,
    ProjectEndpoints,
)


def build(studio: Studio) -> list[str]:
    """Declare all endpoints in the current ``gr.Blocks``; returns their names."""
    functions = endpoints(studio)
    for name, function in functions.items():
        publish(function, name)
    return list(functions)


def endpoints(studio: Studio) -> dict[str, Callable[..., Any]]:
    """All endpoints by name. An engine with the name of a verb is ``engine_<id>``."""
    found: dict[str, Callable[..., Any]] = {}
    for group in GROUPS:
        verbs = group(studio)
        for name in vars(group):
            if not name.startswith("_") and inspect.isfunction(getattr(group, name)):
                found[name] = checked(getattr(verbs, name))
    for engine in studio.engines():
        name = engine.card.id.replace("-", "_")
        found[f"engine_{name}" if name in found else name] = engine_endpoint(studio, engine)
    return found
