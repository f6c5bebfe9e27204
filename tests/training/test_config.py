"""One model for form, command line, YAML and run record."""

from __future__ import annotations

import json

import pytest

from engines.base import InvalidParams, StudioError
from engines.music.musicgen.checkpoint import describe
from engines.parameters import knobs
from tests import tiny_musicgen
from training import cli
from training.config import Method, RunConfig, presets


def test_every_field_has_a_title_and_a_description():
    for knob in knobs(RunConfig):
        assert knob.title and knob.description.endswith("."), knob.name


def test_yaml_gives_the_same_configuration_back():
    config = RunConfig.of(
        {
            "method": "dpo",
            "learning_rate": 3e-6,
            "target_modules": ["fc1"],
            "sample_prompts": ["a: b", "ü"],
        }
    )
    assert RunConfig.from_yaml(config.to_yaml()) == config


def test_what_a_yaml_file_does_not_name_takes_its_default():
    config = RunConfig.from_yaml("epochs: 7\nlearning_rate: 1e-5  # a comment\n")
    assert (config.epochs, config.learning_rate, config.method) == (7, 1e-5, Method.SFT)
    assert RunConfig.from_yaml("") == RunConfig()


def test_an_unknown_key_is_an_error_that_names_the_known_ones():
    with pytest.raises(InvalidParams) as error:
        RunConfig.from_yaml("epoch: 7")
    assert "epoch" in error.value.problems
    assert "epochs" in error.value.problems["epoch"]


@pytest.mark.parametrize("text", ["- 1\n- 2", "epochs: [", "just words"])
def test_what_is_no_configuration_is_said_so(text):
    with pytest.raises(StudioError, match="configuration"):
        RunConfig.from_yaml(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0),
        ("label_smoothing", 0.5),
        ("method", "ppo"),
        ("target_modules", ["lm"]),
    ],
)
def test_values_out_of_bounds_are_refused(field, value):
    with pytest.raises(InvalidParams) as error:
        RunConfig.of({field: value})
    assert set(error.value.problems) == {field}


def test_presets_are_valid_and_go_from_quick_to_thorough():
    made = {name: RunConfig.of(values) for name, values in presets().items()}
    assert list(made) == ["quick", "balanced", "quality"]
    assert made["quick"].epochs < made["balanced"].epochs < made["quality"].epochs
    assert made["balanced"] == RunConfig()


def test_presets_suit_the_width_of_the_decoder():
    plain, narrow = presets(), presets(256)
    for name, values in narrow.items():
        assert values.pop("epochs") == 4 * plain[name].pop("epochs")
        assert values == plain[name]
    assert presets(2048) == presets()


def test_a_preset_on_the_command_line_suits_its_base(tmp_path, capsys):
    base = tiny_musicgen.make(tmp_path / "base")
    options = ["validate", "--preset", "quick", "--base"]
    assert cli.main([*options, str(base)]) == 0
    found = RunConfig.from_yaml(capsys.readouterr().out)
    assert found.epochs == presets(describe(base).hidden_size)["quick"]["epochs"]
    assert cli.main([*options, "musicgen-small", "--data", str(tmp_path / "data")]) == 0
    shown = capsys.readouterr()
    assert "musicgen-small is not here" in shown.err
    assert RunConfig.from_yaml(shown.out).epochs == presets()["quick"]["epochs"]
    assert cli.main([*options, str(base), "--epochs", "5"]) == 0
    assert RunConfig.from_yaml(capsys.readouterr().out).epochs == 5


def test_the_command_line_has_an_option_for_each_field(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    for knob in knobs(RunConfig):
        assert f"--{knob.name.replace('_', '-')}" in text


def test_options_win_over_set_over_the_file_over_the_preset(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 4\nlora_r: 4\nseed: 5\n", encoding="utf-8")
    given = ["--preset", "quick", "--config", str(path), "--set", "lora_r=2", "--set", "seed=6"]
    given += ["--set", "target_modules=fc1,fc2", "--seed", "7", "--use-margin"]
    assert cli.main(["validate", *given]) == 0
    config = RunConfig.from_yaml(capsys.readouterr().out)
    assert (config.accumulation, config.epochs, config.lora_r, config.seed) == (1, 4, 2, 7)
    assert (config.target_modules, config.use_margin) == (("fc1", "fc2"), True)


def test_validate_names_each_problem(capsys):
    assert cli.main(["validate", "--epochs", "0", "--set", "colour=red"]) == 1
    said = capsys.readouterr().err
    assert "epochs: Epochs must be 1 to 1,000" in said
    assert "colour: is not a parameter" in said


def test_presets_are_printed(capsys):
    assert cli.main(["presets"]) == 0
    assert json.loads(capsys.readouterr().out) == presets()
