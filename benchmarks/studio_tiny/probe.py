"""The probe: a small network that names style and lead family of a clip, as a listener would.

It is trained on true renders of the corpus (``benchmarks.studio_tiny.training``) and never on
anything that a model made, so that it knows nothing of the models it judges.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.audio import resample
from engines.prompts import vocabulary
from training.recipes.composer import LEAD, Brief, knowledge, players

FILE = Path(__file__).parent / "probe.safetensors"
SAMPLE_RATE = 16000
WINDOW, HOP, MELS = 1024, 400, 64  # samples, samples, bands: 40 frames/s
FLOOR = 1e-5  # of a mel band's magnitude, about -100 dB
AT_ONCE = 32


@functools.cache
def styles() -> tuple[str, ...]:
    """The styles that the composer writes."""
    return tuple(sorted(knowledge()["styles"]))


@functools.cache
def leads() -> tuple[str, ...]:
    """The instruments that can lead."""
    return players(LEAD)


@functools.cache
def families() -> tuple[str, ...]:
    """The instrument groups of the prompt vocabulary of which some instrument can lead.

    Drums and textures accompany only, so five of the seven groups are left.
    """
    groups = vocabulary()["instruments"].items()
    return tuple(group for group, names in groups if set(leads()).intersection(names))


def family(instrument: str) -> str:
    """The group of an instrument."""
    groups = vocabulary()["instruments"].items()
    return next(group for group, names in groups if instrument in names)


def lead_families(brief: Brief) -> tuple[str, ...]:
    """The groups of the instruments that lead, that of the first one first, each once."""
    return tuple(dict.fromkeys(family(name) for name in brief.lead))


@functools.cache
def _bank() -> Tensor:
    import librosa

    bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=MELS, fmin=30)
    return torch.from_numpy(bank)


def log_mel(samples: np.ndarray, sample_rate: int) -> Tensor:
    """Log-mel spectrum (64, T) at 40 frames/s of mono samples ``(T,)``, brought to one level."""
    sound = resample(samples, sample_rate, SAMPLE_RATE) if sample_rate != SAMPLE_RATE else samples
    values = torch.from_numpy(np.ascontiguousarray(sound, np.float32))
    values = values * (0.1 / values.square().mean().sqrt().clamp(min=1e-6))
    spectrum = torch.stft(
        values, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True
    )
    return (_bank() @ spectrum.abs()).clamp(min=FLOOR).log()


@dataclass(frozen=True)
class Accuracy:
    """How often the probe is right on held-out true renders, and what it takes for what.

    ``style`` is of the pieces that are no solo: a lone instrument says little of its style, as
    ``solo_style`` shows. ``lead`` counts a family as right when any lead instrument is of it,
    ``first_lead`` only that of the first. ``confusion_*[true][named]`` are counts over all pieces.
    """

    items: int
    trained_on: int
    style: float
    solo_style: float
    lead: float
    first_lead: float
    confusion_style: dict[str, dict[str, int]] = field(default_factory=dict)
    confusion_lead: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Named:
    """What the probe says of one clip."""

    style: str
    family: str


class Probe(nn.Module):
    """Five convolutions on a log-mel spectrum, mean and spread over time, one linear map a head.

    It learns to name lead instruments; the probability of a family is the sum of theirs.
    """

    mean: Tensor
    spread: Tensor
    membership: Tensor

    def __init__(self, width: int = 32):
        super().__init__()
        sizes = (1, width, 2 * width, 3 * width, 4 * width, 6 * width)
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(sizes)):
            kernel = 5 if number == 0 else 3
            stride = (2, 1) if number == 4 else 2
            layers += [
                nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.4)
        heard = sizes[-1] * (MELS // 2**5) * 2
        self.style = nn.Linear(heard, len(styles()))
        self.lead = nn.Linear(heard, len(leads()))
        belongs = [[family(lead) == group for group in families()] for lead in leads()]
        self.register_buffer("membership", torch.tensor(belongs).float(), persistent=False)
        self.register_buffer("mean", torch.zeros(MELS))
        self.register_buffer("spread", torch.ones(MELS))

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of style (B, S) and lead instrument (B, L) of log-mel spectra (B, 64, T)."""
        values = (mel - self.mean[:, None]) / self.spread[:, None]
        heard = self.layers(values[:, None]).flatten(1, 2)
        pooled = self.dropout(torch.cat([heard.mean(-1), heard.std(-1)], 1))
        return self.style(pooled), self.lead(pooled)

    def families(self, lead: Tensor) -> Tensor:
        """Probabilities of the families (B, F) from logits of lead instruments (B, L)."""
        return lead.softmax(1) @ self.membership

    @torch.inference_mode()
    def name(self, sounds: Sequence[np.ndarray], sample_rate: int) -> list[Named]:
        """Style and lead family of mono sounds ``(T,)`` of one length."""
        self.eval()
        found: list[Named] = []
        for first in range(0, len(sounds), AT_ONCE):
            mels = [log_mel(sound, sample_rate) for sound in sounds[first : first + AT_ONCE]]
            style, lead = self(torch.stack(mels))
            groups = self.families(lead).argmax(1).tolist()
            found += [
                Named(styles()[s], families()[f])
                for s, f in zip(style.argmax(1).tolist(), groups, strict=True)
            ]
        return found


def save(probe: Probe, accuracy: Accuracy, path: Path = FILE) -> None:
    """Weights as float16 with the accuracy beside them, in one file."""
    from safetensors.torch import save_file

    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in probe.state_dict().items()
    }
    described = {"accuracy": asdict(accuracy), "styles": styles(), "leads": leads()}
    save_file(weights, path, {name: json.dumps(value) for name, value in described.items()})


def load(path: Path = FILE) -> tuple[Probe, Accuracy]:
    """What ``save`` wrote; raises ``ValueError`` for a probe of other styles or leads."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        facts = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    known = tuple(json.loads(facts["styles"])), tuple(json.loads(facts["leads"]))
    if known != (styles(), leads()):
        raise ValueError(
            f"{path} was trained on other styles or leads than the composer writes now; train it "
            "again: python -m benchmarks.studio_tiny.training"
        )
    probe = Probe(len(weights["layers.0.weight"]))
    probe.load_state_dict(
        {n: value.float() if value.is_floating_point() else value for n, value in weights.items()}
    )
    return probe.eval(), Accuracy(**json.loads(facts["accuracy"]))
