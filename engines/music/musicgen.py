"""MusicGen: music from a prompt, with a melody to follow, from where a sound ends, with adapters.

Copet et al. 2023, https://arxiv.org/abs/2306.05284. Checkpoints are loaded with Transformers; the
decoding loop is ``engines.music.decoding``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.base import (
    Adapter,
    Availability,
    Card,
    Choice,
    Clip,
    Device,
    Engine,
    Job,
    NotReady,
    StudioError,
    Task,
    Weights,
)
from engines.music import checkpoint, codes, lora, melody
from engines.music.params import MAX_SCALE, PUBLISHED, MusicGenParams, Precision
from engines.music.takes import Beginning, Take, Window, beginning, mono_flat, seeds, windows
from engines.prompts import render_prompt

if TYPE_CHECKING:
    from engines.music.checkpoint import Checkpoint, Loaded
    from engines.music.decoding import Decoder

LONGEST_SOUND_S = 600.0
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
OTHERS = 168_600_000  # parameters of T5-base and the 32 kHz EnCodec, always in float32
SMALL = (419_584_000, 24, 1024)


def need_mb(decoder: int, layers: int, hidden: int, dtype: str, others: int = OTHERS) -> int:
    """MiB for a decoder of so many parameters, the ``others``, and the keys and values of 30 s."""
    cache = 2 * 2 * layers * 1503 * hidden
    return round(((decoder + cache) * BYTES[dtype] + others * 4) / 2**20)


@dataclass(frozen=True)
class Given:
    """What one run of the decoder is given, for a single row; see ``Decoder.generate``."""

    states: Any = None
    mask: Any = None
    prefix: Any = None
    negative: Any = None
    negative_mask: Any = None

    def rows(self, count: int) -> dict[str, Any]:
        """The arguments for ``count`` equal rows."""
        given = {
            "conditioning": self.states, "mask": self.mask, "prefix": self.prefix,
            "negative": self.negative, "negative_mask": self.negative_mask,
        }  # fmt: skip
        return {
            name: None if each is None else each.expand(count, *each.shape[1:])
            for name, each in given.items()
        }


class MusicGen(Engine):
    """MusicGen's checkpoints with our own decoding loop; one checkpoint is loaded at a time."""

    card = Card(
        id="musicgen",
        title="MusicGen",
        task=Task.MUSIC,
        summary="Music from a prompt, mono or stereo; follows a melody, continues a sound, and "
        "learns from your judgements through adapters.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="CC-BY-NC-4.0 (facebook/musicgen-*)",
        sample_rate=32_000,
        languages=("en",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2306.05284",
        home="https://huggingface.co/docs/transformers/model_doc/musicgen",
        memory_mb={name: need_mb(*SMALL, name) for name in ("float32", "bfloat16", "int8")},
        requires=("transformers", "torch", "safetensors", "numba"),
        pip_extra="transformers torch safetensors numba",
        notes="Facebook's weights may be used for non-commercial purposes only (CC-BY-NC-4.0). "
        "Memory is that of musicgen-small with one variation of 30 s; by their parameters the "
        "medium decoder is 4.4 times, the large one 7.8 times as large. While a checkpoint is "
        "loaded, its decoder takes four bytes a parameter more. Own checkpoints: a folder in "
        "models/own of the data folder with config.json, model.safetensors and the tokenizer, as "
        "save_pretrained of MusicgenForConditionalGeneration or "
        "MusicgenMelodyForConditionalGeneration writes them.",
    )
    Params = MusicGenParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._name = ""
        self._stamp = ""
        self._loaded: Loaded | None = None
        self._decoder: Decoder | None = None
        self._packed: tuple[Any, ...] = ()

    # models

    def weights(self) -> Sequence[Weights]:
        """The published checkpoints, then a person's own."""
        own = [
            Weights(id=name, title=f"{name} (your own)", license="your own", embedded=True)
            for name, folder in self.cache.own().items()
            if checkpoint.is_musicgen(folder)
        ]
        return [*PUBLISHED, *own]

    def weights_for(self, params: Any) -> Weights:
        """The checkpoint that ``params`` names; a person's own counts as embedded."""
        name = params.model.strip()
        for item in self.weights():
            if name in (item.id, item.repo):
                return item
        raise StudioError(
            f"{name!r} is neither a known model nor a folder in models/own. Choose one from the "
            "list, or put a folder there with config.json, model.safetensors and the tokenizer of "
            "a MusicGen.",
            "model",
        )

    def state_of(self, weights: Weights) -> Availability:
        """As of every engine; a checkpoint that lacks one of its parts is still to be downloaded."""
        state = super().state_of(weights)
        if state is Availability.READY and not weights.embedded:
            try:
                checkpoint.describe(self._folder(weights)).files()
            except StudioError:
                return Availability.DOWNLOAD
        return state

    def choices(self, name: str) -> Sequence[Choice]:
        """Checkpoints and adapters; empty for other parameters."""
        if name == "model":
            return [Choice(item.id, item.title) for item in self.weights()]
        if name == "adapters":
            return [Choice(item.id, f"{item.title} ({item.base})") for item in self.cache.adapters()]
        return ()

    def _folder(self, weights: Weights) -> Path:
        folder = self.cache.own()[weights.id] if weights.embedded else self.cache.path(weights)
        if folder is None:
            raise NotReady(f"The model {weights.id} is not downloaded yet.", "model")
        return folder

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """MiB with the checkpoint that ``params`` asks for, while it is loaded, which is the most."""
        if params is None:
            return super().memory_mb(dtype)
        facts = checkpoint.describe(self._folder(self.weights_for(params)))
        counts = {True: 0, False: 0}
        for name, shape in facts.shapes.items():
            counts[name.startswith("decoder.")] += int(np.prod(shape))
        usual = "int8" if dtype == "float32" else "bfloat16"
        chosen = usual if params.precision is Precision.AUTO else str(params.precision)
        packed = need_mb(counts[True], facts.num_layers, facts.hidden_size, chosen, counts[False])
        return packed + counts[True] * 4 // 2**20

    # what is asked for

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a blank prompt, a folder without a MusicGen, an adapter of
        another base, and sounds that cannot be read or that the model has no use for."""
        render_prompt(params)
        weights = self.weights_for(params)
        facts = checkpoint.describe(self._folder(weights))
        facts.files()
        if params.melody is not None and not facts.melody:
            melodic = ", ".join(item.id for item in PUBLISHED if "melody" in item.id)
            raise StudioError(
                f"{weights.id} cannot follow a melody. Choose one that can ({melodic}), or leave "
                "the melody out.",
                "melody",
            )
        for name in ("continue_from", "melody"):
            if getattr(params, name) is not None:
                _length_s(getattr(params, name), name)
        for adapter, _ in self.adapters_of(params):
            _checked(adapter.folder, facts.folder, _changed(adapter.folder), _changed(facts.folder))

    def adapters_of(self, params: Any) -> list[tuple[Adapter, float]]:
        """The adapters that ``params`` names with their scales.

        Raises ``StudioError`` for an unknown one, one of another base, and one named twice.
        """
        if not params.adapters:
            return []
        known = {adapter.id: adapter for adapter in self.cache.adapters()}
        base, chosen = self.weights_for(params).id, {}
        for entry in params.adapters:
            id, _, scale = entry.strip().partition("@")
            adapter = known.get(id)
            if adapter is None:
                fitting = ", ".join(a.id for a in known.values() if a.base == base) or "none"
                raise StudioError(
                    f"There is no adapter {id!r}. Adapters of {base}: {fitting}.", "adapters"
                )
            if adapter.base != base:
                raise StudioError(
                    f"{adapter.title} was trained on {adapter.base} and cannot be used with "
                    f"{base}. Choose {adapter.base} as the model, or another adapter.",
                    "adapters",
                )
            if id in chosen:
                raise StudioError(f"{adapter.title} is named twice.", "adapters")
            chosen[id] = (adapter, _scale(entry, scale) if scale else params.adapter_scale)
        return list(chosen.values())

    # loading

    def load(self, device: Device, params: Any = None) -> None:
        """Load the checkpoint that ``params`` names and pack its decoder with the adapters.

        The last checkpoint and the last combination of adapters and precision are kept.
        """
        params = params or MusicGenParams(prompt="-")
        weights = self.weights_for(params)
        folder = self._folder(weights)
        adapters = self.adapters_of(params)
        stamp = f"{folder} {_changed(folder)}"
        changes = tuple((a.id, scale, _changed(a.folder)) for a, scale in adapters if scale)
        packed = (stamp, device.device, params.precision, changes)
        if self._packed == packed:
            return
        import torch

        torch.set_num_threads(device.threads)
        if self._stamp != stamp:
            self.unload()
        self._drop_decoder()
        # the decoder's weights are kept in packed form only, so they are read again for another one
        loaded = checkpoint.load(folder)
        self._decoder = self._pack(loaded, device, params.precision, adapters)
        loaded.model.decoder = None
        loaded.model.to(device.device)
        self._loaded, self._name, self._stamp, self._packed = loaded, weights.id, stamp, packed

    @staticmethod
    def _pack(
        loaded: Loaded, device: Device, precision: str, adapters: Sequence[tuple[Adapter, float]]
    ) -> Decoder:
        from engines.music.decoding import Decoder

        read = [(lora.read(adapter.folder), scale) for adapter, scale in adapters]
        decoder = loaded.model.decoder
        return Decoder(
            decoder,
            format=str(precision),
            device=device.device if device.device.startswith("cuda") else "cpu",
            deltas=lora.deltas(decoder, read),
            threads=device.threads,
        )

    def _drop_decoder(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        self._decoder, self._packed = None, ()

    def unload(self) -> None:
        """Forget the checkpoint."""
        self._drop_decoder()
        self._loaded, self._name, self._stamp = None, "", ""

    def revision(self, params: Any) -> str:
        """The commit of published weights; of a person's own, the start of their SHA-256."""
        weights = self.weights_for(params)
        folder = self._folder(weights)
        return self.cache.revision(weights) or checkpoint.fingerprint(folder)

    # making music

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """Make all variations at once and yield one clip each; the first is heard as it grows.

        Raises ``Cancelled`` at any step and ``StudioError`` for sounds that cannot be read.
        """
        assert self._loaded is not None and self._decoder is not None
        loaded, facts = self._loaded, self._loaded.checkpoint
        begun = None
        if params.continue_from is not None:
            samples, sample_rate = _read(params.continue_from, "continue_from")
            overlap = facts.frames(params.continue_overlap_s)
            begun = beginning(loaded, samples, sample_rate, overlap)
        drawn = seeds(job.seed, params.variations)
        first = Take(loaded, begun)
        made = self._decode(params, job, begun, drawn, first)
        settings = {"variations": 1, "model": self._name, "precision": str(self._decoder.format)}
        takes = self._takes(made, begun, first, job)
        for number, (take, seed) in enumerate(zip(takes, drawn, strict=True)):
            job.check()
            yield self._clip(params, take, settings | {"seed": seed}, number)

    def _decode(
        self,
        params: Any,
        job: Job,
        begun: Beginning | None,
        drawn: Sequence[int],
        first: Take,
    ) -> np.ndarray:
        """The new codes ``(B, K, T)`` of all variations; ``first`` grows by those of the first."""
        assert self._loaded is not None and self._decoder is not None
        facts = self._loaded.checkpoint
        new, count = facts.frames(params.duration_s), len(drawn)
        given = np.zeros((facts.codebooks, 0), np.int64) if begun is None else begun.codes
        plan = windows(
            new, facts.frames(facts.max_s), facts.frames(params.continue_overlap_s), given.shape[1]
        )
        rngs = [np.random.default_rng(seed) for seed in drawn]
        tune = _Tune(params.melody, facts) if params.melody is not None else None
        held = np.repeat(given[None], count, axis=0)
        _emit(job, [first.opening()], facts)
        for number, window in enumerate(plan):
            follow = _Follow(job, facts, window, new, number, plan, first)
            made = self._decoder.generate(
                **self._given(params, tune, window).rows(count),
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
        return held[:, :, given.shape[1] :]

    def _given(self, params: Any, tune: _Tune | None, window: Window) -> Given:
        """The prompts, and the melody where this window begins, as the decoder reads them."""
        import torch

        assert self._loaded is not None
        loaded = self._loaded
        prompt, negative = render_prompt(params), params.negative_prompt.strip()
        guided = params.guidance_scale > 1
        with torch.inference_mode():
            if not loaded.checkpoint.melody:
                text = codes.encode_text(loaded, [prompt])
                states = codes.conditioning(loaded, text.states, text.mask)
                if not (guided and negative):
                    return Given(states, text.mask)
                away = codes.encode_text(loaded, [negative])
                shown = codes.conditioning(loaded, away.states, away.mask)
                return Given(states, text.mask, negative=shown, negative_mask=away.mask)
            # both halves stand before the codes and must be equally long
            text = codes.encode_text(loaded, [prompt, negative] if guided and negative else [prompt])
            chroma = None if tune is None else torch.from_numpy(tune.at(window.start))[None]
            prefix = codes.melody_conditioning(loaded, text.states[:1], text.mask[:1], chroma)
            if not guided:
                return Given(prefix=prefix)
            mask = text.mask[1:] if negative else torch.zeros_like(text.mask)
            away = codes.melody_conditioning(loaded, text.states[-1:], mask)
            return Given(prefix=prefix, negative=away)

    def _takes(
        self, made: np.ndarray, begun: Beginning | None, first: Take, job: Job
    ) -> Iterator[Take]:
        assert self._loaded is not None
        facts = self._loaded.checkpoint
        _emit(job, [first.finish()], facts)
        yield first
        for row in made[1:]:
            take = Take(self._loaded, begun)
            take.opening()
            take.grow(row)
            take.finish()
            yield take

    def _clip(self, params: Any, take: Take, settings: dict[str, Any], number: int) -> Clip:
        assert self._loaded is not None
        adapters = self.adapters_of(params)
        return Clip(
            mono_flat(take.samples),
            self._loaded.checkpoint.sample_rate,
            text=render_prompt(params),
            revision=self.revision(params),
            settings=settings,
            adapter=" + ".join(adapter.id for adapter, _ in adapters),
            adapter_scale=adapters[0][1] if adapters else None,
        )


class _Tune:
    """The chroma of a melody, which repeats as long as the music lasts."""

    def __init__(self, path: Path, facts: Checkpoint):
        self._samples, self._rate = _read(path, "melody")
        self._how = melody.analysis(facts.folder)
        self._frame_rate = facts.frame_rate

    def at(self, frame: int) -> np.ndarray:
        """One-hot chroma ``(T, num_chroma)`` from the time of a new frame on."""
        start = round(frame / self._frame_rate * self._rate) % self._samples.shape[1]
        return melody.chroma(np.roll(self._samples, -start, axis=1), self._rate, self._how)


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


def _scale(entry: str, text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = -1.0
    if not 0 <= scale <= MAX_SCALE:
        raise StudioError(
            f"{entry!r}: the scale of an adapter is a number from 0 to {MAX_SCALE:g}, as in "
            f"{entry.partition('@')[0]}@0.8.",
            "adapters",
        )
    return scale


def _length_s(path: Path, field: str) -> float:
    """Duration of a sound file; raises ``StudioError`` when it cannot be read or is too long."""
    import soundfile

    try:
        length_s = soundfile.info(str(path)).duration
    except (soundfile.SoundFileError, OSError) as error:
        raise StudioError(f"{path.name} is not a sound that can be read: {error}", field) from error
    if not 0 < length_s <= LONGEST_SOUND_S:
        raise StudioError(
            f"{path.name} lasts {length_s:,.0f} s; give a sound of at most {LONGEST_SOUND_S:,.0f} s.",
            field,
        )
    return length_s


def _read(path: Path, field: str) -> tuple[np.ndarray, int]:
    """Samples ``(C, T)`` and sample rate of a sound file."""
    import soundfile

    _length_s(path, field)
    samples, sample_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), sample_rate


def _changed(folder: Path) -> int:
    """When the weights in ``folder`` were last written, so that new ones are noticed."""
    return max((file.stat().st_mtime_ns for file in folder.glob("*.safetensors")), default=0)


@functools.lru_cache(maxsize=32)
def _checked(adapter: Path, base: Path, *changed: int) -> None:
    """``lora.check``, once for each state of the files."""
    lora.check(adapter, base)
