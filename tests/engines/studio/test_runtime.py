"""The memory budget, least-recently-used unloading, idle unloading, the device without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading

import pytest

from engines import sharing
from engines.base import StudioError
from engines.studio.runtime import Runtime, is_out_of_memory
from engines.studio.settings import Settings
from tests.fakes import Hungry, Tone


class Clock:
    """A clock that tests move."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def runtime(clock: Clock | None = None, **settings) -> Runtime:
    return Runtime(Settings(_cli_parse_args=[], **settings), clock or Clock())


def test_least_recently_used_engine_makes_room():
    clock = Clock()
    small = runtime(clock, memory_gb=1.0)
    tone, hungry = Tone(None), Hungry(None)
    with small.lease(tone):
        assert small.busy == "tone"
    clock.now += 1
    with small.lease(hungry):
        pass
    assert [entry.engine.card.id for entry in small.loaded()] == ["hungry"]
    assert tone.unloads == 1


def test_both_stay_when_the_budget_holds_both():
    big = runtime(memory_gb=2.0)
    for engine in (Tone(None), Hungry(None)):
        with big.lease(engine):
            pass
    assert {entry.engine.card.id for entry in big.loaded()} == {"tone", "hungry"}
    assert big.memory().reserved == 1000 * 1024**2
    assert big.memory().budget == 2_000_000_000


def test_an_engine_larger_than_the_budget_is_refused_with_both_numbers():
    with pytest.raises(StudioError, match=r"needs 0\.9 GB and the memory budget is 0\.5 GB"):
        with runtime(memory_gb=0.5).lease(Hungry(None)):
            pass


def test_idle_engines_are_unloaded_after_keep_alive():
    clock = Clock()
    short = runtime(clock, keep_alive_min=1)
    with short.lease(Tone(None)):
        pass
    clock.now += 59
    assert short.sweep() == []
    assert short.idle_s("tone") == 59
    clock.now += 1
    assert short.sweep() == ["tone"]
    assert not short.is_loaded("tone")


def test_keep_alive_zero_keeps_engines():
    clock = Clock()
    forever = runtime(clock, keep_alive_min=0)
    with forever.lease(Tone(None)):
        pass
    clock.now += 10**6
    assert forever.sweep() == []


def test_an_engine_in_use_is_not_unloaded():
    busy = runtime()
    with busy.lease(Tone(None)):
        with pytest.raises(StudioError, match="in use by a job"):
            busy.unload("tone")
    assert busy.unload("tone") is True
    assert busy.unload("tone") is False


def test_a_load_that_fails_leaves_nothing_reserved():
    class Broken(Tone):
        def load(self, device, params=None):
            raise StudioError("no such file")

    broken = runtime()
    with pytest.raises(StudioError, match="no such file"):
        with broken.lease(Broken(None)):
            pass
    broken.unload_all()
    assert broken.memory().reserved == 0


class Slow(Tone):
    """Imports until it may go on."""

    def __init__(self):
        super().__init__(None)
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.done: list[str] = []

    def warm(self):
        self.begun.set()
        assert self.go_on.wait(10)
        self.done.append("warm")

    def load(self, device, params=None):
        self.done.append("load")


def test_an_engine_is_warmed_once_and_a_job_waits_for_it():
    here, engine = runtime(), Slow()
    warming = here.warm(engine)
    assert here.warm(engine) is None
    assert engine.begun.wait(10)

    def job():
        with here.lease(engine):
            pass

    waiting = threading.Thread(target=job)
    waiting.start()
    assert engine.done == []
    engine.go_on.set()
    for thread in (warming, waiting):
        thread.join(10)
    assert engine.done == ["warm", "load"]


def test_warming_waits_for_the_engine_in_use():
    here, engine = runtime(), Slow()
    engine.go_on.set()
    with here.lease(Tone(None)):
        warming = here.warm(engine)
        warming.join(0.1)
        assert warming.is_alive() and engine.done == []
    warming.join(10)
    assert engine.done == ["warm"]


def test_a_missing_device_is_told():
    with pytest.raises(StudioError, match="Device 'cuda' is not here"):
        _ = runtime(device="cuda").device


def test_the_cpu_is_found_without_torch():
    code = (
        "import sys; from engines.studio.runtime import Runtime;"
        "from engines.studio.settings import Settings;"
        "r = Runtime(Settings(_cli_parse_args=[], device='cpu'));"
        "print(r.device, r.dtype, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["cpu", "float32", "False"]


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried"), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_out_of_memory_is_recognised(error, is_memory):
    assert is_out_of_memory(error) is is_memory


class Whole(Tone):
    """An engine of 600 MiB, 400 of which are an encoder that others hold too."""

    def memory_mb(self, dtype, params=None):
        return 600

    def shared_mb(self, dtype, params=None):
        return {"encoder": 400}

    def load(self, device, params=None):
        self.encoder = sharing.shared("encoder", device, Encoder)

    def unload(self):
        self.encoder = None
        super().unload()


class Other(Whole):
    card = dataclasses.replace(Tone.card, id="other")


class Encoder:
    """Something that two engines hold."""


def test_a_shared_part_is_loaded_and_counted_once_and_goes_with_the_last_who_holds_it():
    clock = Clock()
    here = runtime(clock, memory_gb=1.0)
    one, two = Whole(None), Other(None)
    for engine in (one, two):
        with here.lease(engine):
            clock.now += 1
    assert here.memory().reserved == (200 + 200 + 400) * 1024**2
    assert one.encoder is two.encoder
    assert sharing.held() == ["encoder"]
    here.unload("tone")
    assert sharing.held() == ["encoder"]
    here.unload("other")
    assert sharing.held() == []


def test_room_is_made_first_by_engines_that_share_nothing():
    clock = Clock()
    here = runtime(clock, memory_gb=0.9)
    one, plain, two = Whole(None), Plain(None), Other(None)
    for engine in (one, plain, two):
        with here.lease(engine):
            clock.now += 1
    assert [entry.engine.card.id for entry in here.loaded()] == ["tone", "other"]


class Plain(Tone):
    card = dataclasses.replace(Tone.card, id="plain")
