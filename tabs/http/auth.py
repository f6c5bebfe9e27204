"""Who may use the studio: passwords and sessions for people, bearer keys for scripts."""

from __future__ import annotations

import hashlib
import hmac
import html
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import anyio
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from engines.studio.settings import Settings, on_space
from tabs.http.limits import TokenBuckets

SESSION_S = 7 * 24 * 3600
MAX_SESSIONS = 10_000
FAILED_LOGINS_A_MINUTE = 10
WRONG_DELAY_S = 0.3
TEMPLATE = Path(__file__).parent / "login.html"


@dataclass(frozen=True)
class User:
    """Who sent a request; ``key`` names the bearer key, "" for a session."""

    name: str
    key: str = ""


class Access:
    """Passwords, keys and the sessions that are open. Nothing here is written to disk."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time):
        self.protected = settings.protected
        self.on_space = on_space()
        self._users = settings.users
        self._keys = settings.api_key
        self._clock = clock
        self._sessions: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self.failed = TokenBuckets(FAILED_LOGINS_A_MINUTE)  # wrong passwords and keys alike
        # browsers share cookies between the ports of a host; two studios must not overwrite theirs
        folder = str(settings.data.resolve()).encode()
        self.cookie = f"studio_{hashlib.sha256(folder).hexdigest()[:10]}"

    def identify(self, authorization: str, session: str) -> User | None:
        """The user of a request with this ``Authorization`` header and session cookie, or None."""
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer" and (number := self._key_number(key.strip())):
            return User(f"key {number}", f"key {number}")
        name = self._session_user(session)
        return User(name) if name else None

    def login(self, name: str, password: str) -> str | None:
        """A new session's secret, or None for wrong credentials.

        With keys but no passwords configured, a key is the password of any name.
        """
        right = self._is_password(name, password) if self._users else self._key_number(password)
        if not right:
            return None
        secret, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            live = {key: entry for key, entry in self._sessions.items() if entry[1] > now}
            self._sessions = dict(list(live.items())[-MAX_SESSIONS + 1 :])
            self._sessions[_digest(secret)] = (name or "user", now + SESSION_S)
        return secret

    def logout(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(session), None)

    def _session_user(self, session: str) -> str:
        name, expires = self._sessions.get(_digest(session), ("", 0.0))
        return name if expires > self._clock() else ""

    def _key_number(self, key: str) -> int:
        """Position of ``key`` in the list, from 1; 0 when it is none of ours."""
        found = 0
        for number, known in enumerate(self._keys, 1):
            found = number if _same(key, known) else found
        return found

    def _is_password(self, name: str, password: str) -> bool:
        right = False
        for known, secret in self._users.items():
            right |= _same(name, known) & _same(password, secret)
        return right


def _same(given: str, known: str) -> bool:
    """Equality in a time that does not tell how much was right."""
    return hmac.compare_digest(given.encode(), known.encode())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def safe_next(path: str) -> str:
    """``path`` if it leads to a page of this server, else ``/``."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if inside and path.isprintable() and "\\" not in path else "/"


def login_address(path: str) -> str:
    """Where a browser that asked for ``path`` is sent to log in."""
    return "/login" if path == "/" else f"/login?next={quote(path, safe='')}"


def router(access: Access) -> APIRouter:
    """``/login`` and ``/logout``. ``POST /login`` also serves ``gradio_client`` (``auth=``)."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/login")
    async def login_page(next: str = "/") -> Response:
        return RedirectResponse("/", 303) if not access.protected else _page(next)

    @routes.post("/login")
    async def login(
        request: Request,
        username: str = Form("", max_length=200),
        password: str = Form("", max_length=1000),
        next: str = "/",
    ) -> Response:
        address = request.client.host if request.client else ""
        from_page = "text/html" in request.headers.get("accept", "")
        if not access.protected:
            return _logged_in(from_page, next)
        if wait_s := access.failed.wait_s(address):
            return _refused(from_page, next, 429, f"Too many tries. Wait {wait_s:.0f} s.", wait_s)
        secret = access.login(username.strip(), password)
        if secret is None:
            access.failed.take(address)
            await anyio.sleep(WRONG_DELAY_S)
            return _refused(from_page, next, 401, "Wrong name or password.")
        response = _logged_in(from_page, next)
        response.set_cookie(
            access.cookie,
            secret,
            max_age=SESSION_S,
            httponly=True,
            secure=access.on_space or request.url.scheme == "https",
            samesite="none" if access.on_space else "lax",
        )
        return response

    @routes.post("/logout")
    @routes.get("/logout")
    async def logout(request: Request) -> Response:
        if not _from_here(request):
            return JSONResponse({"detail": "Log out on the studio's own page."}, 403)
        access.logout(request.cookies.get(access.cookie, ""))
        response = RedirectResponse("/login" if access.protected else "/", 303)
        response.delete_cookie(access.cookie)
        return response

    return routes


def _from_here(request: Request) -> bool:
    """Whether a request was not sent by a page of another site.

    Browsers say it in ``Sec-Fetch-Site``, older ones in ``Origin`` or ``Referer``.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    told = request.headers.get("origin") or request.headers.get("referer")
    return told is None or urlsplit(told).netloc == request.headers.get("host", "")


def _page(next: str, problem: str = "", status: int = 200) -> HTMLResponse:
    page = TEMPLATE.read_text(encoding="utf-8")
    page = page.replace("{{next}}", html.escape(quote(safe_next(next), safe="")))
    return HTMLResponse(page.replace("{{problem}}", html.escape(problem)), status)


def _logged_in(from_page: bool, next: str) -> Response:
    """A redirect for a browser's form, plain success for a client library."""
    return RedirectResponse(safe_next(next), 303) if from_page else JSONResponse({"success": True})


def _refused(
    from_page: bool, next: str, status: int, problem: str, retry_after_s: float = 0
) -> Response:
    response = (
        _page(next, problem, status) if from_page else JSONResponse({"detail": problem}, status)
    )
    if retry_after_s:
        response.headers["Retry-After"] = str(int(retry_after_s) + 1)
    return response
