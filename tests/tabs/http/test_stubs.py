"""Gradio is imported without writing type stubs, and works all the same."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from tabs.http import stubs
import gradio as gr
from gradio import component_meta
with gr.Blocks(analytics_enabled=False) as demo:
    box = gr.Textbox()
    box.change(lambda text: text, box, box)
print(component_meta.create_or_modify_pyi.__name__, len(demo.fns), gr.Textbox(value="x").value)
"""


def test_the_stub_writer_is_replaced_and_events_still_work():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["<lambda>", "1", "x"]
