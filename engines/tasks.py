"""The families of engines, declared once: layout, Home, keys, filters, reference pages, API and batch
read this table. A new family is one more row."""

from __future__ import annotations

from dataclasses import dataclass

from engines.base import Task


@dataclass(frozen=True)
class Family:
    """One family: ``tab`` is the id of its page, ``title`` its name there, ``clips`` what its clips are
    called in lists, ``verb`` the words on a button that leads to it, ``text`` what one does there. ``key``
    follows G on the keyboard."""

    task: Task
    tab: str
    title: str
    clips: str
    verb: str
    text: str
    key: str


FAMILIES = (
    Family(
        Task.TTS, "speech", "Speech", "Speech", "Make speech",
        "Type a text, choose a voice, hear it while it is made.", "s",
    ),
    Family(
        Task.VC, "voice", "Voice", "Voice conversion", "Convert a voice",
        "Say it in another voice: a source, a reference, and what was said stays.", "v",
    ),
    Family(
        Task.SVC, "singing", "Singing", "Singing", "Convert singing",
        "Sing it in another voice or key, or to another melody.", "i",
    ),
    Family(
        Task.MUSIC, "music", "Music", "Music", "Make music",
        "Describe the music, compare variations, keep the best.", "u",
    ),
    Family(
        Task.TTA, "sound", "Sound", "Sounds", "Make a sound",
        "Describe a sound or a scene, or place events on a timeline.", "o",
    ),
    Family(
        Task.RESTORE, "restoration", "Restoration", "Restoration", "Restore a sound",
        "Remove noise, separate voices from music, set levels, trim.", "n",
    ),
    Family(
        Task.ASR, "transcription", "Transcription", "Transcription", "Transcribe",
        "Speech to text with word times, and subtitles.", "w",
    ),
    Family(
        Task.CODEC, "codecs", "Codecs", "Codecs", "Try a codec",
        "Sound to tokens and back: look at them, edit them, hear what is lost.", "k",
    ),
    Family(
        Task.VOCODER, "vocoders", "Vocoders", "Vocoders", "Try a vocoder",
        "Mel-spectrogram to sound, by several vocoders on one input.", "l",
    ),
)  # fmt: skip
BY_TASK = {family.task: family for family in FAMILIES}


def title(task: Task) -> str:
    """The name of a task, also of one that has no page."""
    return BY_TASK[task].title if task in BY_TASK else str(task).capitalize()
