"""Calls that cannot work are answered in words, by curl's way and by the pages'."""

from __future__ import annotations

import httpx
import pytest


@pytest.mark.parametrize(
    ("path", "sent", "status", "words"),
    [
        ("call/nope", {"data": []}, 404, "no endpoint /nope"),
        ("run/nope", {"data": []}, 404, "no endpoint /nope"),
        ("call/v2/nope", {}, 404, "no endpoint /nope"),
        ("call/tts", {}, 400, 'Send {"data"'),
        ("call/tts", {"data": []}, 400, "takes 6 values in order, not 0"),
        ("run/tts", {"data": ["a"]}, 400, "takes 6 values in order, not 1"),
        ("call/v2/tts", {}, 400, "/tts needs text"),
        ("call/v2/tts", {"text": "a", "tempo": 1}, 400, "knows no 'tempo'"),
        ("call/status", [], 400, "no JSON object"),
        ("run/status", {"data": [], "fn_index": 99999}, 404, "no event 99999"),
        ("queue/join", {"data": [], "fn_index": 99999, "session_hash": "x"}, 404, "no event"),
        ("run/job", {"data": ["nope"]}, 400, "nope"),
    ],
)
def test_wrong_calls_are_told(served, path, sent, status, words):
    answer = httpx.post(f"{served.url}/gradio_api/{path}", json=sent)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert " at 0x" not in answer.text


def test_what_is_no_json_is_told(served):
    answer = httpx.post(f"{served.url}/gradio_api/call/status", content=b"{")
    assert (answer.status_code, answer.json()["detail"]) == (400, "The body is not JSON.")


def test_unknown_ids_are_told_and_no_stream_breaks(served):
    for path in ("call/tts/nope", "call/v2/tts/nope"):
        answer = httpx.get(f"{served.url}/gradio_api/{path}")
        assert (answer.status_code, "no call nope" in answer.text) == (404, True)
    answer = httpx.get(f"{served.url}/gradio_api/queue/data?session_hash=nope")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert '"session_not_found": true' in answer.text


def test_right_calls_go_through(served):
    for path, sent in (("call/status", {"data": []}), ("call/v2/status", {})):
        event = httpx.post(f"{served.url}/gradio_api/{path}", json=sent).json()["event_id"]
        answer = httpx.get(f"{served.url}/gradio_api/call/status/{event}")
        assert "event: complete" in answer.text


def test_what_openapi_allows_ends_in_no_500_and_no_broken_stream(served):
    from benchmarks.hostile import fuzz

    kinds, wrong = fuzz(served.url, 60, seed=1)
    assert wrong == []
    assert sum(kinds.values()) == 120
    assert {kind.rsplit(" ", 1)[1] for kind in kinds} >= {"2xx", "4xx"}
