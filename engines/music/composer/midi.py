"""A score as a Standard MIDI File, and melodies out of one."""

from __future__ import annotations

import contextlib
import io

import mido
import numpy as np

from engines.base import StudioError
from engines.music.composer.harmonise import HeardNote
from engines.music.composer.instruments import instrument, knowledge
from engines.music.composer.score import TEXTURE, Score, Track

TICKS = 480  # a beat
DRUM_CHANNEL = 9
SLOW_STEPS = 8  # tempo changes a beat where a piece slows down
LONGEST_BYTES = 4 << 20
SUBSTITUTES = {(8, 24): 24, (16, 25): 25}  # sounds of other banks


def to_midi(score: Score) -> bytes:
    """The file: tempo, key and metre first, then a track for each instrument."""
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    file.tracks.append(_conductor(score))
    channels = (channel for channel in [*range(9), *range(10, 16), *range(9), *range(10, 16)])
    for track in score.tracks:
        if track.part == TEXTURE:
            continue
        facts = instrument(track.instrument, score.brief.style)
        file.tracks.append(_track(score, track, DRUM_CHANNEL if facts.kit else next(channels)))
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def _conductor(score: Score) -> mido.MidiTrack:
    brief = score.brief
    tonic, _, mode = brief.key.rpartition(" ")
    events = [
        (0, mido.MetaMessage("track_name", name=f"{brief.mood} {brief.style}".strip())),
        (0, mido.MetaMessage("time_signature", numerator=brief.meter, denominator=4)),
        (0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(brief.tempo))),
    ]
    name = tonic.replace(" sharp", "#").replace(" flat", "b") + ("m" if mode == "minor" else "")
    with contextlib.suppress(ValueError):  # such as D sharp minor, which a file cannot name
        events.append((0, mido.MetaMessage("key_signature", key=name)))
    for section in score.sections:
        events.append(
            (section.start * brief.meter * TICKS, mido.MetaMessage("marker", text=section.kind))
        )
    events += _slowing(score)
    return _in_order(events)


def _slowing(score: Score) -> list[tuple[int, mido.MetaMessage]]:
    if not score.slowing:
        return []
    last = score.beats - score.brief.meter
    edges = np.arange(last - score.slowing, last + 1e-6, 1 / SLOW_STEPS)
    seconds = np.diff(score.seconds(edges)) * SLOW_STEPS
    changes = [
        (round(edge * TICKS), mido.MetaMessage("set_tempo", tempo=round(each * 1e6)))
        for edge, each in zip(edges[:-1], seconds, strict=True)
    ]
    return [
        *changes,
        (
            round(last * TICKS),
            mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(score.brief.tempo)),
        ),
    ]


def _track(score: Score, track: Track, channel: int) -> mido.MidiTrack:
    facts = instrument(track.instrument, score.brief.style)
    bank, program = knowledge()["sounds"][facts.sound]
    program = program if bank in (0, 128) else SUBSTITUTES[bank, program]
    events = [
        (0, mido.MetaMessage("track_name", name=f"{track.part}: {track.instrument}")),
        (0, mido.Message("program_change", channel=channel, program=program)),
    ]
    for note in track.notes:
        start = round(note.start * TICKS)
        end = max(round((note.start + note.length) * TICKS), start + 1)
        events.append(
            (
                start,
                mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity),
            )
        )
        events.append((end, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)))
    return _in_order(events)


def _in_order(events: list[tuple[int, mido.Message]]) -> mido.MidiTrack:
    """A track of events at ticks; at one tick ends come before starts."""
    track, before = mido.MidiTrack(), 0
    for when, event in sorted(events, key=lambda each: (each[0], each[1].type == "note_on")):
        track.append(event.copy(time=when - before))
        before = when
    return track


def read_melody(content: bytes) -> list[HeardNote]:
    """The melody of a MIDI file: of the track that lies highest, the highest note at each moment.

    Raises ``StudioError`` for what is no MIDI file or has no notes.
    """
    if len(content) > LONGEST_BYTES:
        raise StudioError(
            "This MIDI file is larger than 4 MB. Choose one with a melody alone.", "melody"
        )
    try:
        file = mido.MidiFile(file=io.BytesIO(content))
        tracks = [_notes(file, track) for track in file.tracks]
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise StudioError(
            "This is no MIDI file, or it is damaged. Choose a .mid file.", "melody"
        ) from error
    voices = [notes for notes in tracks if notes]
    if not voices:
        raise StudioError(
            "This MIDI file has no notes apart from drums. Choose one with a melody.", "melody"
        )
    melody = max(voices, key=lambda notes: (np.mean([note.pitch for note in notes]), len(notes)))
    return _highest(melody)


def _notes(file: mido.MidiFile, track: mido.MidiTrack) -> list[HeardNote]:
    """The notes of one track in seconds, by the tempos of the whole file."""
    tempos = [(0, 500_000)]
    for other in file.tracks:
        when = 0
        for event in other:
            when += event.time
            if event.type == "set_tempo":
                tempos.append((when, event.tempo))
    tempos.sort(key=lambda each: each[0])
    notes, when = [], 0
    sounding: dict[tuple[int, int], tuple[int, int]] = {}
    for event in track:
        when += event.time
        if event.type not in ("note_on", "note_off") or event.channel == DRUM_CHANNEL:
            continue
        key = (event.channel, event.note)
        if key in sounding:
            start, velocity = sounding.pop(key)
            begin, end = (_seconds(tick, tempos, file.ticks_per_beat) for tick in (start, when))
            notes.append(HeardNote(begin, max(end - begin, 0.03), event.note, velocity))
        if event.type == "note_on" and event.velocity:
            sounding[key] = (when, event.velocity)
    return notes


def _seconds(tick: int, tempos: list[tuple[int, int]], per_beat: int) -> float:
    total = 0.0
    for index, (start, tempo) in enumerate(tempos):
        end = tempos[index + 1][0] if index + 1 < len(tempos) else tick
        if tick <= start:
            break
        total += (min(end, tick) - start) * tempo / 1e6 / max(per_beat, 1)
    return total


def _highest(notes: list[HeardNote]) -> list[HeardNote]:
    kept: list[HeardNote] = []
    for note in sorted(notes, key=lambda each: (each.start_s, -each.pitch)):
        if kept and note.start_s < kept[-1].start_s + 0.03:
            continue
        if (
            kept
            and note.pitch < kept[-1].pitch
            and note.start_s < kept[-1].start_s + 0.7 * kept[-1].length_s
        ):
            continue
        kept.append(note)
    return kept
