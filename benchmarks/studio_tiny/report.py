"""The results as one Markdown table, goals beside numbers, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.studio_tiny.codec import CodecScores
from benchmarks.studio_tiny.probe import Accuracy
from benchmarks.studio_tiny.scores import Scores
from benchmarks.studio_tiny.speed import Speed

GOALS = {"tempo": 0.75, "style": 0.65, "family": 0.65, "mode": 0.70}
GOAL_USED, GOAL_PROBE, GOAL_TIMES_REAL, GOAL_PEAK_MB = 0.60, 0.90, 1.0, 1500.0
ROWS = {
    "tempo": "tempo within 6 % or an octave, prompts with drums",
    "style": "style named by the probe, prompts that are no solo",
    "family": "lead family named by the probe",
    "mode": "major or minor, of the likeliest of 24 keys by chroma",
    "mode_on_tonic": "major or minor on the tonic of the prompt",
}


@dataclass(frozen=True)
class Results:
    """Everything that one measurement found. ``columns`` are scores of the sets of clips by name, the
    model's first; ``differ`` and ``same`` are the shares of prompts whose seeds differ, and whose
    first seed gives the same samples again."""

    model: str
    columns: Mapping[str, Scores]
    probe: Accuracy
    codec: CodecScores
    differ: float
    same: float
    speed: Speed | None = None


def table(results: Results) -> str:
    """Markdown: a table of shares for each set of clips, and one of all else."""
    columns = results.columns
    lines = [
        "| what | goal | "
        + " | ".join(f"{name} ({s.clips})" for name, s in columns.items())
        + " |",
        "|" + "---|" * (len(columns) + 2),
    ]
    for name, text in ROWS.items():
        cells = [_percent(getattr(scores, name)) for scores in columns.values()]
        goal = _percent(GOALS[name]) if name in GOALS else ""
        lines.append(f"| {text} | {goal} | " + " | ".join(cells) + " |")
    cells = [_percent(scores.faulty) for scores in columns.values()]
    lines.append("| silent, clipped or constant | 0 % | " + " | ".join(cells) + " |")
    lines += ["", "| what | goal | found |", "|---|---|---|"]
    lines += [f"| {what} | {goal} | {found} |" for what, goal, found in _others(results)]
    return "\n".join(lines) + "\n"


def _others(results: Results) -> list[tuple[str, str, str]]:
    codec, probe = results.codec, results.probe
    found = [
        ("prompts whose three seeds all differ", "100 %", _percent(results.differ)),
        ("prompts that repeat exactly with the same seed", "100 %", _percent(results.same)),
        ("codec, log-mel distance", "", f"{codec.log_mel_db:.2f} dB"),
        ("codec, SI-SDR", "", f"{codec.si_sdr_db:.1f} dB"),
        (
            f"codec, entries in use, by codebook, in {codec.clips} true renders",
            _percent(GOAL_USED),
            ", ".join(map(_percent, codec.used)),
        ),
        (
            f"probe on {probe.items} true renders: style (no solos), lead family",
            _percent(GOAL_PROBE),
            f"{_percent(probe.style)}, {_percent(probe.lead)}",
        ),
    ]
    speed = results.speed
    if speed:
        found += [
            ("first clip of 10 s in a fresh process", "", f"{speed.first_clip_s:.1f} s"),
            (
                "times real time, first start included; then",
                f"{GOAL_TIMES_REAL:.1f}",
                f"{speed.first_times_real:.1f}; {speed.next_times_real:.1f}",
            ),
            ("peak memory", f"{GOAL_PEAK_MB:.0f} MB", f"{speed.peak_mb:.0f} MB"),
        ]
    return found


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def write(results: Results, folder: Path) -> None:
    """``results.md`` and ``results.json`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(table(results), encoding="utf-8")
    text = json.dumps(asdict(results), indent=1)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
