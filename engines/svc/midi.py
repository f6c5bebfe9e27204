"""Notes to a Standard MIDI File and melodies out of one."""

from __future__ import annotations

import io
from collections.abc import Iterable

from engines.music.composer.midi import read_melody
from engines.svc.melody import MelodyNote

TICKS = 480  # a beat
TEMPO = 120.0  # beats a minute: what is heard has no bars


def to_midi(notes: Iterable[MelodyNote], tempo: float = TEMPO, program: int = 0) -> bytes:
    """A file with one track; pitches are rounded to keys. ``program`` is General MIDI's instrument."""
    import mido

    per_second = TICKS * tempo / 60
    events = []
    for note in notes:
        key = min(127, max(0, round(note.pitch)))
        start = round(note.start_s * per_second)
        end = max(start + 1, round(note.end_s * per_second))
        events.append((start, 1, mido.Message("note_on", note=key, velocity=note.velocity)))
        events.append((end, 0, mido.Message("note_off", note=key, velocity=0)))
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    track.append(mido.Message("program_change", program=program))
    before = 0
    for tick, _order, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - before))
        before = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS)
    file.tracks.append(track)
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def from_midi(content: bytes) -> list[MelodyNote]:
    """The melody of a file: of the track that lies highest, the highest note at each moment.

    Raises ``StudioError`` for what is no MIDI file or has no notes.
    """
    return [
        MelodyNote(note.start_s, note.start_s + note.length_s, float(note.pitch), note.velocity)
        for note in read_melody(content)
    ]
