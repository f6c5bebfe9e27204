"""Vevo's published parts, each loaded once for all engines that use it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from engines.base import Device, Engine, Weights, WeightsCache
from engines.parts.published import Part, file_bytes, folder_of, parts_mb, reading

if TYPE_CHECKING:
    import torch

    from engines.networks.vevo.pipeline import StyleTokens, Vevo, Voicing

REPO = "amphion/Vevo"
PAPER = "https://openreview.net/forum?id=anQDiQZhDP"
HOME = "https://github.com/open-mmlab/Amphion/tree/main/models/vc/vevo"
LICENSE = "CC-BY-NC-4.0"
LICENSE_CODE = "MIT"
WORKING_MB = 600  # what a run takes beside the weights

HUBERT = Weights(
    id="hubert-large-ll60k", title="HuBERT large", repo="facebook/hubert-large-ll60k",
    files=("config.json", "pytorch_model.bin"), size_bytes=file_bytes(315_435_136),
    license="Apache-2.0",
)  # fmt: skip
SOUND = Weights(
    id="vevo-timbre", title="Vevo: content-style tokens, flow and vocoder", repo=REPO,
    files=("tokenizer/vq8192/*", "acoustic_modeling/Vq8192ToMels/*", "acoustic_modeling/Vocoder/*"),
    optional=("config.json", "hubert_large_l18_mean_std.safetensors"),
    size_bytes=file_bytes(44_289_808, 337_694_848, 255_044_354), license=LICENSE,
    non_commercial=True, parts=(HUBERT,),
)  # fmt: skip
CONVERSION = Weights(
    id="vevo-voice", title="Vevo: content tokens and their language model", repo=REPO,
    files=("tokenizer/vq32/hubert_large_l18_c32.pkl", "contentstyle_modeling/Vq32ToVq8192/*"),
    optional=("config.json",), size_bytes=file_bytes(58_789_920, 481_494_528), license=LICENSE,
    non_commercial=True, parts=(SOUND,),
)  # fmt: skip
SPEECH = Weights(
    id="vevo-tts", title="Vevo: language model of phones", repo=REPO,
    files=("contentstyle_modeling/PhoneToVq8192/*",), optional=("config.json",),
    size_bytes=file_bytes(743_303_040), license=LICENSE, non_commercial=True, parts=(SOUND,),
)  # fmt: skip

HEARING = Part(HUBERT, "layers 1 to 18", 239_854_720)
CODEC = Part(SOUND, "tokenizer/vq8192", 44_289_808)
FLOW = Part(SOUND, "acoustic_modeling/Vq8192ToMels", 337_694_848, exact=False)
VOCODER = Part(SOUND, "acoustic_modeling/Vocoder", 255_044_354)
CONTENT = Part(CONVERSION, "tokenizer/vq32", 29_362_176)
FROM_CONTENT = Part(CONVERSION, "contentstyle_modeling/Vq32ToVq8192", 481_494_528, exact=False)
FROM_PHONES = Part(SPEECH, "contentstyle_modeling/PhoneToVq8192", 743_303_040, exact=False)
OF_TIMBRE = (HEARING, CODEC, FLOW, VOCODER)
OF_VOICE = (*OF_TIMBRE, CONTENT, FROM_CONTENT)
OF_SPEECH = (*OF_TIMBRE, FROM_PHONES)


def style_tokens(cache: WeightsCache, device: Device) -> StyleTokens:
    """HuBERT and the tokeniser of content and style."""
    from engines.networks.blocks.hubert import Hubert
    from engines.networks.blocks.normalisation import Normalisation
    from engines.networks.blocks.repcodec import RepCodec
    from engines.networks.vevo import pipeline
    from engines.networks.weights import weight_file

    folder = folder_of(cache, SOUND)
    with reading(SOUND.title):
        sizes = pipeline.VevoConfig.of(folder)
        normalisation = Normalisation.of(folder / pipeline.STATISTICS_FILE, "hubert_layer18")
    hubert = HEARING.load(
        cache, device, lambda where: Hubert.from_published(where, sizes.hubert.layers)
    )
    codec = CODEC.load(
        cache, device,
        lambda where: RepCodec.from_published(
            weight_file(where / pipeline.STYLE_CODEC), sizes.content_style
        ),
    )  # fmt: skip
    return pipeline.StyleTokens(hubert, codec, normalisation)


def voicing(cache: WeightsCache, device: Device) -> Voicing:
    """Flow and vocoder."""
    from engines.networks.vevo import pipeline
    from engines.networks.vevo.flow import FlowTransformer
    from engines.networks.vevo.sound import vocoder_from_published
    from engines.networks.weights import weight_file

    with reading(SOUND.title):
        sizes = pipeline.VevoConfig.of(folder_of(cache, SOUND))
    flow = FLOW.load(
        cache, device,
        lambda where: FlowTransformer.from_published(
            weight_file(where / pipeline.STYLE_TO_MEL), sizes.flow
        ),
    )  # fmt: skip
    vocoder = VOCODER.load(
        cache, device,
        lambda where: vocoder_from_published(weight_file(where / pipeline.VOCODER), sizes.vocoder),
    )  # fmt: skip
    return pipeline.Voicing(flow, vocoder)


class VevoEngine(Engine):
    """An engine made of parts of Vevo, which it ``uses``; ``needs`` are the weights that bring them."""

    needs: ClassVar[Weights]
    uses: ClassVar[tuple[Part, ...]]

    def __init__(self, cache: WeightsCache):
        super().__init__(cache)
        self._vevo: Vevo | None = None
        self._device = "cpu"

    def weights(self) -> Sequence[Weights]:
        """The one set."""
        return (self.needs,)

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """All parts and what a run takes."""
        return sum(part.mb(dtype) for part in self.uses) + WORKING_MB

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """All parts: other modes of Vevo may hold them too."""
        return parts_mb(self.uses, self.cache, dtype)

    def load(self, device: Device, params: Any = None) -> None:
        """Load the parts that nobody holds yet."""
        if self._vevo is not None:
            return
        import torch

        from engines.networks.vevo import pipeline

        torch.set_num_threads(device.threads)
        vevo = pipeline.Vevo(style_tokens(self.cache, device), voicing(self.cache, device))
        if FROM_CONTENT in self.uses:
            vevo.content = CONTENT.load(self.cache, device, pipeline.content_from_published)
            vevo.language = FROM_CONTENT.load(
                self.cache, device,
                lambda where: pipeline.language_from_published(where, phones=False),
            )  # fmt: skip
        if FROM_PHONES in self.uses:
            vevo.language = FROM_PHONES.load(
                self.cache, device,
                lambda where: pipeline.language_from_published(where, phones=True),
            )  # fmt: skip
        self._vevo, self._device = vevo, device.device

    def unload(self) -> None:
        """Let go of all parts."""
        self._vevo = None

    @property
    def vevo(self) -> Vevo:
        """The loaded networks."""
        assert self._vevo is not None, "run before load"
        return self._vevo

    @abstractmethod
    def run(self, params: Any, job: Any) -> Any: ...


def memory_of(parts: Sequence[Part]) -> dict[str, int]:
    """For a card: MiB by the type of numbers."""
    return {
        dtype: sum(part.mb(dtype) for part in parts) + WORKING_MB
        for dtype in ("float32", "bfloat16")
    }


def row(sound: Any, device: str) -> torch.Tensor:
    """A ``Sound`` as samples (1, L) at Vevo's rate."""
    return sound.tensor(24_000, device)[None]
