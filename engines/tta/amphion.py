"""AudioLDM as the Amphion toolkit trained it: T5 text, a latent diffusion of mels, HiFi-GAN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Clip, Device, Job, Params, Seed, StudioError, Task, Weights
from engines.base import Engine as Base
from engines.parts.published import (
    Part,
    file_bytes,
    folder_of,
    generator,
    parts_mb,
    placed,
    reading,
)
from engines.parts.variations import seeds

RATE, HOP = 16_000, 256
T5 = Part(
    Weights(
        id="t5-base", title="T5 base", repo="google-t5/t5-base",
        files=("config.json", "model.safetensors", "tokenizer.json"),
        optional=("tokenizer_config.json", "spiece.model"),
        size_bytes=892_000_000, license="Apache-2.0",
    ),
    "encoder", 109_628_544, exact=False,
)  # fmt: skip
WEIGHTS = Weights(
    id="audioldm-amphion",
    title="AudioLDM of Amphion",
    repo="amphion/text_to_audio",
    files=("tta/*/checkpoints/*.pt", "tta/hifigan_checkpoints/*"),
    optional=("tta/config.json",),
    size_bytes=file_bytes(400_096_004, 62_077_669, 13_900_000),
    license="MIT",
    languages=("en",),
    parts=(T5.weights,),
)
LONGEST_TOKENS = 512


class AmphionAudioLdmParams(Params):
    """Parameters of a sound and its variations."""

    prompt: str = Field(
        min_length=1,
        max_length=2000,
        title="Description",
        description="What is heard, in English, such as “rain on a tin roof”.",
        json_schema_extra={"lines": 3},
    )
    duration_s: float = Field(
        10.0,
        ge=1,
        le=30,
        title="Duration",
        description="Length of the sound. The model was trained on 10 s.",
        json_schema_extra={"step": 0.5, "unit": "s"},
    )
    steps: int = Field(
        200,
        ge=10,
        le=500,
        title="Steps",
        description="Steps of the diffusion; 50 are often enough.",
    )
    guidance: float = Field(
        4.0,
        ge=1,
        le=10,
        title="Guidance",
        description="How closely the sound follows the description.",
        json_schema_extra={"step": 0.1},
    )
    variations: int = Field(
        1,
        ge=1,
        le=8,
        title="Variations",
        description="How many different sounds, all made at once, each with a seed of its own.",
    )
    seed: Seed = -1


class AmphionAudioLdm(Base):
    """All parts and the text encoder."""

    card = Card(
        id="audioldm",
        title="Amphion AudioLDM",
        task=Task.TTA,
        summary="Sounds from a description, by the latent diffusion that the Amphion toolkit trained.",
        license_code="MIT",
        license_weights="MIT; Apache-2.0 (T5)",
        sample_rate=RATE,
        languages=("en",),
        paper="https://arxiv.org/abs/2301.12503",
        home="https://huggingface.co/amphion/text_to_audio",
        memory_mb={"float32": 2350, "bfloat16": 1250, "float16": 1250},
        requires=("torch", "transformers", "tokenizers"),
        pip_extra="torch transformers",
        notes="Its descriptions were those of AudioCaps. The original has neither a duration nor a seed.",
    )
    Params = AmphionAudioLdmParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._model: Any = None
        self._text: Any = None
        self._tokenizer: Any = None
        self._stamp = ""
        self._device = "cpu"

    def weights(self) -> tuple[Weights, ...]:
        """The published ones."""
        return (WEIGHTS,)

    def shared_mb(self, dtype: str, params: Any = None) -> dict[str, int]:
        """The text encoder."""
        return parts_mb((T5,), self.cache, dtype)

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a blank description."""
        if not any(char.isalnum() for char in params.prompt):
            raise StudioError("The description is empty. Say what is heard.", "prompt")

    def load(self, device: Device, params: Any = None) -> None:
        """All parts, once."""
        folder = folder_of(self.cache, WEIGHTS)
        stamp = f"{folder} {device.device} {device.dtype}"
        if self._stamp == stamp:
            return
        self.unload()
        import torch
        from transformers import PreTrainedTokenizerFast

        from engines.networks.audioldm.pipeline import AudioLdmModel

        torch.set_num_threads(device.threads)
        with reading(WEIGHTS.title):
            model = AudioLdmModel.from_published(folder / "tta")
        placed(model.diffusion, device, device.dtype)
        placed(model.autoencoder, device, device.dtype)
        placed(model.vocoder, device, device.dtype)
        self._text = T5.load(self.cache, device, read_t5)
        tokens = folder_of(self.cache, T5.weights) / "tokenizer.json"
        self._tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(tokens), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        )
        self._model, self._device, self._stamp = model, device.device, stamp

    def unload(self) -> None:
        """Forget all parts."""
        self._model = self._text = self._tokenizer = None
        self._stamp = ""

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """One clip for each variation, all made in one batch."""
        import torch

        drawn = seeds(job.seed, params.variations)
        length = round(params.duration_s * RATE)

        def follow(done: int, total: int) -> None:
            job.check()
            job.progress(done, total, f"Step {done} of {total}")

        with torch.inference_mode():
            sounds = self._model.generate(
                self._context(params.prompt),
                generators=[generator(np.random.default_rng([seed])) for seed in drawn],
                frames=-(-length // HOP),
                steps=params.steps,
                guidance=params.guidance,
                progress=follow,
            )
        revision = self.cache.revision(WEIGHTS)
        for seed, samples in zip(drawn, sounds.cpu().numpy(), strict=True):
            yield Clip(
                np.clip(samples[:length], -1, 1), RATE, text=params.prompt, revision=revision,
                settings={"variations": 1, "seed": seed},
            )  # fmt: skip

    def _context(self, prompt: str) -> Any:
        """States of the empty text and of ``prompt`` (2, L, D), both of as many tokens."""
        import torch

        ids = self._tokenizer(prompt.strip(), truncation=True, max_length=LONGEST_TOKENS).input_ids
        empty = self._tokenizer("").input_ids
        empty = (empty + [self._tokenizer.pad_token_id] * len(ids))[: len(ids)]
        given = torch.tensor([empty, ids], device=self._device)
        return self._text(input_ids=given).last_hidden_state


def read_t5(folder: Path) -> Any:
    """T5's encoder of a folder; ``WeightsError`` names what doesn't fit."""
    from transformers import T5Config, T5EncoderModel

    from engines.networks.weights import load_exactly, read_config, read_weights

    model = T5EncoderModel(T5Config(**read_config(folder / "config.json")))
    state = read_weights(folder / "model.safetensors")
    shared = state.get("shared.weight", state.get("encoder.embed_tokens.weight"))
    if shared is not None:
        state = {**state, "shared.weight": shared, "encoder.embed_tokens.weight": shared}
    load_exactly(model, state, what="T5", ignore=["decoder.", "lm_head."])
    return model
