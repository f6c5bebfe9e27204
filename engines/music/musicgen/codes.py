"""Between sound, text and what the decoder reads: audio codes, the delay pattern, text states.

Codes are int64 ``(K, T)`` or ``(B, K, T)``: K codebooks by T frames. In stereo models left and right
alternate (left 1, right 1, left 2, …) and share a delay, as in Transformers. Samples are float32
numpy ``(C, T)``.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.audio import as_channels, resample
from engines.base import StudioError

if TYPE_CHECKING:
    import torch

    from engines.music.musicgen.checkpoint import Loaded


def delay(codes: torch.Tensor, pad: int, channels: int = 1) -> torch.Tensor:
    """Shift codebook k by k frames: ``(B, K, T)`` to ``(B, K, T + K // channels - 1)``.

    What the shift leaves empty is ``pad``. This is what the decoder predicts; its input is the same
    with one more ``pad`` in front. With 2 ``channels`` each pair of codebooks has one shift.
    """
    batch, codebooks, frames = codes.shape
    delayed = codes.new_full((batch, codebooks, frames + codebooks // channels - 1), pad)
    for k in range(codebooks):
        start = k // channels
        delayed[:, k, start : start + frames] = codes[:, k]
    return delayed


def undelay(delayed: torch.Tensor, frames: int, channels: int = 1) -> torch.Tensor:
    """The ``(B, K, frames)`` codes of which ``delayed`` is the delayed form."""
    import torch

    codebooks = delayed.shape[1]
    starts = [k // channels for k in range(codebooks)]
    return torch.stack([delayed[:, k, s : s + frames] for k, s in enumerate(starts)], dim=1)


# --- sound ----------------------------------------------------------------------------------


def encode_audio(loaded: Loaded, samples: np.ndarray, sample_rate: int) -> torch.Tensor:
    """Codes ``(K, T)`` of ``samples`` ``(T,)`` or ``(C, T)``, resampled to the model's rate.

    Mono models hear the mean of the channels, stereo models a mono sound on both sides. Raises
    ``StudioError`` for a sound shorter than a frame.
    """
    import torch

    checkpoint = loaded.checkpoint
    wave = resample(channels_for(samples, checkpoint.channels), sample_rate, checkpoint.sample_rate)
    if wave.shape[-1] < checkpoint.hop_length:
        raise StudioError(
            f"The sound is shorter than one frame of the model ({1 / checkpoint.frame_rate:.2f} s)."
        )
    values = torch.from_numpy(np.ascontiguousarray(wave, np.float32)).to(loaded.device)
    with torch.inference_mode():
        # a batch of channels, each a mono sound
        codes = loaded.model.audio_encoder.encode(values[:, None]).audio_codes[0]
    # (C, K / C, T) to left 1, right 1, left 2, …
    return codes.transpose(0, 1).reshape(checkpoint.codebooks, -1).clone().cpu()


def decode_codes(loaded: Loaded, codes: torch.Tensor) -> np.ndarray:
    """Samples ``(C, T)`` of codes ``(K, T)``; see ``engines.music.musicgen.sound`` for doing so in pieces."""
    import torch

    apart = split_channels(torch.as_tensor(codes), loaded.checkpoint.channels).to(loaded.device)
    with torch.inference_mode():
        values = loaded.model.audio_encoder.decode(apart[None], audio_scales=[None]).audio_values
    return values[:, 0].float().cpu().numpy()


# --- codes that stay with their sound -----------------------------------------------------------

LONGEST_BYTES = 2**22  # of codes in text; half an hour of eight codebooks fits
SAME_DB = 20.0  # a sound is that of its codes where what differs is so much weaker


def as_text(codes: np.ndarray) -> str:
    """Codes ``(K, T)`` as text: K, and int16 values in time's order, deflated, in base 64."""
    packed = zlib.compress(np.ascontiguousarray(codes.T, "<i2").tobytes(), 9)
    return f"{codes.shape[0]} {base64.b64encode(packed).decode()}"


def from_text(text: str) -> np.ndarray | None:
    """The int64 ``(K, T)`` of ``as_text``, or None for anything else."""
    count, _, packed = text.partition(" ")
    unpacker = zlib.decompressobj()
    try:
        codebooks = int(count)
        values = unpacker.decompress(base64.b64decode(packed, validate=True), LONGEST_BYTES)
        codes = np.frombuffer(values, "<i2").reshape(-1, codebooks).T
    except (ValueError, binascii.Error, zlib.error):
        return None
    return codes.astype(np.int64) if unpacker.eof and codes.size else None


def known(loaded: Loaded, text: str, samples: np.ndarray, sample_rate: int) -> torch.Tensor | None:
    """The codes in ``text``, as far as ``samples (C, T)`` last, if those are what the codec plays from
    them; None for another codec's, a changed sound, and no codes at all.

    What is encoded again has other codes than those it was made of.
    """
    import torch

    checkpoint, codes = loaded.checkpoint, from_text(text)
    if codes is None or sample_rate != checkpoint.sample_rate:
        return None
    frames = -(-samples.shape[1] // checkpoint.hop_length)
    fits = len(codes) == checkpoint.codebooks and frames <= codes.shape[1]
    if not fits or codes.min() < 0 or codes.max() >= checkpoint.vocab_size:
        return None
    found = torch.from_numpy(codes[:, :frames].copy())
    played = decode_codes(loaded, found)[:, : samples.shape[1]]
    whole = samples[:, : played.shape[1]]
    if len(whole) != len(played):
        return None
    difference, energy = np.square(whole - played).sum(), np.square(whole).sum()
    return found if difference <= energy * 10 ** (-SAME_DB / 10) else None


def split_channels(codes: torch.Tensor, channels: int) -> torch.Tensor:
    """``(K, T)`` with alternating channels to ``(C, K / C, T)``."""
    codebooks, frames = codes.shape
    return codes.reshape(codebooks // channels, channels, frames).transpose(0, 1)


def channels_for(samples: np.ndarray, channels: int) -> np.ndarray:
    """``samples`` as ``(channels, T)``: the mean for one, doubled or the first two for more."""
    wave = as_channels(samples)
    if channels == 1:
        return wave.mean(axis=0, keepdims=True)
    return np.repeat(wave, channels, axis=0) if len(wave) == 1 else wave[:channels]


# --- text -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextStates:
    """What T5 makes of texts: ``states`` float32 ``(B, S, H)`` and ``mask`` int64 ``(B, S)``."""

    states: torch.Tensor
    mask: torch.Tensor


def encode_text(loaded: Loaded, texts: list[str]) -> TextStates:
    """T5's last hidden states of ``texts``, padded to the longest; H is that of the text encoder."""
    import torch

    inputs: Any = loaded.tokenizer(texts, padding=True, return_tensors="pt").to(loaded.device)
    with torch.inference_mode():
        states = loaded.model.text_encoder(**inputs).last_hidden_state
    return TextStates(states.float().clone(), inputs["attention_mask"].clone())


def conditioning(loaded: Loaded, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Text states ``(B, S, H_text)`` as the decoder reads them, ``(B, S, H)``; padding is zero."""
    model = loaded.model
    if hasattr(model, "enc_to_dec_proj"):
        states = model.enc_to_dec_proj(states.to(model.enc_to_dec_proj.weight.dtype))
    return states * mask[..., None]


def melody_conditioning(
    loaded: Loaded,
    states: torch.Tensor,
    mask: torch.Tensor,
    chroma: torch.Tensor | None = None,
) -> torch.Tensor:
    """The prefix of a melody model, ``(B, chroma_length + S, H)``: chroma, then text.

    ``chroma`` is one-hot ``(B, T, num_chroma)`` and is repeated or cut to the model's length;
    without one, or for the unconditional half, it is the null chroma that the model was trained on
    (all frames in the first class).
    """
    import torch

    model, checkpoint = loaded.model, loaded.checkpoint
    text = conditioning(loaded, states, mask)
    if chroma is None:
        chroma = torch.zeros(len(text), 1, checkpoint.num_chroma)
        chroma[:, :, 0] = 1
    heard = chroma.to(text.device, text.dtype)
    if hasattr(model, "audio_enc_to_dec_proj"):
        heard = model.audio_enc_to_dec_proj(heard)
    times = math.ceil(checkpoint.chroma_length / heard.shape[1])
    heard = heard.repeat(1, times, 1)[:, : checkpoint.chroma_length]
    return torch.cat([heard.expand(len(text), -1, -1), text], dim=1)
