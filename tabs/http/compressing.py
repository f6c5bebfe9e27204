"""Pages, scripts, styles and JSON are sent compressed; streams, sounds and parts of files are not."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

LEVEL = 5
MINIMUM_BYTES = 1024
AS_THEY_ARE = ("font/*", "application/octet-stream", "application/jsonl", "application/x-ndjson")


class Compressing(GZipMiddleware):
    """gzip for what gets smaller by it. What has an encoding, such as Gradio's brotli, keeps it."""

    def __init__(self, app: ASGIApp):
        excluded = (*DEFAULT_EXCLUDED_CONTENT_TYPES, *AS_THEY_ARE)
        super().__init__(app, MINIMUM_BYTES, LEVEL, exclude_content_types=excluded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "range" in Headers(scope=scope):
            await self.app(scope, receive, send)
            return
        await super().__call__(scope, receive, send)
