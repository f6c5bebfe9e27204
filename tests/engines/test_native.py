"""Texts that crash or hang a native front end cost an error, not the process."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys

import pytest

from engines.base import StudioError
from engines.tts.native import WORKER_PROCESS, NativeError, NativeWorker
from engines.tts.phonemes import espeak_ipa, kokoro_phonemes
from engines.tts.piper import Piper

DEADLY = ["a." * 100, "P.." * 80, ".,f" * 80, "б." * 100]


@pytest.fixture(scope="module")
def worker():
    worker = NativeWorker()
    yield worker
    worker.stop()


@pytest.mark.parametrize("text", DEADLY)
def test_a_text_that_kills_espeak_gets_an_error_and_the_next_one_is_spoken(worker, text):
    try:
        spoken = worker.ask("espeak", text, voice="en-us")
    except StudioError as error:
        assert "this text" in str(error)
    else:
        assert spoken
    assert worker.ask("espeak", "good day", voice="en-us") == [list("ɡˈʊd dˈeɪ")]


@pytest.mark.parametrize("text", DEADLY)
def test_separated_phones_survive_such_texts_too(worker, text):
    with contextlib.suppress(StudioError):
        worker.ask("phones", text, voice="en-us")
    ((ipa, mnemonics),) = worker.ask("phones", "good day", voice="en-us")
    assert (ipa, mnemonics) == ("ɡ_ˈʊ_d d_ˈeɪ", "g_'U_d d_'eI")


def test_separated_phones_of_an_unknown_voice_are_the_librarys_own_error(worker):
    with pytest.raises(NativeError):
        worker.ask("phones", "a", voice="xx")


def dying(folder):
    """A worker that ends at a text instead of answering."""
    program = folder / "dying.py"
    program.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n")
    return program


def test_a_studio_goes_on_after_such_a_text(studio, monkeypatch, tmp_path):
    studio.registry.add(Piper)
    for text in DEADLY:  # which of them are deadly differs from machine to machine
        with contextlib.suppress(StudioError):
            studio.make("piper", text=text)
    monkeypatch.setattr("engines.tts.native.WORKER", dying(tmp_path))
    WORKER_PROCESS.stop()
    with pytest.raises(StudioError, match="this text"):
        studio.make("piper", text="Good night.")
    monkeypatch.undo()
    (clip,) = studio.make("piper", text="Good day.")
    assert clip.duration_s > 0.3


def test_a_front_end_that_hangs_is_given_up(monkeypatch, tmp_path):
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time; time.sleep(60)")
    monkeypatch.setattr("engines.tts.native.WORKER", sleeper)
    worker = NativeWorker(limit_s=0.3)
    with pytest.raises(StudioError, match=r"more than 0\.3 s"):
        worker.ask("espeak", "a", voice="en-us")
    monkeypatch.undo()
    worker.limit_s = 20
    assert worker.ask("espeak", "a", voice="en-us")
    worker.stop()


def test_an_unknown_voice_is_the_librarys_own_error(worker):
    with pytest.raises(NativeError):
        worker.ask("espeak", "a", voice="xx")


def test_hostile_texts_of_every_kind_leave_this_process_alone():
    rng = random.Random(12)
    pieces = [
        "a",
        ".",
        ",",
        "…",
        "1",
        "\u0301",
        "\u200d",
        "б",
        "猫",
        "👩‍👩‍👧",
        "[[",
        "]]",
        "<",
        " ",
        "\n",
        "-",
    ]
    for _ in range(60):
        text = "".join(
            rng.choice(pieces) * rng.choice((1, 1, 1, 40)) for _ in range(rng.randint(1, 30))
        )
        for speak in (lambda t: espeak_ipa(t, "en-us"), lambda t: kokoro_phonemes(t, "ja")):
            try:
                assert isinstance(speak(text), str)
            except StudioError as error:
                assert error.field == "text"


def test_the_worker_ends_with_the_process_that_started_it():
    program = (
        "from engines.tts.native import WORKER_PROCESS as w\n"
        "w.ask('espeak', 'a', voice='en-us')\nprint(w._process.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    pid = int(said.stdout)
    for _ in range(100):
        try:
            state = open(f"/proc/{pid}/stat").read().split(")")[1].split()[0]  # noqa: SIM115, PTH123
        except FileNotFoundError:
            return
        if state == "Z":
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError("the worker outlived its studio")
