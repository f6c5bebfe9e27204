"""What the benchmarks share: the machine in words, a calibration, medians, tables, a served studio."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent


def machine() -> str:
    """One line on the machine and how fast plain Python runs on it now.

    The calibration is the time of ten million additions in a loop; about 0.5 s on a current laptop.
    """
    cpu = "unknown CPU"
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        cpu = found[1] if found else cpu
    started = time.perf_counter()
    total = 0
    for number in range(10**7):
        total += number
    loop_s = time.perf_counter() - started
    return (
        f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"calibration loop {loop_s:.2f} s"
    )


def median_s(work: Callable[[], object], times: int = 5) -> float:
    """Median seconds of ``times`` calls."""
    spans = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        spans.append(time.perf_counter() - started)
    return statistics.median(spans)


def show(title: str, head: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table with the machine below."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(str(cell) for cell in line) + " |")
    print(f"\n{machine()}")


@contextmanager
def served(*flags: str) -> Iterator[tuple[str, float, subprocess.Popen]]:
    """A studio in a process of its own with an empty folder; see ``served_at``."""
    with tempfile.TemporaryDirectory() as folder, served_at(folder, *flags) as running:
        yield running


@contextmanager
def served_at(folder: str, *flags: str) -> Iterator[tuple[str, float, subprocess.Popen]]:
    """A studio on a data folder: its address, seconds to its first page, the process."""
    command = [sys.executable, "app.py", "--port", "0", "--data", folder, *flags]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        address = _address(process)
        httpx.get(address).raise_for_status()
        yield address, time.perf_counter() - started, process
    finally:
        process.terminate()
        process.wait(20)


def _address(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        found = re.search(r"http://[\w.:\[\]]+", line)
        if found:
            return found[0].rstrip("/") + "/"
    raise RuntimeError("the studio did not start:\n" + "".join(seen))
