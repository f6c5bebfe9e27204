"""AudioGen: sounds of the world from a text, by a language model over EnCodec's codes.

Kreuk et al. 2023, https://arxiv.org/abs/2209.15352; the published checkpoint is audiocraft's newer one, which
has MusicGen's architecture at 16 kHz. It is read by ``engines.parts.audiocraft``.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import (
    Card,
    Choice,
    Clip,
    Device,
    Engine,
    Job,
    NotReady,
    Params,
    Seed,
    StudioError,
    Task,
    Weights,
)
from engines.parts import audiocraft

LICENSE = "CC-BY-NC-4.0"
T5 = Weights(
    id="t5-large", title="T5 large", repo="google-t5/t5-large",
    files=("config.json", "tokenizer*.json", "model.safetensors"), optional=("spiece.model",),
    size_bytes=2_950_000_000, license="Apache-2.0",
)  # fmt: skip
MEDIUM = Weights(
    id="audiogen-medium", title="Medium, 1.5 billion parameters", repo="facebook/audiogen-medium",
    files=(audiocraft.STATE, audiocraft.COMPRESSION), license=LICENSE, non_commercial=True,
    languages=("en",), parts=(T5,),
)  # fmt: skip
MILLIONS = 1500 + 340 + 30
LONGEST_S = 10.0  # what it was trained on


class AudioGenParams(Params):
    """Parameters of a sound by AudioGen."""

    prompt: str = Field(
        min_length=1, max_length=2000, title="Prompt",
        description="What to hear, in English, such as “a dog barks while somebody plays the trumpet”.",
        json_schema_extra={"lines": 3},
    )  # fmt: skip
    model: str = Field(
        MEDIUM.id, min_length=1, max_length=500, title="Model",
        description="The published checkpoint, or the name of a folder in models/own of the data folder with "
        "audiocraft's two exported files and the T5 in a folder t5.",
        json_schema_extra={"choices": True},
    )  # fmt: skip
    duration_s: float = Field(
        5.0, ge=0.1, le=LONGEST_S, title="Duration", description="Length of the sound.",
        json_schema_extra={"unit": "s", "step": 0.5},
    )  # fmt: skip
    guidance: float = Field(
        3.0, ge=1, le=10, title="Guidance",
        description="How closely the sound follows the prompt. 1 is without guidance and half the work.",
        json_schema_extra={"step": 0.1},
    )  # fmt: skip
    temperature: float = Field(
        1.0, ge=0.1, le=2, title="Temperature",
        description="Lower is more predictable, higher more adventurous.", json_schema_extra={"step": 0.05},
    )  # fmt: skip
    top_k: int = Field(
        250, ge=0, le=2048, title="Top-k",
        description="Choose among this many most likely codes; 0 is all.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    top_p: float = Field(
        0.0, ge=0, le=1, title="Top-p",
        description="Choose among the most likely codes that together have this probability; 0 is all.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )  # fmt: skip
    variations: int = Field(
        1, ge=1, le=8, title="Variations",
        description="How many different sounds. They are made together, each from a seed of its own.",
    )  # fmt: skip
    seed: Seed = -1


class AudioGen(Engine):
    """Audiocraft's checkpoints in MusicGen's classes of Transformers, with a decoding loop of ours."""

    card = Card(
        id="audiogen",
        title="AudioGen",
        task=Task.TTA,
        summary="Sounds of the world from a prompt by a language model over codes, 16 kHz mono, up to 10 s.",
        license_code="Apache-2.0 (Transformers)",
        license_weights=f"{LICENSE} (AudioGen), Apache-2.0 (T5)",
        sample_rate=16_000,
        languages=("en",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2209.15352",
        home="https://huggingface.co/facebook/audiogen-medium",
        memory_mb={
            name: round(1.1 * MILLIONS * 1e6 * size / 2**20)
            for name, size in (("float32", 4), ("bfloat16", 2), ("float16", 2))
        },
        requires=("transformers", "torch", "safetensors", "yaml"),
        pip_extra="transformers torch safetensors pyyaml",
        notes="Weights for non-commercial purposes only. What people trained with audiocraft is read too: "
        "AudioGen's here, MusicGen's after python -m engines.parts.audiocraft in the Music tab.",
    )
    Params = AudioGenParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._model: Any = None
        self._tokenizer: Any = None
        self._folder: Path | None = None

    # models

    def weights(self) -> Sequence[Weights]:
        """The published checkpoint, then a person's own."""
        own = [
            Weights(id=name, title=f"{name} (your own)", license="your own", embedded=True)
            for name, folder in self.cache.own().items()
            if (folder / audiocraft.STATE).is_file() and (folder / audiocraft.COMPRESSION).is_file()
        ]
        return [MEDIUM, *own]

    def weights_for(self, params: Any) -> Weights:
        """The checkpoint that ``params`` names."""
        name = params.model.strip()
        for item in self.weights():
            if name in (item.id, item.repo):
                return item
        raise StudioError(
            f"{name!r} is neither a known model nor a folder in models/own with {audiocraft.STATE} and "
            f"{audiocraft.COMPRESSION}. Choose one from the list.",
            "model",
        )

    def choices(self, name: str) -> Sequence[Choice]:
        """Checkpoints; empty for other parameters."""
        return [Choice(item.id, item.title) for item in self.weights()] if name == "model" else ()

    def _folders(self, weights: Weights) -> tuple[Path, Path]:
        if weights.embedded:
            folder = self.cache.own()[weights.id]
            return folder, folder / "t5"
        folders = self.cache.path(weights), self.cache.path(T5)
        if folders[0] is None or folders[1] is None:
            raise NotReady(f"The model {weights.id} is not downloaded yet.", "model")
        return folders[0], folders[1]

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a blank prompt and an unknown model."""
        if not params.prompt.strip():
            raise StudioError("There is no prompt. Say what to hear.", "prompt")
        self.weights_for(params)

    def load(self, device: Device, params: Any = None) -> None:
        """Convert the checkpoint that ``params`` names; the last one is kept."""
        folder, t5 = self._folders(self.weights_for(params or AudioGenParams(prompt="-")))
        if self._folder == folder:
            return
        self.unload()
        import torch

        torch.set_num_threads(device.threads)
        model, self._tokenizer = audiocraft.whole(folder, t5)
        model.decoder.to(getattr(torch, device.dtype))
        self._model, self._folder = model.to(device.device), folder

    def unload(self) -> None:
        """Forget the checkpoint."""
        self._model, self._tokenizer, self._folder = None, None, None
        gc.collect()

    # making sound

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """Make all variations at once and yield one clip each. Raises ``Cancelled`` at any step."""
        import torch

        assert self._model is not None
        drawn = [int(job.rng(number).integers(2**32)) for number in range(1, params.variations)]
        seeds = [job.seed, *drawn]
        rate = int(self._model.config.audio_encoder.sampling_rate)
        with torch.inference_mode():
            codes = self._codes(params, seeds, job)
            sound = self._model.audio_encoder.decode(codes[None], [None]).audio_values
        length = round(params.duration_s * rate)
        revision = self.cache.revision(self.weights_for(params))
        for seed, samples in zip(seeds, sound.float().cpu().numpy()[..., :length], strict=True):
            job.check()
            samples = samples[0] if len(samples) == 1 else samples
            yield Clip(
                samples / max(1.0, float(np.abs(samples).max(initial=0.0))), rate, text=params.prompt.strip(),
                revision=revision, settings={"variations": 1, "seed": seed},
            )  # fmt: skip

    def _codes(self, params: Any, seeds: Sequence[int], job: Job) -> Any:
        """Codes ``(B, K, T)``, each codebook one step after the one before while they are decoded."""
        import torch

        model, decoder = self._model, self._model.decoder
        many, books = len(seeds), decoder.config.num_codebooks
        codec = model.config.audio_encoder
        frames = int(
            np.ceil(params.duration_s * codec.sampling_rate / np.prod(codec.upsampling_ratios))
        )
        guided = params.guidance > 1
        states, mask = self._read(params.prompt.strip(), many, guided)
        pad = decoder.config.pad_token_id
        start = torch.full((many * books, 1), pad, dtype=torch.long, device=model.device)
        steps = frames + books
        ids, pattern = decoder.build_delay_pattern_mask(start, pad, max_length=steps)
        rngs = [np.random.default_rng([seed, 0]) for seed in seeds]
        past = None
        for step in range(ids.shape[1], steps):
            job.check()
            job.progress(step - 1, steps - 1, "decoding")
            last = decoder.apply_delay_pattern_mask(ids, pattern)[:, -1:]
            out = decoder(
                last.repeat(2, 1) if guided else last, encoder_hidden_states=states,
                encoder_attention_mask=mask, past_key_values=past, use_cache=True,
            )  # fmt: skip
            past, scores = out.past_key_values, out.logits[:, -1].float()
            if guided:
                scores, empty = scores.chunk(2)
                scores = empty + params.guidance * (scores - empty)
            chosen = draw(scores.reshape(many, books, -1), rngs, params)
            ids = torch.cat([ids, chosen.reshape(-1, 1).to(ids.device)], dim=1)
        job.progress(steps - 1, steps - 1, "decoding")
        ids = decoder.apply_delay_pattern_mask(ids, pattern).reshape(many, books, -1)
        return torch.stack([ids[:, book, 1 + book : 1 + book + frames] for book in range(books)], 1)

    def _read(self, prompt: str, many: int, guided: bool) -> tuple[Any, Any]:
        """What the decoder attends to for each row; the second half is empty where it is ``guided``."""
        import torch

        model = self._model
        text = self._tokenizer([prompt], return_tensors="pt", truncation=True).to(model.device)
        states = model.text_encoder(**text).last_hidden_state
        if hasattr(model, "enc_to_dec_proj"):
            states = model.enc_to_dec_proj(states)
        states = (
            (states * text.attention_mask[..., None]).to(model.decoder.dtype).repeat(many, 1, 1)
        )
        mask = text.attention_mask.repeat(many, 1)
        if guided:
            return torch.cat([states, states * 0]), torch.cat([mask, mask * 0])
        return states, mask


def draw(scores: Any, rngs: Sequence[np.random.Generator], params: Any) -> Any:
    """One code for each row and codebook of ``scores (B, K, V)``, by each row's own random numbers."""
    import torch

    scores = scores / params.temperature
    if params.top_k:
        least = scores.topk(min(params.top_k, scores.shape[-1])).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    chances = scores.softmax(-1)
    if params.top_p:
        ordered, places = chances.sort(dim=-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        chances = torch.zeros_like(chances).scatter(-1, places, ordered * (before < params.top_p))
    sums = chances.double().cumsum(-1)
    shares = np.stack([rng.random(scores.shape[1]) for rng in rngs])
    targets = torch.from_numpy(shares).to(sums.device)[..., None] * sums[..., -1:]
    return torch.searchsorted(sums, targets, right=True).clamp(max=scores.shape[-1] - 1)[..., 0]
