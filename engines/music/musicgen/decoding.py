"""MusicGen's decoding loop: from conditioning states to codes.

MusicGen (Copet et al. 2023, arXiv:2306.05284) predicts K codebooks with one transformer. Codebook k
comes k steps late (the delay pattern), so T frames take T + K - 1 steps, each of which yields one code
of every codebook. Classifier-free guidance runs each sequence a second time without its text; both halves
stand in one batch. What the layers are run by, and in which number format, is decided in ``Decoder``:
``cpu.CpuLayers`` with its compiled kernels, or what stands in ``torch_layers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engines.base import StudioError
from engines.music.musicgen.packing import Format, Source, pack_decoder, recommended, shape_of
from engines.music.musicgen.sampling import Sampling, choose

if TYPE_CHECKING:
    import torch

    States = torch.Tensor | np.ndarray


class Layers(Protocol):
    """The transformer between embeddings and logits, with its memory of keys and values."""

    def uncompiled(self) -> bool: ...
    def begin(self, sequences: int, capacity: int, texts: Sequence[np.ndarray]) -> None: ...
    def forward(self, embedded: np.ndarray, start: int) -> np.ndarray: ...
    def end(self) -> None: ...
    def close(self) -> None: ...


class Decoder:
    """Decodes with the weights of a loaded MusicgenForCausalLM or MusicgenMelodyForCausalLM.

    ``format`` says how weights and the cache are stored; on a processor it decides the speed, and the
    arithmetic stays in float32. The weights are copied, so the model may be dropped. ``deltas`` maps
    module paths to float32 changes (out, in) that are added before packing. ``threads`` of 0 takes
    every core. StudioError for a model of another kind.

    What holds: with the same settings, a row's codes depend on its own conditioning, prompt and
    generator alone. On a processor that is exact in all formats, whatever the batch around the row and
    the number of threads, because every output is summed in one order. On a GPU the libraries may sum in
    another order for another batch size.
    """

    def __init__(
        self,
        decoder_model: torch.nn.Module,
        *,
        format: str = "auto",
        device: str = "cpu",
        deltas: Mapping[str, object] | None = None,
        threads: int = 0,
    ):
        self.device = device
        self.shape = shape_of(decoder_model)
        automatic = format == "auto"
        self.format = recommended(device, self.shape) if automatic else Format(format)
        source = Source(decoder_model, deltas)
        self._embeddings = source.embeddings(self.shape)
        embedding = decoder_model.get_submodule("model.decoder.embed_positions")
        self.positions: Callable[[int, int], torch.Tensor] = embedding.get_embedding  # type: ignore[assignment]
        self.layers: Layers
        if device != "cpu":
            from engines.music.musicgen.torch_layers import GpuLayers

            self.layers = GpuLayers(source, self.shape, self.format, device)
        elif self.format is Format.FLOAT32 and self.shape.small:
            from engines.music.musicgen.torch_layers import SmallLayers

            self.layers = SmallLayers(source, self.shape)
        else:
            from engines.music.musicgen.cpu import CpuLayers

            packed = pack_decoder(source, self.shape, self.format)
            self.layers = CpuLayers(packed, self.shape, self.format, threads)

    def close(self) -> None:
        """Let threads and memory go."""
        self.layers.close()

    def generate(
        self,
        conditioning: States | None,
        mask: States | None,
        *,
        frames: int,
        rngs: Sequence[np.random.Generator],
        guidance: float = 3.0,
        temperature: float = 1.0,
        top_k: int = 250,
        top_p: float = 0.0,
        greedy: bool = False,
        prompt_codes: States | None = None,
        prefix: States | None = None,
        negative: States | None = None,
        negative_mask: States | None = None,
        on_step: Callable[[int, int], None] | None = None,
        on_codes: Callable[[np.ndarray], None] | None = None,
    ) -> np.ndarray:
        """Codes ``(B, K, frames)``, int64, of which ``prompt_codes (B, K, T0)`` are the first T0.

        ``conditioning (B, S, H)`` and ``mask (B, S)`` are the projected text states. ``guidance`` above
        1 weighs them against ``negative (B, S', H)`` with ``negative_mask``, or against no text. Melody
        models take ``prefix (B, P, H)`` instead, and with guidance ``negative (B, P, H)``.
        ``rngs`` has one generator a row. ``on_step(done, total)`` is called after each step and may
        raise; ``on_codes`` is given the complete frames so far, ``(B, K, t)``, a view.
        """
        shape, rows, guided = self.shape, len(rngs), guidance > 1
        prompt = np.zeros((rows, shape.codebooks, 0), np.int64)
        if prompt_codes is not None:
            prompt = np.asarray(prompt_codes).astype(np.int64)
        texts, before = self._texts(
            rows, guided, conditioning, mask, prefix, negative, negative_mask
        )
        known, late = prompt.shape[2], max(shape.delays)
        if not 0 <= known < frames:
            raise StudioError(f"{known} frames are given: more than that must be asked for.")

        # the delayed pattern: codebook k of frame t stands in column 1 + t + delay, column 0 is the start
        last = frames + late
        pattern = np.full((rows, shape.codebooks, 1 + last), shape.pad, np.int64)
        codes = np.zeros((rows, shape.codebooks, frames), np.int64)
        codes[:, :, :known] = prompt
        for k, delay in enumerate(shape.delays):
            pattern[:, k, 1 + delay : 1 + delay + known] = prompt[:, k]
        delays = np.array(shape.delays)
        # each row's randomness is drawn at once: step by step, codebook by codebook
        draws = np.stack([rng.random((last, shape.codebooks)) for rng in rngs])
        sampling = Sampling(temperature, top_k, top_p, greedy)
        offset = before.shape[1]  # a melody model's prefix comes before the codes
        positions = self.positions(offset + last, shape.hidden).numpy()

        sequences = rows * (1 + guided)
        self.layers.begin(sequences, offset + last, texts)
        try:
            given = np.tile(self.embed(pattern[:, :, : 1 + known]), (1 + guided, 1, 1))
            embedded, start = (
                np.concatenate([before, given], axis=1) + positions[: offset + 1 + known],
                0,
            )
            for column in range(known + 1, last + 1):
                logits = self.layers.forward(embedded, start)
                if guided:
                    with_text, without = logits[:rows], logits[rows:]
                    logits = without + (with_text - without) * np.float32(guidance)
                chosen = choose(logits, sampling, draws[:, column - 1])
                frame = column - 1 - delays
                new = (frame >= known) & (frame < frames)
                pattern[:, new, column] = chosen[:, new]
                codes[:, new, frame[new]] = chosen[:, new]
                if on_codes and column - 1 - late >= known:
                    on_codes(codes[:, :, : column - late])
                if on_step:
                    on_step(column - known, last - known)
                start = offset + column
                if column < last:
                    step = self.embed(pattern[:, :, column : column + 1]) + positions[start]
                    embedded = np.tile(step, (1 + guided, 1, 1))
        finally:
            self.layers.end()
        return codes

    def embed(self, columns: np.ndarray) -> np.ndarray:
        """Sum of the codebooks' embeddings ``(B, T, H)`` of ``columns (B, K, T)``, in one gather."""
        size = self.shape.vocabulary + 1
        table = np.arange(self.shape.codebooks)[:, None] * size
        return self._embeddings[columns + table].sum(axis=1)

    def _texts(
        self, rows, guided, conditioning, mask, prefix, negative, negative_mask
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """The states that each sequence attends to, and those that stand before its codes.

        The half without text attends to zero states. Keys and values have no bias, so what it would add
        is exactly zero: it is given no states and leaves cross-attention out.
        """
        shape = self.shape
        if shape.cross:
            texts = _attended(conditioning, mask)
            if guided and negative is not None:
                texts += _attended(negative, negative_mask)
            none = np.zeros((rows * (1 + guided), 0, shape.hidden), np.float32)
            expected, before = rows * (2 if guided and negative is not None else 1), none
        else:
            if prefix is None or (guided and negative is None):
                raise ValueError("a melody model needs prefix, and negative with guidance")
            halves = [_float(prefix), _float(negative)] if guided else [_float(prefix)]
            texts, expected, before = [], 0, np.concatenate(halves)
        if len(texts) != expected or len(before) != rows * (1 + guided):
            raise ValueError(f"one generator a row: {rows} generators, {len(texts)} conditionings")
        return texts, before


def _float(states: States) -> np.ndarray:
    if not isinstance(states, np.ndarray):
        states = states.detach().float().cpu().numpy()
    return np.asarray(states, np.float32)


def _attended(states: States, mask: States | None) -> list[np.ndarray]:
    """Each row's states where its mask is set, ``(S, H)`` with its own S."""
    rows = _float(states)
    if mask is None:
        return list(rows)
    return [row[keep] for row, keep in zip(rows, _float(mask).astype(bool), strict=True)]
