"""The endpoints of prompts, templates and music, through ``gradio_client`` as scripts use them."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from tests.fakes import Strum

JAZZ = {"style": "jazz", "tempo": 80, "primary_instruments": ["acoustic-piano"]}
READ = "jazz, slow theme, featuring acoustic piano, 80 bpm"


@pytest.fixture
def client(served):
    served.studio.registry.add(Strum)
    return served.client()


def music(client, prompt="slow theme", **values):
    return client.predict(prompt, engine="strum", api_name="/music", **values)


def test_music_answers_every_sound_and_the_job(client, served):
    files, job = music(client, variations=3, seed=5, duration_s=0.5, **JAZZ)
    assert [soundfile.info(file).duration for file in files] == [0.5] * 3
    assert len({clip["hash"] for clip in job["clips"]}) == 3
    assert {clip["text"] for clip in job["clips"]} == {READ}
    for file, clip in zip(files, job["clips"], strict=True):
        assert Path(file).read_bytes() == served.studio.clip(clip["id"]).path.read_bytes()
    assert job["settings"]["seed"] == 5
    assert job["settings"]["adapters"] == []
    found = client.predict(query="slo the", api_name="/prompts")
    assert [row["rendered"] for row in found["prompts"]] == [READ]


def test_music_without_waiting_answers_the_queued_job(client):
    files, job = music(client, wait=False)
    assert (files, job["clips"], job["kind"]) == ([], [], "run")
    _, ended = client.predict(job["id"], api_name="/wait")
    assert ended["state"] == "done"


def test_music_goes_on_from_a_clip_or_a_sent_file(client):
    files, job = music(client)
    clip = job["clips"][0]
    _, by_id = music(client, settings={"continue_from": clip["id"]})
    assert by_id["clips"][0]["parents"] == [clip["id"]]
    _, sent = music(client, settings={"continue_from": handle_file(files[0])})
    parent = sent["clips"][0]["parents"][0]
    _, again = music(client, settings={"continue_from": handle_file(files[0])})
    assert again["clips"][0]["parents"] == [parent]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prompt": "  "}, "Prompt is missing"),
        ({"prompt": "x" * 2001}, "2,001 characters"),
        ({"tempo": 20}, "Tempo must be 40 to 200, not 20"),
        ({"primary_instruments": ["lute"]}, "unknown instrument 'lute'"),
        ({"variations": 9}, "Variations must be 1 to 8, not 9"),
        ({"model": "nobody"}, "no model 'nobody'"),
        ({"model": "strum-large"}, "not on this machine yet"),
        ({"settings": {"colour": 1}}, "not a parameter here"),
    ],
)
def test_music_refuses_in_plain_words(client, values, words):
    with pytest.raises(AppError) as error:
        music(client, **values)
    assert words in str(error.value)


def test_an_engine_without_prompts_makes_no_music(client):
    with pytest.raises(AppError, match="takes no prompt; use /submit"):
        client.predict("a", engine="tone", api_name="/music")


def test_prompts_are_created_found_marked_and_deleted(client):
    made = client.predict("slow theme", JAZZ, api_name="/create_prompt")
    assert (made["rendered"], made["attributes"], made["uses"]) == (READ, JAZZ, 1)
    other = client.predict("fast theme", {"mood": "happy"}, api_name="/create_prompt")

    def ids(**filters):
        return [row["id"] for row in client.predict(api_name="/prompts", **filters)["prompts"]]

    assert ids() == [other["id"], made["id"]]
    assert ids(style="jazz") == ids(tempo_min=70, tempo_max=90) == ids(query="slow") == [made["id"]]
    assert ids(mood="happy") == [other["id"]]
    assert ids(date_to="2001-01-01") == []
    starred = client.predict(made["id"], api_name="/favorite_prompt")
    assert starred["favorite"] is True
    assert ids(favorite=True) == [made["id"]]
    client.predict(made["id"], api_name="/delete_prompt")
    assert ids() == [other["id"]]
    with pytest.raises(AppError, match="There is no prompt"):
        client.predict(made["id"], api_name="/favorite_prompt")
    with pytest.raises(AppError, match="Tempo must be 40 to 200"):
        client.predict("a", {"tempo": 4}, api_name="/create_prompt")


def test_templates_are_saved_replaced_and_deleted(client):
    system = client.predict(api_name="/prompt_templates")
    assert all(row["system"] for row in system)
    own = client.predict("Mine", "slow theme", "jazz", JAZZ, api_name="/save_template")
    again = client.predict("Mine", "slower theme", "jazz", api_name="/save_template")
    assert (own["id"], again["text"]) == (again["id"], "slower theme")
    listed = client.predict("jazz", api_name="/prompt_templates")
    assert [row["name"] for row in listed] == ["Mine", "Jazz lounge"]
    with pytest.raises(AppError, match="cannot be deleted"):
        client.predict(system[0]["id"], api_name="/delete_template")
    with pytest.raises(AppError, match="choose another name"):
        client.predict("Jazz lounge", "a", api_name="/save_template")
    with pytest.raises(AppError, match="Type a name"):
        client.predict(" ", "a", api_name="/save_template")
    with pytest.raises(AppError, match="unknown instrument"):
        client.predict("New", "a", "", {"primary_instruments": ["lute"]}, api_name="/save_template")
    client.predict(own["id"], api_name="/delete_template")
    assert len(client.predict(api_name="/prompt_templates")) == len(system)


def test_the_vocabulary_lists_the_words(client):
    words = client.predict(api_name="/prompt_vocabulary")
    assert set(words) == {"styles", "moods", "energies", "keys", "instruments"}
    assert words["instruments"]["Keys"]["acoustic-piano"] == "acoustic piano"
