"""Adapters of the studio: taking them in, handing them out, merging them into full models."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from engines.studio.hub import OWN
from storage import NotFound, Removal
from storage.audio.files import write_whole
from storage.base.errors import free_bytes, translated
from storage.base.ids import new_id
from training.bases import ENGINE, Base, base_ids, file_hash, find_base, known
from training.lab.archives import names_in, pack, scratch, unpack, written_whole
from training.lab.run_files import BEST, best_metrics, sample_clips
from training.lab.snapshots import file_name

if TYPE_CHECKING:
    from engines.studio import Studio
    from storage.learning.adapters import AdapterRow
    from storage.learning.runs import RunRow

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FILES = (CONFIG, WEIGHTS)
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
MAX_BYTES = 2 * 2**30
MAX_NAME = 60
MAX_SCALE = 2.0
README = "README.md"
USAGE = """Import it in the studio, or with transformers and peft:

```python
from peft import PeftModel
from transformers import MusicgenForConditionalGeneration

model = MusicgenForConditionalGeneration.from_pretrained("{base}")
model.decoder = PeftModel.from_pretrained(model.decoder, "this folder")
```"""
MERGED = """# {name}

{base} at {revision}, with the adapter {adapter} merged into its decoder at scale {scale:g}.

The licence of the base holds for this model too: {license}.
"""


class Adapters:
    """Register, import, export, merge. Files lie in ``data/adapters/<id>``."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._store = studio.store
        self._rows = studio.store.adapters
        self._root = studio.store.folder("adapters")

    def bases(self) -> list[str]:
        """Ids of the weights that are here."""
        return base_ids(self._studio)

    def base(self, id: str) -> Base:
        """One of them; raises ``StudioError`` for an unknown one and ``NotReady`` for one not here."""
        return find_base(self._studio, id)

    def folder(self, row: AdapterRow) -> Path:
        """Where its files are."""
        return self._store.data_dir / row.folder

    # taking in

    def register_run(self, run: RunRow) -> AdapterRow | None:
        """The best adapter of a run, with its provenance; None when it never trained."""
        if not (self._run_folder(run) / BEST / WEIGHTS).is_file():
            return None
        return self._register_run(run, run.name)

    def register(self, source: str | Path, name: str, base: str) -> AdapterRow:
        """The best adapter of a run by its id, or a PEFT folder."""
        folder = Path(source)
        if folder.is_dir() and base:
            return self.import_(folder, base, name)
        run = self._store.runs.get(str(source))
        if not (self._run_folder(run) / BEST / WEIGHTS).is_file():
            raise StudioError(
                f"The run {run.name!r} is {run.state} and has no adapter yet; it keeps its best one "
                "after each epoch."
            )
        return self._register_run(run, name or run.name)

    def _run_folder(self, run: RunRow) -> Path:
        return self._store.folder("runs") / run.id

    def _register_run(self, run: RunRow, name: str) -> AdapterRow:
        """A new version, or the one that is there if this very adapter was registered before."""
        folder = self._run_folder(run)
        before = self._same(file_hash(folder / BEST / WEIGHTS))
        if before and before.run_id == run.id:
            return before
        base, id = find_base(self._studio, run.base), new_id()
        with sample_clips(self._store, folder, run, id) as clips:
            return self._take_in(
                folder / BEST,
                base,
                id=id,
                name=name,
                source="trained",
                run_id=run.id,
                dataset_id=run.dataset_id,
                config=run.config,
                metrics=best_metrics(folder),
                sample_clips=clips,
            )

    def import_(self, path: Path, base: str, name: str) -> AdapterRow:
        """A folder or zip from elsewhere, checked before it is accepted."""
        found = find_base(self._studio, base)
        if path.is_file() and path.suffix.lower() == ".zip":
            with scratch(self._store.folder("work")) as folder:
                inner = _unpacked(path, folder / file_name(path.stem))
                return self.import_(inner, base, name or path.stem)
        if not path.is_dir():
            raise StudioError(f"{path.name} is neither a folder nor a zip of one.", "path")
        return self._take_in(
            path, found, id=new_id(), name=name or path.name, source="imported", config={}
        )

    def _take_in(self, folder: Path, base: Base, *, id: str, name: str, **facts: Any) -> AdapterRow:
        """Check a PEFT folder against its base, copy its two files, add the row."""
        from engines.music.musicgen import lora

        lora.check(folder, base.folder)
        digest = file_hash(folder / WEIGHTS)
        if same := self._same(digest):
            where = " in the archive" if same.archived else ""
            raise StudioError(f"This very adapter is here already{where}, as {same.label}.")
        target = self._root / id
        with written_whole(target) as part, translated(target):
            shutil.copyfile(folder / WEIGHTS, part / WEIGHTS)
            write_whole(part / CONFIG, _peft_config(folder, base))
        try:
            return self._rows.add(
                name[:MAX_NAME],
                base.id,
                target.relative_to(self._store.data_dir).as_posix(),
                id=id,
                base_revision=base.revision,
                hash=digest,
                **facts,
            )
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise

    def _same(self, digest: str) -> AdapterRow | None:
        """The adapter with this very weights file."""
        rows = [*self._rows.list(), *self._rows.list(archived=True)]
        return next((row for row in rows if row.hash == digest), None)

    # handing out

    def export(self, adapter_id: str) -> Path:
        """A zip with the two PEFT files and a card."""
        row = self._rows.get(adapter_id)
        folder = self.folder(row)
        for name in FILES:
            if not (folder / name).is_file():
                raise StudioError(f"{row.label} has lost its file {folder / name}.")
        name = f"{file_name(row.name)}-v{row.version}"
        files: dict[str, Path | str] = {f"{name}/{file}": folder / file for file in FILES}
        files[f"{name}/{README}"] = self._card(row)
        return pack(self._store.folder("cache") / "exports" / f"{name}.zip", files)

    def _card(self, row: AdapterRow) -> str:
        """The README of an export: where the adapter comes from and how to use it."""
        base = known(self._studio.engine(ENGINE), row.base)
        source = base.repo or row.base
        facts = {
            "Base": f"{source} at {row.base_revision}",
            "Licence of the base": base.license or "that of the folder it came from",
            "SHA-256": row.hash,
            "Made": f"{row.created_at} ({row.source})",
            "Dataset": self._dataset(row),
            "Notes": row.notes,
        }
        lines = [f"# {row.label}", "", f"A LoRA adapter of the decoder of {source}.", ""]
        lines += [f"* {name}: {value}" for name, value in facts.items() if value]
        for title, values in (("Metrics", row.metrics), ("Configuration", row.config)):
            if values:
                lines += ["", f"## {title}", "", "```json"]
                lines += [json.dumps(values, indent=1, ensure_ascii=False), "```"]
        usage = USAGE.format(base=source)
        return "\n".join([*lines, "", "## Use", "", usage]) + "\n"

    def _dataset(self, row: AdapterRow) -> str:
        if not row.dataset_id:
            return ""
        try:
            dataset = self._store.datasets.get(row.dataset_id)
        except NotFound:
            return row.dataset_id
        return (
            f"{dataset.name} ({dataset.items} items of {dataset.prompts} prompts, "
            f"content {dataset.content_hash})"
        )

    def merge(self, adapter_id: str, name: str, scale: float) -> Path:
        """A full model in ``models/own``: the base's files, with changed weights in the decoder."""
        row = self._rows.get(adapter_id)
        target = self._target(name)
        if not 0 < scale <= MAX_SCALE:
            raise StudioError(f"Merge with a scale above 0 and up to {MAX_SCALE:g}.", "scale")
        base = find_base(self._studio, row.base)
        size = sum(path.stat().st_size for path in base.folder.glob("*.safetensors"))
        if size > free_bytes(target.parent.parent):
            raise StudioError(
                f"The model takes {size / 1e6:,.0f} MB and the disk has "
                f"{free_bytes(target.parent.parent) / 1e6:,.0f} MB free. Free some space first."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as part, translated(target):
            merge_into(part, base.folder, self.folder(row), scale)
            text = MERGED.format(
                name=name, base=base.source, revision=base.revision, adapter=row.label,
                scale=scale, license=base.license,
            )  # fmt: skip
            (part / README).write_text(text, encoding="utf-8")
        return target

    def _target(self, name: str) -> Path:
        """Where an own model of this name goes; raises ``StudioError`` for a bad or used name."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", name):
            raise StudioError(
                "A model's name has 1 to 60 letters, digits, dots, dashes and underscores, and "
                f"starts with a letter or digit; {name!r} does not.",
                "name",
            )
        used = {weights.id for weights in self._studio.engine(ENGINE).weights()}
        target = self._studio.hub.root / OWN / name
        if name in used or target.exists():
            raise StudioError(f"There is a model named {name!r} already; choose another.", "name")
        return target

    def delete(self, adapter_id: str) -> str:
        """``"deleted"`` with its files, or ``"archived"``."""
        folder = self.folder(self._rows.get(adapter_id))
        outcome = self._rows.delete(adapter_id)
        if outcome is Removal.DELETED:
            shutil.rmtree(folder, ignore_errors=True)
        return outcome


def merge_into(target: Path, base: Path, adapter: Path, scale: float) -> None:
    """Write the model in ``base`` with an adapter's change times ``scale`` into ``target``.

    All other files (tokenizer, configurations) are copied; the weights keep their dtype.
    """
    from engines.music.musicgen import checkpoint, lora

    loaded = checkpoint.load(base)
    deltas = lora.deltas(loaded.model.decoder, [(lora.read(adapter), scale)])
    for name, delta in deltas.items():
        weight = loaded.model.decoder.get_submodule(name).weight
        weight.data = (weight.data.float() + delta).to(weight.dtype)
    loaded.model.save_pretrained(target, safe_serialization=True)
    for path in base.iterdir():
        weights = path.suffix in {".safetensors", *PICKLES} or path.name.endswith(".index.json")
        if path.is_file() and not weights and not (target / path.name).exists():
            shutil.copyfile(path, target / path.name)


def _unpacked(path: Path, folder: Path) -> Path:
    """The one folder with an adapter in a zip; only its two files are unpacked, below ``folder``."""
    unpack(path, folder, lambda name: Path(name).name in FILES, MAX_BYTES, MAX_BYTES)
    found = sorted({file.parent for file in folder.rglob(WEIGHTS)})
    if len(found) > 1:
        raise StudioError(f"{path.name} holds {len(found)} adapters; pack one at a time.", "path")
    pickles = [name for name in names_in(path) if Path(name).suffix.lower() in PICKLES]
    if not found and pickles:
        raise StudioError(
            f"{path.name} holds {pickles[0]}, a pickle, which can run any program when it is opened "
            f"and is never read here. Save the adapter as {WEIGHTS}.",
            "path",
        )
    if not found:
        raise StudioError(f"{path.name} holds no {WEIGHTS}: it is no PEFT adapter.", "path")
    return found[0]


def _peft_config(folder: Path, base: Base) -> bytes:
    """The adapter's configuration naming its base as others know it, instead of a path here."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise StudioError(f"{CONFIG} cannot be read: {error}.", "path") from error
    values |= {"base_model_name_or_path": base.source, "revision": base.revision or None}
    return json.dumps(values, indent=1, sort_keys=True).encode()
