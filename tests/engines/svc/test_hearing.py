"""Notes heard in plucked tones and chords, and MIDI there and back."""

import hashlib
import re

import numpy as np
import pytest

from engines.base import StudioError
from engines.svc.hearing import MODEL, Activations, NoteHearer, read_notes
from engines.svc.melody import MelodyNote
from engines.svc.midi import from_midi, to_midi
from tests.engines.sounding import note

RATE = 44_100
SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


@pytest.fixture(scope="module")
def hearer():
    return NoteHearer()


def scale():
    tones = [note(440 * 2 ** ((pitch - 69) / 12), 0.5, RATE, 0.4, 2.0) for pitch in SCALE]
    return np.pad(np.concatenate(tones), (RATE // 2, RATE // 2))


def test_a_scale_is_heard_note_by_note(hearer):
    told = []
    heard = hearer.notes(scale(), RATE, progress=lambda *at: told.append(at))
    loud = [each for each in heard if each.velocity > 60]  # a partial may be heard as a faint note
    assert len(heard) - len(loud) <= 1
    assert [each.pitch for each in loud] == list(SCALE)
    assert [each.start_s for each in loud] == pytest.approx(
        [0.5 + 0.5 * i for i in range(8)], abs=0.04
    )
    assert told[-1][0] == told[-1][1] == pytest.approx(5)


def test_a_chord_is_heard_whole_and_windows_leave_no_gap(hearer):
    chord = sum(
        note(440 * 2 ** ((pitch - 69) / 12), 4.0, RATE, slope=2.0) for pitch in (60, 64, 67)
    )
    heard = hearer.notes(np.stack([chord, chord]), RATE, shortest_s=1.0)
    assert {each.pitch for each in heard} == {60, 64, 67}
    for each in heard:
        assert each.end_s - each.start_s > 3


def test_silence_and_moments_have_no_notes(hearer):
    assert hearer.notes(np.zeros(RATE), RATE) == []
    assert hearer.notes(np.zeros(10), RATE) == []
    with pytest.raises(StudioError, match="no numbers"):
        hearer.notes(np.full(100, np.inf), RATE)


def test_a_note_without_an_onset_is_found_from_its_middle():
    notes = np.zeros((60, 88))
    notes[10:50, 40] = 0.6
    heard = Activations(notes, np.zeros((60, 88)), np.arange(60) / 86)
    (found,) = read_notes(heard, 0.5, 0.3, 11)
    assert found.pitch == 61
    assert (found.start_s, found.end_s) == pytest.approx((10 / 86, 50 / 86), abs=0.03)


def test_midi_there_and_back():
    melody = [MelodyNote(0.5 * i, 0.5 * i + 0.4, float(pitch), 80) for i, pitch in enumerate(SCALE)]
    back = from_midi(to_midi(melody))
    assert [each.pitch for each in back] == list(SCALE)
    assert [each.start_s for each in back] == pytest.approx([0.5 * i for i in range(8)], abs=0.002)
    assert {each.velocity for each in back} == {80}
    with pytest.raises(StudioError, match="no MIDI file"):
        from_midi(b"RIFF")
    with pytest.raises(StudioError, match="no notes"):
        from_midi(to_midi([]))


def test_the_network_is_the_published_one():
    stated = re.search(r"SHA-256: `(\w+)`", (MODEL.parent / "README.md").read_text())
    assert stated is not None
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == stated[1]
