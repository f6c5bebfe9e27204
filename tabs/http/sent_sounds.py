"""Sounds to evaluate that people send, and who may name folders of this machine instead."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from engines.base import StudioError
from engines.metrics.pairing import SUFFIXES
from engines.studio import Studio
from engines.studio.evaluation.evaluation import Evaluation
from engines.studio.evaluation.plan import Wishes
from engines.studio.evaluation.sources import TEXT, Sources, from_folders, from_manifest
from engines.studio.settings import LOOPBACK, Settings
from storage import EvaluationRow
from tabs.http.uploads import uploaded
from training.lab.archives import scratch, unpack

LOOSE = "generated"
MANIFEST = ".csv"
SENDABLE = (*sorted(SUFFIXES), ".txt", MANIFEST, ".zip")
MAX_UNPACKED = 4 * 2**30
REFUSED = (
    "Folders of this machine can be named only where the studio answers to this machine alone, without "
    "a password or key. Send the sounds instead."
)

REFUSED_MODEL = (
    "Models are named by their names on the hub where the studio answers to other machines too."
)


def folders_allowed(settings: Settings) -> bool:
    """Whether who reaches this studio sits at this machine, and may have its files read by name."""
    open_to_others = settings.protected or settings.public or settings.on_space
    return settings.host in LOOPBACK and not open_to_others


def guarded(studio: Studio, wanted: Wishes) -> Wishes:
    """``wanted``, where no model in it is a folder of this machine that others may not name.

    Raises ``StudioError`` otherwise.
    """
    if folders_allowed(studio.settings):
        return wanted
    for each in wanted.planned():
        model = str(getattr(each.settings, "model", ""))
        local_one = (
            model.startswith((".", "~")) or Path(model).is_absolute() or Path(model).is_dir()
        )
        if model and local_one:
            raise StudioError(
                f"{REFUSED_MODEL} {each.metric.card.title} asks for {model!r}.", "model"
            )
    return wanted


def local(
    studio: Studio, generated: Sequence[str], reference: str = "", language: str = "en"
) -> Sources:
    """Folders of this machine, each of one system (``name=folder`` names it), or one CSV manifest.

    Raises ``StudioError`` where that is not allowed, before anything is looked at.
    """
    if not folders_allowed(studio.settings):
        raise StudioError(REFUSED, "generated")
    named = [line.strip() for line in generated if line.strip()]
    if len(named) == 1 and named[0].lower().endswith(MANIFEST):
        return from_manifest(Path(named[0]).expanduser())
    target = Path(reference.strip()).expanduser() if reference.strip() else None
    if all("=" in line for line in named):
        pairs = [line.partition("=") for line in named]
        folders = {name.strip(): Path(path.strip()).expanduser() for name, _, path in pairs}
        return from_folders(folders, target, language)
    return from_folders([Path(line).expanduser() for line in named], target, language)


def submit_sent(
    evaluation: Evaluation,
    generated: Sequence[str],
    reference: Sequence[str],
    submit: Callable[[Sources, Path], EvaluationRow],
    language: str = "en",
) -> EvaluationRow:
    """Call ``submit`` with what was sent and the folder that it was put into.

    The folder is removed when anything is refused.
    """
    folder = evaluation.new_folder()
    try:
        return submit(sent(folder, generated, reference, language), folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sent(
    folder: Path, generated: Sequence[str], reference: Sequence[str], language: str = "en"
) -> Sources:
    """Uploaded files put below ``folder``: each zip is a system, loose sounds are one.

    With a CSV among the generated files, it is the manifest of all that was sent. Raises
    ``StudioError`` for what is wrong.
    """
    made, true = [uploaded(path) for path in generated], [uploaded(path) for path in reference]
    if not made:
        raise StudioError("Send the generated sounds first: files, or a zip of each system.")
    manifests = [path for path in made if path.suffix.lower() == MANIFEST]
    if len(manifests) > 1:
        raise StudioError("Send one manifest (CSV) at a time.", "generated")
    if manifests:
        _put([path for path in (*made, *true) if path not in manifests], folder)
        manifest = folder / manifests[0].name
        shutil.copyfile(manifests[0], manifest)
        return from_manifest(manifest, folder)
    systems = {}
    for place, path in enumerate(path for path in made if _is_zip(path)):
        name = path.stem if path.stem not in systems else f"{path.stem} ({place + 1})"
        systems[name] = _root(_put([path], folder / "generated" / str(place)))
    if loose := [path for path in made if not _is_zip(path)]:
        systems[LOOSE] = _put(loose, folder / "generated" / "loose")
    target = _root(_put(true, folder / "reference")) if true else None
    return from_folders(systems, target, language)


@contextmanager
def received(
    studio: Studio,
    generated: Sequence[str],
    reference: Sequence[str],
    folders: Sequence[str] = (),
    reference_folder: str = "",
) -> Iterator[Sources]:
    """What was sent, or else what lies in folders of this machine, for as long as the block lasts."""
    if any(line.strip() for line in folders):
        yield local(studio, folders, reference_folder)
        return
    with scratch(studio.store.folder("cache")) as folder:
        yield sent(folder, generated, reference)


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _put(files: Sequence[Path], folder: Path) -> Path:
    """Copy sounds and texts into ``folder``, and unpack those of zips."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        if _is_zip(path):
            unpack(path, folder, _wanted, MAX_UNPACKED)
        elif not _wanted(path.name):
            raise StudioError(
                f"{path.name} is neither a sound ({', '.join(sorted(SUFFIXES))}) nor a text, a manifest "
                "(.csv) or a zip."
            )
        elif (folder / path.name).exists():
            raise StudioError(f"Two of the files are called {path.name}. Put systems into zips.")
        else:
            shutil.copyfile(path, folder / path.name)
    return folder


def _wanted(name: str) -> bool:
    path = Path(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and path.suffix.lower() in {*SUFFIXES, TEXT}


def _root(folder: Path) -> Path:
    """The folder inside which a zip of one folder keeps everything."""
    with suppress(ValueError):
        (only,) = folder.iterdir()
        return _root(only) if only.is_dir() else folder
    return folder
