"""What the singing conversions to trained singers share: parameters, singers, key, windows, variations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import AudioFile, Choice, Clip, Device, Job, MidiFile, Params, StudioError
from engines.parts.checkpoints import Checkpoints
from engines.parts.f0 import track
from engines.parts.published import Part, generator
from engines.parts.references import Sound, check_length, read_sound
from engines.parts.singing import CONTENTVEC, WHISPER, Ears, heard_range, recipe_of, stored_range
from engines.parts.variations import seeds
from engines.parts.windows import converted, windows
from engines.svc.following import melody_contours

if TYPE_CHECKING:
    import torch

    from engines.networks.svc.features import SingingFeatures

WINDOW_S, SHORTEST_S = 12.0, 0.5


class Key(StrEnum):
    """How the key is moved."""

    SEMITONES = "semitones"
    AUTOMATIC = "automatic"


class SingerParams(Params):
    """Parameters of every conversion to a trained singer."""

    source: AudioFile = Field(title="Source", description="The singing to convert, without music.")
    singer: str = Field(
        "",
        max_length=200,
        title="Singer",
        description="A singer of the checkpoint; the first of them where it is empty.",
        json_schema_extra={"choices": True},
    )
    key: Key = Field(
        Key.SEMITONES,
        title="Key",
        description="By the semitones below, or so that the median pitch is the singer's, from the "
        "checkpoint's statistics or the recording of the singer; the semitones are then added.",
    )
    key_shift_st: float = Field(
        0.0,
        ge=-24,
        le=24,
        title="Key shift",
        description="Moves the key; 12 is an octave up.",
        json_schema_extra={"step": 1, "unit": "semitones"},
    )
    melody: MidiFile | None = Field(
        None,
        title="Melody",
        description="A MIDI file whose melody is sung in place of the source's, in the source's timing.",
    )
    singer_recording: AudioFile | None = Field(
        None,
        title="Recording of the singer",
        description="Some singing of that singer. It gives the range of the mel and the median pitch "
        "where the checkpoint has no statistics; without it the source gives the range.",
        json_schema_extra={"advanced": True},
    )


class TrainedSinger(Checkpoints):
    """Converts a song window by window; all variations of a window are made together.

    Subclasses implement ``convert``; a folder may hold its files in ``inside``.
    """

    parts: ClassVar[tuple[Part, ...]] = (WHISPER, CONTENTVEC)
    inside: ClassVar[str] = ""

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._ears: Any = None

    @abstractmethod
    def convert(
        self,
        features: SingingFeatures,
        params: Any,
        scale: tuple[torch.Tensor, torch.Tensor],
        generators: Sequence[torch.Generator],
        job: Job,
        part: tuple[int, int],
    ) -> np.ndarray:
        """Samples ``(B, L)`` of one window, a row for each generator; ``scale`` are the mel's extrema
        and ``part`` the window's number and how many there are."""

    def home(self, folder: Path) -> Path:
        """The folder that holds ``args.json``."""
        return folder / self.inside if (folder / self.inside / "args.json").is_file() else folder

    def folder(self, params: Any) -> Path:
        """Where the files of the checkpoint are."""
        return self.home(super().folder(params))

    def load_parts(self, device: Device, params: Any) -> None:
        """Both content encoders."""
        self._ears = Ears.load(self.cache, device)
        self._folder = self.home(self._folder)

    def unload(self) -> None:
        """Forget the network and drop the encoders."""
        self._ears = None
        super().unload()

    # singers

    def choices(self, name: str) -> Sequence[Choice]:
        """Checkpoints, and the singers of those that are here."""
        if name != "singer":
            return super().choices(name)
        folders = [self.cache.path(item) for item in self.weights()]
        names = [name for folder in folders if folder for name in _singers(self.home(folder))]
        return [Choice(name, name) for name in dict.fromkeys(names)]

    def singer(self, params: Any) -> tuple[str, int]:
        """Name and row of the singer; raises ``StudioError`` for an unknown one."""
        known = _singers(self.folder(params))
        asked = params.singer.strip()
        for name, row in known.items():
            if not asked or asked == name or name.lower().endswith(f"_{asked.lower()}"):
                return name, row
        names = ", ".join(list(known)[:20])
        raise StudioError(f"This checkpoint has no singer {asked!r}. It has {names}.", "singer")

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for an unknown singer, a key without statistics, sounds that are none."""
        super().check(params)
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=3600)
        name, _ = self.singer(params)
        unknown = params.key is Key.AUTOMATIC and params.singer_recording is None
        if unknown and _median(self.folder(params), name) is None:
            raise StudioError(
                f"There are no pitch statistics of {name}: choose a recording of the singer, or set "
                "the key by semitones.",
                "key",
            )

    # converting

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """One clip for each variation, the first heard window by window."""
        import torch

        preprocess = self.args(params)["preprocess"]
        recipe, drawn = recipe_of(preprocess), seeds(_seed(params, job), _count(params))
        rate = recipe.sample_rate
        sound = Sound(read_sound(params.source, "source", shortest_s=SHORTEST_S).at(rate), rate)
        cut = windows(sound, WINDOW_S)
        f0 = []
        for number, window in enumerate(cut):
            job.check()
            job.progress(0, len(cut), f"Pitch {number + 1} of {len(cut)}")
            piece = sound.part(window.start_s, window.end_s).samples
            f0.append(track(piece, rate, recipe.hop, len(piece) // recipe.hop))
        if params.melody is not None:
            f0 = melody_contours(sound, params.melody, cut, f0, recipe.hop)
        shift = self._shift(params, np.concatenate(f0), recipe)
        scale = self._scale(params, sound, recipe)
        made: dict[int, np.ndarray] = {}

        def once(piece: Sound, number: int) -> np.ndarray:
            if number not in made:
                job.check()
                features = self._features(piece, f0[number], shift, recipe, params)
                rngs = [generator(np.random.default_rng([seed, number])) for seed in drawn]
                part = (number, len(cut))
                with torch.inference_mode():
                    made[number] = self.convert(features, params, scale, rngs, job, part)
            return made[number]

        for place, seed in enumerate(drawn):
            pieces = []
            # ``converted`` is used up before the next place
            one = lambda piece, number, row=place: once(piece, number)[row]  # noqa: E731
            for ready in converted(sound, cut, rate, one):
                pieces.append(ready)
                if place == 0 and len(ready):
                    job.emit(ready, rate)
            own = {"variations": 1, "seed": seed} if hasattr(params, "seed") else {}
            title = self.singer(params)[0]
            yield Clip(
                np.concatenate(pieces), rate, title=title, revision=self.revision(params),
                settings=own,
            )  # fmt: skip

    def _features(
        self, piece: Sound, f0: np.ndarray, shift: float, recipe: Any, params: Any
    ) -> SingingFeatures:
        import torch

        from engines.networks.svc.features import SingingFeatures, frame_energy, shift_key

        with torch.inference_mode():
            mel = recipe.log_mel(piece.tensor(recipe.sample_rate, self._device)[None])
            frames = min(mel.shape[-1], len(f0))
            pitch = torch.from_numpy(f0[:frames])[None].to(self._device)
            return SingingFeatures(
                f0=shift_key(pitch, shift),
                unvoiced=(pitch == 0).long(),
                energy=frame_energy(mel[..., :frames]),
                contents=self._ears.contents(piece, recipe.sample_rate, recipe.hop, frames),
                singer=torch.tensor([self.singer(params)[1]], device=self._device),
            )

    def _shift(self, params: Any, f0: np.ndarray, recipe: Any) -> float:
        """Semitones to move the key by."""
        if params.key is Key.SEMITONES:
            return params.key_shift_st
        median = _median(self._folder, self.singer(params)[0])
        if median is None:
            sound = read_sound(params.singer_recording, "singer_recording")
            heard = track(sound.at(recipe.sample_rate), recipe.sample_rate, recipe.hop,
                          round(sound.duration_s * recipe.sample_rate / recipe.hop))  # fmt: skip
            median = float(np.median(heard[heard > 0])) if (heard > 0).any() else 0.0
        voiced = f0[f0 > 0]
        if not len(voiced) or not median:
            raise StudioError("Nothing voiced is heard: set the key by semitones.", "key")
        return 12 * float(np.log2(median / np.median(voiced))) + params.key_shift_st

    def _scale(self, params: Any, sound: Sound, recipe: Any) -> Any:
        """The mel's extrema (n_mels,): the checkpoint's, else the recording's, else the source's."""
        import torch

        found = stored_range(self._folder)
        if found is None:
            recording = params.singer_recording
            heard = read_sound(recording, "singer_recording") if recording else sound
            found = heard_range(heard, recipe)
        return tuple(torch.from_numpy(each).to(self._device) for each in found)


def _singers(folder: Path) -> dict[str, int]:
    from engines.networks.svc.published import read_singers
    from engines.parts.published import reading

    with reading(folder.name):
        return read_singers(folder)


def _median(folder: Path, singer: str) -> float | None:
    """The median F0 in Hz of a singer, from the trainer's ``statistics.json`` in the folder."""
    from engines.networks.weights import read_config

    for path in sorted(folder.rglob("*statistics.json")):
        about = read_config(path).get(singer)
        if isinstance(about, dict):
            voiced = about.get("voiced_positions", about)
            value = voiced.get("median", voiced.get("mean"))
            if value:
                return float(value)
    return None


def _count(params: Any) -> int:
    return getattr(params, "variations", 1)


def _seed(params: Any, job: Job) -> int:
    return job.seed if hasattr(params, "seed") else 0
