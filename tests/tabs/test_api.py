"""The named endpoints, through ``gradio_client`` as scripts use them, and their documentation."""

import inspect
import json
import re
import shlex
import shutil
import time
from pathlib import Path

import httpx
import pytest
import soundfile
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from engines.parameters import knobs
from engines.studio import Studio
from tabs import api
from tests.conftest import make_settings, served_app
from tests.fakes import ToneParams

DOC = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture
def client(served):
    return served.client()


def made(client, **changes):
    """The clip of one finished job."""
    _, job = client.predict(**{"text": "hello"} | changes, api_name="/tone")
    return job["clips"][0]


# --- making ---------------------------------------------------------------------------------


def test_tts_answers_the_sound_and_the_job(client, served):
    settings = {"pitch_hz": 880, "shape": "square"}
    sound, job = client.predict("hello", "tone", "default", 11, settings, api_name="/tts")
    assert job["state"] == "done"
    assert job["settings"] == ToneParams(text="hello", seed=11, **settings).model_dump(mode="json")
    (clip,) = job["clips"]
    assert (clip["text"], clip["engine"], clip["seed"]) == ("hello", "tone", 11)
    assert soundfile.info(sound).duration == clip["duration_s"] == 0.5
    assert Path(sound).read_bytes() == served.studio.clip(clip["id"]).path.read_bytes()


def test_the_same_seed_gives_the_same_file(client):
    hashes = {made(client, seed=5)["hash"] for _ in range(2)}
    assert len(hashes) == 1
    assert made(client, seed=6)["hash"] not in hashes


def test_an_engine_is_an_endpoint_with_its_parameters(client):
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]["/tone"][
        "parameters"
    ]
    by_name = {knob.name: knob for knob in knobs(ToneParams)}
    assert [item["parameter_name"] for item in described] == list(by_name)
    for item in described:
        knob = by_name[item["parameter_name"]]
        assert item["parameter_has_default"] is not knob.required
        assert item["parameter_default"] == knob.default
    types = {item["parameter_name"]: item["type"] for item in described}
    assert types["shape"] == {"enum": ["sine", "square"]}
    assert types["pitch_hz"] == {"type": "number"}
    assert types["steps"] == types["seed"] == {"type": "integer"}
    assert types["loud"] == {"type": "boolean"}


@pytest.mark.parametrize(
    ("endpoint", "values", "words"),
    [
        ("/tone", {"text": ""}, "text: Text is missing."),
        ("/tone", {"text": "x", "pitch_hz": 5}, "pitch_hz: Pitch hz must be 20 to 8,000, not 5."),
        ("/tone", {"text": "x", "shape": "round"}, "must be sine, square, not 'round'"),
        ("/tone", {"text": "x", "fail": "error:The bow broke."}, "The bow broke."),
        (
            "/tts",
            {"text": "x", "engine": "nobody"},
            "There is no engine 'nobody'. Engines here: to",
        ),
        ("/tts", {"text": "x", "engine": "tone", "voice": "ann"}, "Tone has one voice: 'default'."),
        ("/tts", {"text": "x", "engine": "tone", "settings": {"a": 1}}, "a: is not a parameter"),
        ("/submit", {"engine": "tone", "settings": {}}, "text: Text is missing."),
        ("/jobs", {"limit": 0}, "limit: Input should be greater than or equal to 1, not 0."),
        ("/jobs", {"state": "odd"}, "state: Input should be '', 'queued', 'running'"),
        ("/job", {"job_id": "nothing"}, "There is no job nothing"),
        ("/clip", {"clip_id": "nothing"}, "There is no clip nothing"),
        (
            "/clips",
            {"date_from": "soon"},
            "date_from must be a day such as 2026-01-31, not 'soon'.",
        ),
        ("/delete_clip", {"clip_id": "nothing"}, "None of these clips is there"),
        ("/undelete", {"token": "nothing"}, "can no longer be undone"),
        ("/download", {"engine": "tone", "weights": "w"}, "Tone has no weights 'w'."),
        ("/presets", {"engine": "nobody"}, "There is no engine 'nobody'"),
        ("/delete_preset", {"engine": "tone", "name": "n"}, "There is no preset 'n' of tone."),
    ],
)
def test_refusals_are_sentences_without_a_traceback(client, capfd, endpoint, values, words):
    with pytest.raises(AppError) as caught:
        client.predict(**values, api_name=endpoint)
    assert words in caught.value.message
    assert "Traceback" not in capfd.readouterr().err


def test_media_are_clips_or_sent_files_only(served, client, tmp_path):
    from engines.base import AudioFile, Card, Params
    from tabs.http.uploads import with_media
    from tests.fakes import Tone

    class CopyParams(Params):
        source: AudioFile

    class Copy(Tone):
        card = Card(**{**Tone.card.__dict__, "id": "copy"})
        Params = CopyParams

    engine = served.studio.registry.add(Copy)
    clip = served.studio.make("tone", text="hello")[0]
    taken = with_media(served.studio, engine, {"source": clip.id})
    assert taken == {"source": str(clip.path)}
    for path in ("/etc/passwd", str(tmp_path / "a.wav")):
        with pytest.raises(AppError, match="There is no clip"):
            client.predict("copy", {"source": path}, api_name="/submit")
        with pytest.raises(AppError, match="Send the file itself"):
            client.predict("copy", {"source": {"path": path}}, api_name="/submit")


# --- jobs -----------------------------------------------------------------------------------


def test_two_clients_share_one_queue(served, client):
    other = served.client()
    slow = {"text": "slow", "steps": 600, "step_s": 0.1}
    _, first = client.predict("tone", slow, api_name="/submit")
    _, second = other.predict("second", "tone", wait=False, api_name="/tts")
    seen = [client.predict(api_name="/jobs"), other.predict(api_name="/jobs")]
    for rows in seen:
        assert [row["id"] for row in rows] == [second["id"], first["id"]]
    assert seen[0][0]["state"] == "queued"
    cancelled = other.predict(first["id"], api_name="/cancel")
    assert cancelled["id"] == first["id"]
    _, first = client.predict(first["id"], api_name="/wait")
    _, second = client.predict(second["id"], api_name="/wait")
    assert (first["state"], second["state"]) == ("cancelled", "done")
    assert first["finished_at"] <= second["started_at"]
    assert [row["id"] for row in client.predict("cancelled", api_name="/jobs")] == [first["id"]]


def test_progress_of_a_running_job(client):
    settings = {"text": "slow", "steps": 100, "step_s": 0.1}
    sound, job = client.predict("tone", settings, api_name="/submit")
    assert sound is None
    deadline = time.monotonic() + 10
    while (now := client.predict(job["id"], api_name="/job"))["progress"] < 0.02:
        assert time.monotonic() < deadline
    assert (now["state"], now["note"][:4]) == ("running", "step")
    assert now["left_s"] > 0
    sound, now = client.predict(job["id"], 0.1, api_name="/wait")
    assert (sound, now["state"]) == (None, "running")
    client.predict(job["id"], api_name="/cancel")
    sound, job = client.predict(job["id"], api_name="/wait")
    assert job["state"] == "cancelled"
    assert job["clips"][0]["partial"] is True
    assert soundfile.info(sound).duration == job["clips"][0]["duration_s"] >= 0.25


def test_a_retry_has_the_same_settings(client):
    first = made(client)
    again = client.predict(first["job_id"], api_name="/retry")
    _, job = client.predict(again["id"], api_name="/wait")
    assert job["clips"][0]["hash"] == first["hash"]
    assert job["id"] != first["job_id"]


def test_many_waiting_clients_do_not_block_others(served, client):
    slow = {"text": "slow", "steps": 1000, "step_s": 0.1}
    _, job = client.predict("tone", slow, api_name="/submit")
    with httpx.Client(base_url=served.url, timeout=60) as http:
        for _ in range(60):  # more than Gradio and anyio have threads
            waiting = http.post("/gradio_api/call/wait", json={"data": [job["id"], 60]})
            assert waiting.status_code == 200
        started = time.monotonic()
        assert client.predict(api_name="/status")["running"] == 1
        assert http.get("/healthz").status_code == 200
        assert "studio_queue_jobs" in http.get("/metrics").text
        assert time.monotonic() - started < 10
        client.predict(job["id"], api_name="/cancel")
        _, ended = client.predict(job["id"], 30, api_name="/wait")
        assert ended["state"] == "cancelled"


# --- clips ----------------------------------------------------------------------------------


def test_search_edit_delete_and_bring_back(client):
    short, long = made(client, text="a red fox"), made(client, text="a blue bird", steps=8)
    found = client.predict(query="fox", api_name="/clips")
    assert (found["total"], found["pages"], found["clips"][0]["id"]) == (1, 1, short["id"])
    found = client.predict(min_s=1, api_name="/clips")
    assert [clip["id"] for clip in found["clips"]] == [long["id"]]
    found = client.predict(
        sort="duration", descending=False, page_size=1, page=2, api_name="/clips"
    )
    assert (found["total"], found["clips"][0]["id"]) == (2, long["id"])
    edited = client.predict(
        short["id"],
        title="Fox",
        favorite=True,
        notes="good",
        add_tags=["a", "b"],
        api_name="/edit_clip",
    )
    edited = client.predict(short["id"], remove_tags=["a"], api_name="/edit_clip")
    wanted = ("Fox", True, "good", ["b"])
    assert tuple(edited[name] for name in ("title", "favorite", "notes", "tags")) == wanted
    assert client.predict(favorite=True, tag="b", api_name="/clips")["total"] == 1
    token = client.predict(short["id"], api_name="/delete_clip")["token"]
    assert client.predict(api_name="/clips")["total"] == 1
    assert client.predict(token, api_name="/undelete") == [short["id"]]
    _, clip = client.predict(short["id"], api_name="/clip")
    assert clip == edited


@pytest.mark.parametrize("form", ["flac", "wav", "mp3", "ogg"])
def test_a_downloaded_file_restores_its_settings(client, form):
    clip = made(client, pitch_hz=500)
    file = client.predict(clip["id"], form, api_name="/download_clip")
    assert Path(file).suffix == f".{form}"
    assert soundfile.info(file).samplerate == 16000
    found = client.predict(handle_file(file), api_name="/restore")
    assert found == {"engine": "tone", "settings": clip["settings"], "missing": ""}


# --- engines, presets, status ----------------------------------------------------------------


def test_engines_describe_themselves(client):
    listed = client.predict("tts", api_name="/engines")
    assert [engine["id"] for engine in listed] == ["tone", "hungry"]
    assert client.predict("vc", api_name="/engines") == []
    engine = client.predict("tone", api_name="/engine")
    assert engine == listed[0]
    assert (engine["state"], engine["loaded"], engine["license_code"]) == ("ready", False, "MIT")
    assert engine["parameters"]["properties"]["pitch_hz"]["maximum"] == 8000


def test_load_and_unload(client):
    assert client.predict("tone", api_name="/load")["state"] == "done"
    assert client.predict(api_name="/status")["loaded"] == ["tone"]
    assert client.predict("tone", api_name="/unload") == {"unloaded": True}
    assert client.predict("tone", api_name="/unload") == {"unloaded": False}
    status = client.predict(api_name="/status")
    assert (status["device"], status["loaded"], status["queued"]) == ("cpu", [], 0)
    assert status["memory"]["reserved"] == 0 < status["memory"]["process"]


def test_presets(client):
    saved = client.predict("tone", "low", {"pitch_hz": 100}, api_name="/save_preset")
    assert (saved["name"], saved["settings"]) == ("low", {"pitch_hz": 100})
    assert client.predict("tone", api_name="/presets") == [saved]
    client.predict("tone", "low", api_name="/delete_preset")
    assert client.predict("tone", api_name="/presets") == []


# --- schemas --------------------------------------------------------------------------------


def test_every_endpoint_and_parameter_is_described(studio):
    for name, function in api.endpoints(studio).items():
        summary, arguments = function.__doc__.split("\n", 1)
        assert summary.endswith("."), name
        described = re.findall(r"^\s+(\w+): \S", arguments, re.M)
        parameters = [each for each in inspect.signature(function).parameters if each != "request"]
        assert set(parameters) <= set(described), name


def test_mcp_offers_the_endpoints_with_descriptions(serve):
    url = serve(mcp=True).url
    tools = {tool["name"]: tool for tool in httpx.get(url + "/gradio_api/mcp/schema").json()}
    assert {"tts", "submit", "jobs", "clips", "restore", "engines", "status", "tone"} <= set(tools)
    tone = tools["tone"]["inputSchema"]
    assert tone["required"] == ["text"]
    assert tone["properties"]["pitch_hz"]["description"] == (
        "Frequency of the tone. In Hz. Allowed: 20 to 8,000."
    )
    assert tone["properties"]["shape"]["enum"] == ["sine", "square"]
    tts = tools["tts"]["inputSchema"]["properties"]
    assert all(value["description"] for value in tts.values())


def test_mcp_is_off_unless_asked_for(served):
    assert httpx.get(served.url + "/gradio_api/mcp/schema").status_code == 404


def test_mcp_tools_run_with_a_key(serve):
    served = serve(mcp=True, api_key=["key-one"])
    headers = {
        "Authorization": "Bearer key-one",
        "Accept": "application/json, text/event-stream",
    }
    call = {"name": "tone", "arguments": {"text": "hello", "seed": 4}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    answer = httpx.post(
        served.url + "/gradio_api/mcp/", json=body, headers=headers, timeout=30
    ).text
    result = json.loads(answer[answer.index("{") :])["result"]
    assert result.get("isError") is not True
    assert served.studio.jobs.list()[0].settings["seed"] == 4


# --- the documentation ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def documented(tmp_path_factory, tiny_musicgen):
    """The whole app, as ``app.py`` serves it, with the real engines and MCP, and a tiny MusicGen
    among a person's own models."""
    folder = tmp_path_factory.mktemp("documented")
    shutil.copytree(tiny_musicgen, folder / "data" / "models" / "own" / "tiny-musicgen")
    settings = make_settings(folder, api_key=["KEY"], mcp=True)
    with Studio(settings) as studio, served_app(studio, whole=True) as served:
        yield served


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOC.read_text(encoding="utf-8"), re.S)


def headings():
    return re.findall(r"^#+ /(\w+)$", DOC.read_text(encoding="utf-8"), re.M)


def of_engines(studio):
    """The endpoints of engines: each engine has a page in docs/engines.md; a few are shown in docs/api.md."""
    return {engine.card.id.replace("-", "_") for engine in studio.engines()}


def test_every_endpoint_is_documented(documented):
    names, engines = headings(), of_engines(documented.studio)
    assert sorted({*names, *engines}) == sorted(api.endpoints(documented.studio))
    pages = (DOC.parent / "engines.md").read_text(encoding="utf-8")
    ids = [engine.card.id for engine in documented.studio.engines()]
    assert [each for each in ids if f"- **Id:** `{each}`" not in pages] == []
    examples = "\n".join(blocks("python"))
    for name in names:
        assert f'api_name="/{name}"' in examples


def test_the_running_app_publishes_what_is_documented_and_nothing_else(documented):
    headers = {"Authorization": "Bearer KEY"}
    with httpx.Client(base_url=documented.url, headers=headers, timeout=60) as http:
        described = documented.client(headers=headers).view_api(
            return_format="dict", print_info=False
        )
        paths = http.get("/gradio_api/openapi.json").json()["paths"]
        tools = http.get("/gradio_api/mcp/schema").json()
    names = sorted({*headings(), *of_engines(documented.studio)})
    assert sorted(name.removeprefix("/") for name in described["named_endpoints"]) == names
    assert described["unnamed_endpoints"] == {}
    sent = [path.rpartition("/")[2] for path in paths if path.startswith("/gradio_api/call/v2/")]
    assert sorted(sent) == names
    assert [name for name in names if f"/gradio_api/call/{name}/{{event_id}}" not in paths] == []
    assert sorted(tool["name"] for tool in tools) == names


def test_the_running_app_publishes_the_parameters_of_the_functions(documented):
    headers = {"Authorization": "Bearer KEY"}
    described = documented.client(headers=headers).view_api(return_format="dict", print_info=False)
    tools = httpx.get(f"{documented.url}/gradio_api/mcp/schema", headers=headers).json()
    schemas = {tool["name"]: tool["inputSchema"]["properties"] for tool in tools}
    for name, function in api.endpoints(documented.studio).items():
        expected = [each for each in inspect.signature(function).parameters if each != "request"]
        listed = described["named_endpoints"][f"/{name}"]["parameters"]
        assert [each["parameter_name"] for each in listed] == expected, name
        assert list(schemas[name]) == expected, name


@pytest.mark.speech
@pytest.mark.timeout(900)  # two runs are trained
def test_the_python_examples_run(documented):
    code = "\n".join(blocks("python")).replace("http://127.0.0.1:7860", documented.url)
    names = {}
    exec(compile(code, str(DOC), "exec"), names)
    assert names["clip"]["title"] == "Greeting"
    assert names["found"]["engine"] == "piper"
    assert names["status"]["device"] == "cpu"
    assert soundfile.info(names["sound"]).duration > 0.5


@pytest.mark.speech
def test_the_curl_examples_run(documented):
    examples = blocks("bash")
    assert len(examples) == 2
    for example in examples:
        words = shlex.split(example.replace("\\\n", " "))
        url = words[1].replace("http://127.0.0.1:7860", documented.url)
        headers = dict(words[i + 1].split(": ") for i, word in enumerate(words) if word == "-H")
        body = json.loads(words[words.index("-d") + 1])
        answer = httpx.post(url, json=body, headers=headers, timeout=60)
        assert answer.status_code == 200
        settings = documented.studio.clip(answer.headers["x-clip-id"]).settings
        assert settings["text"] == body["input"]
        assert settings["length_scale"] == pytest.approx(1 / body.get("speed", 1))
