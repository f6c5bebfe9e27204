"""Native text front ends in a process of their own, since some texts make them crash or hang.

eSpeak NG ends its whole process for texts such as two hundred times ``a.``. Here only the worker ends:
that text gets an error, and the next one a new worker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from engines.base import StudioError

WORKER = Path(__file__).with_name("native_worker.py")
LIMIT_S = 20.0


class NativeError(ValueError):
    """What a front end said of a request it could not do, such as a voice that it doesn't have."""


class NativeWorker:
    """A warm worker process. Any thread may ask; requests are answered one after the other."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process, without waiting for it, unless it runs."""
        with self._lock:
            self._running()

    def stop(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._end()

    def ask(self, task: str, text: str, **more: Any) -> Any:
        """What ``task`` of ``native_worker`` makes of ``text``.

        Raises ``NativeError`` with what the library said, and ``StudioError`` for a text that made it
        crash or took longer than ``limit_s``.
        """
        request = json.dumps({"task": task, "text": text, **more})
        with self._lock:
            line = self._exchange(request)
        answer = json.loads(line)
        if "error" in answer:
            raise NativeError(answer["error"])
        return answer["value"]

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,  # Ctrl+C in a terminal is for the studio
            )
        return self._process

    def _exchange(self, request: str) -> str:
        """One line there and one back; a worker that gives none is ended."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.limit_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(request + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:  # it ended before it had read the request
            line = ""
        finally:
            timer.cancel()
        if line:
            return line
        self._end()
        happened = f"took more than {self.limit_s:g} s over" if late.is_set() else "broke off at"
        raise StudioError(
            f"The program that turns words into sounds {happened} this text, which is not the text's "
            "fault. Change it a little: long rows of dots, commas or single letters are the usual "
            "cause.",
            "text",
        )

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was still to be written has no reader any more
                    continue
        self._process = None


WORKER_PROCESS = NativeWorker()
"""The one of this process."""
