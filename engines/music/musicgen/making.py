"""One run: all variations window by window, the first one heard while it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engines.base import Job
from engines.music.musicgen.codes import as_text
from engines.music.musicgen.inputs import Tune, given, read_sound
from engines.music.musicgen.takes import (
    Beginning,
    Take,
    Window,
    beginning,
    mono_flat,
    seeds,
    windows,
)

if TYPE_CHECKING:
    from engines.music.musicgen.checkpoint import Checkpoint, Loaded
    from engines.music.musicgen.decoding import Decoder
    from engines.music.musicgen.params import MusicGenParams


def make(
    loaded: Loaded, decoder: Decoder, params: MusicGenParams, job: Job
) -> Iterator[tuple[int, Take, str]]:
    """The seed of each variation, the finished take, and its codes in text, "" where it goes on from a
    sound; pieces of the first are emitted.

    Raises ``Cancelled`` at any step and ``StudioError`` for sounds that cannot be read.
    """
    facts, begun = loaded.checkpoint, None
    if params.continue_from is not None:
        samples, sample_rate = read_sound(params.continue_from, "continue_from")
        overlap = facts.frames(params.continue_overlap_s)
        begun = beginning(loaded, samples, sample_rate, overlap)
    drawn = seeds(job.seed, params.variations)
    first = Take(loaded, begun)
    _emit(job, [first.opening()], facts)
    made = _codes(loaded, decoder, params, job, begun, drawn, first)
    _emit(job, [first.finish()], facts)
    texts = [as_text(row) if begun is None else "" for row in made]
    yield drawn[0], first, texts[0]
    for seed, row, text in zip(drawn[1:], made[1:], texts[1:], strict=True):
        take = Take(loaded, begun)
        take.opening()
        take.grow(row)
        take.finish()
        yield seed, take, text


def _codes(
    loaded: Loaded,
    decoder: Decoder,
    params: MusicGenParams,
    job: Job,
    begun: Beginning | None,
    drawn: Sequence[int],
    first: Take,
) -> np.ndarray:
    """The new codes ``(B, K, T)`` of all variations; ``first`` grows by those of the first."""
    facts = loaded.checkpoint
    new, overlap = facts.frames(params.duration_s), facts.frames(params.continue_overlap_s)
    before = np.zeros((facts.codebooks, 0), np.int64) if begun is None else begun.codes
    plan = windows(new, facts.frames(facts.max_s), overlap, before.shape[1])
    tune = Tune(params.melody, facts) if params.melody is not None else None
    rngs = [np.random.default_rng(seed) for seed in drawn]
    held = np.repeat(before[None], len(drawn), axis=0)
    if decoder.layers.uncompiled():
        job.progress(0, new, "compiling the decoder for this processor, only this once")
    for number, window in enumerate(plan):
        follow = _Follow(job, facts, window, new, number, plan, first)
        made = decoder.generate(
            **given(loaded, params, tune, window.start).rows(len(drawn)),
            frames=window.frames,
            rngs=rngs,
            guidance=params.guidance_scale,
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            prompt_codes=held[:, :, held.shape[2] - window.known :] if window.known else None,
            on_step=follow.step,
            on_codes=follow.codes,
        )
        held = np.concatenate([held, made[:, :, window.known :]], axis=2)
    return held[:, :, before.shape[1] :]


@dataclass
class _Follow:
    """What happens at each step of a window: cancelling, progress, the first variation's sound."""

    job: Job
    facts: Checkpoint
    window: Window
    new: int
    number: int
    plan: list[Window]
    first: Take

    def __post_init__(self) -> None:
        self._heard = self.window.known

    def step(self, done: int, total: int) -> None:
        self.job.check()
        before = self.window.start + self.window.known
        share = (self.window.frames - self.window.known) * done / total
        frames = before + share
        note = f"{frames / self.facts.frame_rate:.1f} of {self.new / self.facts.frame_rate:.1f} s"
        if len(self.plan) > 1:
            longest = f"{self.facts.max_s:g} s"
            note += f", window {self.number + 1} of {len(self.plan)} (of at most {longest})"
        self.job.progress(frames, self.new, note)

    def codes(self, so_far: np.ndarray) -> None:
        fresh = so_far[0, :, self._heard :]
        if fresh.shape[1]:
            self._heard = so_far.shape[2]
            _emit(self.job, self.first.grow(fresh), self.facts)


def _emit(job: Job, pieces: Sequence[np.ndarray | None], facts: Checkpoint) -> None:
    for piece in pieces:
        if piece is not None:
            job.emit(mono_flat(piece), facts.sample_rate)
