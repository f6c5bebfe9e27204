"""Vevo's four modes on tiny weights that are fetched from a hub, run through the studio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from gradio_client import handle_file

from engines import sharing
from engines.base import Cancelled, StudioError
from engines.parts import vevo as parts
from engines.tts.vevo import VevoSpeech
from engines.vc.vevo import VevoStyle, VevoTimbre, VevoVoice
from tests import tiny_vevo
from tests.conftest import served_app
from tests.engines.fetched import Stopping, fetched, let_go, samples
from tests.engines.sounding import spoken


def heard(clip) -> bytes:
    """The samples of a clip's file."""
    return soundfile.read(clip.path, dtype="float32")[0].tobytes()


ENGINES = (VevoTimbre, VevoVoice, VevoStyle, VevoSpeech)
QUICK = {"steps": 2, "seed": 5}
DRAWN = QUICK | {"min_tokens": 5, "max_tokens": 400}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vevo")
    tiny_vevo.make(folder / "vevo", folder / "hubert", pickled=True)
    return folder


@pytest.fixture(scope="module")
def studio(root):
    folders = {"amphion/Vevo": root / "vevo", "facebook/hubert-large-ll60k": root / "hubert"}
    with fetched(root, folders, ENGINES) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left(studio):
    yield
    let_go(studio)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A source, references, and sounds that can't be used."""
    folder = tmp_path_factory.mktemp("sounds")
    voice, rate = spoken()
    for name, part in {
        "source": voice[: round(1.3 * rate)],
        "reference": voice[-round(1.2 * rate) :],
        "other": voice[rate // 2 : round(1.7 * rate)],
        "short": voice[: rate // 3],
        "silent": np.zeros(2 * rate),
    }.items():
        soundfile.write(folder / f"{name}.wav", part, rate)
    return folder


@pytest.fixture
def pair(files):
    return {"source": files / "source.wav", "reference": files / "reference.wav"}


def test_timbre_is_as_long_as_the_source_and_follows_its_seed(studio, pair):
    (first,) = studio.make("vevo-timbre", **pair, **QUICK)
    (again,) = studio.make("vevo-timbre", **pair, **QUICK)
    (other,) = studio.make("vevo-timbre", **pair, **(QUICK | {"seed": 6}))
    assert first.sample_rate == 24_000
    assert first.duration_s == pytest.approx(1.3, abs=1e-3)
    assert first.revision == "c" * 40
    assert heard(first) == heard(again) != heard(other)


def test_long_sources_are_converted_in_windows(studio, pair, monkeypatch):
    engine = studio.engine("vevo-timbre")
    params = VevoTimbre.Params(**pair, **QUICK)
    monkeypatch.setattr("engines.vc.vevo.WINDOW_S", 1.2)
    monkeypatch.setattr("engines.parts.windows.CONTEXT_S", 0.1)
    job = Stopping(after=10_000)
    with studio.runtime.lease(engine, params):
        clip = engine.run(params, job)
    assert [(done, total) for done, total, _ in job.notes] == [(0.5, 2), (1, 2), (1.5, 2), (2, 2)]
    assert job.notes[-1][2] == "Part 2 of 2"
    np.testing.assert_array_equal(np.concatenate(job.pieces), clip.samples)
    assert len(clip.samples) == pytest.approx(1.3 * 24_000, abs=24)


def test_voice_and_style_differ_in_whose_timbre_speaks(studio, pair):
    (voice,) = studio.make("vevo-voice", **pair, **DRAWN)
    (again,) = studio.make("vevo-voice", **pair, **DRAWN)
    (style,) = studio.make("vevo-style", **pair, **DRAWN)
    assert heard(voice) == heard(again) != heard(style)
    assert voice.duration_s == style.duration_s >= 0.1
    assert round(voice.duration_s * 24_000) % 480 == 0


def test_each_piece_of_a_voice_is_as_loud_as_in_the_source(studio, pair, monkeypatch):
    monkeypatch.setattr("engines.vc.vevo.PIECE_S", 1.0)
    engine = studio.engine("vevo-voice")
    params = VevoVoice.Params(**pair, **DRAWN)
    with studio.runtime.lease(engine, params):
        job = Stopping(after=10_000)
        clip = engine.run(params, job)
    assert {total for _, total, _ in job.notes} == {2}
    assert "Part 2 of 2" in {note for *_, note in job.notes}
    np.testing.assert_array_equal(np.concatenate(job.pieces), clip.samples)
    assert np.abs(clip.samples).max() <= 1


def test_after_voice_timbre_and_speech_load_only_what_differs(studio, pair, files, root):
    studio.make("vevo-voice", **pair, **DRAWN)
    common = {part.name(studio.hub) for part in parts.OF_TIMBRE}
    assert common < set(sharing.held())
    before = studio.memory().reserved
    (clip,) = studio.make("vevo-timbre", **pair, **QUICK)
    with unreadable(studio, ("pytorch_model.bin", "vq8192/*", "Vq8192ToMels/*", "Vocoder/*")):
        studio.unload("vevo-timbre")
        (again,) = studio.make("vevo-timbre", **pair, **QUICK)
        said = {"text": "Hello.", "reference_language": "en", "reference_text": "For the winter."}
        studio.make("vevo-tts", **said, reference=pair["reference"], **DRAWN)
    assert heard(again) == heard(clip)
    vevos = [studio.engine(id).vevo for id in ("vevo-voice", "vevo-timbre", "vevo-tts")]
    assert len({vevo.voicing.flow for vevo in vevos}) == 1
    assert len({vevo.style.hubert for vevo in vevos}) == 1
    vevos.clear()
    own = 600 * 2**20  # of each engine, for its run
    phones = parts.FROM_PHONES.mb("float32") * 2**20
    assert studio.memory().reserved == before + 2 * own + phones
    studio.unload("vevo-voice")
    assert common < set(sharing.held())
    assert parts.FROM_CONTENT.name(studio.hub) not in sharing.held()


@contextmanager
def unreadable(studio, names: tuple[str, ...]) -> Iterator[None]:
    """Files of the cache that are cut to nothing for a while: who reads them fails."""
    found = [path for name in names for path in studio.hub.root.rglob(f"snapshots/*/**/{name}")]
    blobs = {path.resolve() for path in found}
    assert len(blobs) >= len(names)
    for blob in blobs:  # moved, not emptied: networks in memory may read from the file itself
        blob.rename(blob.with_suffix(".kept"))
        blob.write_bytes(b"")
    yield
    for blob in blobs:
        blob.with_suffix(".kept").rename(blob)


def test_half_a_file_is_refused_with_its_name(studio, pair):
    with unreadable(studio, ("Vq8192ToMels/*",)):
        with pytest.raises(StudioError, match=r"model\.safetensors can't be read as weights"):
            studio.make("vevo-timbre", **pair, **QUICK)


def test_text_is_spoken_sentence_by_sentence_at_one_loudness(studio, files):
    said = {
        "text": "Good morning to you. The bridge is closed.",
        "reference": files / "reference.wav",
        "reference_language": "en",
        "reference_text": "repairs during the winter.",
    }
    (clip,) = studio.make("vevo-tts", **said, **DRAWN)
    assert clip.sample_rate == 24_000
    assert clip.text == said["text"]
    assert heard(clip) == heard(studio.make("vevo-tts", **said, **DRAWN)[0])
    (other,) = studio.make("vevo-tts", **said, timbre_reference=files / "other.wav", **DRAWN)
    assert heard(other) != heard(clip)
    made = samples(studio, clip)
    halves = [part[part != 0] for part in np.array_split(made, 2)]
    levels = [20 * np.log10(np.sqrt(np.mean(half**2))) for half in halves]
    assert all(-31 < level < -23 for level in levels)


@pytest.mark.parametrize(
    ("engine", "more"),
    [("vevo-timbre", {}), ("vevo-voice", {"min_tokens": 90, "max_tokens": 400})],
)
def test_a_cancelled_conversion_stops_within_a_step(studio, pair, engine, more):
    engine = studio.engine(engine)
    params = engine.Params(**pair, steps=50, **more)
    job = Stopping(after=3)
    with studio.runtime.lease(engine, params), pytest.raises(Cancelled):
        engine.run(params, job)
    assert len(job.notes) == 3 and job.late == 0


def test_a_cancelled_job_of_speech_ends(studio, files):
    job = studio.submit(
        "vevo-tts",
        {
            "text": "A long text. " * 30, "reference": files / "reference.wav",
            "reference_language": "en", "reference_text": "winter", **DRAWN,
        },
    )  # fmt: skip
    for update in studio.follow(job.id, every_s=0.01):
        if update.progress > 0:
            studio.cancel(job.id)
            break
    assert studio.wait(job.id, 20).state == "cancelled"


@pytest.mark.parametrize(
    ("field", "name", "message"),
    [
        ("reference", "short", r"lasts 0\.33 s; at least 1 s are needed"),
        ("reference", "silent", "is silent"),
        ("source", "silent", "is silent"),
    ],
)
def test_sounds_that_cannot_be_used_are_refused(studio, pair, files, field, name, message):
    with pytest.raises(StudioError, match=message):
        studio.make("vevo-voice", **(pair | {field: files / f"{name}.wav"}), **DRAWN)


def test_speech_needs_the_words_of_its_reference_and_room(studio, files):
    given = {"text": "Hello.", "reference": files / "reference.wav"}
    with pytest.raises(StudioError, match="words of the reference are missing") as error:
        studio.submit("vevo-tts", given)
    assert error.value.field == "reference_text"
    with pytest.raises(StudioError, match=r"take \d+ tokens of 100, which leaves no room"):
        studio.make(
            "vevo-tts",
            **given,
            reference_text="winter",
            reference_language="en",
            max_tokens=100,
            min_tokens=60,
        )


def test_pieces_are_the_sound_and_meet_where_it_is_quiet():
    from engines.parts.pieces import beginning, pieces
    from engines.parts.references import Sound

    voice, rate = spoken()
    gap = np.zeros(rate // 4, np.float32)
    sound = Sound(np.concatenate([voice, gap, voice, gap, voice]), rate)
    cut = pieces(sound, 4.5)
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in cut]), sound.samples)
    assert len(cut) > 2 and all(piece.duration_s <= 4.5 for piece in cut)
    for before in cut[:-1]:
        assert np.abs(before.samples[-100:]).max() < 0.05
    assert 2.0 < beginning(sound, 3.0).duration_s <= 3.0


def test_a_voice_is_converted_through_the_endpoint_and_in_a_batch(studio, pair, tmp_path):
    with served_app(studio) as served:
        client = served.client()
        sound, made = client.predict(
            **{name: handle_file(path) for name, path in pair.items()}, **QUICK,
            api_name="/vevo_timbre",
        )  # fmt: skip
    (clip,) = studio.make("vevo-timbre", **pair, **QUICK)
    ours = studio.clip(studio.job(made["id"]).clip_ids[0])
    assert heard(ours) == heard(clip)
    assert ours.settings["steps"] == 2 and sound
    table = tmp_path / "rows.csv"
    table.write_text("name,source,seed\na,source.wav,5\nb,source.wav,6\n")
    common = {"reference": "reference.wav", "steps": 2}
    batch = studio.batches.check("vevo-timbre", [table, *pair.values()], common=common)
    job = studio.wait(studio.batches.start(batch.id).id, 60)
    assert (job.state, job.error) == ("done", "")
    rows = studio.batches.rows(batch.id)
    clips = [studio.clip(row.clip_ids[0]) for row in rows]
    assert heard(clips[0]) == heard(clip) != heard(clips[1])
