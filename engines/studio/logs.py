"""Log lines as text or JSON; each line made during a job carries the job's id."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

current_job: ContextVar[str] = ContextVar("current_job", default="")
TEXT = "%(asctime)s %(levelname)s %(name)s %(job)s%(message)s"


class JobFilter(logging.Filter):
    """Adds ``job`` (the id in brackets, or nothing) to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        job_id = current_job.get()
        record.job = f"[{job_id}] " if job_id else ""
        record.job_id = job_id
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, job, exception and any ``extra`` data."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "job": getattr(record, "job_id", "") or None,
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(style: str, level: str) -> None:
    """Send all logs to standard error in one style (``text`` or ``json``)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(JobFilter())
    handler.setFormatter(JsonFormatter() if style == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "matplotlib", "numba", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
