"""Start Amphion Studio: ``python app.py [--port 7860 --data data ...]``.

Also the entry of a Hugging Face Space, which looks for ``demo``.
"""

from __future__ import annotations

import os
import sys

# before gradio and huggingface_hub are imported: no calls home
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

from pydantic import ValidationError

from engines.base import StudioError
from engines.studio import Studio, logs
from engines.studio.settings import Settings
from storage import StorageError


def main(arguments: list[str] | None = None) -> int:
    """Read the settings, build studio and page, serve until stopped; returns the exit status."""
    try:
        settings = Settings(_cli_parse_args=sys.argv[1:] if arguments is None else arguments)
        if problem := settings.refuse_exposure():
            raise StudioError(problem)
    except (ValidationError, StudioError) as error:
        print(f"Amphion Studio can't start: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_format, settings.log_level)
    try:
        studio = Studio(settings)
    except StorageError as error:
        print(f"Amphion Studio can't start: {error}", file=sys.stderr)
        return 3
    # read when gradio is imported: uploads stay inside the data folder
    os.environ["GRADIO_TEMP_DIR"] = str(studio.store.folder("cache") / "uploads")
    from tabs import layout
    from tabs.http import server

    with studio:
        return server.serve(studio, layout.build(studio), layout.page_kwargs())


def __getattr__(name: str) -> object:
    """``app.demo``, the page, for tools that look for it; built when first asked for."""
    if name != "demo":
        raise AttributeError(name)
    from tabs import layout

    return globals().setdefault("demo", layout.build(Studio(Settings()).start()))


if __name__ == "__main__":
    sys.exit(main())
