"""Sound files: exact bytes, tags in every format, and what is refused."""

import struct
import time
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from storage import AudioFiles, DiskFull, Embedded, Format, NotFound, StorageError, read_tags
from storage import resolve_under as resolve
from storage.audio.coding import exceeds_full_scale

SAMPLE_RATE = 24_000
TAGS = Embedded(
    engine="piper",
    revision="abc123",
    adapter="warm-voice",
    adapter_scale=0.8,
    settings={"speed": 1.25, "voice": "ゆき", "nested": {"steps": [1, 2]}, "none": None},
    seed=4_294_967_295,
    text='東京の夜に、音楽を聴く。\n"quotes" \\ back 🎵 \t tab = equals',
    title="夜の音楽",
    parents=("a" * 64, "b" * 64),
    codes="4 eJwDAAAAAAE=",
    app_version="0.1.0",
)


@pytest.fixture
def files(tmp_path):
    return AudioFiles(tmp_path / "audio")


def test_flac_holds_24_bits_and_is_named_by_its_hash(files, tone):
    import hashlib

    stored = files.write(tone, SAMPLE_RATE, TAGS)
    assert stored.path.suffix == ".flac"
    assert stored.path.parent.name == stored.hash[:2]
    content = stored.path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == stored.hash
    assert len(content) == stored.bytes
    samples, sample_rate = files.decode(stored.path)
    assert sample_rate == SAMPLE_RATE
    assert samples.shape == (1, 24_000)
    assert samples.dtype == np.float32
    assert np.abs(samples[0] - tone).max() <= 2**-24
    assert soundfile.info(stored.path).subtype == "PCM_24"


def test_channels_keep_their_order(files, tone):
    stereo = np.stack([tone, -0.5 * tone])
    samples, _ = files.decode(files.write(stereo, SAMPLE_RATE, TAGS).path)
    assert np.abs(samples - stereo).max() <= 2**-24


@pytest.mark.parametrize("gain", [1.0, 4.0], ids=["flac", "float wav"])
def test_same_input_gives_same_bytes_at_another_time(tmp_path, tone, gain):
    first = AudioFiles(tmp_path / "one").write(gain * tone, SAMPLE_RATE, TAGS)
    time.sleep(1.1)  # a time of writing inside the file would differ now
    second = AudioFiles(tmp_path / "two").write(gain * tone, SAMPLE_RATE, TAGS)
    assert first.path.read_bytes() == second.path.read_bytes()
    other = AudioFiles(tmp_path / "two").write(gain * tone, SAMPLE_RATE, Embedded(seed=1))
    assert other.hash != first.hash


def test_beyond_full_scale_is_kept_exactly_as_float_wav(files, tone, tmp_path):
    loud = 3 * tone
    stored = files.write(loud, SAMPLE_RATE, TAGS)
    assert stored.path.suffix == ".wav"
    samples, _ = files.decode(stored.path)
    assert np.array_equal(samples[0], loud)
    assert read_tags(stored.path) == TAGS
    with pytest.raises(StorageError, match="FLAC cannot hold"):
        files.export(stored.path, "flac", tmp_path / "x.flac")
    exported, _ = files.decode(files.export(stored.path, "wav", tmp_path / "x.wav"))
    assert np.array_equal(exported[0], loud)


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("length", [0, 50_000])
def test_tags_survive_export_in_every_format(files, tone, tmp_path, format, length):
    tags = TAGS if not length else Embedded(text=("歌う声 " * 12_500)[:length], title="x")
    stored = files.write(tone, SAMPLE_RATE, tags)
    exported = files.export(stored.path, format, tmp_path / f"out.{format}")
    assert read_tags(exported) == tags
    assert len(read_tags(exported).text) == (length or len(TAGS.text))
    samples, sample_rate = files.decode(exported)
    assert (samples.shape, sample_rate) == ((1, 24_000), SAMPLE_RATE)
    error = np.abs(samples[0] - tone)[2400:-2400].max()
    assert error < (0.05 if format in ("mp3", "ogg") else 2**-23)


def test_title_is_an_ordinary_tag_that_players_show(files, tone, tmp_path):
    stored = files.write(tone, SAMPLE_RATE, TAGS)
    assert mutagen.File(stored.path)["TITLE"] == ["夜の音楽"]
    exported = files.export(stored.path, "mp3", tmp_path / "out.mp3")
    assert str(mutagen.File(exported)["TIT2"]) == "夜の音楽"


def test_export_can_replace_the_tags(files, tone, tmp_path):
    stored = files.write(tone, SAMPLE_RATE, TAGS)
    renamed = Embedded(title="new")
    exported = files.export(stored.path, "flac", tmp_path / "out.flac", renamed)
    assert read_tags(exported) == renamed
    assert read_tags(stored.path) == TAGS


def test_export_says_what_a_format_cannot_hold(files, tone, tmp_path):
    stored = files.write(tone, 96_000, TAGS)
    with pytest.raises(StorageError, match="MP3 cannot hold 1 channels at 96000 Hz"):
        files.export(stored.path, "mp3", tmp_path / "out.mp3")
    assert not (tmp_path / "out.mp3").exists()


def test_lone_surrogates_and_nul_survive_in_tags(files, tone):
    odd = Embedded(text="a\ud800b\0c", title="t\ud800\0")
    assert read_tags(files.write(tone, SAMPLE_RATE, odd).path) == odd


def test_files_of_others_hold_no_tags(tmp_path, tone):
    path = tmp_path / "plain.wav"
    soundfile.write(path, tone, SAMPLE_RATE)
    assert read_tags(path) is None
    path.write_text("no sound at all")
    assert read_tags(path) is None
    with pytest.raises(StorageError, match="not a file"):
        read_tags(tmp_path / "absent.wav")


def test_damaged_settings_are_reported(files, tone):
    path = files.write(tone, SAMPLE_RATE, TAGS).path
    for value in ("{", "[]", '{"seed": "text"}'):
        file = mutagen.File(path)
        file["AMPHION_STUDIO"] = value
        file.save()
        with pytest.raises(StorageError, match="damaged"):
            read_tags(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(files, tone, tmp_path, value):
    broken = tone.copy()
    broken[100] = value
    with pytest.raises(StorageError, match="not numbers"):
        files.write(broken, SAMPLE_RATE, TAGS)
    path = tmp_path / "broken.wav"
    soundfile.write(path, broken, SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(StorageError, match=r"broken\.wav holds values that are not numbers"):
        files.decode(path)


def test_wrong_arrays_are_refused(files):
    with pytest.raises(StorageError, match="no samples"):
        files.write(np.zeros(0, np.float32), SAMPLE_RATE, TAGS)
    with pytest.raises(ValueError, match="floating point"):
        files.write(np.zeros(10, np.int16), SAMPLE_RATE, TAGS)
    with pytest.raises(ValueError, match=r"\(C, T\)"):
        files.write(np.zeros((1000, 2), np.float32), SAMPLE_RATE, TAGS)


# uploads


def with_frames(flac: bytes, frames: int) -> bytes:
    """A FLAC file whose header claims another number of samples (36 bits from byte 21.5 on)."""
    changed = bytearray(flac)
    changed[21] = changed[21] & 0xF0 | frames >> 32
    changed[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(changed)


def test_a_four_hour_header_is_refused_at_once(files, tone, tmp_path):
    path = tmp_path / "long.flac"
    path.write_bytes(
        with_frames(files.write(tone, SAMPLE_RATE, TAGS).path.read_bytes(), 345_600_000)
    )
    start = time.perf_counter()
    with pytest.raises(StorageError, match=r"lasts 240\.0 minutes; at most 60\.0 minutes"):
        files.decode(path)
    assert time.perf_counter() - start < 0.5


def test_a_sparse_four_hour_wav_is_refused_at_once(files, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(8, np.float32), 8000, subtype="PCM_U8")
    header = bytearray(path.read_bytes()[:44])
    size = 4 * 3600 * 8000
    header[4:8], header[40:44] = struct.pack("<I", size + 36), struct.pack("<I", size)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(size + 44)
    start = time.perf_counter()
    with pytest.raises(StorageError, match=r"lasts 240\.0 minutes"):
        files.import_file(path)
    assert time.perf_counter() - start < 0.5
    with pytest.raises(StorageError, match="115 MB; at most 50 MB"):
        files.decode(path, max_bytes=50_000_000)


def test_a_flac_that_promises_more_than_it_holds_is_refused(files, tone, tmp_path):
    path = tmp_path / "cut.flac"
    path.write_bytes(with_frames(files.write(tone, SAMPLE_RATE, TAGS).path.read_bytes(), 48_000))
    with pytest.raises(StorageError, match=r"cut\.flac cannot be decoded"):
        files.decode(path)
    path.write_bytes(with_frames(path.read_bytes(), 0))
    with pytest.raises(StorageError, match="does not say how long"):
        files.decode(path)


@pytest.mark.parametrize("name", ["text.wav", "text.raw", "text.mp3", "text"])
@pytest.mark.parametrize("content", [b"", b"I am not a sound. " * 100, bytes(5000)])
def test_what_is_no_sound_is_refused(files, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StorageError, match=rf"{name} cannot be decoded .* Expected WAV, FLAC"):
        files.decode(path)


def test_no_samples_are_refused(files, tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0, np.float32), SAMPLE_RATE)
    with pytest.raises(StorageError, match="empty"):
        files.decode(path)


def test_the_content_decides_and_not_the_name(files, tone, tmp_path):
    path = tmp_path / "sound.raw"
    soundfile.write(path, tone, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    samples, sample_rate = files.decode(path)
    assert sample_rate == SAMPLE_RATE
    assert np.array_equal(samples[0], tone)


def test_import_keeps_sound_and_settings(files, tone, tmp_path):
    stored = files.write(tone, SAMPLE_RATE, TAGS)
    outside = files.export(stored.path, "wav", tmp_path / "outside.wav")
    imported = files.import_file(outside)
    assert imported.hash == stored.hash
    assert not exceeds_full_scale(files.decode(imported.path)[0])


# paths, the trash and full disks


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd"])
def test_paths_outside_the_root_are_refused(tmp_path, path):
    with pytest.raises(StorageError, match="outside"):
        resolve(tmp_path / "audio", path)


def test_links_out_of_the_root_are_refused(tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "link").symlink_to("/etc")
    with pytest.raises(StorageError, match="outside"):
        resolve(tmp_path / "audio", "link/passwd")
    assert resolve(tmp_path / "audio", "ab/c.flac") == tmp_path.resolve() / "audio/ab/c.flac"


def test_discard_and_undiscard(files, tone):
    stored = files.write(tone, SAMPLE_RATE, TAGS)
    content = stored.path.read_bytes()
    files.discard(stored.path)
    assert not stored.path.exists()
    assert files.undiscard(stored.path) == stored.path
    assert stored.path.read_bytes() == content
    files.discard(stored.path)
    assert files.empty_trash() == 1
    with pytest.raises(NotFound):
        files.undiscard(stored.path)
    with pytest.raises(StorageError, match="outside"):
        files.discard("../secret.txt")


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_loses_nothing(files, tone, monkeypatch, call):
    kept = files.write(tone, SAMPLE_RATE, TAGS)

    def no_room(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"os.{call}", no_room)
    with pytest.raises(DiskFull, match=r"disk full: [\d.]+ MB free at .*what was stored before"):
        files.write(0.5 * tone, SAMPLE_RATE, TAGS)
    monkeypatch.undo()
    everything = [path for path in Path(files.root).rglob("*") if path.is_file()]
    assert everything == [kept.path]
    assert read_tags(kept.path) == TAGS
