"""Folders and manifests: pairing, running in processes, cache, summary, significance."""

from __future__ import annotations

import time
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from scipy import stats

from engines.base import Cancelled, StudioError
from engines.metrics import running
from engines.metrics.base import Reason, Score
from engines.metrics.cache import SqliteCache
from engines.metrics.evaluate import measure_files, plan
from engines.metrics.pairing import Item, pair_folders, read_manifest
from engines.metrics.running import Result, run
from engines.metrics.summary import compare, summaries

from .conftest import at_snr, tone

IDS = ["si_sdr", "lsd", "loudness"]


@pytest.fixture
def folders(write, tmp_path):
    """Five pairs, a reference and a generated file without partner, and one in a sub-folder."""
    for number in range(5):
        clean = tone(150 + 10 * number, 0.5)
        write(f"ref/{number}.wav", clean)
        write(f"gen/{number}.wav", at_snr(clean, 10 + number))
    write("ref/alone.wav", tone(100, 0.5))
    write("gen/lonely.wav", tone(100, 0.5))
    write("ref/more/0.wav", tone(150, 0.5))
    write("gen/more/0.wav", tone(150, 0.5))
    (tmp_path / "ref/notes.txt").write_text("no sound")
    return tmp_path / "ref", tmp_path / "gen"


def test_pairing_by_name_lists_who_is_missing(folders):
    pairing = pair_folders(*folders)
    assert [item.name for item in pairing.items] == ["0", "1", "2", "3", "4", "more/0"]
    assert (pairing.only_reference, pairing.only_generated) == (("alone",), ("lonely",))
    assert all(item.reference.name == item.generated.name for item in pairing.items)


def test_pairing_ignores_the_suffix_but_not_duplicates(folders, write):
    write("gen/4.flac.tmp.wav", tone(100, 0.1))
    import soundfile

    soundfile.write(folders[1] / "0.flac", tone(100, 0.1), 24_000)
    with pytest.raises(StudioError, match="same name"):
        pair_folders(*folders)


def test_folders_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(StudioError, match="no folder"):
        pair_folders(None, tmp_path / "nowhere")
    with pytest.raises(StudioError, match="no sound"):
        pair_folders(None, tmp_path)


def test_manifest(tmp_path, write):
    write("a.wav", tone(200, 0.5))
    path = tmp_path / "list.csv"
    path.write_text("generated,reference,text,system\na.wav,,Hello,one\nb.wav,a.wav,,two\n")
    first, second = read_manifest(path).items
    assert first == Item("a", tmp_path / "a.wav", None, "Hello", "en", "one")
    assert second.reference == tmp_path / "a.wav"
    found = list(run([first, second], plan(["loudness"]), processes=0))
    assert found[0].scores[0].value is not None
    assert found[1].scores[0].reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    "text, problem",
    [
        ("made,reference\na,b\n", "Needed is generated"),
        ("generated,colour\na,b\n", "colour"),
        ("generated,text\n,hello\n", "row 2, column generated"),
        ("generated,text\na,b,c\n", "row 2 has more cells"),
    ],
)
def test_wrong_manifests_name_row_and_column(tmp_path, text, problem):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(StudioError, match=problem):
        read_manifest(path)


def test_processes_give_what_one_process_gives_in_order(folders, tmp_path):
    items = pair_folders(*folders).items
    cache = SqliteCache(tmp_path / "scores.db")
    here = list(run(items, plan(IDS), processes=0))
    spread = list(run(items, plan(IDS), cache, processes=2))
    assert [each.item for each in spread] == list(items)
    assert [each.scores for each in spread] == [each.scores for each in here]
    again = list(run(items, plan(IDS), cache, processes=2))
    assert [each.scores for each in again] == [each.scores for each in here]
    assert {each.cached for each in again} == {len(IDS)}


def test_only_what_is_new_is_computed(folders, tmp_path, write):
    items = pair_folders(*folders).items
    cache = SqliteCache(tmp_path / "scores.db")
    list(run(items, plan(["lsd"]), cache, processes=0))
    write("gen/0.wav", tone(300, 0.5))
    found = list(run(items, plan(["lsd", "si_sdr"]), cache, processes=0))
    assert [each.cached for each in found] == [0, 1, 1, 1, 1, 1]
    settings = list(run(items, plan(["lsd"], {"align": "pad"}), cache, processes=0))
    assert {each.cached for each in settings} == {0}


def test_text_and_reference_are_part_of_the_key_only_where_they_matter(folders, tmp_path):
    cache = SqliteCache(tmp_path / "scores.db")
    item = pair_folders(*folders).items[0]
    list(run([item], plan(["loudness"]), cache, processes=0))
    alone = Item("x", item.generated, None, "a text")
    assert next(iter(run([alone], plan(["loudness"]), cache, processes=0))).cached == 1


def test_missing_libraries_are_not_remembered(tmp_path, write):
    cache = SqliteCache(tmp_path / "scores.db")
    item = Item("x", write("a.wav", tone(200)), None, "words")
    wishes = plan(["clap_score"], {"model": "nobody/nothing"})
    assert next(iter(run([item], wishes, cache, processes=0))).scores[0].reason is Reason.NOT_READY
    assert next(iter(run([item], wishes, cache, processes=0))).cached == 0


def test_a_run_that_is_stopped_goes_on(folders, tmp_path):
    items = pair_folders(*folders).items
    cache, calls = SqliteCache(tmp_path / "scores.db"), []

    def check() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise Cancelled("test")

    with pytest.raises(Cancelled):
        list(run(items, plan(IDS), cache, processes=0, check=check))
    again = list(run(items, plan(IDS), cache, processes=0))
    assert sum(each.cached == len(IDS) for each in again) == 3


def test_each_file_is_read_and_resampled_once(folders, monkeypatch):
    from engines.metrics import sound

    reads, resamples = [], []
    plain = sound.resample
    monkeypatch.setattr(sound, "resample", lambda *a: resamples.append(a[1:]) or plain(*a))
    opened = sound.Sound.open.__func__
    monkeypatch.setattr(
        sound.Sound, "open", classmethod(lambda cls, path: reads.append(path) or opened(cls, path))
    )
    item = pair_folders(*folders).items[0]
    many = ["mrstft", "lsd", "si_sdr", "si_snr", "snr", "pesq_nb", "pesq_wb", "energy_rmse"]
    measure_files(plan(many), item.generated, item.reference)
    assert len(reads) == 2
    assert sorted(set(resamples)) == sorted(
        [*{(24_000, 8_000), (24_000, 16_000), (24_000, 24_000)}]
    )
    assert len(resamples) == 6  # two sounds at 24 (as they are), 16 and 8 kHz


def results(system: str, values: list[float | None]) -> list[Result]:
    return [
        Result(
            Item(str(number), None, system=system),  # type: ignore[arg-type]
            (Score("m", value, None if value is not None else Reason.UNVOICED),),
        )
        for number, value in enumerate(values)
    ]


def test_summary_is_the_mean_with_its_interval_and_the_reasons():
    line = summaries(results("a", [1, 2, 3, 4, None]))[0]
    low, high = stats.t.interval(0.95, 3, 2.5, stats.sem([1, 2, 3, 4]))
    assert (line.estimate.mean, line.estimate.count, line.median) == (2.5, 4, 2.5)
    assert (line.estimate.low, line.estimate.high) == pytest.approx((low, high))
    assert line.reasons == {"unvoiced": 1}
    assert summaries(results("a", [None]))[0].estimate is None


def test_two_systems_are_compared_on_what_both_have():
    rng = np.random.default_rng(0)
    one = rng.normal(size=12)
    other = one + 0.5 + 0.2 * rng.normal(size=12)
    both = results("a", [*one, None]) + results("b", [*other, 9.0])
    found = compare(both, "m", "a", "b")
    assert found.difference.mean == pytest.approx(np.mean(other - one))
    assert found.p == pytest.approx(stats.wilcoxon(other, one).pvalue)
    assert (found.pairs, found.left_out) == (12, 1)
    assert found.p < 0.05 < compare(both, "m", "a", "a").p
    with pytest.raises(StudioError, match="no item in common"):
        compare(both, "m", "a", "c")


def test_few_pairs_have_no_p():
    both = results("a", [1.0, 2.0, 3.0]) + results("b", [2.0, 3.0, 4.0])
    assert compare(both, "m", "a", "b").p is None


def test_two_hundred_known_pairs_take_less_than_two_seconds(write, tmp_path):
    path = write("a.wav", tone(200, 5))
    names = [f"{n}" for n in range(200)]
    items = [Item(name, path, path) for name in names]
    cache = SqliteCache(tmp_path / "scores.db")
    list(run(items[:1], plan(IDS), cache, processes=0))
    started = time.process_time()  # the time it would take on a machine with nothing else to do
    assert all(each.cached == 3 for each in run(items, plan(IDS), cache))
    assert time.process_time() - started < 2


def test_a_process_that_dies_is_told_in_words(write, monkeypatch):
    class Broken:
        def submit(self, *_args):
            raise BrokenProcessPool

        def shutdown(self, **_options):
            pass

    monkeypatch.setattr(running, "_pool", lambda count: Broken())
    items = [Item("x", write("a.wav", tone(200, 0.5)))]
    with pytest.raises(StudioError, match="memory runs out"):
        list(run(items, plan(["loudness"]), processes=1))
