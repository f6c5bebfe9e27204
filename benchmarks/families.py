"""What the embedded engines of restoration, transcription, conversion and singing reach, and how fast.

``python -m benchmarks.families [NAME ...] [--real FOLDER]`` (about ten minutes on two cores); names are
transcription, noise, stems, conversion, melody and notes. Speech is that of the embedded voices and, where
Debian's asterisk-core-sounds-en-g722 is installed or unpacked in FOLDER, of a real speaker.
Speeds stand by the clock and, in brackets, for each second of one core, for machines that have other work.
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.common import show
from benchmarks.embedded_speech import ENGLISH, FRENCH, REAL, SPANISH, Spoken, kokoro, piper, real
from engines.asr.models import Model
from engines.asr.recogniser import Recogniser
from engines.audio import resample
from engines.metrics.contours import Tracker, contour
from engines.metrics.intelligibility import compare
from engines.metrics.separation import ratio_db
from engines.metrics.sound import Sound
from engines.metrics.voices import resemblyzer, unit
from engines.music.composer import brief_of, compose, render, to_midi, understand
from engines.restore import denoise, separation
from engines.svc.hearing import NoteHearer
from engines.svc.melody import MelodyNote
from engines.svc.singing import RATE as SINGING_RATE
from engines.svc.singing import Singing, sing
from engines.vc.conversion import convert
from engines.vc.voices import learn
from engines.world.frames import HOP_S

T = TypeVar("T")
THREADS = 2
SOURCES, REFERENCES = slice(0, 3), slice(3, 9)  # sentences of a voice
IN_TUNE_CENTS = 30
SLOWLY = 0.9  # speed of a Japanese voice in French and Spanish


class Clock:
    """Seconds of work, by the clock and of all processors together, beside seconds of sound."""

    def __init__(self) -> None:
        self.work_s = self.cpu_s = self.sound_s = 0.0

    def timed(self, sound_s: float, work: Callable[[], T]) -> T:
        """What ``work`` returns; its time counts for ``sound_s`` of sound."""
        started, busy = time.perf_counter(), time.process_time()
        result = work()
        self.work_s += time.perf_counter() - started
        self.cpu_s += time.process_time() - busy
        self.sound_s += sound_s
        return result

    @property
    def speed(self) -> str:
        """Times real time by the clock, and for each second of one core."""
        return f"{self.sound_s / self.work_s:.1f} ({self.sound_s / self.cpu_s:.1f})"


def word_errors(pairs: Iterable[tuple[str, str]], language: str = "en") -> float:
    """Word error rate of (said, heard) over all of them together."""
    details = [compare(said, heard, language).details for said, heard in pairs]
    errors = sum(d["substitutions"] + d["deletions"] + d["insertions"] for d in details)
    return errors / sum(d["count"] for d in details)


def si_sdr(reference: np.ndarray, made: np.ndarray) -> float:
    """In dB, over the length of both."""
    length = min(len(reference), len(made))
    return ratio_db(reference[:length].astype(np.float64), made[:length].astype(np.float64))


def at_ratio(sound: np.ndarray, other: np.ndarray, ratio_db: float) -> np.ndarray:
    """``other`` scaled to lie ``ratio_db`` below ``sound``."""
    gain = np.sqrt((sound**2).mean() / (other**2).mean() / 10 ** (ratio_db / 10))
    return other * np.float32(gain)


def transcription(folder: Path) -> None:
    """Word errors of Whisper base, and its speed."""
    base, lines = Recogniser(Model.BASE, threads=THREADS), []
    for language, texts in (("en", ENGLISH), ("fr", FRENCH), ("es", SPANISH)):
        clock, pairs = Clock(), []
        for text in texts:
            clip = piper(text) if language == "en" else kokoro(text, "jm_kumo", language, SLOWLY)
            heard = clock.timed(
                clip.duration_s,
                lambda c=clip, code=language: base.transcribe(c.samples, c.rate, code),
            )
            pairs.append((text, heard.text))
        voice = "Piper joe" if language == "en" else f"Kokoro jm_kumo, speed {SLOWLY}"
        lines.append((language, voice, f"{word_errors(pairs, language):.3f}", clock.speed))
    long = np.concatenate([clip.samples for clip in map(piper, ENGLISH)])
    clock, rate = Clock(), piper(ENGLISH[0]).rate
    heard = clock.timed(len(long) / rate, lambda: base.transcribe(long, rate, "en"))
    errors = word_errors([(" ".join(ENGLISH), heard.text)])
    lines.append(("en", "all ten in one", f"{errors:.3f}", clock.speed))
    show("Whisper base", ("language", "voice", "WER", "times real time"), lines)


def noise(folder: Path) -> None:
    """SI-SDR of speech at 10 dB before and after DeepFilterNet3."""
    denoiser, lines, rng = denoise.Denoiser(), [], np.random.default_rng(0)
    for kind in ("white", "pink"):
        clock, before, after = Clock(), [], []
        for clip in [*map(piper, ENGLISH), *real(folder)]:
            clean = resample(clip.samples, clip.rate, denoise.RATE)
            other = rng.standard_normal(len(clean)).astype(np.float32)
            if kind == "pink":
                spectrum = np.fft.rfft(other)
                other = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1), len(clean))
            noisy = (clean + at_ratio(clean, other, 10)).astype(np.float32)
            made = clock.timed(clip.duration_s, lambda n=noisy: denoiser.denoise(n, denoise.RATE))
            before.append(si_sdr(clean, noisy))
            after.append(si_sdr(clean, made))
        gain = np.array(after) - before
        lines.append((kind, f"{np.mean(before):.1f}", f"{np.mean(after):.1f}", f"{gain.mean():.1f}",
                      f"{gain.min():.1f}", clock.speed))  # fmt: skip
    show(
        "DeepFilterNet3 on speech at 10 dB, SI-SDR in dB",
        ("noise", "before", "after", "gain", "least gain", "times real time"),
        lines,
    )


def stems(folder: Path) -> None:
    """SI-SDR of speech and music before and after separation."""
    separator, lines, rate = separation.Separator(), [], separation.RATE
    for text in ("slow sad piano ballad", "pop song with guitar", "deep house"):
        clock = Clock()
        clips = [piper(sentence) for sentence in ENGLISH[:6]]
        voice = np.concatenate([resample(clip.samples, clip.rate, rate) for clip in clips])
        score = compose(brief_of(understand(text).attributes, 1, len(voice) / rate + 2))
        piece = render(score)
        music = resample(np.asarray(piece.mix), piece.sample_rate, rate)[:, : len(voice)]
        music = at_ratio(voice, music, 0)
        mix = music + voice
        made = clock.timed(len(voice) / rate, lambda m=mix: separator.separate(m, separation.RATE))
        gains = [
            si_sdr(true, found.mean(axis=0)) - si_sdr(true, mix.mean(axis=0))
            for true, found in (
                (voice, made.vocals), (music.mean(axis=0), made.accompaniment),
            )
        ]  # fmt: skip
        lines.append((text, *(f"{gain:.1f}" for gain in gains), clock.speed))
    show(
        "Two stems of speech over music at 0 dB, gain of SI-SDR in dB",
        ("music", "speech", "music", "times real time"),
        lines,
    )


def conversion(folder: Path) -> None:
    """Resemblyzer similarity to the reference before and after, and tiny.en's word errors."""
    base, tiny = Recogniser(Model.BASE, threads=THREADS), Recogniser(Model.TINY_EN, threads=THREADS)
    voices = {
        "Piper joe": [piper(text) for text in ENGLISH[:9]],
        **{
            f"Kokoro {name}": [kokoro(text, name) for text in ENGLISH[:9]]
            for name in ("jf_alpha", "jm_kumo")
        },
    }
    if clips := real(folder):
        voices["real speaker"] = [
            Spoken(c.samples, c.rate, base.transcribe(c.samples, c.rate, "en").text) for c in clips
        ]
    references = {name: clips[REFERENCES] for name, clips in voices.items()}
    learnt = {
        n: learn([(c.samples, c.rate) for c in clips], base) for n, clips in references.items()
    }
    targets = {
        name: unit(np.mean([_voice(c.samples, c.rate) for c in clips], axis=0))
        for name, clips in references.items()
    }
    lines, all_pairs, all_gains = [], [], []
    for source, target in itertools.permutations(voices, 2):
        clock, pairs, plain, alike = Clock(), [], [], []
        for clip in voices[source][SOURCES]:
            made, rate = clock.timed(
                clip.duration_s,
                lambda c=clip, voice=learnt[target]: convert(c.samples, c.rate, voice, base),
            )
            plain.append(_voice(clip.samples, clip.rate) @ targets[target])
            alike.append(_voice(made, rate) @ targets[target])
            pairs.append((clip.text, tiny.transcribe(made, rate, "en").text))
        all_pairs += pairs
        all_gains.append(np.mean(alike) - np.mean(plain))
        lines.append((source, target, f"{np.mean(plain):.2f}", f"{np.mean(alike):.2f}",
                      f"{all_gains[-1]:.3f}", f"{word_errors(pairs):.2f}", clock.speed))  # fmt: skip
    lines.append(
        ("all", "", "", "", f"{np.mean(all_gains):.3f}", f"{word_errors(all_pairs):.2f}", "")
    )
    head = ("source", "reference", "before", "after", "gain", "WER", "times real time")
    show("Conversion: similarity to the reference", head, lines)


def _voice(samples: np.ndarray, rate: int) -> np.ndarray:
    return resemblyzer(Sound(samples, rate))


def melody(folder: Path) -> None:
    """Share of voiced frames within 30 cents of the notes that speech is made to sing."""
    lines, how = [], Singing(vibrato_depth=0)
    pitches = (57, 57, 59, 60, 62, 60, 59, 57)
    tune = [MelodyNote(0.2 + 0.45 * i, 0.6 + 0.45 * i, float(p)) for i, p in enumerate(pitches)]
    for text in ENGLISH[:4]:
        clip, clock = piper(text), Clock()
        made = clock.timed(
            tune[-1].end_s, lambda c=clip: sing(c.samples, c.rate, how, melody=tune).samples
        )
        shares = [_in_tune(made, tune, by) for by in (Tracker.SWIFT, Tracker.HARVEST)]
        lines.append((text[:32], *(f"{share:.3f}" for share in shares), clock.speed))
    head = ("text", "within 30 cents by SwiftF0", "by Harvest", "times real time")
    show("Speech made to sing eight notes", head, lines)


def _in_tune(samples: np.ndarray, tune: Sequence[MelodyNote], tracker: Tracker) -> float:
    """Of the frames that ``tracker`` finds voiced, inside notes and 50 ms from their ends. Harvest fills
    unvoiced sounds with a pitch of its own."""
    heard = contour(Sound(samples, SINGING_RATE), tracker).f0
    asked = np.zeros(len(heard))
    for note in tune:
        inside = slice(round(note.start_s / HOP_S) + 10, round(note.end_s / HOP_S) - 10)
        asked[inside] = 440 * 2 ** ((note.pitch - 69) / 12)
    both = (heard > 0) & (asked > 0)
    return float((np.abs(1200 * np.log2(heard[both] / asked[both])) <= IN_TUNE_CENTS).mean())


def notes(folder: Path) -> None:
    """Notes of composed pieces found again: a hit has its pitch and begins within 50 ms."""
    hearer, lines = NoteHearer(THREADS), []
    for text in ("slow sad piano ballad", "solo piano waltz"):
        score = compose(brief_of(understand(text).attributes, 1, 30))
        piece, clock = render(score), Clock()
        mix = np.asarray(piece.mix)
        heard = clock.timed(
            mix.shape[1] / piece.sample_rate, lambda m=mix, p=piece: hearer.notes(m, p.sample_rate)
        )
        true = _midi_notes(to_midi(score))
        left, hits = [(n.start_s, n.pitch) for n in heard], 0
        for start_s, pitch in true:
            near = [n for n in left if n[1] == pitch and abs(n[0] - start_s) <= 0.05]
            if near:
                left.remove(near[0])
                hits += 1
        recall, precision = hits / len(true), hits / max(1, len(heard))
        lines.append((text, len(true), f"{precision:.2f}", f"{recall:.2f}", clock.speed))
    show("Notes heard", ("piece", "notes", "precision", "recall", "times real time"), lines)


def _midi_notes(content: bytes) -> list[tuple[float, int]]:
    import mido

    now, found = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(content)):
        now += message.time
        if message.type == "note_on" and message.velocity and message.channel != 9:
            found.append((now, message.note))
    return found


PARTS = {part.__name__: part for part in (transcription, noise, stems, conversion, melody, notes)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--real", type=Path, default=REAL)
    args = parser.parse_args()
    for name in args.names or PARTS:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}: choose of {', '.join(PARTS)}")
        PARTS[name](args.real)


if __name__ == "__main__":
    main()
