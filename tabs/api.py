"""The named endpoints: everything the tabs do, for scripts, ``gradio_client``, curl and MCP.

Each public method of the classes in ``GROUPS`` is one endpoint of that name, and so is each engine.
Their docstrings are what the API page and MCP clients show. See ``docs/api.md``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from engines.studio import Studio
from tabs.about.engines_api import EngineEndpoints, PresetEndpoints
from tabs.batch import routes as batch_routes
from tabs.batch.api import BatchEndpoints
from tabs.compare import routes as compare_routes
from tabs.compare.api import CompareEndpoints
from tabs.evaluate import routes as evaluation_routes
from tabs.evaluate.api import EvaluationEndpoints
from tabs.http.endpoint import checked, publish
from tabs.judge.api import JudgingEndpoints
from tabs.judge.links_api import LinkEndpoints
from tabs.judge.listen import routes as listening_routes
from tabs.judge.tests_api import ListeningEndpoints
from tabs.learn import routes as learn_routes
from tabs.learn.adapters_api import AdapterEndpoints
from tabs.learn.datasets_api import DatasetEndpoints
from tabs.learn.training_api import TrainingEndpoints
from tabs.library import projects_routes
from tabs.library.clips_api import ClipEndpoints
from tabs.library.projects_api import ProjectEndpoints
from tabs.make.api import JobEndpoints, MakeEndpoints, engine_endpoint
from tabs.make.prompts_api import PromptEndpoints

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

# routes beside the endpoints: sounds, pictures, files, and the pages of tests taken by link
ROUTERS: tuple[Callable[[Studio], APIRouter], ...] = (
    listening_routes.router,
    evaluation_routes.router,
    batch_routes.router,
    learn_routes.router,
    projects_routes.router,
    compare_routes.router,
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
