"""Mel and token files through the endpoints, as a client sends them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from engines.networks.blocks.mel import VOCODER_24K
from engines.parts import token_file
from engines.studio import Studio
from storage.audio.embedded import read_tags
from tests.conftest import make_settings, served_app
from tests.engines.publishing import voice, written


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with Studio(make_settings(tmp_path_factory.mktemp("studio"))) as studio:
        with served_app(studio) as served:
            yield served.client()


def test_a_mel_file_is_sent_and_one_of_other_bands_refused(client, tmp_path):
    wave = torch.from_numpy(voice(1.024, 24_000))[None]
    np.save(tmp_path / "a.npy", VOCODER_24K.log_mel(wave)[0].numpy())
    path, *_ = client.predict(
        mel=handle_file(tmp_path / "a.npy"), iterations=2, api_name="/griffin_lim"
    )
    info = soundfile.info(path)
    assert (info.samplerate, info.frames) == (24_000, 96 * 256)
    np.save(tmp_path / "b.npy", np.zeros((80, 10), np.float32))
    with pytest.raises(AppError, match=r"shape is \(80, 10\), and neither side has 100 bands"):
        client.predict(mel=handle_file(tmp_path / "b.npy"), api_name="/griffin_lim")


def test_the_tokens_of_a_sound_are_sent_back_and_decoded(client, tmp_path):
    source = written(tmp_path / "a.wav", voice(0.5, 16_000), 16_000)
    path, *_ = client.predict(
        source=handle_file(source), codebooks=2, api_name="/studio_tiny_codec"
    )
    tokens = token_file.from_text(read_tags(Path(path)).codes)
    (tmp_path / "a.tokens").write_bytes(token_file.to_bytes(tokens))
    again, *_ = client.predict(
        tokens=handle_file(tmp_path / "a.tokens"), api_name="/studio_tiny_codec"
    )
    first, second = (soundfile.read(each)[0] for each in (path, again))
    np.testing.assert_array_equal(first, second)
