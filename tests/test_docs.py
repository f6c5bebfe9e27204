"""The documents say what is so: engine pages, links, flags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines.registry import BUILT_IN, Registry
from engines.studio.reference import document
from engines.studio.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]


class NoCache:
    """A cache with nothing in it."""

    def path(self, weights):
        return None

    def revision(self, weights):
        return ""

    def own(self):
        return {}


def test_the_engine_pages_are_those_of_the_cards(monkeypatch):
    registry = Registry(NoCache())
    monkeypatch.setattr("engines.registry.entry_points", lambda group: [])
    registry.discover()
    assert BUILT_IN.exists()
    assert (ROOT / "docs" / "engines.md").read_text(encoding="utf-8") == document(registry), (
        "run: python -m engines.studio.reference docs/engines.md"
    )


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target


def test_every_setting_has_a_description():
    for name, field in Settings.model_fields.items():
        assert field.description, name
