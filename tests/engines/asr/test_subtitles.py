"""SRT and VTT: clocks, lines, cuts at words, escapes."""

from engines.asr.subtitles import Cue, cues, to_srt, to_vtt
from engines.asr.transcripts import Segment, Transcript, Word


def words(text, start_s, each_s):
    return tuple(
        Word(f" {word}", start_s + i * each_s, start_s + (i + 1) * each_s, 1.0)
        for i, word in enumerate(text.split())
    )


def test_clocks_and_numbers():
    shown = [Cue("One.", 0.0, 1.2345), Cue("Two", 3599.9996, 3661.5)]
    assert to_srt(shown) == (
        "1\n00:00:00,000 --> 00:00:01,234\nOne.\n\n2\n01:00:00,000 --> 01:01:01,500\nTwo\n\n"
    )
    assert to_vtt(shown).startswith(
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.234\nOne.\n\n01:00:00.000 "
    )


def test_vtt_escapes_what_would_be_markup():
    assert "a &lt;b&gt; &amp; c" in to_vtt([Cue("a <b> & c", 0, 1)])


def test_a_segment_without_words_is_one_cue_and_an_empty_one_none():
    transcript = Transcript((Segment("Hello there.", 0.5, 2.0), Segment(" ", 2.0, 3.0)), "en", 1, 3)
    assert cues(transcript) == [Cue("Hello there.", 0.5, 2.0)]


def test_long_segments_are_cut_at_words_and_sentences():
    text = "It rained. " + " ".join(["word"] * 30)
    spoken = words(text, 0, 0.2)
    shown = cues(Transcript((Segment(text, 0, spoken[-1].end_s, spoken),), "en", 1, 10))
    assert shown[0] == Cue("It rained.", 0.0, 0.4)
    assert " ".join(cue.text.replace("\n", " ") for cue in shown) == text
    for cue in shown:
        lines = cue.text.split("\n")
        assert len(lines) <= 2
        assert max(map(len, lines)) <= 42
        assert cue.end_s - cue.start_s <= 7.0


def test_cues_never_overlap():
    transcript = Transcript((Segment("One", 0, 2.0), Segment("Two", 1.5, 3.0)), "en", 1, 3)
    assert [(cue.start_s, cue.end_s) for cue in cues(transcript)] == [(0, 2.0), (2.0, 3.0)]


def test_text_without_spaces_is_broken_too():
    (cue,) = cues(Transcript((Segment("東" * 60, 0, 5),), "ja", 1, 5))
    assert [len(line) for line in cue.text.split("\n")] == [42, 18]
