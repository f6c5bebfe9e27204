"""The model that comes with the studio: it loads as any MusicGen, and what the tab shows of it is so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.music.musicgen import checkpoint
from engines.music.musicgen.params import SHIPPED, TINY
from engines.studio import Studio
from engines.studio.settings import Settings
from tests.engines.test_musicgen import samples

pytestmark = pytest.mark.skipif(
    not checkpoint.is_musicgen(SHIPPED), reason="no model ships with the studio yet"
)
PROMPT = "happy jazz, a tune, featuring acoustic piano, 120 bpm"
MOST_MB = 48


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with Studio(Settings(_cli_parse_args=[], data=tmp_path_factory.mktemp("data"))) as studio:
        yield studio


@pytest.fixture(scope="module")
def clip(studio):
    return studio.make("musicgen", prompt=PROMPT, duration_s=4, seed=1)[0]


def test_it_is_small_and_has_a_card():
    size = sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file())
    assert size <= MOST_MB * 1e6
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert card.split("---")[1].count("license: mit") == 1
    for heading in ("Data", "Recipe", "Measures", "Limits", "Sample clips"):
        assert f"## {heading}" in card
    assert "TODO" not in card


def test_transformers_loads_it_with_no_special_case():
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    model, info = MusicgenForConditionalGeneration.from_pretrained(
        SHIPPED, local_files_only=True, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    words = AutoTokenizer.from_pretrained(SHIPPED, local_files_only=True)
    torch.manual_seed(0)
    made = model.float().generate(
        **words([PROMPT], padding=True, return_tensors="pt"), max_new_tokens=50
    )
    assert made.shape[:2] == (1, 1) and made.shape[2] > 0.8 * 16_000
    assert torch.isfinite(made).all() and made.std() > 1e-3


def test_it_plays_where_nothing_else_is_here(studio, clip):
    here = studio.engine("musicgen").defaults()
    assert here["model"] == TINY.id
    assert {name: clip.settings[name] for name in here} == here
    assert clip.settings["model"] == TINY.id
    assert clip.sample_rate == 16_000 and clip.duration_s == pytest.approx(4, abs=0.05)


def test_it_is_heard_and_not_clipped(studio, clip):
    sound = samples(studio, clip)
    assert -40 < 20 * np.log10(np.sqrt(np.mean(sound**2))) < -6
    assert np.mean(np.abs(sound) > 0.999) < 1e-3


def test_the_seed_decides(studio, clip):
    again = studio.make("musicgen", prompt=PROMPT, duration_s=4, seed=1)[0]
    other = studio.make("musicgen", prompt=PROMPT, duration_s=4, seed=2)[0]
    assert np.array_equal(samples(studio, again), samples(studio, clip))
    assert not np.array_equal(samples(studio, other), samples(studio, clip))


def test_the_prompt_decides(studio, clip):
    other = studio.make("musicgen", prompt="dark ambient, slow pad", duration_s=4, seed=1)[0]
    assert not np.array_equal(samples(studio, other), samples(studio, clip))


def test_longer_pieces_come_in_windows_of_ten_seconds(studio):
    clip = studio.make("musicgen", prompt=PROMPT, duration_s=14, seed=1, continue_overlap_s=5)[0]
    assert clip.duration_s == pytest.approx(14, abs=0.05)


def test_adapters_can_be_trained_on_it(studio):
    from training import cli
    from training.bases import base_ids, find_base

    assert base_ids(studio) == [TINY.id]
    base = find_base(studio, TINY.id)
    assert (base.folder, base.license) == (SHIPPED, "MIT")
    assert cli._base(TINY.id, studio.settings.data) == (SHIPPED, "")
