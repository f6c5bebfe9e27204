"""From process start to first page, beside the smallest Gradio app. ``python -m benchmarks.startup``"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from benchmarks.common import served, show

SMALLEST = """
import os
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import gradio as gr, httpx
with gr.Blocks(analytics_enabled=False) as demo:
    gr.Textbox()
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, server_port=0)
httpx.get(url).raise_for_status()
"""


def smallest_s() -> float:
    """Seconds until a Gradio app of one text box answered, in a fresh process."""
    started = time.perf_counter()
    code = SMALLEST.replace(", server_port=0", "")
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
    return time.perf_counter() - started


def main(times: int = 5) -> None:
    """Print both medians and their ratio."""
    ours = []
    for _ in range(times):
        with served() as (_, seconds, _process):
            ours.append(seconds)
    base = statistics.median(smallest_s() for _ in range(times))
    mine = statistics.median(ours)
    show(
        "Process start to first page",
        ("what", f"seconds (median of {times})", "ratio"),
        [
            ("Gradio with one text box", f"{base:.2f}", "1"),
            ("the studio", f"{mine:.2f}", f"{mine / base:.2f}"),
        ],
    )


if __name__ == "__main__":
    main()
