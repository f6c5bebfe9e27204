"""Training from the command line; the studio starts runs by the same command.

    python -m training.cli train --config run.yaml --data data --output runs/first
    python -m training.cli train --base models/own/tiny --dataset my-sounds --output runs/first
    python -m training.cli train --run data/runs/<id>          starts it, or goes on with it
    accelerate launch -m training.cli train --run ...          on all GPUs

``--config`` is a YAML file of the fields that ``train --help`` lists; each is an option too. Exit code
0 when a run is done or was stopped, 1 for an error, which stands in run.json and on standard error.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.base import InvalidParams, NotReady, StudioError
from engines.music.musicgen.checkpoint import describe
from engines.parameters import Kind, Knob, knobs
from storage.base.errors import StorageError
from training.config import PRESET_WIDTH, RunConfig, preset, presets
from training.record import Recorder, RunRecord, State, open_log, read_metrics

log = logging.getLogger(__name__)

KNOWN = (StudioError, StorageError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except InvalidParams as error:
        for name, problem in error.problems.items():
            print(f"{name}: {problem}", file=sys.stderr)
    except KNOWN as error:
        print(error, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.cli",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train", help="start a run or go on with one")
    where = train.add_argument_group("where")
    where.add_argument(
        "--run", type=Path, metavar="FOLDER", help="a run folder; nothing else needed"
    )
    where.add_argument("--output", type=Path, metavar="FOLDER", help="the folder of a new run")
    where.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="where codes are kept (OUTPUT/cache)"
    )
    _configuration(train)
    train.set_defaults(command=_train)
    validate = commands.add_parser("validate", help="check a configuration and print it in full")
    _configuration(validate)
    validate.set_defaults(command=_validate)
    show = commands.add_parser("show", help="say how a run is")
    show.add_argument("run", type=Path, metavar="FOLDER")
    show.set_defaults(command=_show)
    listed = commands.add_parser("presets", help="print the presets")
    listed.set_defaults(command=_presets)
    merge = commands.add_parser("merge", help="write a full model with an adapter inside")
    merge.add_argument("--base", type=Path, required=True, metavar="FOLDER")
    merge.add_argument("--adapter", type=Path, required=True, metavar="FOLDER")
    merge.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    merge.add_argument("--scale", type=float, default=1.0, help="of the adapter's change (1)")
    merge.set_defaults(command=_merge)
    return parser


# the configuration


def _configuration(parser: argparse.ArgumentParser) -> None:
    """A file, a preset, and an option for each field; later ones win."""
    group = parser.add_argument_group("configuration")
    group.add_argument("--config", type=Path, metavar="YAML")
    group.add_argument(
        "--preset", choices=sorted(presets()),
        help="where the values start from; its epochs are made to suit the base's width",
    )  # fmt: skip
    group.add_argument(
        "--data", type=Path, default=Path("data"), metavar="FOLDER",
        help="the studio's data folder, where ids of bases and datasets are looked up (data)",
    )  # fmt: skip
    group.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", dest="assigned",
        help="the same as --field value",
    )  # fmt: skip
    for knob in knobs(RunConfig):
        flag = f"--{knob.name.replace('_', '-')}"
        text = f"{knob.description} {knob.bounds}; {_shown(knob.default)}".replace("%", "%%")
        more: dict[str, Any] = {}
        if knob.kind is Kind.BOOLEAN:
            more = {"action": argparse.BooleanOptionalAction}
        elif knob.kind is Kind.LIST:
            more = {"nargs": "*", "metavar": "VALUE"}
        else:
            more = {"metavar": knob.unit.upper() or "VALUE"}
        group.add_argument(
            flag, dest=f"field_{knob.name}", default=argparse.SUPPRESS, help=text, **more
        )


def _shown(default: Any) -> str:
    return " ".join(default) if isinstance(default, tuple | list) else str(default)


def _config(options: argparse.Namespace) -> RunConfig:
    values: dict[str, Any] = {}
    if options.config:
        if not options.config.is_file():
            raise StudioError(f"There is no configuration {options.config}.")
        text = options.config.read_text(encoding="utf-8")
        given = RunConfig.from_yaml(text)
        values |= {name: getattr(given, name) for name in given.model_fields_set}
    by_name = {knob.name: knob for knob in knobs(RunConfig)}
    for assignment in options.assigned:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise StudioError(f"--set wants FIELD=VALUE, not {assignment!r}.")
        values[name] = _listed(by_name.get(name), value)
    values |= {
        name.removeprefix("field_"): value
        for name, value in vars(options).items()
        if name.startswith("field_")
    }
    config = RunConfig.of(values)
    if not options.preset:
        return config
    return RunConfig.of(preset(options.preset, _width(config.base, options.data)) | values)


def _width(base: str, data: Path) -> int:
    """Of a base's decoder, in channels; of one that is not here that of the presets."""
    try:
        folder, _ = _base(base, data)
    except NotReady:
        print(
            f"{base} is not here; the epochs are for {PRESET_WIDTH} channels.",
            file=sys.stderr,
        )
        return PRESET_WIDTH
    return describe(folder).hidden_size


def _listed(knob: Knob | None, value: str) -> Any:
    if knob is None or knob.kind is not Kind.LIST:
        return value
    return [part for part in value.split(",") if part]


# commands


def _train(options: argparse.Namespace) -> int:
    from training.musicgen import session

    folder: Path | None = options.run or options.output
    if folder is None:
        raise StudioError("Name the folder: --output for a new run, --run to go on with one.")
    folder = folder.resolve()
    if options.run is None:
        config = _config(options)
        session.start(
            folder, config, _paths(config, options.data, options.cache or folder / "cache")
        )
    if not folder.is_dir():
        raise StudioError(f"There is no run folder {folder}.")
    return _supervised(folder)


def _paths(config: RunConfig, data: Path, cache: Path) -> Any:
    from training.musicgen.session import Paths

    base, revision = _base(config.base, data)
    dataset = Path(config.dataset)
    if not config.dataset:
        raise StudioError("Name what to learn from: --dataset FOLDER.", "dataset")
    if not dataset.is_dir():
        dataset = data / "datasets" / config.dataset
    if not dataset.is_dir():
        raise StudioError(
            f"There is no dataset folder {config.dataset!r}, here or in {data / 'datasets'}.",
            "dataset",
        )
    return Paths(base.resolve(), dataset.resolve(), config.base, revision, cache.resolve())


def _base(name: str, data: Path) -> tuple[Path, str]:
    """The folder and revision of a base: a folder itself, or weights in the data folder."""
    if (Path(name) / "config.json").is_file():
        return Path(name), ""
    from engines.music.musicgen.engine import MusicGen
    from engines.studio.hub import Hub
    from training.bases import known

    hub = Hub(data / "models")
    engine = MusicGen(hub)
    weights = known(engine, name)
    try:
        return engine.folder(weights), hub.revision(weights)
    except NotReady as error:
        raise NotReady(
            f"{weights.title} is not in {hub.root} yet. Download it in the studio's Models tab, or "
            "give --base a folder.",
            "base",
        ) from error


def _supervised(folder: Path) -> int:
    """Train, and write how it ended wherever it failed: the boundary of the process."""
    first = int(os.environ.get("RANK", "0")) == 0
    handler = open_log(folder, first)
    try:
        message = _attempt(folder)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    if message and first:
        _write_failure(folder, message)
    if message:
        print(message, file=sys.stderr)
    return 1 if message else 0


def _attempt(folder: Path) -> str:
    """Train; returns what went wrong, or ""."""
    from transformers.utils.logging import disable_progress_bar

    from training.musicgen import session
    from training.run import devices

    disable_progress_bar()
    try:
        place = devices.prepare(session.read_config(folder).precision)
        session.train(folder, place)
    except KNOWN as error:
        return str(error)
    except Exception as error:
        log.exception("the run failed")
        return _unexpected(error)
    return ""


def _unexpected(error: Exception) -> str:
    from engines.studio.runtime import is_out_of_memory

    if is_out_of_memory(error):
        return (
            "Memory ran out. Take a smaller batch size or longest clip, or switch gradient "
            "checkpointing on; then go on with the run."
        )
    return f"{type(error).__name__}: {error}"


def _write_failure(folder: Path, message: str) -> None:
    from storage.base.ids import utc_now

    try:
        record = RunRecord.read(folder) or RunRecord(folder.name, pid=os.getpid())
        changes = {"state": State.FAILED, "phase": "", "error": message, "finished_at": utc_now()}
        Recorder(folder, record).update(now=True, **changes)
    except (StorageError, ValueError) as error:  # a full disk: standard error still has the message
        print(error, file=sys.stderr)


def _validate(options: argparse.Namespace) -> int:
    print(_config(options).to_yaml(), end="")
    return 0


def _show(options: argparse.Namespace) -> int:
    record = RunRecord.read(options.run)
    if record is None:
        raise StudioError(f"{options.run} has no record of a run.")
    print(
        f"{record.state}, epoch {record.epoch} of {record.epochs}, step {record.step} of {record.steps}"
    )
    if record.error:
        print(record.error)
    for line in read_metrics(options.run):
        if line["split"] != "train":
            values = {k: v for k, v in line.items() if k not in ("split", "epoch", "step", "time")}
            shown = " ".join(f"{k} {v:.4f}" for k, v in values.items() if v is not None)
            print(f"epoch {line['epoch']:>3}  {line['split']:<10} {shown}")
    return 0


def _presets(options: argparse.Namespace) -> int:
    print(json.dumps(presets(), indent=2))
    return 0


def _merge(options: argparse.Namespace) -> int:
    from training.lab.adapters import merge_into

    if options.output.exists() and any(options.output.iterdir()):
        raise StudioError(f"{options.output} is not empty; choose another folder.")
    options.output.mkdir(parents=True, exist_ok=True)
    merge_into(options.output, options.base, options.adapter, options.scale)
    return 0


if __name__ == "__main__":
    sys.exit(main())
