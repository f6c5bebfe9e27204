"""Pictures of sounds and of results: waveforms, spectrograms, F0, differences, boxes per system."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.audio import waveform_envelope
from engines.base import NotReady
from engines.metrics.base import Align, Better, NotApplicable, Reason
from engines.metrics.case import Case, meet
from engines.metrics.contours import Tracker, contour
from engines.metrics.f0 import SHORTEST_S
from engines.metrics.sound import Sound
from engines.studio.evaluation.plan import card
from engines.studio.evaluation.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_IN = 10.0
LEFT, RIGHT = 0.07, 0.985  # where the axes begin and end, as shares of the width
COLUMNS = 1000  # of a picture; longer sounds are averaged
MELS = 80
RANGE_DB = 80.0
HEARD_DB = 60.0  # below the loudest moment by more than this, nothing is compared
APART_DB = 30.0  # where the colours of a difference end
HOP_S = 0.005
HIGH_RATE, LOW_RATE = 48_000, 24_000  # both have whole samples in 5 ms
NAME_LENGTH = 32
BESIDE_IN, BESIDE_LEFT, BESIDE_RIGHT = (5.4, 2.3), 0.13, 0.975
PITCH_HZ, PITCH_MARKS_HZ = (50, 1000), (100, 200, 400, 800)


@dataclass(frozen=True)
class Palette:
    """Colours of text, of what is judged, of the reference, of grids; "" of no background."""

    ink: str
    line: str
    other: str
    faint: str
    paper: str = ""


LIGHT = Palette("#334155", "#0d9488", "#d97706", "#cbd5e1", "#ffffff")
DARK = Palette("#cbd5e1", "#2dd4bf", "#fbbf24", "#475569", "#1c1f26")
PALETTES = {"light": LIGHT, "dark": DARK}


# one sound


def picture_of(case: Case, palette: Palette) -> str:
    """Waveform, mel spectrogram and F0 of the judged sound on one time axis, as SVG."""
    sound = case.generated
    figure, (wave, mel, pitch) = _figure(4.6, (1, 1.7, 1.1), palette)
    duration = max(sound.duration_s, HOP_S)
    _waveform(wave, sound, palette)
    _spectrogram(mel, _log_mel(sound, sound.sample_rate), duration, sound.sample_rate, palette)
    _pitch(pitch, [(sound, palette.line, "F0")], palette)
    pitch.set_xlim(0, duration)
    return _svg(figure, palette, f"one {sound.hash}")


def picture_beside(sound: Sound, until_s: float, top_rate: int, palette: Palette) -> str:
    """Mel spectrogram and F0 from 0 to ``until_s``, on the same axes for every sound, as SVG.

    The spectrogram goes up to half of ``top_rate`` (at most 24 kHz), F0 from 50 to 1000 Hz.
    """
    width, height = BESIDE_IN
    figure, (mel, pitch) = _figure(height, (1.7, 1), palette)
    figure.set_size_inches(width, height)
    figure.subplots_adjust(BESIDE_LEFT, 0.19, BESIDE_RIGHT, 0.97)
    _spectrogram(mel, _log_mel(sound, top_rate), sound.duration_s, top_rate, palette)
    _pitch(pitch, [(sound, palette.line, "F0")], palette)
    pitch.set_yscale("log")
    pitch.set_ylim(*PITCH_HZ)
    pitch.set_yticks(PITCH_MARKS_HZ, [str(hz) for hz in PITCH_MARKS_HZ], minor=False)
    pitch.minorticks_off()
    pitch.set_xlim(0, until_s)
    return _svg(figure, palette, f"beside {sound.hash} {until_s} {top_rate}")


def picture_of_pair(case: Case, palette: Palette, align: Align = Align.CUT) -> str:
    """Waveforms and F0 contours over each other, and the difference of the spectrograms, as SVG.

    The difference is generated minus reference; with ``Align.DTW`` it runs along the warped path.
    """
    figure, (wave, pitch, apart) = _figure(4.9, (1, 1.2, 1.7), palette)
    for sound, colour in ((case.target, palette.other), (case.generated, palette.line)):
        _waveform(wave, sound, palette, colour, 0.6)
    tracked = [
        (case.target, palette.other, "reference"), (case.generated, palette.line, "generated")
    ]  # fmt: skip
    _pitch(pitch, tracked, palette)
    longest = max(case.target.duration_s, case.generated.duration_s)
    _difference(figure, apart, case, align, palette)
    apart.set_xlim(0, longest)
    return _svg(figure, palette, f"pair {case.target.hash} {case.generated.hash} {align}")


def _figure(height: float, shares: Sequence[float], palette: Palette) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height))
    FigureCanvasSVG(figure)
    axes: Any = figure.subplots(len(shares), 1, sharex=True, height_ratios=shares)
    figure.subplots_adjust(LEFT, 0.5 / height, RIGHT, 1 - 0.08 / height, hspace=0.12)
    axes[-1].set_xlabel("time (s)", color=palette.ink, fontsize=9)
    return figure, axes


def _waveform(
    axes: Any, sound: Sound, palette: Palette, colour: str = "", alpha: float = 1.0
) -> None:
    samples = np.nan_to_num(sound.mono(), posinf=0, neginf=0)
    envelope = waveform_envelope(samples, min(len(samples), COLUMNS))
    times = (0.5 + np.arange(len(envelope))) * sound.duration_s / max(1, len(envelope))
    low, high = envelope[:, 0], envelope[:, 1]
    axes.fill_between(times, low, high, color=colour or palette.line, linewidth=0.3, alpha=alpha)
    axes.set_ylim(-1.02, 1.02)
    axes.set_yticks([-1, 0, 1])
    axes.set_ylabel("level", color=palette.ink, fontsize=9)


def _log_mel(sound: Sound, top_rate: int) -> np.ndarray:
    """Mel power in dB ``(F, MELS)`` every 5 ms up to half of ``top_rate`` (at most 24 kHz)."""
    import librosa

    rate = HIGH_RATE if top_rate > LOW_RATE else LOW_RATE
    top = min(top_rate, rate) / 2

    def make() -> np.ndarray:
        samples = np.nan_to_num(sound.at(rate), posinf=0, neginf=0)
        n_fft = rate // 24  # 42 ms
        power = librosa.feature.melspectrogram(
            y=np.pad(samples, (0, max(0, n_fft - len(samples)))),
            sr=rate,
            n_fft=n_fft,
            hop_length=round(HOP_S * rate),
            n_mels=MELS,
            fmax=top,
        )
        return 10 * np.log10(np.maximum(power, 1e-10)).T.astype(np.float32)

    return sound.once(("picture", rate, top), make)


def _thinned(frames: np.ndarray) -> np.ndarray:
    """At most ``COLUMNS`` rows: means of neighbours where there are more."""
    size = -(-len(frames) // COLUMNS)
    if size <= 1:
        return frames
    whole = frames[: len(frames) // size * size]
    return whole.reshape(-1, size, frames.shape[1]).mean(axis=1)


def _spectrogram(
    axes: Any, frames: np.ndarray, duration_s: float, rate: int, palette: Palette
) -> None:
    loudest = float(frames.max(initial=-100))
    _image(axes, _thinned(frames), duration_s, "magma", (loudest - RANGE_DB, loudest))
    _label_hz(axes, rate, palette)


def _image(
    axes: Any, frames: np.ndarray, duration_s: float, colours: Any, limits: tuple[float, float]
) -> None:
    axes.imshow(
        frames.T, origin="lower", aspect="auto", cmap=colours, vmin=limits[0], vmax=limits[1],
        extent=(0, duration_s, 0, MELS), interpolation="none",
    )  # fmt: skip


def _label_hz(axes: Any, rate: int, palette: Palette) -> None:
    import librosa

    top = min(rate, HIGH_RATE) / 2
    edges = librosa.mel_frequencies(n_mels=MELS, fmin=0, fmax=top)
    marks = [hz for hz in (250, 1000, 4000, 10_000) if hz < top]
    axes.set_yticks([abs(edges - hz).argmin() for hz in marks])
    axes.set_yticklabels([f"{hz / 1000:g}k" if hz >= 1000 else str(hz) for hz in marks])
    axes.set_ylabel("Hz (mel)", color=palette.ink, fontsize=9)


def _pitch(axes: Any, tracked: Sequence[tuple[Sound, str, str]], palette: Palette) -> None:
    """F0 of each sound as a line, broken where it is unvoiced; says why where there is none."""
    drawn, why = 0, ""
    for sound, colour, name in tracked:
        try:
            _check_trackable(sound)
            found = contour(sound, Tracker.HARVEST)
        except (NotApplicable, NotReady) as problem:
            why = why or str(problem)
            continue
        f0 = np.where(found.voiced, found.f0, np.nan)
        if found.voiced.any():
            axes.plot(found.times_s, f0, color=colour, linewidth=1.6, label=name)
            drawn += 1
        else:
            why = why or "no voiced frame"
    axes.set_ylabel("F0 (Hz)", color=palette.ink, fontsize=9)
    if drawn > 1:
        axes.legend(loc="lower right", fontsize=8, labelcolor=palette.ink, framealpha=0, ncols=2)
    if not drawn:
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, why, color=palette.ink, fontsize=9, ha="center", va="center",
            transform=axes.transAxes,
        )  # fmt: skip


def _check_trackable(sound: Sound) -> None:
    """Raise ``NotApplicable`` for what no F0 tracker can be given."""
    if not sound.finite:
        raise NotApplicable(Reason.NOT_FINITE, "no F0: samples that are no numbers")
    if sound.duration_s < SHORTEST_S:
        raise NotApplicable(Reason.TOO_SHORT, f"no F0: shorter than {SHORTEST_S} s")
    if sound.silent():
        raise NotApplicable(Reason.SILENT, "no F0: silence")


def _difference(figure: Figure, axes: Any, case: Case, align: Align, palette: Palette) -> None:
    rate = case.common_rate
    try:
        if align is Align.DTW:
            _check_trackable(case.target)
            _check_trackable(case.generated)
        reference, generated = meet(case, align, lambda sound: _log_mel(sound, rate))
    except (NotApplicable, NotReady):  # nothing to warp along: both from their beginnings
        align = Align.CUT
        reference, generated = meet(case, align, lambda sound: _log_mel(sound, rate))
    floor = max(float(reference.max(initial=-100)), float(generated.max(initial=-100))) - HEARD_DB
    apart = np.maximum(generated, floor) - np.maximum(reference, floor)
    duration = case.target.duration_s if align is Align.DTW else len(apart) * HOP_S
    _image(axes, _thinned(apart), duration, _signed(), (-APART_DB, APART_DB))
    _label_hz(axes, rate, palette)
    where = ", along the warped path" if align is Align.DTW else ""
    axes.set_title(
        f"generated − reference{where}: red is louder, blue quieter, ±{APART_DB:.0f} dB",
        color=palette.ink, fontsize=9, loc="left", pad=3,
    )  # fmt: skip


def _signed() -> Any:
    """Blue below, red above, clear at 0, so that it reads on light and dark pages."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = [
        (0.15, 0.39, 0.92, 1),
        (0.15, 0.39, 0.92, 0),
        (0.86, 0.15, 0.15, 0),
        (0.86, 0.15, 0.15, 1),
    ]
    return LinearSegmentedColormap.from_list(
        "signed", list(zip((0, 0.5, 0.5, 1), stops, strict=True))
    )


# results


def boxes(found: Results, metric: str, palette: Palette, form: str = "svg") -> bytes:
    """Box plots of one metric, a row for each system with its mean as a dot; SVG or PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    of = card(metric)
    systems = [s for s in found.systems if found.lines[s, metric].values]
    figure = Figure(figsize=(7.2, 0.85 + 0.48 * max(1, len(systems))))
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    values = [found.lines[system, metric].values for system in systems]
    if values:
        _boxes(axes, values, palette)
        axes.set_yticks(range(1, len(systems) + 1))
        names = [
            name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…" for name in systems
        ]
        axes.set_yticklabels([name or "sounds" for name in names], parse_math=False)
        axes.invert_yaxis()
    way = {Better.HIGHER: ", higher is better", Better.LOWER: ", lower is better"}.get(
        of.better, ""
    )
    unit = f" ({of.unit})" if of.unit else ""
    axes.set_xlabel(f"{of.title}{unit}{way}", color=palette.ink, fontsize=9)
    axes.grid(axis="x", color=palette.faint, linewidth=0.8)
    axes.set_axisbelow(True)
    _style(axes, palette)
    figure.tight_layout()
    if form == "svg":
        return _svg(figure, palette, f"boxes {metric}").encode()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor=palette.paper or "none")
    return buffer.getvalue()


def _boxes(axes: Any, values: Sequence[Sequence[float]], palette: Palette) -> None:
    line = {"color": palette.line, "linewidth": 1.4}
    axes.boxplot(
        values, orientation="horizontal", widths=0.55, showmeans=True,
        boxprops=line, whiskerprops=line, capprops=line,
        medianprops={"color": palette.ink, "linewidth": 1.8},
        meanprops={"marker": "o", "markerfacecolor": palette.other, "markeredgewidth": 0, "markersize": 5},
        flierprops={"marker": ".", "markeredgecolor": palette.ink, "markersize": 4, "alpha": 0.6},
    )  # fmt: skip


def _style(axes: Any, palette: Palette) -> None:
    axes.set_facecolor("none")
    axes.tick_params(colors=palette.ink, labelsize=9, length=2)
    for spine in axes.spines.values():
        spine.set_color(palette.faint)


def _svg(figure: Figure, palette: Palette, salt: str) -> str:
    """``figure`` as SVG with text as text and the same bytes each time."""
    from matplotlib import rc_context

    for axes in figure.axes:
        _style(axes, palette)
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": salt}):
        figure.savefig(
            text, format="svg", metadata={"Date": None}, facecolor=palette.paper or "none",
        )  # fmt: skip
    return text.getvalue()
