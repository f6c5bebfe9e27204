"""Zips that unpack to far more than they hold are refused at every door, and leave nothing."""

from __future__ import annotations

import io
import zipfile

import pytest
import soundfile
from gradio_client import handle_file
from gradio_client.exceptions import AppError

BYTES = 80 * 2**20


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    """80 MB of silence in 80 kB, named and begun like a sound."""
    head = io.BytesIO()
    soundfile.write(head, [0.0] * 100, 24_000, format="WAV")
    path = tmp_path_factory.mktemp("bombs") / "loud.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/metadata.csv", "file_name,text\n1.wav,hello\n")
        archive.writestr("a/1.wav", head.getvalue() + bytes(BYTES))
    assert path.stat().st_size < BYTES / 500
    return path


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("/evaluate", lambda zip: [["peak"], [handle_file(zip)]]),
        ("/import_dataset", lambda zip: [handle_file(zip), "bomb"]),
        ("/check_batch", lambda zip: [handle_file(zip), "tone"]),
    ],
)
def test_a_bomb_is_refused_before_it_is_unpacked(served, bomb, endpoint, arguments):
    with pytest.raises(AppError, match="times its size"):
        served.client().predict(*arguments(bomb), api_name=endpoint)
    data = served.studio.store.data_dir
    assert [path for path in data.rglob("*.wav") if path.stat().st_size > 2**20] == []
