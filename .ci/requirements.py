"""Writes requirements.txt, which a Hugging Face Space installs, from pyproject.toml.

``python .ci/requirements.py`` writes it; ``--print`` shows it.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def requirements() -> str:
    """The dependencies of pyproject.toml, one a line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    head = "# Made from pyproject.toml by .ci/requirements.py; do not edit.\n"
    return head + "".join(f"{line}\n" for line in project["dependencies"])


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(requirements(), end="")
    else:
        (ROOT / "requirements.txt").write_text(requirements(), encoding="utf-8")
