"""The form of a training run: what follows from what is chosen there."""

from __future__ import annotations

import pytest

from engines.studio import Studio
from engines.studio.settings import Settings
from tabs.learn.training_form import MENUS, TrainingView, menus_of, preset_values
from tests import tiny_musicgen
from training.lab.lab import Lab

EPOCHS = MENUS.index("epochs")


@pytest.fixture
def lab(tmp_path):
    own = tmp_path / "models" / "own"
    for width in (256, 512):
        tiny_musicgen.make(own / f"wide{width}", hidden_size=width)
    with Studio(Settings(_cli_parse_args=[], data=tmp_path)) as studio, Lab(studio) as lab:
        yield lab


def of(lab, base, name="quick"):
    return preset_values(lab, name, base)["epochs"]


def test_another_base_brings_the_epochs_that_suit_it(lab):
    assert of(lab, "wide256") == 2 * of(lab, "wide512")
    given = {"base": "wide256", "epochs": of(lab, "wide256")}
    view = TrainingView(given=given, preset="quick")
    menus_of(lab, view)
    assert view.given["epochs"] == of(lab, "wide256")
    view.given = given | {"base": "wide512"}
    assert menus_of(lab, view)[EPOCHS]["value"] == of(lab, "wide512")
    assert view.given["epochs"] == of(lab, "wide512")


def test_epochs_of_ones_own_stay(lab):
    view = TrainingView(given={"base": "wide256", "epochs": 17}, preset="quick")
    menus_of(lab, view)
    view.given = view.given | {"base": "wide512"}
    assert "value" not in menus_of(lab, view)[EPOCHS]
    assert view.given["epochs"] == 17


def test_a_base_that_came_later_brings_its_epochs_too(lab):
    view = TrainingView(preset="quick")  # nothing was sent yet
    menus_of(lab, view)
    view.given = {
        "base": "wide512",
        "epochs": preset_values(lab, "quick", "")["epochs"],
    }
    assert menus_of(lab, view)[EPOCHS]["value"] == of(lab, "wide512")
