"""MusicGen: music from a prompt, with a melody to follow, from where a sound ends, with adapters.

Copet et al. 2023, https://arxiv.org/abs/2306.05284. Checkpoints are loaded with Transformers; the
decoding loop is ``engines.music.musicgen.decoding``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from engines.music.musicgen import checkpoint, lora
from engines.music.musicgen.adapters import changed, fits, named
from engines.music.musicgen.inputs import length_s
from engines.music.musicgen.making import make
from engines.music.musicgen.params import PUBLISHED, SHIPPED, TINY, MusicGenParams, Precision
from engines.music.musicgen.sound import bake
from engines.music.musicgen.takes import mono_flat
from engines.prompts import render_prompt

if TYPE_CHECKING:
    from engines.music.musicgen.checkpoint import Loaded
    from engines.music.musicgen.decoding import Decoder

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
OTHERS = 168_600_000  # parameters of T5-base and the 32 kHz EnCodec, always in float32
SMALL = (419_584_000, 24, 1024)


def need_mb(decoder: int, layers: int, hidden: int, dtype: str, others: int = OTHERS) -> int:
    """MiB for a decoder of so many parameters, the ``others``, and the keys and values of 30 s."""
    cache = 2 * 2 * layers * 1503 * hidden
    return round(((decoder + cache) * BYTES[dtype] + others * 4) / 2**20)


class MusicGen(Engine):
    """MusicGen's checkpoints with our own decoding loop; one checkpoint is loaded at a time."""

    card = Card(
        id="musicgen",
        title="MusicGen",
        task=Task.MUSIC,
        summary="Music from a prompt, mono or stereo; follows a melody, continues a sound, and "
        "learns from your judgements through adapters.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="CC-BY-NC-4.0 (facebook/musicgen-*), MIT (studio-tiny)",
        sample_rate=32_000,
        languages=("en",),
        paper="https://arxiv.org/abs/2306.05284",
        home="https://huggingface.co/docs/transformers/model_doc/musicgen",
        memory_mb={name: need_mb(*SMALL, name) for name in ("float32", "bfloat16", "int8")},
        requires=("transformers", "torch", "safetensors", "numba"),
        pip_extra="transformers torch safetensors numba",
        notes="Facebook's weights may be used for non-commercial purposes only (CC-BY-NC-4.0); "
        "studio-tiny, which comes with the studio, for anything (MIT). "
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
        """The published checkpoints, then a person's own, then the small one of the package."""
        own = [
            Weights(id=name, title=f"{name} (your own)", license="your own", embedded=True)
            for name, folder in self.cache.own().items()
            if checkpoint.is_musicgen(folder)
        ]
        tiny = [TINY] if checkpoint.is_musicgen(SHIPPED) else []
        return [*PUBLISHED, *own, *tiny]

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
                checkpoint.describe(self.folder(weights)).files()
            except StudioError:
                return Availability.DOWNLOAD
        return state

    def choices(self, name: str) -> Sequence[Choice]:
        """Checkpoints and adapters; empty for other parameters."""
        if name == "model":
            return [Choice(item.id, item.title) for item in self.weights()]
        if name == "adapters":
            return [
                Choice(item.id, f"{item.title} ({item.base})") for item in self.cache.adapters()
            ]
        return ()

    def defaults(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The first weights that can be used now, unless others are given, and the sampling that the
        weights' own configuration states."""
        ready = {w.id: w for w in self.weights() if self.state_of(w) is Availability.READY}
        model = (given or {}).get("model") or next(iter(ready), "")
        if model not in ready:
            return {}
        try:
            return {"model": model, **checkpoint.sampling(self.folder(ready[model]))}
        except StudioError:  # of a broken folder, which is told when it is used
            return {"model": model}

    def folder(self, weights: Weights) -> Path:
        """Where these weights are; raises ``NotReady`` for what is not downloaded."""
        if weights is TINY:
            return SHIPPED
        folder = self.cache.own()[weights.id] if weights.embedded else self.cache.path(weights)
        if folder is None:
            raise NotReady(f"The model {weights.id} is not downloaded yet.", "model")
        return folder

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """MiB with the checkpoint that ``params`` asks for, while it is loaded, which is the most."""
        if params is None:
            return super().memory_mb(dtype)
        facts = checkpoint.describe(self.folder(self.weights_for(params)))
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
        facts = checkpoint.describe(self.folder(weights))
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
                length_s(getattr(params, name), name)
        for adapter, _ in self.adapters_of(params):
            fits(adapter.folder, facts.folder)

    def adapters_of(self, params: Any) -> list[tuple[Adapter, float]]:
        """The adapters that ``params`` names with their scales.

        Raises ``StudioError`` for an unknown one, one of another base, and one named twice.
        """
        if not params.adapters:
            return []
        base, known = self.weights_for(params).id, self.cache.adapters()
        return named(params.adapters, params.adapter_scale, base, known)

    # loading

    def warm(self) -> None:
        """Import torch and transformers."""
        checkpoint.warm()

    def load(self, device: Device, params: Any = None) -> None:
        """Load the checkpoint that ``params`` names and pack its decoder with the adapters.

        The last checkpoint and the last combination of adapters and precision are kept.
        """
        params = params or MusicGenParams(prompt="-")
        weights = self.weights_for(params)
        folder = self.folder(weights)
        adapters = self.adapters_of(params)
        stamp = f"{folder} {changed(folder)}"
        changes = tuple((a.id, scale, changed(a.folder)) for a, scale in adapters if scale)
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
        bake(loaded.model.audio_encoder)
        loaded.model.to(device.device)
        self._loaded, self._name, self._stamp, self._packed = loaded, weights.id, stamp, packed

    @staticmethod
    def _pack(
        loaded: Loaded, device: Device, precision: str, adapters: Sequence[tuple[Adapter, float]]
    ) -> Decoder:
        from engines.music.musicgen.decoding import Decoder

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
        folder = self.folder(weights)
        return self.cache.revision(weights) or checkpoint.fingerprint(folder)

    # making music

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """Make all variations at once and yield one clip each; the first is heard as it grows.

        Raises ``Cancelled`` at any step and ``StudioError`` for sounds that cannot be read.
        """
        assert self._loaded is not None and self._decoder is not None
        adapters = self.adapters_of(params)
        chosen = {"model": self._name, "precision": str(self._decoder.format)}
        revision = self.revision(params)
        for seed, take, codes in make(self._loaded, self._decoder, params, job):
            job.check()
            yield Clip(
                mono_flat(take.samples),
                self._loaded.checkpoint.sample_rate,
                text=render_prompt(params),
                revision=revision,
                settings={"variations": 1, "seed": seed, **chosen},
                adapter=" + ".join(adapter.id for adapter, _ in adapters),
                adapter_scale=adapters[0][1] if adapters else None,
                codes=codes,
            )
