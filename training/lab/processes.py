"""The operating system's side of a run: starting its process, finding it again, ending it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from training.record import LOG

ROOT = Path(__file__).parents[2]
MODULE = "training.cli"
POLL_S = 0.1

# Kept for the life of this program, not of one lab: an ended child is a zombie until it is asked.
_children: dict[int, subprocess.Popen[bytes]] = {}


def start(folder: Path, environment: Mapping[str, str]) -> int:
    """Start the training process of a run folder and return its id.

    It has a session of its own, so that it goes on when this program ends or its terminal closes.
    """
    command = [sys.executable, "-m", MODULE, "train", "--run", str(folder)]
    with (folder / LOG).open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    return child.pid


def is_alive(pid: int | None, folder: Path) -> bool:
    """Whether ``pid`` lives and is the process of this very run, not a later one of that number."""
    if not pid:
        return False
    child = _children.get(pid)
    if child is not None:  # a dying process has no command line any more and no exit code yet
        return child.poll() is None and child.args[-1] == str(folder)  # type: ignore[index]
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        here = Path(process.cwd())
        return any(
            (here / part).resolve() == folder for part in process.cmdline() if folder.name in part
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False


def exit_code(pid: int | None) -> int | None:
    """How a process that this program started ended, negative for a signal; None if not known."""
    child = _children.get(pid or 0)
    return child.poll() if child else None


def end(pid: int | None, folder: Path, grace_s: float) -> bool:
    """End the process of a run that was already asked to stop: wait, then terminate, then kill.

    Each step has ``grace_s`` seconds. Returns whether it is gone.
    """
    for step in (None, psutil.Process.terminate, psutil.Process.kill):
        if not is_alive(pid, folder):
            return True
        assert pid is not None
        if step is not None:
            _each(pid, step)
        deadline = time.monotonic() + grace_s
        while is_alive(pid, folder) and time.monotonic() < deadline:
            time.sleep(POLL_S)
    return not is_alive(pid, folder)


def _each(pid: int, step: Callable[[psutil.Process], None]) -> None:
    """Take one step with a process and its workers, which must not outlive it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                step(one)
