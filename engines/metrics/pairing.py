"""Which generated file belongs to which reference: by name in two folders, or by a CSV manifest."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from engines.base import StudioError

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"}
COLUMNS = ("generated", "reference", "text", "language", "name", "system")


@dataclass(frozen=True)
class Item:
    """One generated file with what it is judged against. ``name`` is the same for the outputs that
    several systems made of one thing."""

    name: str
    generated: Path
    reference: Path | None = None
    text: str = ""
    language: str = "en"
    system: str = ""


@dataclass(frozen=True)
class Pairing:
    """Pairs found, and files without a partner, by name."""

    items: tuple[Item, ...]
    only_reference: tuple[str, ...] = ()
    only_generated: tuple[str, ...] = ()


@dataclass
class _Folder:
    """The sounds below a folder by relative path without suffix."""

    root: Path
    files: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise StudioError(f"{self.root} is no folder.")
        for path in sorted(self.root.rglob("*")):
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                continue
            name = path.relative_to(self.root).with_suffix("").as_posix()
            if name in self.files:
                raise StudioError(
                    f"{self.files[name].name} and {path.name} in {self.root} have the same name but "
                    "for the suffix: remove one of them."
                )
            self.files[name] = path


def pair_folders(
    reference: Path | str | None,
    generated: Path | str,
    texts: dict[str, str] | None = None,
    language: str = "en",
    system: str = "",
) -> Pairing:
    """Pair files by their path below each folder, suffix aside; sub-folders are looked into.

    Without a reference folder every generated file stands alone. ``texts`` are by name. Raises
    ``StudioError`` for a folder that is not there, an empty one, or two files of one name.
    """
    made = _Folder(Path(generated)).files
    if not made:
        raise StudioError(f"There is no sound in {generated} ({', '.join(sorted(SUFFIXES))}).")
    texts = texts or {}
    if reference is None:
        return Pairing(
            tuple(
                Item(name, path, None, texts.get(name, ""), language, system)
                for name, path in made.items()
            )
        )
    true = _Folder(Path(reference)).files
    items = tuple(
        Item(name, made[name], true[name], texts.get(name, ""), language, system)
        for name in made
        if name in true
    )
    return Pairing(
        items,
        only_reference=tuple(name for name in true if name not in made),
        only_generated=tuple(name for name in made if name not in true),
    )


def read_manifest(path: Path | str) -> Pairing:
    """Items of a CSV with the columns generated, and any of reference, text, language, name, system.

    Paths are relative to the file. Raises ``StudioError`` with row and column for what is wrong;
    files that are not there are reported as without a partner by the measurement itself.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            head = list(table.fieldnames or [])
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudioError(f"{path.name} cannot be read as a CSV file: {error}") from error
    unknown = [name for name in head if name not in COLUMNS]
    if "generated" not in head or unknown:
        raise StudioError(
            f"{path.name} has the columns {', '.join(head) or '(none)'}. Needed is generated; "
            f"possible are {', '.join(COLUMNS[1:])}."
        )
    return Pairing(tuple(_item(row, number, path) for number, row in enumerate(rows, start=2)))


def _item(row: dict[str, str | None], number: int, manifest: Path) -> Item:
    made = (row.get("generated") or "").strip()
    if not made or None in row:
        raise StudioError(
            f"{manifest.name}, row {number}, column generated: a path is missing."
            if not made
            else f"{manifest.name}, row {number} has more cells than the header."
        )
    true = (row.get("reference") or "").strip()
    return Item(
        (row.get("name") or "").strip() or Path(made).with_suffix("").as_posix(),
        manifest.parent / made,
        manifest.parent / true if true else None,
        row.get("text") or "",
        (row.get("language") or "").strip() or "en",
        (row.get("system") or "").strip(),
    )
