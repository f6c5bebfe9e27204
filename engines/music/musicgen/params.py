"""What a person sets for a piece of music by MusicGen, and the checkpoints there are."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from engines.base import AudioFile, Seed, Weights
from engines.prompts import PromptParams

FIRST = "musicgen-small"
MAX_ADAPTERS = 2
MAX_SCALE = 2.0
FILES = ("config.json", "generation_config.json", "model*.safetensors*", "tokenizer*.json")
TITLES = {
    "musicgen-small": "Small, mono",
    "musicgen-medium": "Medium, mono",
    "musicgen-large": "Large, mono",
    "musicgen-stereo-small": "Small, stereo",
    "musicgen-stereo-medium": "Medium, stereo",
    "musicgen-stereo-large": "Large, stereo",
    "musicgen-melody": "Melody, mono",
    "musicgen-melody-large": "Melody, large, mono",
    "musicgen-stereo-melody": "Melody, stereo",
    "musicgen-stereo-melody-large": "Melody, large, stereo",
}
PUBLISHED = tuple(
    Weights(
        id=name, title=title, repo=f"facebook/{name}", files=FILES, license="CC-BY-NC-4.0",
        non_commercial=True, languages=("en",),
    )
    for name, title in TITLES.items()
)  # fmt: skip


# what ``configs/recipes`` makes and the package brings, when it is there
SHIPPED = Path(__file__).parent / "studio_tiny"
TINY = Weights(
    id="studio-tiny",
    title="studio-tiny, mono",
    license="MIT",
    languages=("en",),
    embedded=True,
    advice="A small demonstration model that comes with the studio: quick, heard at once, and rough. "
    "It makes 10 s at a time. For better music get a larger model, such as MusicGen Small, in Models.",
)


class Precision(StrEnum):
    """Number format of the decoder's weights."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class MusicGenParams(PromptParams):
    """Parameters of one piece of music and its variations."""

    negative_prompt: str = Field(
        "",
        max_length=2000,
        title="Negative prompt",
        description="What not to hear. Guidance leads away from it; it has no effect at a guidance "
        "scale of 1.",
        json_schema_extra={"lines": 2, "advanced": True},
    )
    model: str = Field(
        FIRST,
        min_length=1,
        max_length=500,
        title="Model",
        description="A published checkpoint, the small one that comes with the studio, or the name "
        "of a folder in models/own of the data folder that holds a MusicGen in the Transformers "
        "format. Where nothing is chosen, the first of these that is on this machine.",
        json_schema_extra={"choices": True},
    )
    duration_s: float = Field(
        10.0,
        ge=1,
        le=120,
        title="Duration",
        description="Length of the new music. The model hears at most 30 s at once (less where the "
        "checkpoint says so); longer music is made in windows, each of which goes on from the end "
        "of the one before (see Overlap).",
        json_schema_extra={"unit": "s", "step": 0.5},
    )
    variations: int = Field(
        1,
        ge=1,
        le=8,
        title="Variations",
        description="How many different pieces. Each has a seed of its own, which does not depend "
        "on how many are made.",
    )
    continue_from: AudioFile | None = Field(
        None,
        title="Continue from",
        description="A sound to go on from, up to 10 minutes. The clip holds that sound, as it is "
        "at the model's sample rate and channels, and then the new music.",
    )
    continue_overlap_s: float = Field(
        10.0,
        ge=0.5,
        le=20,
        title="Overlap",
        description="How much of what came before the model hears when it goes on: of the sound to "
        "continue, and of its own music in pieces that are longer than a window. At most two "
        "thirds of a window.",
        json_schema_extra={"unit": "s", "step": 0.5, "advanced": True},
    )
    melody: AudioFile | None = Field(
        None,
        title="Melody",
        description="A sound whose melody the music follows, repeated as long as the music lasts. "
        "Only the melody models can follow one.",
    )
    guidance_scale: float = Field(
        3.0,
        ge=1,
        le=10,
        title="Guidance scale",
        description="How closely the music follows the prompt. 1 is without guidance and takes "
        "half the work.",
        json_schema_extra={"step": 0.1},
    )
    temperature: float = Field(
        1.0,
        ge=0.1,
        le=2,
        title="Temperature",
        description="Lower is more predictable, higher more adventurous.",
        json_schema_extra={"step": 0.05},
    )
    top_k: int = Field(
        250,
        ge=0,
        le=2048,
        title="Top-k",
        description="Choose among this many most likely codes; 0 is all.",
        json_schema_extra={"advanced": True},
    )
    top_p: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Top-p",
        description="Choose among the most likely codes that together have this probability; 0 is "
        "all.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )
    adapters: tuple[str, ...] = Field(
        (),
        max_length=MAX_ADAPTERS,
        title="Adapters",
        description="Trained adapters of this model, each as its id or as id@scale.",
        json_schema_extra={"choices": True},
    )
    adapter_scale: float = Field(
        1.0,
        ge=0,
        le=MAX_SCALE,
        title="Adapter scale",
        description="Strength of adapters that are named without a scale; 0 is the model as it was.",
        json_schema_extra={"step": 0.05},
    )
    precision: Precision = Field(
        Precision.AUTO,
        title="Precision",
        description="Number format of the decoder. Automatic takes what is fast on this device; "
        "the clip's settings say which it was.",
        json_schema_extra={"advanced": True},
    )
    seed: Seed = -1
