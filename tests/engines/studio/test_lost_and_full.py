"""A lost database, a damaged journal, a full disk: the studio goes on, says so, and loses nothing."""

import errno
import logging

import httpx
import pytest
from gradio_client.exceptions import AppError

from engines.studio import Studio
from storage import ClipQuery
from tests.conftest import make_settings, served_app
from tests.fakes import Tone


@pytest.fixture
def reopened(tmp_path, no_engines):
    """A function that opens the data folder again with the fake engine, as the next start would."""
    opened = []

    def start():
        studio = Studio(make_settings(tmp_path))
        opened.append(studio)
        studio.start()
        studio.registry.add(Tone)
        return studio

    yield start
    for studio in opened:
        studio.close()


@pytest.fixture
def data(tmp_path, reopened):
    """A data folder with three clips, the last of which was made from nothing here; closed."""
    studio = reopened()
    for seed in (1, 2, 3):
        studio.make("tone", text=f"sentence {seed}", seed=seed)
    studio.close()
    return tmp_path / "data"


def lose(data, how):
    for path in data.glob("studio.db*"):
        path.unlink()
    if how == "empty":
        (data / "studio.db").touch()


KEPT = ("hash", "engine", "settings", "text", "title", "seed", "duration_s", "task")


def rows(studio):
    return {
        clip.hash: (*(getattr(clip, name) for name in KEPT), round(clip.peak_db, 2))
        for clip in studio.clips.search(ClipQuery()).rows
    }


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_clips_of_a_lost_database_are_rebuilt_from_their_files(data, reopened, caplog, how):
    studio = reopened()
    before = rows(studio)
    studio.close()
    assert len(before) == 3
    lose(data, how)
    with caplog.at_level(logging.WARNING):
        studio = reopened()
    assert "holds 3 sounds, but" in caplog.text
    assert rows(studio) == {}
    with served_app(studio) as served:
        client = served.client()
        job = client.predict(api_name="/rebuild_clips")
        _, job = client.predict(job["id"], api_name="/wait")
        assert job["state"] == "done"
        assert job["report"]["values"] == {
            "sounds without a clip": 3, "added": 3, "without settings": 0, "damaged": 0,
        }  # fmt: skip
        assert client.predict(query="sentence 2", api_name="/clips")["total"] == 1
    assert rows(studio) == before
    again = studio.wait(studio.rebuilding.start().id, 20)
    assert again.report["values"]["sounds without a clip"] == 0
    assert studio.rebuilding.lost == 0


def test_damaged_files_and_those_without_settings_are_told_apart(data, reopened):
    from mutagen.flac import FLAC

    first, second, _ = sorted((data / "audio").glob("*/*.flac"))
    with first.open("ab") as file:
        file.write(b"more")
    bare = FLAC(second)
    bare.delete()
    import hashlib

    name = hashlib.sha256(second.read_bytes()).hexdigest()
    second.rename(second.with_name(f"{name}.flac"))
    lose(data, "missing")
    studio = reopened()
    job = studio.wait(studio.rebuilding.start().id, 20)
    values = job.report["values"]
    assert (values["added"], values["without settings"], values["damaged"]) == (2, 1, 1)
    assert job.report["rows"][0]["file"] == first.name
    assert first.exists()


def test_home_offers_the_rebuilding_and_says_no_more_of_it_afterwards(data, reopened):
    from tabs.about import home
    from tabs.ui.live import Action

    lose(data, "missing")
    studio = reopened()
    assert "holds 3 sounds" in home.ways_html(studio)
    assert 'data-action="rebuild"' in home.ways_html(studio)
    home.act(studio, Action("rebuild"))
    (job,) = studio.jobs.list()
    assert studio.wait(job.id, 20).state == "done"
    assert "rebuild" not in home.ways_html(studio)


@pytest.mark.parametrize(
    "journal", ["{", "7", "[7]", '["../../etc/passwd"]', '["odd/a/b"]', "[" * 100_000, '["audio"]']
)
def test_a_damaged_journal_is_put_aside_and_told(data, reopened, caplog, journal):
    stage = data / "work" / "import-00000000000000000000000000"
    stage.mkdir()
    (stage / "journal.json").write_text(journal)
    (stage / "part").write_text("kept")
    with caplog.at_level(logging.WARNING):
        studio = reopened()
    aside = data / "work" / f"damaged-{stage.name}"
    assert (aside / "part").read_text() == "kept"
    assert not stage.exists()
    assert f"was put aside as {aside}" in caplog.text
    from tabs.about import home

    assert "is damaged. It was put aside" in home.ways_html(studio)
    assert len(rows(studio)) == 3
    studio.close()
    assert reopened().store.notices == []


def no_room(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "where", ["engines.studio.jobs.Partial.append", "storage.audio.files.write_whole"]
)
def test_a_full_disk_while_sound_is_made_is_a_sentence(served, monkeypatch, where):
    client = served.client()
    client.predict("before", "tone", api_name="/tts")
    with monkeypatch.context() as patch:
        patch.setattr(where, no_room if "Partial" in where else full_store)
        with pytest.raises(AppError) as caught:
            client.predict("hello", "tone", api_name="/tts")
    assert "disk full" in caught.value.message
    assert "what was stored before is safe" in caught.value.message
    assert "Errno" not in caught.value.message
    assert client.predict("after", "tone", api_name="/tts")[1]["state"] == "done"
    assert client.predict(api_name="/clips")["total"] >= 2


def full_store(path, content):
    from storage.base.errors import disk_full

    raise disk_full(path)


def test_a_job_whose_end_finds_no_room_ends_when_there_is_some(served, monkeypatch):
    from storage.base.errors import disk_full

    monkeypatch.setattr("engines.studio.runner.NO_ROOM_PAUSE_S", 0.05)
    update, refused = served.studio.jobs.update, []

    def refuse(job_id, **values):
        if "state" in values and len(refused) < 3:
            refused.append(values["state"])
            raise disk_full(served.studio.store.data_dir)
        return update(job_id, **values)

    monkeypatch.setattr(served.studio.jobs, "update", refuse)
    job = served.studio.submit("tone", {"text": "hello"})
    assert served.studio.wait(job.id, 20).state == "done"
    assert refused == ["done"] * 3


def test_a_full_disk_refuses_an_upload_in_words(served, monkeypatch):
    monkeypatch.setattr("gradio.route_utils.GradioMultiPartParser.parse", no_room)
    answer = httpx.post(
        f"{served.url}/gradio_api/upload", files={"files": ("a.wav", b"RIFF" * 100, "audio/wav")}
    )
    assert answer.status_code == 507
    assert answer.json()["detail"].startswith("disk full: ")


def test_a_picture_is_shown_when_there_is_no_room_to_keep_it(served, monkeypatch):
    clip = served.studio.make("tone", text="hello")[0]
    url = f"{served.url}/clips/{clip.id}/picture.png"
    with monkeypatch.context() as patch:
        patch.setattr("tabs.http.media.write_whole", full_store)
        answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")
    pictures = served.studio.store.folder("cache") / "pictures"
    assert not list(pictures.glob("*")) if pictures.exists() else True
    assert httpx.get(url).content.startswith(b"\x89PNG")
    assert len(list(pictures.glob("*.png"))) == 1
