"""The configuration of a training run: form, command line, YAML and run record read this one model."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from engines.base import MAX_SEED, Params, StudioError
from engines.parameters import parse, plain

PRESETS = Path(__file__).parents[1] / "configs" / "training.json"
PRESET_WIDTH = 1024  # of MusicGen Small's decoder, which the presets' epochs are for
MOST_TIMES = 4.0


class Method(StrEnum):
    """How the model learns: from good examples, or from which of two sounds is preferred."""

    SFT = "sft"
    DPO = "dpo"
    RANK = "rank"


class Precision(StrEnum):
    """What the base model computes in; the adapter itself is always float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Keep(StrEnum):
    """Which epoch's weights become the adapter."""

    BEST = "best"
    LAST = "last"


class Logger(StrEnum):
    """Where curves are sent besides the run's own folder."""

    NONE = "none"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"


Module = Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
MODULES: tuple[Module, ...] = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

ADVANCED: dict[str, Any] = {"advanced": True}


class RunConfig(Params):
    """Everything that decides how a run goes. The same configuration, data, base and machine give
    the same adapter."""

    # what

    name: str = Field(
        "adapter", min_length=1, max_length=80, title="Name",
        description="What the run and its adapter are called.",
    )  # fmt: skip
    experiment: str = Field(
        "", max_length=80, title="Experiment",
        description="Runs of one experiment are listed together; empty takes the dataset's name.",
    )  # fmt: skip
    base: str = Field(
        "musicgen-small", min_length=1, title="Base model",
        description="The MusicGen weights to adapt: an id, or a folder on the command line.",
        json_schema_extra={"widget": "choice"},
    )  # fmt: skip
    dataset: str = Field(
        "", title="Dataset",
        description="What to learn from: a dataset's id, or a folder on the command line.",
        json_schema_extra={"widget": "choice"},
    )  # fmt: skip
    method: Method = Field(
        Method.SFT, title="Method",
        description="sft imitates the sounds of a supervised dataset. dpo raises what was preferred "
        "over what was not, measured against the base model. rank does so without looking at the "
        "base, which needs half the work the first time round.",
        json_schema_extra={
            "labels": {
                "sft": "sft: imitate good sounds",
                "dpo": "dpo: prefer what was preferred",
                "rank": "rank: prefer, without the base",
            }
        },
    )  # fmt: skip

    # how long

    epochs: int = Field(
        10, ge=1, le=1000, title="Epochs", description="How often every item is seen.",
    )  # fmt: skip
    batch_size: int = Field(
        1, ge=1, le=64, title="Batch size",
        description="Items (or pairs) that go through the model together. More need more memory.",
    )  # fmt: skip
    accumulation: int = Field(
        4, ge=1, le=128, title="Accumulation",
        description="Batches whose gradients make one optimizer step. The rest at an epoch's end "
        "makes a step too. Several GPUs share these batches.",
    )  # fmt: skip
    learning_rate: float = Field(
        1e-4, gt=0, le=1, title="Learning rate", description="Of AdamW, after the warm-up.",
        json_schema_extra={"step": 1e-5},
    )  # fmt: skip
    warmup_share: float = Field(
        0.05, ge=0, le=0.5, title="Warm-up",
        description="Share of all optimizer steps in which the learning rate rises from 0; after "
        "them it falls to 0 along a cosine.",
        json_schema_extra={"step": 0.01} | ADVANCED,
    )  # fmt: skip
    weight_decay: float = Field(
        0.01, ge=0, le=1, title="Weight decay", description="Of AdamW.",
        json_schema_extra={"step": 0.01} | ADVANCED,
    )  # fmt: skip
    max_grad_norm: float = Field(
        1.0, gt=0, le=1000, title="Largest gradient norm",
        description="Gradients longer than this are shortened to it.",
        json_schema_extra={"step": 0.1} | ADVANCED,
    )  # fmt: skip
    early_stop_patience: int = Field(
        3, ge=0, le=100, title="Patience",
        description="Stop after so many epochs without a better validation; 0 never does.",
        json_schema_extra={"unit": "epochs"},
    )  # fmt: skip
    keep: Keep = Field(
        Keep.BEST, title="Keep",
        description="The epoch with the best validation, or the last. A handful of clips is known by "
        "heart before what they have in common is learned: keep the last to hear it.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip

    # the adapter

    lora_r: int = Field(
        16, ge=1, le=256, title="Rank",
        description="Size of the adapter: rank of the two matrices added to each layer "
        "(LoRA, Hu et al. 2021).",
    )  # fmt: skip
    lora_alpha: int = Field(
        32, ge=1, le=512, title="Alpha",
        description="Strength of the adapter: its change is multiplied by alpha / rank.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip
    lora_dropout: float = Field(
        0.05, ge=0, le=0.9, title="Adapter dropout",
        description="Share of an adapter layer's inputs left out at random; only for sft.",
        json_schema_extra={"step": 0.01} | ADVANCED,
    )  # fmt: skip
    target_modules: tuple[Module, ...] = Field(
        MODULES, min_length=1, title="Adapted layers",
        description="Which layers of the decoder's blocks get an adapter.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip

    # supervised

    conditioning_dropout: float = Field(
        0.1, ge=0, le=0.9, title="Prompt dropout",
        description="Share of items trained without their prompt, so that guidance keeps working; "
        "for sft.",
        json_schema_extra={"step": 0.05} | ADVANCED,
    )  # fmt: skip
    rating_weighting: float = Field(
        0.0, ge=0, le=4, title="Weight of ratings",
        description="0 treats all items alike; 1 weighs an item by its rating, 2 by its square; "
        "for sft.",
        json_schema_extra={"step": 0.5} | ADVANCED,
    )  # fmt: skip

    # preferences

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta",
        description="How closely dpo stays to the base: high stays closer. With lengths evened out "
        "take about 10.",
        json_schema_extra={"step": 0.05},
    )  # fmt: skip
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, title="Label smoothing",
        description="Share of the preferences thought to be mistaken; for dpo.",
        json_schema_extra={"step": 0.05} | ADVANCED,
    )  # fmt: skip
    use_margin: bool = Field(
        False, title="Use strengths",
        description="Ask for a wider gap where a preference was strong; for dpo and rank.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip
    length_normalised: bool = Field(
        False, title="Even out lengths",
        description="Compare the mean log-probability of a token instead of the sum of a clip's; "
        "rank always does.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip
    rank_margin: float = Field(
        0.1, gt=0, le=10, title="Rank margin",
        description="Gap in mean log-probability beyond which rank is content with a pair.",
        json_schema_extra=ADVANCED | {"unit": "nats", "step": 0.05},
    )  # fmt: skip
    sft_weight: float = Field(
        0.0, ge=0, le=10, title="Share of imitation",
        description="How much the sft loss of the preferred sound is added; for dpo and rank.",
        json_schema_extra={"step": 0.1} | ADVANCED,
    )  # fmt: skip

    # how

    max_duration_s: float = Field(
        10.0, ge=0.5, le=30, title="Longest clip",
        description="Clips are cut to this length; memory grows with it.",
        json_schema_extra={"unit": "s", "step": 1},
    )  # fmt: skip
    precision: Precision = Field(
        Precision.AUTO, title="Precision",
        description="auto computes in bfloat16 where the device is made for it, else in float32.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip
    gradient_checkpointing: bool = Field(
        False, title="Gradient checkpointing",
        description="Much less memory for about a third more time; the result is the same.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip
    seed: int = Field(
        0, ge=0, le=MAX_SEED, title="Seed",
        description="Start of all random numbers: the adapter, the order, what is dropped.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip

    # what is kept

    save_every_steps: int = Field(
        0, ge=0, le=100_000, title="Checkpoint every",
        description="Optimizer steps between checkpoints; 0 saves at the end of each epoch only.",
        json_schema_extra={"unit": "steps"} | ADVANCED,
    )  # fmt: skip
    keep_last: int = Field(
        2, ge=1, le=100, title="Checkpoints kept",
        description="How many of the latest stay, besides the best adapter.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip
    sample_prompts: tuple[str, ...] = Field(
        (), max_length=8, title="Listen to",
        description="Prompts played after each epoch, always with the same random numbers.",
    )  # fmt: skip
    sample_duration_s: float = Field(
        5.0, ge=0.5, le=30, title="Sample length",
        description="Length of the sounds made after each epoch.",
        json_schema_extra=ADVANCED | {"unit": "s", "step": 1},
    )  # fmt: skip
    logger: Logger = Field(
        Logger.NONE, title="Logger",
        description="Also send the curves to TensorBoard or trackio, both on this machine.",
        json_schema_extra=ADVANCED,
    )  # fmt: skip

    def to_yaml(self) -> str:
        """All values, in order of declaration."""
        return yaml.safe_dump(plain(self), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str) -> RunConfig:
        """Read what ``to_yaml`` or a person wrote; what is not named takes its default.

        Raises ``StudioError`` for text that is no YAML mapping, and ``InvalidParams`` naming each
        unknown key and wrong value.
        """
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise StudioError(f"The configuration is no YAML: {error}.") from error
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise StudioError("The configuration must be a list of lines such as 'epochs: 10'.")
        return cls.of({str(name): value for name, value in values.items()})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunConfig:
        """From plain values; raises ``InvalidParams`` with one sentence a field."""
        config = parse(cls, values)
        assert isinstance(config, RunConfig)
        return config


@functools.cache
def _presets() -> dict[str, dict[str, Any]]:
    return json.loads(PRESETS.read_text(encoding="utf-8"))


def presets(width: int = PRESET_WIDTH) -> dict[str, dict[str, Any]]:
    """Named changes to the defaults, quick, balanced and quality, for a decoder ``width`` channels wide.

    A narrow one goes through the items up to ``MOST_TIMES`` as often: its adapter changes less at each
    step, and a step takes a fraction of the time.
    """
    times = min(max(PRESET_WIDTH / width, 1.0), MOST_TIMES)
    found = {name: dict(values) for name, values in _presets().items()}
    for values in found.values():
        values["epochs"] = round(values["epochs"] * times)
    return found


def preset(name: str, width: int = PRESET_WIDTH) -> dict[str, Any]:
    """One of ``presets``; raises ``StudioError`` naming them all."""
    found = presets(width)
    if name not in found:
        raise StudioError(f"There is no preset {name!r}; there are {', '.join(found)}.", "preset")
    return found[name]
