"""The one contract: what every engine declares and what it is given.

An engine is a card (data), a parameter model (pydantic) and three verbs: ``load``, ``unload`` and
``run``. Forms, endpoints, CSV columns, presets and documentation are all read from these; nothing
about a parameter is written twice. See ``docs/adding-an-engine.md``.
"""

from __future__ import annotations

import functools
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np


class Task(StrEnum):
    """What an engine makes, and the tab it appears in."""

    TTS = "tts"
    VC = "vc"
    SVC = "svc"
    TTA = "tta"
    MUSIC = "music"
    CODEC = "codec"
    VOCODER = "vocoder"
    RESTORE = "restore"
    ASR = "asr"
    METRICS = "metrics"


class Availability(StrEnum):
    """Whether something can run now, and if not, what is missing."""

    READY = "ready"
    DOWNLOAD = "download"
    INSTALL = "install"
    TRAIN = "train"


# --- errors ---------------------------------------------------------------------------------


class StudioError(Exception):
    """Something a person can cause and mend: the message says what is wrong and what to do.

    ``field`` names the parameter at fault, when there is one, so that a form can show the message
    beside it.
    """

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


class InvalidParams(StudioError):
    """One or more parameters are out of bounds; ``problems`` maps field names to messages."""

    def __init__(self, problems: Mapping[str, str]):
        self.problems = dict(problems)
        lines = [f"{name}: {message}" for name, message in self.problems.items()]
        super().__init__("; ".join(lines), next(iter(self.problems), None))


class NotReady(StudioError):
    """The engine or one of its weights must be installed, downloaded or trained first."""


class Cancelled(Exception):
    """Raised by ``Job.check`` inside an engine when its job was cancelled."""


# --- the card -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weights:
    """One set of files that an engine can run with: a checkpoint or a voice.

    ``repo`` and ``revision`` name a Hugging Face repository; ``files`` are paths inside it (glob
    patterns are allowed). Embedded weights come with an installed package and need no repository.
    ``optional`` files are fetched where the repository has them. ``size_bytes`` is 0 where the publisher
    does not state it. ``advice`` is what a person should know
    who is about to use them, in a sentence or two. ``parts`` are files of other repositories that these
    weights need too, such as a content encoder or a vocoder; engines that name the same part share its
    download. Weights without a repository are looked for in ``models/own``, in a folder named by their id.
    """

    id: str
    title: str
    repo: str = ""
    revision: str = "main"
    files: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    size_bytes: int = 0
    license: str = ""
    non_commercial: bool = False
    languages: tuple[str, ...] = ()
    embedded: bool = False
    advice: str = ""
    parts: tuple[Weights, ...] = ()

    @property
    def whole(self) -> tuple[Weights, ...]:
        """These weights and all their parts, each once."""
        found: dict[tuple[str, str, tuple[str, ...]], Weights] = {}
        for each in (self, *(inner for part in self.parts for inner in part.whole)):
            found.setdefault((each.repo or each.id, each.revision, each.files), each)
        return tuple(found.values())

    @property
    def total_bytes(self) -> int:
        """What a machine without any of it has to download; 0 where a publisher does not say."""
        sizes = [each.size_bytes for each in self.whole if not each.embedded]
        return sum(sizes) if all(sizes) else 0


@dataclass(frozen=True)
class Card:
    """What a person should know of an engine before running it.

    ``memory_mb`` maps a dtype name to the memory in MiB that the loaded engine needs. ``requires``
    names the Python modules that must import, and ``pip_extra`` the packages that bring them.
    """

    id: str
    title: str
    task: Task
    summary: str
    license_code: str
    license_weights: str
    sample_rate: int
    languages: tuple[str, ...] = ()
    non_commercial: bool = False
    paper: str = ""
    home: str = ""
    memory_mb: Mapping[str, int] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    pip_extra: str = ""
    notes: str = ""


# --- parameters -----------------------------------------------------------------------------


class Params(BaseModel):
    """Base of every parameter model. Unknown names are errors; defaults are validated too.

    Interface hints go into ``json_schema_extra``: ``unit``, ``step``, ``lines`` (of a text box) and
    ``advanced`` (folded away at first).
    """

    model_config = ConfigDict(extra="forbid", validate_default=True, frozen=True)


# inside ``Engine`` the name ``Params`` means the engine's own model
AnyParams: TypeAlias = Params

MAX_SEED = 2**32 - 1

Seed: TypeAlias = Annotated[
    int,
    Field(
        ge=-1,
        le=MAX_SEED,
        title="Seed",
        description="Start of the random numbers. The same seed and settings give the same sound; "
        "-1 draws a new one.",
        json_schema_extra={"widget": "seed"},
    ),
]


@dataclass(frozen=True)
class Media:
    """Marks a path parameter as a media input of one kind: ``audio``, ``midi`` or ``mel``."""

    kind: str


AudioFile: TypeAlias = Annotated[Path, Media("audio")]
MidiFile: TypeAlias = Annotated[Path, Media("midi")]
MelFile: TypeAlias = Annotated[Path, Media("mel")]


@dataclass(frozen=True)
class Choice:
    """One entry of a choice that is only known at run time, such as an installed voice."""

    value: str
    label: str


# --- results --------------------------------------------------------------------------------


@dataclass
class Clip:
    """A sound that an engine made, not yet stored.

    ``samples`` is float32, shape ``(T,)`` or ``(C, T)``, nominally within [-1, 1]; ``text`` is what
    was spoken, sung or asked for; ``revision`` names the weights that made it. ``settings`` are the
    parameters, where they differ from the job's, that make this very clip again, such as the seed
    of one of several variations. ``adapter`` is the id of the adapter in use, several joined by
    " + ", and ``adapter_scale`` the scale of the first. ``codes`` is what a model of audio codes chose,
    as text that stays in the sound's file, so that training need not guess it.
    """

    samples: np.ndarray
    sample_rate: int
    text: str = ""
    title: str = ""
    revision: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    adapter: str = ""
    adapter_scale: float | None = None
    codes: str = ""


@dataclass
class Report:
    """A result that is not a sound: named values and, where there are many, rows of them."""

    values: dict[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


class Job(Protocol):
    """What a running engine is given: progress, cancellation, randomness, early listening."""

    id: str
    seed: int

    def progress(self, done: float, total: float, note: str = "") -> None:
        """Report ``done`` of ``total`` steps."""

    def check(self) -> None:
        """Raise ``Cancelled`` if the job was cancelled. Call it at every step of the model."""

    def emit(self, samples: np.ndarray, sample_rate: int) -> None:
        """Hand over the next finished piece, float32 ``(T,)`` or ``(C, T)``.

        Pieces can be heard at once and are kept if the job is cancelled or the process dies. The
        pieces since the last clip that ``run`` yielded, joined, are a prefix of the next one.
        """

    def rng(self, *key: int) -> np.random.Generator:
        """A generator that depends on the job's seed and ``key`` alone."""


# --- what an engine is given ----------------------------------------------------------------


class Device(Protocol):
    """Where an engine loads itself: ``device`` is a torch device string, ``dtype`` a torch dtype
    name (``"float32"``, ``"bfloat16"``, ``"float16"``) and ``threads`` the CPU threads to use."""

    @property
    def device(self) -> str: ...

    @property
    def dtype(self) -> str: ...

    @property
    def threads(self) -> int: ...


@dataclass(frozen=True)
class Adapter:
    """A registered LoRA adapter: ``folder`` holds a PEFT checkpoint trained on the weights ``base``.

    ``active`` adapters are preselected with ``scale`` wherever their base is used.
    """

    id: str
    title: str
    base: str
    folder: Path
    active: bool = False
    scale: float = 1.0


class WeightsCache(Protocol):
    """Where weights are found once downloaded."""

    def path(self, weights: Weights) -> Path | None:
        """The local folder that holds all files of ``weights``, or None."""

    def revision(self, weights: Weights) -> str:
        """The commit of the cached files, or "" when nothing is cached."""

    def own(self) -> dict[str, Path]:
        """A person's own checkpoints: folders inside ``models/own`` of the data folder, by name."""

    def adapters(self) -> Sequence[Adapter]:
        """The registered adapters that are not archived."""


@functools.cache
def _installed(module: str) -> bool:
    """Whether a module can be imported; asked of the disk once a process."""
    return importlib.util.find_spec(module) is not None


class Engine(ABC):
    """Everything a person can run. Subclasses set ``card`` and ``Params``, and implement the verbs.

    Creating an engine must be cheap: heavy libraries are imported in ``load`` and ``run`` only.
    """

    card: ClassVar[Card]
    Params: ClassVar[type[Params]]

    def __init__(self, cache: WeightsCache):
        self.cache = cache

    # what there is

    def weights(self) -> Sequence[Weights]:
        """All sets of weights a person can choose from, embedded ones first."""
        return ()

    def weights_for(self, params: AnyParams) -> Weights | None:
        """The set of weights that ``params`` asks for; None when the engine needs none."""
        available = self.weights()
        return available[0] if available else None

    def choices(self, name: str) -> Sequence[Choice]:
        """The values of a parameter that are only known at run time; empty for all others."""
        return ()

    def defaults(self, given: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Defaults that depend on what is on this machine and on what is already ``given``, by parameter;
        they go before those that ``Params`` declares."""
        return {}

    def check(self, params: AnyParams) -> None:
        """Raise ``StudioError`` for what the parameter model alone cannot know. Must be quick."""

    # whether it can run

    def missing(self) -> tuple[str, ...]:
        """Names of required Python modules that are not installed."""
        return tuple(name for name in self.card.requires if not _installed(name))

    def state_of(self, weights: Weights) -> Availability:
        """Whether one set of weights can be used now."""
        if self.missing():
            return Availability.INSTALL
        lacking = [
            each for each in weights.whole if not each.embedded and self.cache.path(each) is None
        ]
        if not lacking:
            return Availability.READY
        fetched = all(each.repo for each in lacking)
        return Availability.DOWNLOAD if fetched else Availability.TRAIN

    def availability(self) -> Availability:
        """The best state of any of the engine's weights."""
        if self.missing():
            return Availability.INSTALL
        states = {self.state_of(weights) for weights in self.weights()}
        for state in (Availability.READY, Availability.DOWNLOAD, Availability.TRAIN):
            if state in states:
                return state
        return Availability.READY

    def memory_mb(self, dtype: str, params: AnyParams | None = None) -> int:
        """Memory in MiB that the engine needs once loaded, for the runtime's budget; engines with
        weights of different sizes look at those that ``params`` asks for."""
        needs = self.card.memory_mb
        return needs.get(dtype) or max(needs.values(), default=0)

    def shared_mb(self, dtype: str, params: AnyParams | None = None) -> Mapping[str, int]:
        """Memory in MiB of the parts that other engines may hold too, by the name under which
        ``engines.sharing`` knows them; a part of ``memory_mb``."""
        return {}

    # the three verbs, and what may be done before

    def warm(self) -> None:
        """Import the libraries that ``load`` and ``run`` need, where that takes seconds."""

    @abstractmethod
    def load(self, device: Device, params: AnyParams | None = None) -> None:
        """Bring the model into memory. ``params`` tells which weights are wanted first; called again
        when others are asked for, and must then return quickly if they are loaded already."""

    @abstractmethod
    def unload(self) -> None:
        """Free all memory that ``load`` and ``run`` took."""

    @abstractmethod
    def run(self, params: AnyParams, job: Job) -> Clip | Iterator[Clip | Report] | Report:
        """Do the work. Called with the engine loaded, from one thread at a time. What is yielded beside
        clips is a report on them."""
