"""What a sound file says of itself: the settings it was made with, inside its own tags.

One JSON text under the key ``AMPHION_STUDIO`` (Vorbis comment in FLAC and OGG, TXXX frame of ID3 in
MP3 and WAV), besides the ordinary title. It holds no time and no id, so that the same settings and
samples give the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any

from storage.base.errors import StorageError

KEY = "AMPHION_STUDIO"
VERSION = 1
TYPES: dict[str, tuple[type, ...]] = {
    "engine": (str,),
    "revision": (str,),
    "adapter": (str,),
    "adapter_scale": (float, int, type(None)),
    "settings": (dict,),
    "seed": (int, type(None)),
    "text": (str,),
    "title": (str,),
    "parents": (list, tuple),
    "codes": (str,),
    "app_version": (str,),
}


@dataclass(frozen=True)
class Embedded:
    """How a sound was made. ``parents`` are the content hashes of the clips it was made from;
    ``codes`` is what a model of audio codes chose, as its engine writes it, or ""."""

    engine: str = ""
    revision: str = ""
    adapter: str = ""
    adapter_scale: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    text: str = ""
    title: str = ""
    parents: tuple[str, ...] = ()
    codes: str = ""
    app_version: str = ""

    def to_json(self) -> str:
        """One line of JSON with sorted keys; equal objects give equal text.

        A lone surrogate, which UTF-8 cannot hold, becomes its JSON escape and survives.
        """
        values = {"version": VERSION, **asdict(self)}
        if not self.codes:
            del values["codes"]
        text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    @classmethod
    def from_json(cls, text: str) -> Embedded:
        """The inverse of ``to_json``. Raises ``StorageError`` for anything else.

        Names that a later version may have added are left out.
        """
        damaged = StorageError("The settings inside this file are damaged and cannot be restored.")
        try:
            values = json.loads(text)
        except ValueError as error:
            raise damaged from error
        if not isinstance(values, dict):
            raise damaged
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        if not all(isinstance(value, TYPES[name]) for name, value in known.items()):
            raise damaged
        known["parents"] = tuple(str(parent) for parent in known.get("parents", ()))
        return cls(**known)


def embed(encoded: BytesIO, container: str, tags: Embedded) -> None:
    """Write ``tags`` into an encoded file in memory; ``container`` is FLAC, OGG, WAV or MP3."""
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.oggvorbis import OggVorbis
    from mutagen.wave import WAVE

    encoded.seek(0)
    file = {"FLAC": FLAC, "OGG": OggVorbis, "WAV": WAVE, "MP3": MP3}[container](encoded)
    if file.tags is None:
        file.add_tags()
    assert file.tags is not None
    if container in ("FLAC", "OGG"):
        file["TITLE"] = _title(tags)
        file[KEY] = tags.to_json()
    else:
        for frame in _frames(tags):
            file.tags.add(frame)
    encoded.seek(0)
    file.save(encoded)


def id3_block(tags: Embedded) -> bytes:
    """``tags`` as what stands before the first frame of an MP3 stream."""
    from mutagen import id3

    block, buffer = id3.ID3(), BytesIO()
    for frame in _frames(tags):
        block.add(frame)
    block.save(buffer)
    return buffer.getvalue()


def _frames(tags: Embedded) -> list[Any]:
    from mutagen import id3

    utf8 = id3.Encoding.UTF8
    return [
        id3.TIT2(encoding=utf8, text=_title(tags)),
        id3.TXXX(encoding=utf8, desc=KEY, text=tags.to_json()),
    ]


def _title(tags: Embedded) -> str:
    return tags.title.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def read_tags(path: Path) -> Embedded | None:
    """The settings inside a FLAC, WAV, MP3 or OGG file; None when it holds none of ours.

    Raises ``StorageError`` when it holds some but they are damaged, or the file cannot be read.
    """
    import mutagen
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.oggvorbis import OggVorbis
    from mutagen.wave import WAVE

    if not path.is_file():
        raise StorageError(f"{path} is not a file.")
    try:
        file = mutagen.File(path, options=[FLAC, WAVE, OggVorbis, MP3])
    except mutagen.MutagenError:
        return None  # not a sound file, or one so damaged that there are no tags to find
    if file is None or file.tags is None:
        return None
    key = KEY if isinstance(file, (FLAC, OggVorbis)) else f"TXXX:{KEY}"
    if key not in file.tags:
        return None
    value = file.tags[key]
    return Embedded.from_json(str((value if isinstance(value, list) else value.text)[0]))
