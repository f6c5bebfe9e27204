"""EnCodec's decoder in pieces: the first seconds can be heard while the rest is made.

Pieces joined are the sound of decoding at once: convolutions get the frames on both sides that they
look at, and the LSTM between them keeps its state.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.music.musicgen.codes import decode_codes, split_channels

if TYPE_CHECKING:
    import torch

    from engines.music.musicgen.checkpoint import Loaded


def bake(encodec: Any) -> None:
    """Keep EnCodec's weights as they are used, instead of computing them from norm and direction at
    every call, which would cost much for short pieces. Such a model can no longer be saved."""
    from torch.nn.utils import parametrize

    for module in encodec.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")


class SoundStream:
    """Turns codes ``(K, t)`` into samples ``(C, n)`` as they come; one sound, then a new stream.

    The samples lag behind the codes by ``lag`` frames, which ``finish`` returns. Codecs that
    normalise over all time cannot be decoded in pieces; for them everything comes from ``finish``.
    """

    def __init__(self, loaded: Loaded):
        config = loaded.model.audio_encoder.config
        self._loaded = loaded
        self._codes: list[torch.Tensor] = []
        self._streams = config.norm_type == "weight_norm" and config.chunk_length_s is None
        first, self._lstm, *self._rest = loaded.model.audio_encoder.decoder.layers
        self._first = first
        self._around_first = config.kernel_size - 1
        self._around_rest = _context(config)
        self._state: Any = None
        self._embedded = _Window()
        self._remembered = _Window()
        self._done = 0

    @property
    def lag(self) -> int:
        """Frames that must follow one before it can be heard."""
        return self._around_first + self._around_rest

    def push(self, codes: torch.Tensor) -> np.ndarray:
        """The next samples, float32 ``(C, n)``; n may be 0."""
        if not self._streams:
            self._codes.append(codes)
            return np.zeros((self._loaded.checkpoint.channels, 0), np.float32)
        return self._advance(codes, last=False)

    def finish(self, codes: torch.Tensor | None = None) -> np.ndarray:
        """The last samples, after the last ``codes``."""
        import torch

        if not self._streams:
            rest = [codes] if codes is not None else []
            return decode_codes(self._loaded, torch.cat([*self._codes, *rest], dim=1))
        return self._advance(codes, last=True)

    def _advance(self, codes: torch.Tensor | None, last: bool) -> np.ndarray:
        import torch

        with torch.inference_mode():
            if codes is not None and codes.shape[1]:
                self._embedded.append(self._embed(codes))
            self._remember(last)
            return self._sound(last)

    def _embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Quantizer output, ``(C, D, t)``."""
        apart = split_channels(codes, self._loaded.checkpoint.channels).to(self._loaded.device)
        return self._loaded.model.audio_encoder.quantizer.decode(apart.transpose(0, 1))

    def _remember(self, last: bool) -> None:
        """The first convolution and the LSTM, as far as their input is certain."""
        done, around = self._remembered.end, self._around_first
        ready = self._embedded.end - (0 if last else around)
        if ready <= done:
            return
        values, start = self._embedded.since(done - around)
        values = self._first(values)[..., done - start : ready - start].permute(2, 0, 1)
        lasting, self._state = self._lstm.lstm(values, self._state)
        self._remembered.append((lasting + values).permute(1, 2, 0))
        self._embedded.forget(ready - around)

    def _sound(self, last: bool) -> np.ndarray:
        """The upsampling layers, as far as their input is certain."""
        done, around = self._done, self._around_rest
        ready = self._remembered.end - (0 if last else around)
        if ready <= done:
            return np.zeros((self._loaded.checkpoint.channels, 0), np.float32)
        values, start = self._remembered.since(done - around)
        for layer in self._rest:
            values = layer(values)
        hop = self._loaded.checkpoint.hop_length
        samples = values[:, 0, (done - start) * hop : (ready - start) * hop]
        self._done = ready
        self._remembered.forget(ready - around)
        return samples.float().cpu().numpy()


class _Window:
    """The last frames of a growing ``(C, D, T)`` tensor, with their place in the whole."""

    def __init__(self) -> None:
        self.start = 0
        self._values: torch.Tensor | None = None

    @property
    def end(self) -> int:
        return self.start + (0 if self._values is None else self._values.shape[-1])

    def append(self, values: torch.Tensor) -> None:
        import torch

        kept = self._values
        self._values = values if kept is None else torch.cat([kept, values], dim=-1)

    def since(self, frame: int) -> tuple[torch.Tensor, int]:
        """All from ``frame`` on, and the frame that this starts at (0 where it is before all)."""
        assert self._values is not None
        start = max(self.start, frame)
        return self._values[..., start - self.start :], start

    def forget(self, before: int) -> None:
        """Drop the frames before ``before``."""
        if self._values is not None and before > self.start:
            self._values = self._values[..., before - self.start :]
            self.start = before


def _context(config: Any) -> int:
    """Frames on either side that the layers after the LSTM look at, rounded up."""
    frames, rate = 0.0, 1
    for ratio in config.upsampling_ratios:
        frames += 1 / rate
        rate *= ratio
        for layer in range(config.num_residual_layers):
            reach = (config.residual_kernel_size - 1) * config.dilation_growth_rate**layer
            frames += reach / rate
    return math.ceil(frames + (config.last_kernel_size - 1) / rate)
