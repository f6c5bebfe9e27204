"""MaskGCT and Metis through the doors people use: named endpoints and a batch; and in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import handle_file

from engines.base import StudioError
from engines.studio import Studio
from engines.tts.maskgct import MaskGct
from engines.vc.metis import MetisVc
from tests.conftest import Served, served_app
from tests.engines.published import sound_file, studio_of
from tests.engines.vc.test_metis import metis  # noqa: F401
from tests.networks.test_maskgct import folders  # noqa: F401

SAID = "The old bridge was closed."
FEW = {"steps": 2, "acoustic_steps_first": 2, "acoustic_steps_second": 2}


@pytest.fixture(scope="module")
def hub(folders, metis) -> dict[str, Path]:  # noqa: F811
    root, speech = folders
    return {"amphion/MaskGCT": root, "facebook/w2v-bert-2.0": speech, "amphion/metis": metis}


@pytest.fixture(scope="module")
def app(hub, tmp_path_factory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("studio")
    with studio_of(root, hub, MaskGct, MetisVc) as studio, served_app(studio) as served:
        yield served


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> Path:
    return sound_file(tmp_path_factory.mktemp("sounds") / "voice.wav", 1.3)


def test_a_script_gets_speech_and_a_converted_sound(app, voice):
    client = app.client()
    made, told = client.predict(
        text="Hello there.", reference=handle_file(voice), reference_text=SAID, seed=3, **FEW,
        api_name="/maskgct",
    )[:2]  # fmt: skip
    samples, rate = soundfile.read(made)
    assert rate == 24000
    assert len(samples) > 2400
    assert told["settings"]["seed"] == 3
    found = client.predict(
        source=handle_file(made), reference=handle_file(voice), seed=3, **FEW, api_name="/metis_vc"
    )
    converted, rate = soundfile.read(found[0])
    assert (rate, len(converted)) == (24000, len(samples))
    assert np.abs(converted - samples).max() > 0
    with pytest.raises(Exception, match="words of the reference are missing"):
        client.predict(text="Hi.", reference=handle_file(voice), api_name="/maskgct")


def test_a_batch_speaks_its_rows_in_the_voice_that_is_sent_along(app, voice, tmp_path):
    studio: Studio = app.studio
    table = tmp_path / "lines.csv"
    table.write_text(
        f'name,text,reference,reference_text,seed\none,Hello.,voice.wav,"{SAID}",1\n'
        f'two,Good night.,voice.wav,"{SAID}",2\n'
    )
    batch = studio.batches.check("maskgct", [table, voice], common=FEW)
    ended = studio.wait(studio.batches.start(batch.id).id, 60)
    assert ended.state == "done"
    rows = studio.batches.rows(batch.id)
    assert [studio.clip(row.clip_ids[0]).text for row in rows] == ["Hello.", "Good night."]


def test_generators_may_be_held_in_bfloat16(hub, voice, tmp_path):
    import torch

    with studio_of(tmp_path, hub, MaskGct, MetisVc, dtype="bfloat16") as studio:
        values = {"reference": str(voice), "reference_text": SAID, "seed": 3, **FEW}
        spoken = studio.make("maskgct", 60, text="Hello.", **values)[0]
        model = studio.engine("maskgct")._model
        assert model.semantic.mask_emb.weight.dtype == torch.bfloat16
        assert model.acoustic.others.mask_emb.weight.dtype == torch.bfloat16
        assert model.tokens.codec.encoder[1].weight.dtype == torch.float32
        assert spoken.duration_s > 0.1
        del values["reference_text"]
        made = studio.make("metis-vc", 60, source=str(voice), **values)[0]
        assert made.duration_s == pytest.approx(1.3, abs=1e-4)
        studio.runtime.unload_all()


def test_without_a_network_and_weights_the_way_to_them_is_said(voice, tmp_path):
    with studio_of(tmp_path, {}) as studio:
        studio.registry.add(MaskGct)
        with pytest.raises(StudioError, match=r"(?i)download"):
            studio.submit(
                "maskgct", {"text": "Hi.", "reference": str(voice), "reference_text": SAID}
            )
