"""Models that ``transformers`` builds, read from a published folder, complete or not at all."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from engines.base import StudioError

SHOWN = 3


def whole_model(kind: Any, folder: Path, title: str, **settings: Any) -> Any:
    """The model of class ``kind`` in ``folder``, in evaluation mode and float32.

    Raises ``StudioError`` naming the file that can't be read or the weights that are missing.
    """
    import torch
    from safetensors import SafetensorError

    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    name = files[0].name if files else "model.safetensors"
    noisy = logging.getLogger("transformers.modeling_utils")
    before = noisy.level
    noisy.setLevel(logging.ERROR)  # what it would report is raised here
    try:
        model, loaded = kind.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
            **settings,
        )
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StudioError(
            f"{title} can't be loaded: {name} can't be read as weights ({reason}). It may be cut short: "
            "download it again."
        ) from error
    finally:
        noisy.setLevel(before)
    missing = sorted(loaded["missing_keys"])
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
        raise StudioError(
            f"{title} can't be loaded: {name} lacks {len(missing)} weights ({shown}). Download it again."
        )
    return model.eval()
