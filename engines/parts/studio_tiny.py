"""Where the model that ships with the studio lies, for the families that use a part of it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "music" / "musicgen" / "studio_tiny"
