"""Calls of named endpoints that cannot work are answered in words before Gradio sees them.

Gradio 6.31 answers an unknown name, missing values and unknown ids with status 500, with the
addresses of its objects, or with a stream that breaks off.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import gradio as gr
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALL = re.compile(r"/gradio_api/(call/v2|call|run|api)/([^/]+)/?")
RESULT = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)/?")
DIRECT = ("run", "api")
UPLOADED = re.compile(r"not uploaded by a user|Cannot move ")


class Calls:
    """ASGI middleware in front of the endpoints of ``demo``."""

    def __init__(self, app: ASGIApp, demo: gr.Blocks):
        self._app = app
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/gradio_api/"):
            await self._app(scope, receive, send)
            return
        if scope["method"] == "GET":
            answer = self._unknown_result(scope)
        else:
            call, answer = CALL.fullmatch(path), None
            if scope["method"] == "POST" and (call or path == "/gradio_api/queue/join"):
                body = await _whole(receive)
                answer = self._wrong(call, body)
                receive = _again(body, receive)
                if call and call[1] in DIRECT:
                    send = _refusals(send)
        await (answer or self._app)(scope, receive, send)

    def _unknown_result(self, scope: Scope) -> Response | None:
        queue = self._demo._queue
        if found := RESULT.fullmatch(scope["path"]):
            event = found[1]
            pending = queue.pending_event_ids_session
            known = (
                event in queue.event_ids_to_events or event in queue.pending_messages_per_session
            )
            if known or any(event in ids for ids in list(pending.values())):
                return None
            return _refused(404, f"There is no call {event}: its answer was read, or it never was.")
        if scope["path"] == "/gradio_api/queue/data":
            session = QueryParams(scope["query_string"]).get("session_hash")
            if session is not None and session not in queue.pending_messages_per_session:
                told = {"msg": "unexpected_error", "message": "There is no such session.",
                        "session_not_found": True, "success": False}  # fmt: skip
                return Response(f"data: {json.dumps(told)}\n\n", media_type="text/event-stream")
        return None

    def _known(self, session: object) -> Any:
        """The events of a session: those of the page, and of the forms that were built in it."""
        held = self._demo.state_holder
        if isinstance(session, str) and session in held:
            return held[session].blocks_config.fns
        return self._demo.fns

    def _wrong(self, call: re.Match[str] | None, body: bytes) -> Response | None:
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            return _refused(400, "The body is not JSON.")
        if not isinstance(sent, dict):
            return _refused(400, "The body is no JSON object.")
        number = sent.get("fn_index")
        if isinstance(number, int) and number not in self._known(sent.get("session_hash")):
            return _refused(404, f"There is no event {number}.")
        if isinstance(number, int) and (call is None or call[1] != "call/v2"):
            return None  # the page names its events by number
        if call is None:
            return _refused(400, "fn_index is missing.")
        functions = [fn for fn in self._demo.fns.values() if fn.api_name == call[2]]
        if not functions or (call[1] == "call/v2" and functions[0].api_visibility != "public"):
            return _refused(
                404, f"There is no endpoint /{call[2]}; /gradio_api/info lists those there are."
            )
        if call[1] == "call/v2":
            return _wrong_names(call[2], functions[0].fn, sent)
        return _wrong_values(call[2], functions[0], sent)


def _wrong_names(name: str, function: Any, sent: dict[str, Any]) -> Response | None:
    parameters = {
        key: each
        for key, each in inspect.signature(function).parameters.items()
        if each.annotation not in (gr.Request, gr.Request | None)
    }
    missing = [key for key, each in parameters.items() if each.default is each.empty]
    missing = [key for key in missing if key not in sent]
    if missing:
        return _refused(400, f"/{name} needs {', '.join(missing)}.")
    others = [key for key in sent if key not in parameters and key != "oauth_token"]
    if others:
        takes = ", ".join(parameters) or "nothing"
        return _refused(400, f"/{name} knows no {others[0]!r}; it takes {takes}.")
    return None


def _wrong_values(name: str, function: Any, sent: dict[str, Any]) -> Response | None:
    data = sent.get("data")
    if not isinstance(data, list):
        return _refused(400, 'Send {"data": [...]} with the values of the endpoint in order.')
    needed = {len(function.inputs), len([each for each in function.inputs if not each.skip_api])}
    if len(data) < min(needed):
        return _refused(
            400, f"/{name} takes {min(needed)} values in order, not {len(data)}; "
            f"/gradio_api/call/v2/{name} takes them by name and fills in the rest.",
        )  # fmt: skip
    if sent.get("batched"):
        return _refused(400, f"/{name} takes one call at a time; leave batched out.")
    return None


def _refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"detail": message, "error": message}, status)


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` with the body that was read already."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return left.pop() if left else await receive()

    return receiving


def _refusals(send: Send) -> Send:
    """Send what the studio refused as 400; Gradio has 500 for that as for bugs."""
    held: list[Message] = []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500:
            held.append(message)
            return
        if held:
            start = held.pop()
            await send({**start, "status": 400 if _is_refusal(message.get("body", b"")) else 500})
        await send(message)

    return sending


def _is_refusal(body: bytes) -> bool:
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return isinstance(told, dict) and bool(
        "duration" in told or UPLOADED.search(str(told.get("error")))
    )
