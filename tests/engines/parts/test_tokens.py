"""Token files: round trips, edits, hostile files; and the numbers of codebooks."""

import io
import json
import math

import numpy as np
import pytest

from engines.base import StudioError
from engines.parts.token_file import (
    Tokens,
    from_bytes,
    from_text,
    read,
    spliced,
    to_bytes,
    to_text,
)
from engines.parts.token_statistics import bitrate_bps, heat_map, picture, statistics


def tokens(frames=100, **changes):
    rng = np.random.default_rng(3)
    codes = np.stack([rng.integers(size, size=frames) for size in (1024, 1024, 16)])
    given = {
        "codec": "dac", "weights": "dac-16khz", "codes": codes, "sizes": (1024, 1024, 16),
        "sample_rate": 16_000, "hop": 320, "samples": frames * 320 - 7,
        "extra": {"timbre": np.linspace(-1, 1, 5, dtype=np.float32)[None]},
    }  # fmt: skip
    return Tokens(**given | changes)


def test_a_file_gives_back_what_went_in(tmp_path):
    given = tokens()
    path = tmp_path / "a.tokens"
    path.write_bytes(to_bytes(given))
    again = read(path)
    assert (again.codec, again.weights, again.sizes) == ("dac", "dac-16khz", (1024, 1024, 16))
    assert (again.sample_rate, again.hop, again.samples) == (16_000, 320, 31_993)
    assert again.codes.dtype == np.int64
    np.testing.assert_array_equal(again.codes, given.codes)
    np.testing.assert_array_equal(again.extra["timbre"], given.extra["timbre"])
    assert path.stat().st_size < 2 * given.codes.size + 500
    assert from_text(to_text(given)).codes.tolist() == given.codes.tolist()
    assert from_text("4 abcd") is None


def changed(content, **changes):
    line, rest = content.split(b"\n", 1)
    return json.dumps(json.loads(line) | changes).encode() + b"\n" + rest


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"RIFF....WAVE", "first line"),
        (b"[1]\n", "first line"),
        (b"[" * 50_000 + b"\n", "first line"),
        (changed(to_bytes(tokens()), version=2), "version is 2"),
        (changed(to_bytes(tokens()), sha256="0" * 64), "checksum"),
        (changed(to_bytes(tokens()), shape=[3, 10**9]), "larger than|don't agree"),
        (changed(to_bytes(tokens()), shape=[3, 101]), "cut short"),
        (changed(to_bytes(tokens()), shape="ab"), "lacks or spoils"),
        (changed(to_bytes(tokens()), sizes=[1024, 1024, 4]), "beyond the size"),
        (changed(to_bytes(tokens()), samples=10**6), "don't agree"),
        (changed(to_bytes(tokens()), extra={"a": [-1]}), "don't agree"),
        (to_bytes(tokens())[:-20], "cut short"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_reason(content, reason):
    with pytest.raises(StudioError, match=reason) as error:
        from_bytes(content, "a.tokens")
    assert error.value.field == "tokens"
    assert "a.tokens" in str(error.value)


def test_codebooks_are_dropped_frames_cut_and_sounds_joined():
    given = tokens()
    assert given.first(2).codes.shape == (2, 100)
    part = given.cut(90, 200)
    assert (part.codes.shape, part.samples) == ((3, 10), 3193)
    both = spliced(given.first(2), part)
    assert (both.codes.shape, both.samples, both.sizes) == ((2, 110), 32_000 + 3193, (1024, 1024))
    np.testing.assert_array_equal(both.codes[:, 100:], given.codes[:2, 90:])
    with pytest.raises(StudioError, match="dac-16khz and of other"):
        spliced(given, tokens(weights="other"))
    with pytest.raises(StudioError, match="no frames from 100"):
        given.cut(100, 120)


def test_use_entropy_and_bitrate_of_each_codebook():
    codes = np.array([[0, 1, 2, 3] * 4, [5] * 16])
    even, still = statistics(codes, (8, 1024), 50.0)
    assert (even.used, even.use, even.entropy_bits) == (4, 0.5, 2.0)
    assert (even.bitrate_bps, even.entropy_bps) == (150.0, 100.0)
    assert (still.used, still.entropy_bits, still.bitrate_bps) == (1, 0.0, 500.0)
    assert bitrate_bps((8, 1024), 50.0) == 650.0
    assert not math.copysign(1, still.entropy_bits) < 0


def test_the_heat_map_shows_each_code_by_its_place():
    codes = np.array([[0, 1023, 0, 1023], [0, 5, 10, 15]])
    shown = heat_map(codes, (1024, 16))
    np.testing.assert_allclose(shown, [[0, 1, 0, 1], [0, 1 / 3, 2 / 3, 1]], atol=1e-6)
    assert heat_map(np.tile(codes, 1000), (1024, 16), 250).shape == (2, 250)
    from PIL import Image

    image = Image.open(io.BytesIO(picture(codes, (1024, 16))))
    assert image.size == (4, 24)
    assert image.getpixel((0, 0)) != image.getpixel((1, 0))
