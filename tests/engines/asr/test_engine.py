"""Whisper through the studio: the report of a sentence, of silence, and what is refused."""

import numpy as np
import pytest

from engines.asr.engine import report
from engines.asr.transcripts import Segment, Transcript
from engines.base import StudioError
from engines.studio import Studio
from storage import JobState
from tests.conftest import make_settings
from tests.engines.publishing import written
from tests.engines.sounding import SENTENCE, spoken

pytestmark = pytest.mark.speech


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with Studio(make_settings(tmp_path_factory.mktemp("studio"))) as running:
        yield running


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    samples, rate = spoken()
    return written(tmp_path_factory.mktemp("sounds") / "speech.wav", samples, rate)


def transcribed(studio, **settings):
    job = studio.wait(studio.submit("whisper", settings).id, 120)
    assert job.state is JobState.DONE, job.error
    assert not job.clip_ids
    return job.report["values"], job.report["rows"]


def test_a_sentence_becomes_text_words_and_subtitles(studio, speech):
    values, rows = transcribed(studio, source=str(speech))
    assert values["text"].lower().rstrip(".") == SENTENCE.lower().rstrip(".")
    assert values["language"] == "en"
    assert [row["word"].strip(".").lower() for row in rows] == SENTENCE.lower()[:-1].split()
    times = [moment for row in rows for moment in (row["start_s"], row["end_s"])]
    assert times == sorted(times) and 0 < times[-1] <= values["duration_s"]
    assert values["srt"].startswith("1\n00:00:0") and "The old bridge" in values["srt"]
    assert values["vtt"].startswith("WEBVTT\n\n00:00:0") and "The old bridge" in values["vtt"]


def test_tiny_hears_english_and_refuses_other_languages(studio, speech, tmp_path):
    values, rows = transcribed(
        studio, source=str(speech), model="tiny.en", language="en", word_times=False
    )
    assert "bridge" in values["text"]
    assert list(rows[0]) == ["segment", "start_s", "end_s"]
    with pytest.raises(StudioError, match="knows English alone, not 'fr'") as refused:
        studio.submit("whisper", {"source": str(speech), "model": "tiny.en", "language": "fr"})
    assert refused.value.field == "language"
    silent = written(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    values, rows = transcribed(studio, source=str(silent), model="tiny.en")
    assert (values["text"], values["srt"], list(rows)) == ("", "", [])


def test_segments_without_word_times_are_rows():
    made = report(Transcript((Segment("One two.", 0.0, 1.23456),), "en", 1.0, 2.0))
    assert made.rows == [{"segment": "One two.", "start_s": 0.0, "end_s": 1.235}]
    assert made.values["srt"] == "1\n00:00:00,000 --> 00:00:01,235\nOne two.\n\n"
