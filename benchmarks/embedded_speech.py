"""Speech of known words: the embedded voices, and real recordings where Debian's package is installed.

``asterisk-core-sounds-en-g722`` (CC-BY-SA-3.0, 16 kHz, one speaker) is test data and not part of the
studio; its words are those that Whisper base hears in the originals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import Params
from engines.tts.kokoro import Kokoro, KokoroParams
from engines.tts.piper import Piper, PiperParams

REAL = Path("/usr/share/asterisk/sounds")
REAL_CLIPS = (
    "demo-moreinfo",
    "dir-intro",
    "conf-usermenu",
    "demo-abouttotry",
    "vm-review",
    "vm-options",
)
ENGLISH = (
    "The old bridge was closed for repairs during the winter.",
    "Please bring me a glass of cold water from the kitchen.",
    "She opened the letter slowly and read it twice.",
    "Our train leaves the station early in the morning.",
    "The children were playing football in the park behind the school.",
    "He forgot his umbrella, so he walked home in the rain.",
    "Fresh bread and strong coffee make a simple breakfast.",
    "The museum has a large collection of paintings and maps.",
    "We should finish the report before the end of the month.",
    "A gentle wind moved the leaves of the tall green trees.",
)
FRENCH = (
    "Le vieux pont était fermé pour des travaux pendant tout l'hiver.",
    "Apportez-moi un verre d'eau froide, s'il vous plaît.",
    "Elle a ouvert la lettre et l'a lue deux fois.",
    "Notre train quitte la gare demain matin à sept heures.",
    "Les enfants jouent au football dans le parc derrière l'école.",
    "Il a oublié son parapluie et il est rentré sous la pluie.",
    "Le pain frais et le café font un bon petit déjeuner.",
    "Le musée possède une grande collection de tableaux.",
    "Nous devons finir ce rapport avant la fin du mois.",
    "Un vent doux faisait bouger les feuilles des grands arbres.",
)
SPANISH = (
    "El puente viejo estuvo cerrado durante todo el invierno.",
    "Por favor, tráeme un vaso de agua fría de la cocina.",
    "Ella abrió la carta despacio y la leyó dos veces.",
    "Nuestro tren sale de la estación mañana a las siete.",
    "Los niños juegan al fútbol en el parque detrás de la escuela.",
    "Olvidó su paraguas y volvió a casa bajo la lluvia.",
    "El pan fresco y el café hacen un buen desayuno.",
    "El museo tiene una gran colección de pinturas y mapas.",
    "Debemos terminar el informe antes del fin de mes.",
    "Un viento suave movía las hojas de los árboles altos.",
)


@dataclass(frozen=True)
class Spoken:
    """Samples ``(T,)``, their rate and their words; ``text`` is empty where nobody wrote them down."""

    samples: np.ndarray
    rate: int
    text: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


class _Job:
    """What an engine is given here: a seed."""

    id, seed = "benchmark", 1

    def progress(self, done: float, total: float, note: str = "") -> None: ...
    def check(self) -> None: ...
    def emit(self, samples: np.ndarray, sample_rate: int) -> None: ...
    def rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([1, *key])


@dataclass(frozen=True)
class _Device:
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 2


class _NoCache:
    def path(self, weights: Any) -> None:
        return None

    def revision(self, weights: Any) -> str:
        return ""

    def own(self) -> dict[str, Path]:
        return {}

    def adapters(self) -> tuple[()]:
        return ()


@cache
def _engine(kind: type) -> Any:
    return kind(_NoCache())


def _said(engine: Any, params: Params, text: str) -> Spoken:
    engine.load(_Device(), params)
    clip = engine.run(params, _Job())
    return Spoken(clip.samples, clip.sample_rate, text)


def piper(text: str) -> Spoken:
    """``text`` by the embedded Piper voice."""
    return _said(_engine(Piper), PiperParams(text=text, seed=1), text)


def kokoro(text: str, voice: str, language: str = "en-us", speed: float = 1.0) -> Spoken:
    """``text`` by an embedded Kokoro voice. They are Japanese: other languages have their accent."""
    params = KokoroParams.model_validate(
        {"text": text, "voice": voice, "language": language, "speed": speed}
    )
    return _said(_engine(Kokoro), params, text)


def real(folder: Path = REAL) -> list[Spoken]:
    """Real recordings, empty where the package is not installed."""
    import av

    clips = []
    for name in REAL_CLIPS:
        path = next(iter(sorted(folder.rglob(f"{name}.g722"))), None)
        if path is None:
            return []
        with av.open(str(path), format="g722") as container:
            frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
        clips.append(Spoken(np.concatenate(frames).astype(np.float32) / 32768, 16_000, ""))
    return clips
