"""What a person or a script sees. Importing any module in here makes gradio's import quick first."""

from tabs.http import stubs

stubs.skip()
