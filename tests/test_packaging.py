"""What others install: requirements of a Space, the Space header, the walls' configuration."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_requirements_are_those_of_the_project():
    made = subprocess.run(
        [sys.executable, ROOT / ".ci" / "requirements.py", "--print"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "requirements.txt").read_text(encoding="utf-8") == made.stdout


def test_the_space_header_names_the_pinned_gradio_and_this_entry():
    header = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1]
    values = dict(re.findall(r"^(\w+): (.*)$", header, re.M))
    pin = next(line for line in PROJECT["dependencies"] if line.startswith("gradio["))
    assert values["sdk"] == "gradio"
    assert values["sdk_version"] == pin.split("==")[1]
    assert values["app_file"] == "app.py"


def test_versions_agree():
    from engines.studio.settings import VERSION

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert PROJECT["version"] == VERSION
    assert f"## {VERSION}" in changelog


def test_nothing_heavy_is_imported_with_the_app():
    code = "import sys, app, tabs.layout, tabs.http.server; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    heavy = {"torch", "transformers", "librosa", "matplotlib.pyplot", "onnxruntime", "scipy.signal"}
    assert loaded & heavy == set()


def test_the_entry_of_a_space_offers_demo_and_listens_for_its_proxy(tmp_path):
    code = (
        "import app; from engines.studio.settings import Settings; s = Settings();"
        "print(s.host, s.port, s.refuse_exposure() or 'fine', type(app.demo).__name__)"
    )
    env = {**os.environ, "SPACE_ID": "someone/studio", "STUDIO_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env, check=True
    )
    assert done.stdout.split() == ["0.0.0.0", "7860", "fine", "Blocks"]


def test_listening_beyond_this_machine_needs_a_password_or_key(tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py", "--host", "0.0.0.0", "--data", tmp_path],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "Set --auth user:password or --api-key KEY" in done.stderr
    assert not list(tmp_path.iterdir())
