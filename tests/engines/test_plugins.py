"""Engines of installed packages: the package of ``docs/adding-an-engine.md`` is installed and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOC = Path(__file__).parents[2] / "docs" / "adding-an-engine.md"
BUILT_IN = {"piper", "kokoro", "vits", "musicgen"}
SCRIPT = """
import json, sys
from engines.studio.settings import Settings
from engines.studio import Studio
with Studio(Settings(_cli_parse_args=[], data=sys.argv[1])) as studio:
    ids = [engine.card.id for engine in studio.engines()]
    clips = studio.make("beep", text="one two three", timeout_s=60) if "beep" in ids else []
    print(json.dumps({
        "ids": ids,
        "broken": studio.registry.broken,
        "durations": [clip.duration_s for clip in clips],
    }))
"""


def run_studio(packages: Path, data: Path) -> dict:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(DOC.parent.parent)])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(data)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def package(tmp_path):
    """The documented package, built and installed into a folder."""
    text = DOC.read_text(encoding="utf-8")
    source, target = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    (source / "beep.py").write_text(re.search(r"```python\n(.*?)```", text, re.S)[1])
    (source / "pyproject.toml").write_text(re.search(r"```toml\n(.*?)```", text, re.S)[1])
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run(
        [*install, "--no-build-isolation", "--target", target, source], check=True, timeout=120
    )
    return target


def test_an_installed_engine_is_found_and_makes_sound(package, tmp_path):
    found = run_studio(package, tmp_path / "data")
    assert set(found["ids"]) > BUILT_IN and found["ids"][-1] == "beep"
    assert found["durations"] == [1.5]
    assert found["broken"] == {}


def test_a_broken_package_is_reported_and_stops_nothing(package, tmp_path):
    (package / "beep.py").write_text("import a_module_that_does_not_exist\n")
    found = run_studio(package, tmp_path / "data")
    assert set(found["ids"]) > BUILT_IN and "beep" not in found["ids"]
    assert "a_module_that_does_not_exist" in found["broken"]["beep"]
