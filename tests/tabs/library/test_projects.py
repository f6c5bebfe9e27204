"""Projects as people and scripts use them: jobs, the page's data, and the named endpoints."""

import json
import zipfile

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from engines.base import StudioError
from engines.studio import Studio
from storage import JobState, NotFound, StorageError
from tests.conftest import make_settings

PATIENCE_S = 60


def make(studio, *texts):
    return [studio.make("tone", text=text, seed=7, steps=1)[0] for text in texts]


def exported(studio, chosen=None, name="all"):
    job = studio.wait(studio.projects.export(chosen, name).id, PATIENCE_S)
    assert job.state == "done", job.error
    return studio.projects.file(job.report["values"]["file"])


@pytest.fixture
def second(tmp_path, no_engines):
    """Another studio, with nothing in it."""
    with Studio(make_settings(tmp_path / "second")) as running:
        yield running


def test_a_project_goes_to_another_studio(studio, second):
    clips = make(studio, "one", "two")
    studio.store.judgements.rate(clips[0].id, "overall", 5, "anna")
    file = exported(studio)
    assert file.bytes == file.path.stat().st_size
    check = second.wait(second.projects.check(file.path).id, PATIENCE_S)
    assert check.state == "done", check.error
    counts = {row["what"]: row["new"] for row in check.report["rows"]}
    assert counts == {"clips": 2, "ratings": 1}
    assert second.clips.some([clips[0].id]) == []
    done = second.wait(second.projects.confirm(check.id).id, PATIENCE_S)
    assert done.report["values"]["new"] == 3
    assert second.clip(clips[0].id).path.read_bytes() == clips[0].path.read_bytes()
    assert second.store.judgements.ratings(clips[0].id)[0].value == 5
    assert not second.projects.waits(check)
    with pytest.raises(StudioError, match="send it again"):
        second.projects.confirm(check.id)


def test_a_selection_by_words(studio):
    make(studio, "the river", "the mountain")
    chosen = {"clips": {"text": "river"}, "prompts": False}
    assert studio.projects.measure(chosen).rows["clips"] == 1
    with zipfile.ZipFile(exported(studio, chosen).path) as archive:
        rows = archive.read("rows/clips.jsonl").splitlines()
    assert [json.loads(row)["text"] for row in rows] == ["the river"]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"clip": True}, "'clip' cannot be chosen"),
        ({"clips": {"colour": "red"}}, "chosen by text, tag"),
        ({"datasets": "all"}, "a list of ids"),
        ({"tests": "yes"}, "true or false"),
        ({"clips": False, "prompts": False}, "Nothing is chosen"),
    ],
)
def test_wrong_selections_are_named(studio, chosen, words):
    with pytest.raises(StudioError, match=words):
        studio.projects.export(chosen)


def test_names_of_files(studio):
    make(studio, "one")
    assert exported(studio, name="../my file").name == "my-file.zip"
    with pytest.raises(StudioError, match="already"):
        studio.projects.export(name="my file")
    with pytest.raises(StudioError, match="no name"):
        studio.projects.export(name="…")
    with pytest.raises(NotFound):
        studio.projects.file("../studio.db")
    studio.projects.delete("my-file.zip")
    assert studio.projects.files() == []


def test_a_file_that_is_no_project_is_refused_at_once(studio, tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(StorageError, match="no project of this studio"):
        studio.projects.check(path)


def test_a_failed_check_can_be_thrown_away(studio, second):
    make(studio, "one")
    path = exported(studio).path
    data = bytearray(path.read_bytes())
    data[100] ^= 1  # in the first sound
    path.write_bytes(data)
    job = second.wait(second.projects.check(path).id, PATIENCE_S)
    assert job.state == "failed"
    assert "not a whole zip" in job.error
    with pytest.raises(StudioError, match="found good"):
        second.projects.confirm(job.id)
    second.projects.discard(job.id)
    assert not second.projects.waits(job)


def test_a_cancelled_export_leaves_nothing(studio, monkeypatch):
    make(studio, "one")
    from engines.studio import projects

    def cancelled(context, total, note):
        context.cancel()
        return lambda count: context.check()

    monkeypatch.setattr(projects, "_counter", cancelled)
    job = studio.wait(studio.projects.export(name="all").id, PATIENCE_S)
    assert job.state is JobState.CANCELLED
    assert list(studio.projects.folder.iterdir()) == []
    monkeypatch.undo()
    again = studio.wait(studio.retry(job.id).id, PATIENCE_S)
    assert again.state == "done"
    assert [file.name for file in studio.projects.files()] == ["all.zip"]


def test_forgotten_files_go_at_the_next_start(tmp_path, no_engines):
    settings = make_settings(tmp_path)
    with Studio(settings) as running:
        arrivals = running.store.folder("work") / "arrivals"
        part = running.projects.folder / ".part-x.zip"
    part.write_bytes(b"x")
    (arrivals / "new.zip").write_bytes(b"x")
    with Studio(settings) as running:
        assert not part.exists()
        assert [path.name for path in arrivals.iterdir()] == ["new.zip"]


def test_projects_through_the_endpoints(served, tmp_path):
    client = served.client()
    clip = make(served.studio, "one")[0]
    assert client.predict(api_name="/project_size")["rows"]["clips"] == 1
    job = client.predict("mine", {"prompts": False}, api_name="/export_project")
    served.studio.wait(job["id"], PATIENCE_S)
    (file,) = client.predict(api_name="/projects")
    assert file["name"] == "mine.zip"
    path = tmp_path / "mine.zip"
    path.write_bytes(httpx.get(served.url + file["url"]).content)
    assert len(path.read_bytes()) == file["bytes"]
    assert httpx.get(f"{served.url}/projects/..%2Fstudio.db").status_code == 404
    served.studio.clips.purge(served.studio.clips.delete([clip.id]))
    for checked in (
        client.predict(handle_file(str(path)), api_name="/check_project"),
        client.predict("mine.zip", api_name="/check_project_here"),
    ):
        assert served.studio.wait(checked["id"], PATIENCE_S).report["values"]["new"] == 1
    client.predict(checked["id"], api_name="/discard_project")
    with pytest.raises(AppError, match="send it again"):
        client.predict(checked["id"], api_name="/import_project")
    again = client.predict(handle_file(str(path)), api_name="/check_project")
    served.studio.wait(again["id"], PATIENCE_S)
    done = client.predict(again["id"], api_name="/import_project")
    assert served.studio.wait(done["id"], PATIENCE_S).state == "done"
    assert served.studio.clip(clip.id).path.is_file()
    assert client.predict("mine.zip", api_name="/delete_project") == "mine.zip"
    assert client.predict(api_name="/projects") == []
