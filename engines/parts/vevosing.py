"""VevoSing's published parts (Vevo 1.5), each loaded once for all engines that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from engines.base import Card, Device, Engine, Params, Task, Weights, WeightsCache
from engines.parts.published import Part, file_bytes, folder_of, parts_mb, reading
from engines.parts.vevo_settings import LANGUAGES, RATE

if TYPE_CHECKING:
    from engines.networks.vevosing.pipeline import VevoSing

REPO = "amphion/Vevo1.5"
WORKING_MB = 800  # what a run takes beside the weights


class Model(StrEnum):
    """What singing the networks were trained on, beside 101,000 hours of speech."""

    SINGNET = "singnet7k"
    SMALL = "sing0.4k"


class ModelParams(Params):
    """Which of the published networks."""

    model: Model = Field(
        Model.SINGNET,
        title="Model",
        description="Hours of singing that it was trained on: 7,000 (SingNet) or 400.",
        json_schema_extra={"advanced": True},
    )


WHISPER = Weights(
    id="whisper-medium", title="Whisper medium", repo="openai/whisper-medium",
    files=("config.json", "preprocessor_config.json", "model.safetensors"),
    size_bytes=file_bytes(763_857_920), license="Apache-2.0",
)  # fmt: skip
SOUND = Weights(
    id="vevosing-sound", title="VevoSing: content-style tokens and vocoder", repo=REPO,
    files=("tokenizer/contentstyle_fvq16384_12.5hz/*", "acoustic_modeling/Vocoder/*"),
    optional=("config.json", "whisper_stats.pt"), size_bytes=file_bytes(38_011_792, 255_044_354),
    license="CC-BY-NC-4.0", non_commercial=True, parts=(WHISPER,),
)  # fmt: skip
TIMBRE = {
    model: Weights(
        id=f"vevosing-timbre-{model}", title=f"VevoSing: flow, {model}", repo=REPO,
        files=(f"acoustic_modeling/fm_emilia101k_{model}/*",), optional=("config.json",),
        size_bytes=file_bytes(354_474_112), license="CC-BY-NC-4.0", non_commercial=True,
        parts=(SOUND,),
    )
    for model in Model
}  # fmt: skip
SONG = {
    model: Weights(
        id=f"vevosing-{model}", title=f"VevoSing: language model and melody tokens, {model}",
        repo=REPO,
        files=(f"contentstyle_modeling/ar_emilia101k_{model}/*",
               "tokenizer/prosody_fvq512_6.25hz/*"),
        optional=("config.json",), size_bytes=file_bytes(776_726_400, 44_177_296),
        license="CC-BY-NC-4.0", non_commercial=True, parts=(TIMBRE[model],),
    )
    for model in Model
}  # fmt: skip

HEARING = Part(WHISPER, "encoder", 307_216_384)
CODEC = Part(SOUND, "tokenizer/contentstyle_fvq16384_12.5hz", 38_011_792)
VOCODER = Part(SOUND, "acoustic_modeling/Vocoder", 255_044_354)


def parts_of(model: Model, song: bool) -> tuple[Part, ...]:
    """All parts of a mode: of timbre alone, or of a ``song``."""
    flow = Part(TIMBRE[model], f"acoustic_modeling/fm_{model}", 354_474_112, exact=False)
    if not song:
        return (HEARING, CODEC, VOCODER, flow)
    language = Part(SONG[model], f"contentstyle_modeling/ar_{model}", 776_726_400, exact=False)
    melody = Part(SONG[Model.SINGNET], "tokenizer/prosody_fvq512_6.25hz", 44_177_296)
    return (HEARING, CODEC, VOCODER, flow, language, melody)


def load(cache: WeightsCache, device: Device, model: Model, song: bool) -> VevoSing:
    """The networks of a mode, but for those that somebody holds already."""
    from engines.networks.blocks.normalisation import Normalisation
    from engines.networks.blocks.whisper import WhisperFeatures
    from engines.networks.vevo.flow import FlowTransformer
    from engines.networks.vevo.sound import vocoder_from_published
    from engines.networks.vevosing import pipeline
    from engines.networks.vevosing.language import SingingLanguage
    from engines.networks.vevosing.tokenizer import CocoTokenizer
    from engines.networks.weights import weight_file

    folder = folder_of(cache, SOUND)
    with reading(SOUND.title):
        sizes = pipeline.VevoSingConfig.of(folder)
        normalisation = Normalisation.of(folder / pipeline.STATISTICS_FILE, "whisper_medium")

    def part(place: int, where: Any, network: Any, config: Any) -> Any:
        read = getattr(network, "from_published", network)
        return parts[place].load(
            cache, device, lambda root: read(weight_file(root / where), config)
        )

    parts = parts_of(model, song)
    made = pipeline.VevoSing(
        HEARING.load(cache, device, WhisperFeatures.from_published),
        normalisation,
        part(1, pipeline.STYLE_TOKENIZER, CocoTokenizer, sizes.content_style),
        part(3, pipeline.FLOW.format(data=model), FlowTransformer, sizes.flow),
        part(2, pipeline.VOCODER, vocoder_from_published, sizes.vocoder),
    )
    if song:
        made.language = part(
            4, pipeline.LANGUAGE.format(data=model), SingingLanguage, sizes.language
        )
        made.prosody = part(5, pipeline.PROSODY_TOKENIZER, CocoTokenizer, sizes.prosody)
    return made


class VevoSingEngine(Engine):
    """An engine of one mode: ``song`` ones have the language model too."""

    song: ClassVar[bool] = True

    def __init__(self, cache: WeightsCache):
        super().__init__(cache)
        self._vevo: VevoSing | None = None
        self._model: Model | None = None
        self._device = "cpu"

    def weights(self) -> Sequence[Weights]:
        """Of both models."""
        return tuple((SONG if self.song else TIMBRE).values())

    def weights_for(self, params: Any) -> Weights:
        """Of the model that ``params`` names."""
        return (SONG if self.song else TIMBRE)[params.model if params else Model.SINGNET]

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """All parts and what a run takes."""
        return sum(part.mb(dtype) for part in self._parts(params)) + WORKING_MB

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """All parts: other modes may hold them too."""
        return parts_mb(self._parts(params), self.cache, dtype)

    def _parts(self, params: Any) -> tuple[Part, ...]:
        return parts_of(params.model if params else Model.SINGNET, self.song)

    def load(self, device: Device, params: Any = None) -> None:
        """Load the parts that nobody holds yet; those of another model are let go."""
        model = params.model if params else Model.SINGNET
        if self._vevo is not None and self._model is model:
            return
        import torch

        torch.set_num_threads(device.threads)
        self._vevo = load(self.cache, device, model, self.song)
        self._model, self._device = model, device.device

    def unload(self) -> None:
        """Let go of all parts."""
        self._vevo, self._model = None, None

    @property
    def vevo(self) -> VevoSing:
        """The loaded networks."""
        assert self._vevo is not None, "run before load"
        return self._vevo

    def tensor(self, sound: Any) -> Any:
        """A ``Sound`` as samples (L,) where the networks are."""
        return sound.tensor(RATE, self._device)


def card(id: str, title: str, task: Task, summary: str, notes: str, *, song: bool = True) -> Card:
    """What the modes have in common."""
    parts = parts_of(Model.SINGNET, song)
    return Card(
        id=id,
        title=title,
        task=task,
        summary=summary,
        license_code="MIT",
        license_weights="CC-BY-NC-4.0 (Vevo 1.5), Apache-2.0 (Whisper)",
        sample_rate=RATE,
        languages=LANGUAGES,
        non_commercial=True,
        paper="https://arxiv.org/abs/2508.16332",
        home="https://github.com/open-mmlab/Amphion/tree/main/models/svc/vevosing",
        memory_mb={
            dtype: sum(part.mb(dtype) for part in parts) + WORKING_MB
            for dtype in ("float32", "bfloat16")
        },
        requires=("torch", "transformers", "librosa", "soundfile"),
        pip_extra="torch transformers librosa soundfile",
        notes=notes,
    )
