"""Evaluation through the studio, the named endpoints and the shell."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from engines.base import InvalidParams, StudioError
from engines.metrics.base import Align, Reason, Score
from engines.metrics.embeddings import EMBEDDERS
from engines.metrics.pairing import Item
from engines.metrics.running import Result
from engines.metrics.sound import Sound
from engines.studio import Studio, cli
from engines.studio.evaluation import drawings, measuring
from engines.studio.evaluation.exports import escaped, to_csv, to_json, to_latex
from engines.studio.evaluation.measuring import measure_items
from engines.studio.evaluation.plan import Embedding, cards_markdown, named, wishes
from engines.studio.evaluation.results import Results, holm
from engines.studio.evaluation.sources import from_folders, from_manifest
from storage import ClipQuery, JobState, NotFound
from tests.engines.metrics.conftest import at_snr, noise, tone

LIGHT = ["si_sdr", "lsd", "loudness"]
PATIENCE_S = 120
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """Seven references, and two systems: a good one (20 dB SNR) and a bad one (5 dB)."""
    root = tmp_path_factory.mktemp("sounds")
    for number in range(7):
        clean = tone(140 + 10 * number, 0.5)
        for name, samples in (
            ("ref", clean),
            ("good", at_snr(clean, 20 + number / 10, number)),
            ("bad", at_snr(clean, 5 + number / 10, number)),
        ):
            save(root / name / f"{number}.wav", samples)
    save(root / "ref" / "alone.wav", tone(100, 0.5))
    save(root / "good" / "lonely.wav", tone(100, 0.5))
    (root / "ref" / "0.txt").write_text("hello there")
    return root


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    """Everything is measured in this process; others take seconds to start (see tests/metrics)."""
    monkeypatch.setattr(measuring, "FEW", 1000)


def save(path: Path, samples: np.ndarray, rate: int = 24_000) -> Path:
    """Samples (T,) or (C, T) as a float WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate, subtype="FLOAT")
    return path


def finished(studio, row):
    """The evaluation after its job, which must be done."""
    job = studio.wait(row.job_id, PATIENCE_S)
    assert job.state is JobState.DONE, job.error
    return studio.evaluation.get(row.id)


def both(sounds):
    return from_folders([sounds / "good", sounds / "bad"], sounds / "ref")


@pytest.fixture
def evaluated(studio, sounds):
    """Both systems on three light metrics and the distance of sets."""
    row = studio.evaluation.submit(both(sounds), wishes([*LIGHT, "frechet"]), "First")
    return finished(studio, row)


# --- one sound, a pair ----------------------------------------------------------------------


def scores_of(studio, case, metrics, **more):
    desk = studio.evaluation.desk
    wanted = desk.alone(metrics) if case.reference is None else desk.paired(metrics)
    return {score.metric: score for score in desk.score(case, wanted, **more)}


BAD = {
    "silence": (np.zeros(24_000, np.float32), 24_000, Reason.SILENT),
    "not a number": (np.full(24_000, np.nan, np.float32), 24_000, Reason.NOT_FINITE),
    "a tenth of a second": (tone(200, 0.1), 24_000, Reason.TOO_SHORT),
    "nothing": (np.zeros(0, np.float32), 24_000, Reason.TOO_SHORT),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_measured_says_why_and_is_still_drawn(studio, tmp_path, name):
    samples, rate, reason = BAD[name]
    case = studio.evaluation.desk.case(save(tmp_path / "bad.wav", samples, rate))
    found = scores_of(studio, case, ["dnsmos_ovrl", "snr_estimate", "wer"])
    assert {found[m].reason for m in ("dnsmos_ovrl", "snr_estimate")} == {reason}
    assert found["wer"].value is None and found["wer"].message
    assert "<svg" in drawings.picture_of(case, drawings.LIGHT)
    pair = replace(case, reference=Sound(tone(200, 0.5), 24_000))
    assert "generated − reference" in drawings.picture_of_pair(pair, drawings.LIGHT, Align.DTW)


def test_a_pair_of_other_length_rate_and_channels(studio, tmp_path):
    reference = save(tmp_path / "ref.wav", tone(220, 0.6))
    made = at_snr(tone(220, 0.5, 16_000), 10)
    generated = save(tmp_path / "gen.wav", np.stack([made, made]), 16_000)
    case = studio.evaluation.desk.case(generated, reference)
    found = scores_of(studio, case, ["si_sdr", "lsd", "frechet"][:2])
    assert found["si_sdr"].value == pytest.approx(10, abs=1)
    notes = " ".join(found["si_sdr"].notes)
    assert "mean of 2 channels" in notes and "0.100 s shorter" in notes and "16000 Hz" in notes
    svg = drawings.picture_of_pair(case, drawings.DARK)
    assert "reference" in svg and "generated" in svg


def test_a_text_called_wav_is_no_sound(studio, tmp_path):
    path = tmp_path / "fake.wav"
    path.write_text("I am a text")
    with pytest.raises(StudioError, match=r"fake\.wav cannot be read as a sound"):
        studio.evaluation.desk.case(path)


def test_scores_stay_with_a_clip_and_its_prompt_is_not_what_it_says(studio):
    clip = studio.make("tone", text="a sentence", seed=1, steps=3)[0]
    case = studio.evaluation.desk.clip_case(clip.id)
    found = scores_of(studio, case, ["peak", "clap_score"], clip_id=clip.id)
    assert found["peak"].value == pytest.approx(clip.peak_db, abs=0.01)
    assert "what is spoken" in found["clap_score"].message
    (kept,) = studio.store.scores.of_clip(clip.id)
    assert (kept.metric, kept.value) == ("peak", found["peak"].value)


def test_sets_cannot_be_measured_one_by_one(studio, sounds):
    case = studio.evaluation.desk.case(sounds / "good/0.wav")
    with pytest.raises(StudioError, match="whole sets"):
        scores_of(studio, case, ["frechet"])


# --- wishes and sources ---------------------------------------------------------------------


def test_names_families_and_groups():
    assert named(["pesq", "mcd", "levels"])[:4] == ("pesq_nb", "pesq_wb", "mcd", "loudness")
    with pytest.raises(StudioError, match=r"no metric 'mcdd'.*Groups: speech-pair"):
        named(["mcdd"])
    with pytest.raises(StudioError, match="at least one"):
        wishes([])
    with pytest.raises(InvalidParams, match="order"):
        wishes(["mcd"], settings={"mcd": {"order": 500}})
    with pytest.raises(InvalidParams, match="align"):
        wishes(["mcd"], {"align": "stretch"})
    assert wishes(["mcd"], {"align": "dtw"}).planned()[0].settings.align == "dtw"
    assert set(Embedding) == set(EMBEDDERS)


def test_folders_give_systems_texts_and_who_is_missing(sounds):
    found = both(sounds)
    assert found.systems == ["good", "bad"]
    assert len(found.items) == 14
    assert found.items[0].text == "hello there"
    assert found.missing == {
        "without a partner in good": ["alone"],
        "of good without a reference": ["lonely"],
        "without a partner in bad": ["alone"],
    }
    with pytest.raises(StudioError, match="paired by their path"):
        from_folders([sounds], sounds / "ref")
    with pytest.raises(StudioError, match="named twice"):
        from_folders([sounds / "good", sounds / "good"], None)


MANIFESTS = {
    "file,text\na.wav,b\n": "has the columns file, text. Needed is generated",
    "generated\n": "a header and no row",
    "generated\n\n,x\n": "row",
    "generated\nnowhere.wav\n": "None of the 1 generated files",
    "generated,name\ngood/0.wav,a\ngood/1.wav,a\n": "names 'a' 2 times",
}


@pytest.mark.parametrize("text", MANIFESTS)
def test_wrong_manifests_say_what_is_wrong(sounds, text):
    path = sounds / "manifest.csv"
    path.write_text(text)
    with pytest.raises(StudioError, match=re.escape(MANIFESTS[text])):
        from_manifest(path)


def test_a_manifest_that_was_sent_names_nothing_outside(sounds, tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(f"generated\n{sounds / 'good/0.wav'}\n")
    assert len(from_manifest(path).items) == 1
    with pytest.raises(StudioError, match="outside"):
        from_manifest(path, tmp_path)


# --- many sounds ----------------------------------------------------------------------------


def test_folder_against_folder(studio, evaluated):
    found = studio.evaluation.results(evaluated.id)
    assert (evaluated.items, evaluated.measured) == (14, 14)
    assert found.value("good", "si_sdr") == pytest.approx(20.3, abs=0.3)
    assert found.value("bad", "si_sdr") == pytest.approx(5.3, abs=0.3)
    assert found.best("si_sdr") == found.best("lsd") == found.best("frechet") == {"good"}
    assert found.best("loudness") == set()
    tests = {each.comparison.metric: each for each in found.tested("good", "bad")}
    assert tests["si_sdr"].comparison.p == pytest.approx(2 / 2**7)
    assert tests["si_sdr"].adjusted == pytest.approx(3 * 2 / 2**7)
    assert tests["si_sdr"].comparison.pairs == 7
    order = [found.rows[place].item for place in found.ordered("si_sdr")]
    assert [item.system for item in order] == ["bad"] * 7 + ["good"] * 7
    assert found.ordered("si_sdr", True) == found.ordered("si_sdr")[::-1]
    assert "<svg" in drawings.boxes(found, "si_sdr", drawings.LIGHT).decode()
    assert drawings.boxes(found, "lsd", drawings.DARK, "png")[:4] == b"\x89PNG"


def test_a_cancelled_evaluation_goes_on_where_it_was(studio, sounds, monkeypatch):
    evaluation, kept = studio.evaluation, studio.evaluation.desk.cache.put
    puts = []

    def cancel_at_the_third(scores):
        kept(scores)
        puts.append(scores)
        if len(puts) == 3:
            evaluation.cancel(row.id)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation.desk.cache, "put", cancel_at_the_third)
        row = evaluation.submit(both(sounds), wishes(LIGHT), "to stop")
        job = studio.wait(row.job_id, PATIENCE_S)
    assert job.state is JobState.CANCELLED
    row = evaluation.get(row.id)
    assert row.measured == 3 and evaluation.unfinished(row)
    row = finished(studio, evaluation.resume(row.id))
    assert row.measured == 14 and not evaluation.unfinished(row)
    assert studio.job(row.job_id).report["values"]["scores known before"] == 3 * len(LIGHT)


def test_what_a_crash_interrupted_goes_on_after_the_next_start(settings, no_engines, sounds):
    with closing(Studio(settings)) as studio:  # its workers never start
        row = studio.evaluation.submit(both(sounds), wishes(LIGHT), "interrupted")
        assert studio.jobs.claim(row.job_id, JobState.RUNNING)
    with Studio(settings) as studio:
        row = studio.evaluation.get(row.id)
        assert studio.evaluation.job(row).state is JobState.INTERRUPTED
        assert studio.evaluation.unfinished(row)
        again = studio.retry(row.job_id)  # as the Jobs tab does
        assert studio.wait(again.id, PATIENCE_S).state is JobState.DONE
        row = studio.evaluation.get(row.id)
        assert (row.measured, row.job_id) == (14, again.id)


def test_what_is_known_is_not_measured_again_and_deleting_asks_for_an_end(
    studio, sounds, evaluated
):
    again = finished(studio, studio.evaluation.submit(both(sounds), wishes(LIGHT), "Again"))
    assert studio.job(again.job_id).report["values"]["scores known before"] == 14 * len(LIGHT)
    assert [row.name for row in studio.evaluation.evaluations()] == ["Again", "First"]
    studio.evaluation.delete(again.id)
    with pytest.raises(NotFound):
        studio.evaluation.results(again.id)


def test_unreadable_sounds_are_reasons_not_failures(studio, tmp_path):
    save(tmp_path / "gen/a.wav", tone(200, 0.5))
    (tmp_path / "gen/b.wav").write_text("no sound")
    row = studio.evaluation.submit(from_folders([tmp_path / "gen"], None), wishes(["peak"]))
    row = finished(studio, row)
    found = studio.evaluation.results(row.id)
    assert [found.rows[place].item.name for place in found.ordered("peak")] == ["a", "b"]
    assert found.lines["gen", "peak"].reasons == {"unreadable": 1}
    assert studio.job(row.job_id).report["values"]["without a number: unreadable"] == 1


def test_clips_are_systems_and_keep_their_scores(studio):
    for seed, engine in enumerate(("tone", "hungry", "tone")):
        studio.make(engine, text=f"text {seed // 2}", seed=seed, steps=3)
    with pytest.raises(StudioError, match="No clip matches"):
        studio.evaluation.clip_sources(ClipQuery(text="nobody said this"))
    sources = studio.evaluation.clip_sources(ClipQuery())
    row = finished(studio, studio.evaluation.submit(sources, wishes(["peak", "loudness"])))
    assert set(row.systems) == {"tone", "hungry"}
    assert {count.name: count.clips for count in studio.store.scores.clip_metrics()} == {
        "loudness": 3,
        "peak": 3,
    }


# --- exports --------------------------------------------------------------------------------


def results(values: dict[str, list[float | None]]) -> Results:
    """Results of one metric from values by system."""
    rows = [
        Result(
            Item(f"item {n}", Path(f"{n}.wav"), None, "", "en", system),
            (
                Score(
                    "si_sdr", v, None if v is not None else Reason.SILENT, "is silent" * (v is None)
                ),
            ),
        )
        for system, of in values.items()
        for n, v in enumerate(of)
    ]
    return Results("R", wishes(["si_sdr"]), tuple(rows))


def test_latex_has_means_intervals_arrows_and_the_best_in_bold():
    text = to_latex(results({"a_1 & co": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 4.0], "none": [None]}))
    assert r"\begin{tabular}{lr}" in text and r"\toprule" in text
    assert r"System & SI-SDR (dB) $\uparrow$ \\" in text
    assert r"a\_1 \& co & $2.0 \pm 2.5$ \\" in text
    assert r"b & $\mathbf{3.0} \pm 2.5$ \\" in text
    assert r"none & -- \\" in text
    assert escaped("50% of #1~^{x}\\") == (
        r"50\% of \#1\textasciitilde{}\textasciicircum{}\{x\}\textbackslash{}"
    )


def test_csv_and_json_hold_every_number_and_every_reason():
    found = results({"=cmd": [1.25, None]})
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [(row["system"], row["si_sdr"]) for row in rows] == [("'=cmd", "1.25"), ("'=cmd", "")]
    assert rows[1]["why"] == "si_sdr: is silent"
    whole = json.loads(to_json(found))
    assert whole["items"][0]["scores"][0]["value"] == 1.25
    assert whole["items"][1]["scores"][0]["reason"] == "silent"
    assert whole["systems"][0]["means"]["si_sdr"]["reasons"] == {"silent": 1}
    assert whole["cards"][0]["id"] == "si_sdr"


def test_holm():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])


def test_the_document_has_every_card():
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert cards_markdown() in text, (
        "put the output of engines.studio.evaluation.plan.cards_markdown() into docs/evaluation.md"
    )


# --- endpoints ------------------------------------------------------------------------------


def test_a_pair_through_the_endpoint(served, sounds):
    client = served.client()
    cards = {card["id"]: card for card in client.predict(api_name="/metrics")}
    assert cards["si_sdr"]["better"] == "higher" and cards["frechet"]["needs"] == "set"
    found = client.predict(
        handle_file(sounds / "good/0.wav"),
        handle_file(sounds / "ref/0.wav"),
        ["si_sdr", "loudness"],
        api_name="/evaluate_pair",
    )
    assert [score["metric"] for score in found["scores"]] == ["si_sdr", "loudness"]
    assert found["scores"][0]["value"] == pytest.approx(20, abs=0.2)


def test_sent_systems_are_evaluated_read_and_saved(served, sounds, tmp_path):
    client = served.client()
    zips = []
    for system in ("good", "bad"):
        zips.append(tmp_path / f"{system}.zip")
        with zipfile.ZipFile(zips[-1], "w") as archive:
            for path in sorted((sounds / system).iterdir())[:6]:
                archive.write(path, f"{system}/{path.name}")
    references = [handle_file(path) for path in sorted((sounds / "ref").glob("?.wav"))]
    row = client.predict(
        ["si_sdr"],
        [handle_file(path) for path in zips],
        references,
        name="sent",
        api_name="/evaluate",
    )
    assert row["systems"] == ["good", "bad"]
    _, job = client.predict(row["job_id"], api_name="/wait")
    assert job["state"] == "done"
    found = client.predict(row["id"], "si_sdr", True, 1, api_name="/evaluation")
    assert [sound["system"] for sound in found["sounds"]] == ["good"]
    assert found["comparisons"][0]["pairs"] == 6
    saved = client.predict(row["id"], "latex", api_name="/evaluation_file")
    assert r"\mathbf" in Path(saved).read_text()
    sound = httpx.get(f"{served.url}/evaluations/{row['id']}/items/0/generated")
    assert sound.content == (sounds / "good/0.wav").read_bytes()
    folder = served.studio.store.folder("cache") / "evaluations"
    assert len(list(folder.iterdir())) == 1
    assert client.predict(row["id"], api_name="/delete_evaluation") is True
    assert list(folder.iterdir()) == [] and client.predict(api_name="/evaluations") == []


def test_a_zip_that_leads_outside_is_refused_and_leaves_nothing(served, tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.wav", b"x")
    with pytest.raises(AppError, match="outside"):
        served.client().predict(["peak"], [handle_file(path)], api_name="/evaluate")
    folder = served.studio.store.folder("cache") / "evaluations"
    assert list(folder.iterdir()) == []


def test_folders_of_the_machine_are_for_who_sits_at_it(serve, sounds):
    arguments = {"generated_folders": [str(sounds / "good")], "api_name": "/evaluate"}
    open_one = serve()
    row = open_one.client().predict(["peak"], **arguments)
    assert finished(open_one.studio, open_one.studio.evaluation.get(row["id"])).items == 8


def test_folders_are_refused_where_others_may_log_in(serve, sounds):
    client = serve(api_key=["key"]).client(headers={"Authorization": "Bearer key"})
    with pytest.raises(AppError, match="this machine alone"):
        client.predict(["peak"], generated_folders=[str(sounds / "good")], api_name="/evaluate")
    with pytest.raises(AppError, match="named by their names on the hub"):
        client.predict(
            handle_file(sounds / "good/0.wav"),
            metrics=["wer"],
            options={"recogniser": "/etc"},
            api_name="/evaluate_pair",
        )


def test_a_clip_through_the_endpoint(served):
    clip = served.studio.make("tone", text="measured", seed=1, steps=3)[0]
    found = served.client().predict(clip.id, ["peak"], api_name="/evaluate_clip")
    assert found["scores"][0]["value"] == pytest.approx(clip.peak_db, abs=0.01)
    with pytest.raises(AppError, match="no metric"):
        served.client().predict(clip.id, ["nothing"], api_name="/evaluate_clip")


# --- the shell ------------------------------------------------------------------------------


def test_the_command_measures_writes_and_goes_on(sounds, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["evaluate", *(str(sounds / name) for name in ("ref", "good", "bad"))]
    command += ["--metrics", "si_sdr,loudness", "--output", str(out), "--format", "csv,json,latex"]
    assert cli.main([*command, "--processes", "0", "--plots", "svg"]) == 0
    said = capsys.readouterr()
    assert re.search(r"si_sdr +dB +higher +20\.\d+ ± .* \* +5\.\d+", said.out)
    assert "1 without a partner in good: alone" in said.err
    assert {path.name for path in out.iterdir()} >= {
        "results.csv", "results.json", "results.tex", "si_sdr.svg", "scores.db",
    }  # fmt: skip
    assert len((out / "results.csv").read_text().splitlines()) == 15
    for path in (sounds / "good").iterdir():
        assert path.is_file()
    first = (out / "results.json").read_bytes()
    assert cli.main([*command, "--processes", "0"]) == 0
    assert (out / "results.json").read_bytes() == first


def test_the_command_takes_a_manifest_and_lists(sounds, tmp_path, capsys):
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"generated,system\n{sounds / 'good/0.wav'},mine\n")
    arguments = ["evaluate", "--manifest", str(manifest), "--metrics", "peak"]
    assert cli.main([*arguments, "--output", str(tmp_path / "o"), "--processes", "0"]) == 0
    assert "mine" in capsys.readouterr().out
    assert cli.main(["evaluate", "--list"]) == 0
    assert "speaker_wavlm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "neither", "--metrics", "peak"], "is no folder"),
        (["a", "b", "--metrics", "mcdd"], "no metric 'mcdd'"),
        (["a", "b", "--metrics", "peak", "--format", "pdf"], "no format 'pdf'"),
        (["a", "b", "--metrics", "mcd", "--set", "mcd.order=500"], "mcd.order"),
        (["a", "b", "--metrics", "mcd", "--set", "order"], "METRIC.NAME=VALUE"),
        (["a"], "at least one"),
    ],
)
def test_wrong_commands_say_what_is_wrong(arguments, message, capsys):
    assert cli.main(["evaluate", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_noise_is_not_speech_but_has_numbers(sounds):
    shutil.copyfile(sounds / "good/0.wav", sounds / "x.wav")
    save(sounds / "y.wav", noise(0.5))
    item = Item("n", sounds / "y.wav", sounds / "x.wav")
    (found,) = measure_items([item], wishes(["f0_rmse", "si_sdr"]), tasks={0: "tts"})
    assert found.scores[1].value < 0
