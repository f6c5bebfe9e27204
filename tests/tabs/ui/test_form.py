"""A form from any parameter model: the control of each parameter, values in and out of it."""

from __future__ import annotations

import gradio as gr
import pytest

from engines.base import Choice, StudioError
from tabs.ui import form as forms
from tests.engines.test_parameters import Lists, Mixed


def made(model, **options):
    with gr.Blocks():
        return forms.controls(model, "test", **options)


def test_each_parameter_has_the_control_of_its_kind():
    form = made(Mixed)
    kinds = {name: type(each).__name__ for name, each in form.controls.items()}
    assert kinds == {
        "text": "Textbox",
        "speed": "Slider",
        "sound": "Audio",
        "seed": "Number",
        "count": "Textbox",
    }
    assert form.controls["speed"].elem_id == "test-speed"
    form = made(Lists)
    letters, colours, lines, mood, tempo = form.inputs
    assert (letters.multiselect, letters.allow_custom_value) == (True, False)
    assert colours.choices == [("Dark red", "red")]
    assert (type(lines).__name__, lines.value) == ("Textbox", "one\ntwo")
    assert (mood.allow_custom_value, mood.multiselect) == (True, None)
    assert (type(tempo).__name__, tempo.value, tempo.placeholder) == ("Textbox", "", "40 to 200")


def test_values_go_in_and_out_unchanged():
    form = made(Lists)
    settings = {"letters": ["a"], "colours": [], "lines": ["x y", "z"], "mood": "calm", "tempo": 80}
    given = [update["value"] for update in form.updates(settings)]
    assert given == [["a"], [], "x y\nz", "calm", "80"]
    assert form.values(given) == settings
    assert form.updates({"tempo": None})[-1]["value"] == ""
    assert form.values([None, [], " \n", "", " "]) == {"letters": [], "colours": [], "lines": []}


def test_a_sound_that_is_gone_is_not_shown(tmp_path):
    form = made(Mixed, only=["sound"])
    there = tmp_path / "a.wav"
    there.touch()
    assert form.updates({"sound": str(there)})[0]["value"] == str(there)
    assert form.updates({"sound": str(tmp_path / "b.wav")})[0]["value"] is None


def test_choices_of_this_machine_are_asked_again():
    found = {"letters": [Choice("a", "Letter A")]}
    form = made(Lists, choices=lambda name: found.get(name, ()))
    assert form.controls["letters"].choices == [("Letter A", "a")]
    found["letters"] = [Choice("b", "Letter B")]
    updates = form.refreshed()
    assert updates[0]["choices"] == [("Letter B", "b")]
    assert "choices" not in updates[1]


@pytest.mark.parametrize(
    ("error", "told"), [("tempo", "tempo"), (None, "letters"), ("elsewhere", "letters")]
)
def test_a_refusal_is_told_at_its_field_or_at_the_first(error, told):
    form = made(Lists)
    good = [["a"], [], "", "", ""]
    assert all(each["is_valid"] for each in form.check(good))

    def refuse(values):
        raise StudioError("No.", error)

    checks = dict(zip(form.names, form.check(good, refuse), strict=True))
    assert [name for name, each in checks.items() if not each["is_valid"]] == (
        [told] if error != "elsewhere" else ["letters"]
    )


def test_a_wrong_value_is_told_at_its_field():
    form = made(Lists)
    checks = dict(zip(form.names, form.check([["a"], [], "", "", "fast"]), strict=True))
    assert "must be a whole number, 40 to 200, not 'fast'" in checks["tempo"]["message"]
    checks = dict(zip(form.names, form.check([["a"], [], "", "", "500"]), strict=True))
    assert checks["tempo"] == {
        "__type__": "validate",
        "is_valid": False,
        "message": "Tempo must be 40 to 200, not 500.",
    }
