"""Every metric has a complete card, is cheap to list, and says what it was given."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from engines.base import InvalidParams, StudioError
from engines.metrics.base import Better, Need, Reason, Score
from engines.metrics.case import Case
from engines.metrics.evaluate import measure, plan
from engines.metrics.registry import get, metrics
from engines.metrics.sound import Sound

from .conftest import noise, tone
from .helpers import case, score


@pytest.mark.parametrize("metric", metrics(), ids=lambda metric: metric.card.id)
def test_card_is_complete(metric):
    card = metric.card
    assert card.title and card.group and card.measures.endswith((".", ")."))
    assert isinstance(card.better, Better) and isinstance(card.needs, Need)
    assert card.low is None or card.high is None or card.low < card.high
    assert bool(card.requires) == bool(card.pip_extra)
    assert bool(card.weights) == bool(card.license_weights)
    metric.Settings()
    for name, field in metric.Settings.model_fields.items():
        assert field.title and field.description, name


def test_listing_imports_nothing_heavy():
    heavy = "torch librosa scipy numba pyworld pesq transformers onnxruntime soundfile jiwer"
    code = (
        "import sys; from engines.metrics.registry import metrics; assert len(metrics()) > 30; "
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_pair_metric_says_so_without_a_reference():
    wanted = [each.card.id for each in metrics([Need.REFERENCE])]
    scores = measure(case(tone(200)), plan(wanted))
    assert {each.reason for each in scores} == {Reason.NO_REFERENCE}
    assert all(each.value is None and each.message for each in scores)


def test_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(StudioError, match="f0_rmse"):
        get("pitch")


def test_settings_go_to_those_that_know_them_and_typos_are_errors():
    planned = plan(["mcd", "loudness"], {"align": "pad", "mcd": {"order": 30}})
    assert planned[0].settings.model_dump(mode="json") == {"align": "pad", "order": 30}
    with pytest.raises(InvalidParams, match="no chosen metric takes this"):
        plan(["loudness"], {"align": "pad"})
    with pytest.raises(InvalidParams, match="was not asked for"):
        plan(["loudness"], {"mcd": {"order": 30}})
    with pytest.raises(InvalidParams, match=r"mcd\.order"):
        plan(["mcd"], {"mcd": {"order": 1000}})
    with pytest.raises(InvalidParams):
        plan(["si_sdr"], {"align": "sideways"})


def test_dtw_is_refused_by_metrics_on_samples_in_words():
    energy, ratio = plan(["energy_rmse", "si_sdr"], {"align": "dtw"})
    assert (energy.settings.align, ratio.settings.align) == ("dtw", "cut")
    assert "cannot be used" in ratio.notes[0]


def test_what_was_done_to_the_sounds_is_told():

    stereo = Sound(np.stack([noise(1, 16_000)] * 2), 16_000)
    found = score("energy_rmse", Case(stereo, Sound(tone(200, 1.5, 44_100), 44_100)))
    assert found.notes == (
        "generated: the mean of 2 channels was taken",
        "generated: resampled from 16000 to 24000 Hz",
        "generated: there is nothing above 8000 Hz",
        "reference: resampled from 44100 to 24000 Hz",
        "generated is 0.500 s shorter; align: cut",
    )


def test_a_score_survives_json():
    found = score("f0_rmse_cents", case(tone(200), tone(210)))
    assert Score.of_json(found.as_json()) == found
    none = score("f0_rmse", case(noise(), None))
    assert Score.of_json(none.as_json()) == none
