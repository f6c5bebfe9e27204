"""Where the sounds of an evaluation come from: folders, a manifest, or clips."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engines.base import StudioError
from engines.metrics.pairing import Item, Pairing, pair_folders, read_manifest

if TYPE_CHECKING:
    from storage import ClipRow

TEXT = ".txt"
LONGEST_NAME = 80
KANA = re.compile(r"[\u3040-\u30ff]")
HAN = re.compile(r"[\u4e00-\u9fff]")
HANGUL = re.compile(r"[\uac00-\ud7af]")


@dataclass(frozen=True)
class Sources:
    """What is to be measured. ``missing`` names files without a partner, by where they are missing;
    ``clip_ids`` are those of the items that are clips."""

    items: tuple[Item, ...]
    missing: dict[str, list[str]] = field(default_factory=dict)
    clip_ids: dict[int, str] = field(default_factory=dict)

    @property
    def systems(self) -> list[str]:
        """Who made the sounds, in order."""
        return list(dict.fromkeys(item.system for item in self.items))


def from_folders(
    generated: Mapping[str, Path] | Iterable[Path], reference: Path | None, language: str = "en"
) -> Sources:
    """Folders of generated sounds, each of one system, against one of references, paired by name.

    A text beside a sound (``name.txt``, of the reference first) is what it says. Systems that are not
    named have the names of their folders. Raises ``StudioError`` when nothing can be paired.
    """
    named = dict(generated) if isinstance(generated, Mapping) else _by_name(generated)
    if not named:
        raise StudioError("Name at least one folder of generated sounds.", "generated")
    items: list[Item] = []
    missing: dict[str, list[str]] = {}
    for system, folder in named.items():
        pairing = pair_folders(reference, folder, None, language, system)
        items += [_with_text(item) for item in pairing.items]
        for side, names in (
            (f"without a partner in {system}", pairing.only_reference),
            (f"of {system} without a reference", pairing.only_generated),
        ):
            if names:
                missing[side] = list(names)
    if not items:
        raise StudioError(
            f"No file in {', '.join(map(str, named.values()))} has the name of one in {reference}: they "
            "are paired by their path below the folder, without the suffix.",
            "generated",
        )
    return Sources(tuple(items), missing)


def _by_name(folders: Iterable[Path]) -> dict[str, Path]:
    """Folders by the shortest end of their paths that tells them apart."""
    listed = [Path(folder) for folder in folders]
    paths = [folder.absolute() for folder in listed]
    if len(set(paths)) < len(paths):
        raise StudioError("A folder of generated sounds is named twice.", "generated")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    names = ["/".join(path.parts[-depth:]) for path in paths]
    return dict(zip(names, listed, strict=True))


def _with_text(item: Item) -> Item:
    for path in (item.reference, item.generated):
        beside = path.with_suffix(TEXT) if path is not None else None
        if beside is not None and beside.is_file():
            try:
                return replace(item, text=beside.read_text(encoding="utf-8-sig").strip())
            except UnicodeDecodeError as error:
                raise StudioError(f"{beside.name} is no UTF-8 text: {error}") from error
    return item


def from_manifest(path: Path, root: Path | None = None) -> Sources:
    """The items of a CSV manifest; files that are not there are listed as missing.

    With ``root`` every path must lie inside it. Raises ``StudioError`` for what is wrong.
    """
    pairing: Pairing = read_manifest(path)
    if not pairing.items:
        raise StudioError(f"{path.name} has a header and no row.", "generated")
    if root is not None:
        _refuse_outside(pairing.items, root)
    there, gone = [], []
    for item in pairing.items:
        lost = [p for p in (item.generated, item.reference) if p is not None and not p.is_file()]
        gone += [f"{item.name}: {each.name}" for each in lost]
        if item.generated not in lost:
            there.append(replace(item, reference=None) if item.reference in lost else item)
    if not there:
        raise StudioError(
            f"None of the {len(pairing.items)} generated files that {path.name} names is there. Paths "
            "are relative to the manifest.",
            "generated",
        )
    _refuse_twins(there, path.name)
    return Sources(tuple(there), {"not there": gone} if gone else {})


def _refuse_outside(items: Iterable[Item], root: Path) -> None:
    inside = root.resolve()
    for item in items:
        for path in (item.generated, item.reference):
            if path is not None and not path.resolve().is_relative_to(inside):
                raise StudioError(
                    f"The manifest names {path.name} outside of what was sent with it. Send the sounds "
                    "too, and name them by their file names."
                )


def _refuse_twins(items: Iterable[Item], manifest: str) -> None:
    """Items are compared between systems by name, so a system has each name once."""
    counts = Counter((item.system, item.name) for item in items)
    (system, name), count = counts.most_common(1)[0]
    if count > 1:
        raise StudioError(
            f"{manifest} names {name!r} {count} times"
            + (f" for {system!r}" if system else "")
            + ". Give each item of a system its own name in the column name."
        )


def from_clips(clips: Iterable[ClipRow], system_of: Callable[[ClipRow], str]) -> Sources:
    """Clips, each of the system that ``system_of`` names.

    Clips of one text are one item; the text is what they should say, or were asked for. Raises
    ``StudioError`` without a clip.
    """
    listed = list(clips)
    if not listed:
        raise StudioError("No clip matches; choose others.", "clips")
    takes: Counter[tuple[str, str]] = Counter()
    items, ids = [], {}
    for place, clip in enumerate(listed):
        system, text = system_of(clip), " ".join(clip.text.split())
        title = (text or clip.title or clip.id)[:LONGEST_NAME]
        takes[system, title] += 1
        take = takes[system, title]
        name = title if take == 1 else f"{title} ({take})"
        items.append(Item(name, clip.path, None, clip.text, language_of(clip), system))
        ids[place] = clip.id
    return Sources(tuple(items), {}, ids)


def language_of(clip: ClipRow) -> str:
    """The language of a clip's text: its settings where they name one, else its script, else English."""
    said = str(clip.settings.get("language", "") or "")
    if re.fullmatch(r"[a-z]{2,3}(-\w+)*", said):  # and not "auto"
        return said
    scripts = ((KANA, "ja"), (HANGUL, "ko"), (HAN, "zh"))
    return next((language for script, language in scripts if script.search(clip.text)), "en")
