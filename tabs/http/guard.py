"""The door in front of everything: host, origin, credentials, rate and size of each request.

It wraps the whole application, so routes of ours and of Gradio are covered alike.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.studio.settings import LOOPBACK, Settings, on_space
from tabs.http.auth import WRONG_DELAY_S, Access, User, login_address
from tabs.http.limits import TokenBuckets, body_limit

USER = "studio_user"
OPEN_PATHS = ("/healthz", "/login")
BY_LINK = re.compile(r"/listen/[\w-]+(/[\w-]+){0,3}(\.\w+)?")  # the link itself gives access
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
CALLS = ("/gradio_api/call/", "/gradio_api/queue/join", "/gradio_api/run/", "/gradio_api/api/")
API_PATHS = ("/v1", "/metrics", "/openapi.json", "/gradio_api", "/config")
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
CORS = b"access-control-"
NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'self'")


def error_body(path: str, message: str, kind: str, code: str) -> dict[str, object]:
    """An error as the clients of ``path`` expect it: OpenAI's shape on ``/v1``."""
    if path.startswith("/v1"):
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return {"detail": message}


class Guard:
    """ASGI middleware; ``on_limited`` is called for each request refused with 429."""

    def __init__(
        self, app: ASGIApp, settings: Settings, access: Access, on_limited: Callable[[], None]
    ):
        self._app = app
        self._access = access
        self._rates = TokenBuckets(settings.rate_limit)
        self._on_limited = on_limited
        open_to_all = settings.protected or settings.public or on_space()
        self._loopback_only = settings.host in LOOPBACK and not open_to_all
        self._headers = HEADERS if on_space() else [*HEADERS, NO_FRAMES]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = self._with_headers(send)
        refusal = self._foreign(scope, headers) or await self._unknown(scope, headers)
        refusal = refusal or self._too_often(scope) or self._too_big(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, self._limited(scope["path"], receive), send)

    # who asks, and from where

    def _foreign(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse other sites that use a visitor's browser to reach this server."""
        host = headers.get("host", "")
        if self._loopback_only and not _is_loopback(host):
            return _refuse(
                scope, 403, f"This studio answers on this machine only, not as {host!r}. "
                "Start it with --auth, --api-key or --public to use another name.", "forbidden",
            )  # fmt: skip
        preflight = "access-control-request-method" in headers
        if scope["method"] in SAFE_METHODS and not preflight:
            return None
        origin = headers.get("origin")
        ours = (host, headers.get("x-forwarded-host", host).partition(",")[0].strip())
        other_origin = origin is not None and urlsplit(origin).netloc not in ours
        if other_origin or (origin is None and headers.get("sec-fetch-site") == "cross-site"):
            return _refuse(
                scope, 403, f"Requests from other sites are refused ({origin} is not {host}). A "
                "proxy in front must pass on Host or X-Forwarded-Host.", "forbidden",
            )  # fmt: skip
        return None

    async def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse who has neither a session nor a key; notes the user for what comes after."""
        scope[USER] = None
        if not self._access.protected:
            return None
        authorization = headers.get("authorization", "")
        address = scope["client"][0] if scope.get("client") else ""
        wait_s = self._access.failed.wait_s(address) if authorization else 0.0
        if wait_s and scope["path"] not in OPEN_PATHS:
            return self._limit(scope, f"Too many wrong keys. Wait {wait_s:.0f} s.", wait_s)
        session = cookie_parser(headers.get("cookie", "")).get(self._access.cookie, "")
        scope[USER] = self._access.identify(authorization, session)
        path = scope["path"]
        if scope[USER] is not None or path in OPEN_PATHS or BY_LINK.fullmatch(path):
            return None
        wants_page = "text/html" in headers.get("accept", "") and not path.startswith(API_PATHS)
        if scope["method"] in ("GET", "HEAD") and wants_page:
            return RedirectResponse(login_address(path), 302)
        if authorization:
            self._access.failed.take(address)
            await anyio.sleep(WRONG_DELAY_S)
        response = _refuse(
            scope, 401, "Log in at /login, or send 'Authorization: Bearer KEY' with a valid key.",
            "invalid_api_key",
        )  # fmt: skip
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    # how often, how much

    def _too_often(self, scope: Scope) -> Response | None:
        user: User | None = scope[USER]
        path = scope["path"]
        calls = path.startswith(("/v1/", "/gradio_api/mcp")) or (
            scope["method"] == "POST" and path.startswith(CALLS)
        )
        if user is None or not user.key or not calls:
            return None
        wait_s = self._rates.take(user.key)
        if not wait_s:
            return None
        message = f"This key may send {self._rates.per_minute} requests a minute."
        return self._limit(scope, message, wait_s)

    def _limit(self, scope: Scope, message: str, wait_s: float) -> Response:
        self._on_limited()
        response = _refuse(scope, 429, message, "rate_limit_exceeded")
        response.headers["Retry-After"] = str(math.ceil(wait_s))
        return response

    def _too_big(self, scope: Scope, headers: Headers) -> Response | None:
        limit, length = body_limit(scope["path"]), headers.get("content-length", "0")
        if limit is None or not length.isdecimal() or int(length) <= limit:
            return None
        return _refuse(scope, 413, _too_big_message(limit), "body_too_large")

    def _limited(self, path: str, receive: Receive) -> Receive:
        """Count a body that does not say its length."""
        limit, received = body_limit(path), 0
        if limit is None:
            return receive

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, _too_big_message(limit))
            return message

        return counted

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Gradio lets other ports of localhost read with a visitor's cookies; nobody may
                kept = [h for h in message["headers"] if not h[0].lower().startswith(CORS)]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        return sending


def _refuse(scope: Scope, status: int, message: str, code: str) -> JSONResponse:
    kind = "rate_limit_error" if status == 429 else "invalid_request_error"
    return JSONResponse(error_body(scope["path"], message, kind, code), status)


def _too_big_message(limit: int) -> str:
    return f"The request is larger than {limit // 1024**2} MB."


def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine, so that no other site's name leads here."""
    name = urlsplit(f"//{host}").hostname or ""
    if name in LOOPBACK or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
