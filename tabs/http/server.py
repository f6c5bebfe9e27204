"""The one server: our routes and the Gradio app behind one door on one port."""

from __future__ import annotations

import errno
import html
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.settings import LOOPBACK, VERSION, on_space
from storage import JobState, NotFound, StorageError
from storage.base.errors import FULL_ERRNOS, disk_full
from tabs.http import auth, csv_files, media, openai, sessions
from tabs.http.calls import Calls
from tabs.http.compressing import Compressing
from tabs.http.guard import USER, Guard, error_body
from tabs.http.prometheus import CONTENT_TYPE, Metrics

log = logging.getLogger(__name__)
GRACE_S = 3
MAX_CALLS = 400
EXIT_REFUSED = 2
TITLE = "Amphion Studio"


def create_app(
    studio: Studio,
    demo: gr.Blocks,
    routers: Sequence[Callable[[Studio], APIRouter]] = (),
    **mount_kwargs: Any,
) -> FastAPI:
    """The whole application, ready for uvicorn; ``routers`` make the routes of the pages.

    ``mount_kwargs`` go to ``gr.mount_gradio_app`` (theme, css, head, i18n, favicon_path ...).
    """
    settings = studio.settings
    access, metrics = auth.Access(settings), Metrics(studio)
    app = FastAPI(title=TITLE, version=VERSION, docs_url=None, redoc_url=None)
    app.add_middleware(Calls, demo=demo)
    app.add_middleware(Compressing)
    app.add_middleware(
        Guard, settings=settings, access=access, on_limited=lambda: metrics.limited.inc()
    )
    app.include_router(auth.router(access))
    app.include_router(openai.router(studio))
    app.include_router(media.router(studio))
    app.include_router(csv_files.router(studio))
    for make in routers:
        app.include_router(make(studio))
    app.include_router(_own_routes(studio, metrics))
    _add_error_shapes(app, studio)
    app.add_api_route("/docs", lambda: _docs_page(app), include_in_schema=False)
    audio = str(studio.store.files.root)
    gr.set_static_paths([audio])  # served from where they are, not copied for each listener
    arguments: dict[str, Any] = {
        "path": "/",
        "server_name": settings.host,
        "server_port": settings.port,
        "allowed_paths": [audio],
        "auth_dependency": _user_name if access.protected else None,
        "max_file_size": settings.max_upload_mb * 1024**2,
        "run_history": False,
        "show_error": True,
        "ssr_mode": False,
        "mcp_server": settings.mcp,
        "app_kwargs": {"exception_handlers": {OSError: _no_room(studio)}},
        "footer_links": ["api", "settings"],
    }
    # calls that only wait for a job count too; what ``launch(max_threads=...)`` would set
    demo.max_threads = demo._queue.max_thread_count = MAX_CALLS
    app = gr.mount_gradio_app(app, demo, **arguments | mount_kwargs)
    # Gradio checks that a file sent to an event was uploaded only in blocks that say they were
    # launched, which mounting does not do: without this line any file could be asked for.
    demo.has_launched = True
    sessions.keep_little(mounted(app), demo)
    return app


def mounted(app: FastAPI) -> Any:
    """The Gradio application behind ours."""
    return next(route.app for route in reversed(app.routes) if isinstance(route, Mount))


def _user_name(request: Request) -> str | None:
    user: auth.User | None = request.scope.get(USER)
    return user.name if user else None


def _own_routes(studio: Studio, metrics: Metrics) -> APIRouter:
    routes = APIRouter(tags=["Studio"])

    @routes.get("/healthz", summary="Whether the studio answers")
    def healthz() -> dict[str, str | int]:
        return {"status": "ok", "version": VERSION, "queue": studio.jobs.counts()[JobState.QUEUED]}

    @routes.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
    def show_metrics() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return routes


def _no_room(studio: Studio) -> Callable[[Request, Exception], Response]:
    """What answers an upload, or anything else that found no room on the disk."""

    def answer(request: Request, error: Exception) -> Response:
        if not isinstance(error, OSError) or error.errno not in FULL_ERRNOS:
            raise error
        message = str(disk_full(studio.store.data_dir))
        return JSONResponse(error_body(request.url.path, message, "server_error", "disk_full"), 507)

    return answer


def _add_error_shapes(app: FastAPI, studio: Studio) -> None:
    """Answer errors of our own routes in the shape their clients read."""

    def answered(
        request: Request, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        body = error_body(request.url.path, message, "invalid_request_error", "http_error")
        return JSONResponse(body, status, headers)

    @app.exception_handler(openai.ApiError)
    async def api_error(_: Request, error: openai.ApiError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part != "body") or None
        message = f"{field}: {first['msg']}" if field else str(first["msg"])
        return openai.ApiError(400, message, "invalid_value", field).response()

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return answered(request, error.status_code, str(error.detail), error.headers)

    app.add_exception_handler(OSError, _no_room(studio))

    @app.exception_handler(NotFound)
    async def not_found(request: Request, error: NotFound) -> Response:
        return answered(request, 404, str(error))

    @app.exception_handler(StorageError)
    @app.exception_handler(StudioError)
    async def refused(request: Request, error: Exception) -> Response:
        return answered(request, 400, str(error))


def _docs_page(app: FastAPI) -> HTMLResponse:
    """A page of plain HTML; FastAPI's own would load its scripts from elsewhere."""
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation.get('summary', ''))}</td></tr>"
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    ]
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{TITLE} API</title>"
        "<style>:root{color-scheme:light dark;font:16px/1.6 system-ui}body{max-width:50rem;"
        "margin:2rem auto;padding:0 1rem}td{padding-right:1.5rem}</style>"
        f"<h1>{TITLE} API</h1><table>{''.join(rows)}</table>"
        '<p>Schema of these routes: <a href="/openapi.json">/openapi.json</a>. Named endpoints of '
        'the studio: <a href="/gradio_api/openapi.json">/gradio_api/openapi.json</a> and '
        '<a href="/?view=api">their page with examples</a>.</p></html>'
    )


# --- serving --------------------------------------------------------------------------------


def serve(studio: Studio, demo: gr.Blocks, mount_kwargs: Mapping[str, Any] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status. The caller closes the studio then.

    Settings that would expose the studio, and an address that cannot be used, are told on standard
    error.
    """
    try:
        listening = listen(studio)
    except StudioError as error:
        print(f"{TITLE} can't start: {error}", file=sys.stderr)
        return EXIT_REFUSED
    server = _server(studio, demo, listening, mount_kwargs or {})
    # uvicorn stops on these signals by itself and then repeats them to the earlier handlers, which
    # would end the process before the studio is closed
    earlier = {which: signal.signal(which, _ignore) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        for which, handler in earlier.items():
            signal.signal(which, handler)
    return 0 if server.started else EXIT_REFUSED


@contextmanager
def serving(studio: Studio, demo: gr.Blocks, **mount_kwargs: Any) -> Iterator[str]:
    """Serve in a thread and give the address; for tests and scripts. The studio stays open."""
    listening = listen(studio)
    server = _server(studio, demo, listening, mount_kwargs)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        server.ready.wait(60)
        yield address_of(listening)
    finally:
        server.should_exit = True
        thread.join(GRACE_S + 10)
        listening.close()


def listen(studio: Studio) -> socket.socket:
    """A socket at the address of the settings; port 0 takes a free one."""
    settings = studio.settings
    if refusal := settings.refuse_exposure():
        raise StudioError(refusal)
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(256)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise StudioError(
                f"Port {port} is taken by another program, or by a studio that still runs. "
                "Stop it, or choose another with --port (0 takes a free one)."
            ) from error
        raise StudioError(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """The address to open in a browser on this machine."""
    host, port = listening.getsockname()[:2]
    shown = "127.0.0.1" if host == "0.0.0.0" else "[::1]" if host == "::" else host
    return f"http://{f'[{shown}]' if ':' in shown and '[' not in shown else shown}:{port}"


class Server(uvicorn.Server):
    """uvicorn, telling when it answers; ``ready`` is set then."""

    def __init__(self, config: uvicorn.Config, address: str):
        super().__init__(config)
        self.address = address
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say where."""
        await super().startup(sockets)
        if self.started:
            print(f"{TITLE} {VERSION} at {self.address}", flush=True)
        self.ready.set()


def _server(
    studio: Studio, demo: gr.Blocks, listening: socket.socket, mount_kwargs: Mapping[str, Any]
) -> Server:
    port = listening.getsockname()[1]
    app = create_app(studio, demo, **{"server_port": port, **mount_kwargs})
    beyond = studio.settings.host not in LOOPBACK
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        # scheme and client address as told by a proxy, whose address is in the settings; a Space
        # has its own in front
        proxy_headers=True,
        forwarded_allow_ips="*" if on_space() and beyond else studio.settings.trusted_proxy,
    )
    return Server(config, address_of(listening))


def _ignore(*_: object) -> None:
    """Do nothing: uvicorn has seen the signal already."""
