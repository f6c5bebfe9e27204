"""What the server must survive: ``python -m benchmarks.hostile NAME [--count N] [--seed S]``.

``openapi`` sends requests drawn from both OpenAPI documents, right and wrong, and counts answers of
500 and streams that break off. ``memory`` calls without a session and loads pages, and tells how
much the process grew after the first hundred. ``texts`` sends hostile texts through the front ends of speech
and counts what became of them, with the cost of a sentence beside that of the library in one process.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from typing import Any

import httpx
import psutil

from benchmarks.common import served, show

DOCUMENTS = ("/openapi.json", "/gradio_api/openapi.json")
ODD: tuple[Any, ...] = (
    "", "nope", "é" * 300, "../../etc/passwd", "\u0000", "-1", 0, -1, 1e308, 2**63, True, None,
    [], {}, [[]], {"path": "/etc/passwd"}, {"path": "x", "meta": {"_type": "gradio.FileData"}},
)  # fmt: skip
# these stop, fetch or wait for long by design
LEFT_OUT = ("download", "shutdown", "load", "evaluate", "train", "compare_with_base")


def drawn(rng: random.Random, schema: dict[str, Any], whole: dict[str, Any]) -> Any:
    """A value of a schema, or in one case of three an odd one."""
    if rng.random() < 1 / 3:
        return rng.choice(ODD)
    if "$ref" in schema:
        found: Any = whole
        for part in schema["$ref"].split("/")[1:]:
            found = found[part]
        return drawn(rng, found, whole)
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return drawn(rng, rng.choice(schema[key]), whole)
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {k: drawn(rng, v, whole) for k, v in fields.items() if rng.random() < 0.8}
        case "array":
            return [drawn(rng, schema.get("items", {}), whole) for _ in range(rng.randrange(3))]
        case "integer":
            return rng.randrange(-2, 100)
        case "number":
            return rng.uniform(-2, 100)
        case "boolean":
            return rng.random() < 0.5
    return rng.choice(("hello", "tone", "x", "2026-01-01"))


def request(rng: random.Random, whole: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Method, path and what is sent with it, for one operation of a document."""
    paths = [p for p in whole["paths"] if p.rsplit("/", 1)[-1] not in LEFT_OUT]
    path = rng.choice(paths)
    method = rng.choice(list(whole["paths"][path]))
    operation, sent = whole["paths"][path][method], {}
    query: dict[str, Any] = {}
    for each in operation.get("parameters", []):
        value = drawn(rng, each.get("schema", {}), whole)
        if each["in"] == "path":
            text = "".join(c for c in str(value) if c.isprintable()) or "x"
            path = path.replace(
                f"{{{each['name']}}}", httpx.URL("/", params={"a": text}).query.decode()[2:]
            )
        elif each["in"] == "query" and rng.random() < 0.8:
            query[each["name"]] = str(value)
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = drawn(rng, content["application/json"].get("schema", {}), whole)
        if isinstance(body, dict) and "wait" in body:
            body["wait"] = False
        if isinstance(body, dict) and "timeout_s" in body:
            body["timeout_s"] = 0
        sent["content"] = json.dumps(body)
        sent["headers"] = {"content-type": "application/json"}
    return method.upper(), path, {"params": query, **sent}


def fuzz(url: str, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Answers by kind of status, and what was wrong: 500s and broken streams with their requests."""
    rng, kinds, wrong = random.Random(seed), Counter[str](), []
    with httpx.Client(base_url=url, timeout=60) as http:
        for document in DOCUMENTS:
            whole = http.get(document).json()
            for _ in range(count):
                method, path, sent = request(rng, whole)
                try:
                    answer = http.request(method, path, **sent)
                    kinds[f"{document} {answer.status_code // 100}xx"] += 1
                    if answer.status_code == 500:
                        wrong.append(f"500 {method} {path} {sent} {answer.text[:200]}")
                    elif "/call/" in path and method == "POST" and answer.status_code == 200:
                        event = answer.json()["event_id"]
                        stream = http.get(f"{path.replace('/v2', '')}/{event}").text
                        if "event:" not in stream or " at 0x" in stream:
                            wrong.append(f"stream {path} {sent} {stream[:200]}")
                except httpx.HTTPError as error:
                    wrong.append(f"{type(error).__name__} {method} {path} {sent}")
    return kinds, wrong


def openapi(count: int, seed: int) -> int:
    """Fuzz a studio of its own; the status is 1 if anything was wrong."""
    with served() as (url, _, _):
        kinds, wrong = fuzz(url, count, seed)
    show("OpenAPI", ("answers", "number"), [*sorted(kinds.items()), ("wrong", len(wrong))])
    print("\n".join(wrong[:60]))
    return int(bool(wrong))


def memory(count: int, seed: int) -> int:
    """Calls without a session, then a twentieth as many pages."""
    lines = []
    with served() as (url, _, process), httpx.Client(base_url=url, timeout=60) as http:
        measured = psutil.Process(process.pid)
        for number in range(count + count // 20):
            if number < count:
                sent = http.post("/gradio_api/call/status", json={"data": []}).json()
                http.get(f"/gradio_api/call/status/{sent['event_id']}")
            else:
                http.get("/")
            if number in (99, count - 1, count + count // 20 - 1):
                lines.append((number + 1, f"{measured.memory_info().rss / 2**20:.0f}"))
    show("Memory", ("requests", "resident MB"), lines)
    return 0


PIECES = (
    "a", "P", "б", "猫", "あ", "1", ".", ",", "…", "?", "-", "/", "\u0301", "\u200d", "\u202e", "👩‍👩‍👧",
    "[[", "]]", "<", ">", "&", " ", "\n", "\t", "word", "U.S.A.", "3.14", "http://x.y/z?q=1",
)  # fmt: skip
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it rests."


def hostile_text(rng: random.Random) -> str:
    """Up to ten pieces, some of them repeated up to 200 times."""
    repeats = (1,) * 12 + (2, 2, 40, 200)
    return "".join(rng.choice(PIECES) * rng.choice(repeats) for _ in range(rng.randint(1, 10)))


def texts(count: int, seed: int) -> int:
    """Hostile texts through eSpeak NG and OpenJTalk; this process must come to the end."""
    from piper.phonemize_espeak import EspeakPhonemizer

    from engines.base import StudioError
    from engines.tts.native import WORKER_PROCESS

    rng, kinds = random.Random(seed), Counter[str]()
    for number in range(count):
        task = ("japanese", {}) if number % 10 == 0 else ("espeak", {"voice": "en-us"})
        try:
            WORKER_PROCESS.ask(task[0], hostile_text(rng), **task[1])
            kinds[f"{task[0]}: spoken"] += 1
        except StudioError as error:
            kinds[f"{task[0]}: {'late' if 'took more' in str(error) else 'ended the worker'}"] += 1
        except ValueError:
            kinds[f"{task[0]}: refused by the library"] += 1
    direct = EspeakPhonemizer()
    costs = []
    for name, speak in (
        ("in the worker", lambda: WORKER_PROCESS.ask("espeak", SENTENCE, voice="en-us")),
        ("in one process", lambda: direct.phonemize("en-us", SENTENCE)),
    ):
        start = time.perf_counter()
        for _ in range(500):
            speak()
        costs.append((f"a sentence {name}", f"{(time.perf_counter() - start) * 2:.2f} ms"))
    show("Texts", ("what", "number"), [*sorted(kinds.items()), *costs])
    return 0


RUNS = {"openapi": openapi, "memory": memory, "texts": texts}


def main() -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=tuple(RUNS))
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return RUNS[given.name](given.count, given.seed)


if __name__ == "__main__":
    raise SystemExit(main())
