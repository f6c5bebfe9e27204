"""Sounds of the model as it is now, from fixed prompts and seeds, so that epochs can be compared."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.base import Cancelled
from training.musicgen import lora
from training.musicgen.tasks import MusicgenTask
from training.run.checkpoints import replace_folder

if TYPE_CHECKING:
    from engines.music.musicgen.checkpoint import Loaded

log = logging.getLogger(__name__)

SAMPLES, LISTING = "samples", "samples.json"
SAMPLING: dict[str, Any] = {"guidance_scale": 3.0, "temperature": 1.0, "top_k": 250, "top_p": 0.0}
SUBTYPE = "PCM_24"


class Listener:
    """Decodes ``prompts`` with the adapter of ``task`` as it is. The codec of ``loaded`` must still
    be there; ``check`` is called at each token and may raise ``Cancelled``."""

    def __init__(
        self,
        loaded: Loaded,
        task: MusicgenTask,
        prompts: Sequence[str],
        duration_s: float,
        seed: int,
        check: Callable[[], None] = lambda: None,
    ):
        self._loaded, self._task = loaded, task
        self._prompts, self._duration_s, self._seed = prompts, duration_s, seed
        self._check = check

    def listen(self, folder: Path, epoch: int) -> None:
        """Write ``samples/epoch-N/<i>.flac`` and ``samples.json``; nothing when cancelled."""
        if not self._prompts:
            return
        try:
            replace_folder(folder / SAMPLES / f"epoch-{epoch}", self._write)
        except Cancelled:
            log.info("no sounds of epoch %d: the run was asked to stop", epoch)

    def _write(self, folder: Path) -> None:
        import soundfile

        sample_rate = self._loaded.checkpoint.sample_rate
        entries = []
        for number, (prompt, sound) in enumerate(zip(self._prompts, self._sounds(), strict=True)):
            name = f"{number}.flac"
            soundfile.write(folder / name, np.clip(sound, -1, 1).T, sample_rate, SUBTYPE)
            settings = {
                "prompt": prompt,
                "duration_s": self._duration_s,
                "seed": self._seed + number,
            }
            entries.append(
                {
                    "prompt": prompt,
                    "seed": self._seed + number,
                    "file": name,
                    "settings": settings | SAMPLING,
                }
            )
        (folder / LISTING).write_text(json.dumps(entries, indent=1), encoding="utf-8")

    def _sounds(self) -> list[np.ndarray]:
        """A sound (C, T) for each prompt, all decoded as one batch."""
        import torch

        from engines.music.musicgen import codes
        from engines.music.musicgen.decoding import Decoder

        model, checkpoint = self._task.model, self._loaded.checkpoint
        hidden, mask = self._task.conditioning(self._prompts)
        told: dict[str, Any] = {"conditioning": hidden, "mask": mask}
        if checkpoint.melody:
            silent, _ = self._task.conditioning(self._prompts, [True] * len(self._prompts))
            told = {"conditioning": None, "mask": None, "prefix": hidden, "negative": silent}
        decoder = Decoder(
            model.get_base_model(), device=str(hidden.device), deltas=lora.deltas(model)
        )
        try:
            made = decoder.generate(
                **told,
                frames=checkpoint.frames(min(self._duration_s, checkpoint.max_s)),
                guidance=SAMPLING["guidance_scale"],
                temperature=SAMPLING["temperature"],
                top_k=SAMPLING["top_k"],
                top_p=SAMPLING["top_p"],
                rngs=[
                    np.random.default_rng((self._seed + i, 0)) for i in range(len(self._prompts))
                ],
                on_step=lambda done, total: self._check(),
            )
        finally:
            decoder.close()
        return [codes.decode_codes(self._loaded, torch.from_numpy(row)) for row in made]
