"""The form of a training run: what follows from what is chosen there."""

from __future__ import annotations

import pytest

from engines.settings import Settings
from engines.studio import Studio
from tabs.training_form import MENUS, TrainingView, menus_of, preset_values
from tests import tiny_musicgen
from training.lab import Lab

RATE = MENUS.index("learning_rate")


@pytest.fixture
def lab(tmp_path):
    own = tmp_path / "models" / "own"
    for width in (32, 64):
        tiny_musicgen.make(own / f"wide{width}", hidden_size=width)
    with Studio(Settings(_cli_parse_args=[], data=tmp_path)) as studio, Lab(studio) as lab:
        yield lab


def of(lab, base, name="quick"):
    return preset_values(lab, name, base)["learning_rate"]


def test_another_base_brings_the_learning_rate_that_suits_it(lab):
    assert of(lab, "wide32") == pytest.approx(2 * of(lab, "wide64"), rel=0.01)
    given = {"base": "wide32", "learning_rate": of(lab, "wide32")}
    view = TrainingView(given=given, preset="quick")
    menus_of(lab, view)
    assert view.given["learning_rate"] == of(lab, "wide32")
    view.given = given | {"base": "wide64"}
    assert menus_of(lab, view)[RATE]["value"] == of(lab, "wide64")
    assert view.given["learning_rate"] == of(lab, "wide64")


def test_a_learning_rate_of_ones_own_stays(lab):
    view = TrainingView(given={"base": "wide32", "learning_rate": 0.123}, preset="quick")
    menus_of(lab, view)
    view.given = view.given | {"base": "wide64"}
    assert "value" not in menus_of(lab, view)[RATE]
    assert view.given["learning_rate"] == 0.123


def test_a_base_that_came_later_brings_its_rate_too(lab):
    view = TrainingView(preset="quick")  # nothing was sent yet
    menus_of(lab, view)
    view.given = {
        "base": "wide64",
        "learning_rate": preset_values(lab, "quick", "")["learning_rate"],
    }
    assert menus_of(lab, view)[RATE]["value"] == of(lab, "wide64")
