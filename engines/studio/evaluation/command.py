"""``studio evaluate``: folders or a manifest measured in a shell, results as files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.base import StudioError
from engines.metrics.cache import SqliteCache
from engines.parameters import Kind, knobs
from engines.studio.evaluation.exports import SUFFIXES, WRITERS, column_digits, half_of, text_table
from engines.studio.evaluation.measuring import measure_items, measure_sets
from engines.studio.evaluation.plan import (
    Options,
    Wishes,
    availability,
    card,
    cards,
    config,
    named,
    value_range,
    wishes,
)
from engines.studio.evaluation.results import Results
from engines.studio.evaluation.sources import Sources, from_folders, from_manifest

CACHE = "scores.db"
STEM = "results"


def add(commands: Any) -> None:
    """Add the command to a parser's sub-commands."""
    found = commands.add_parser(
        "evaluate",
        help="measure generated sounds, with or without references",
        description="Measures sounds against references of the same names. The first folder is that of "
        "the references, each further one a system. A run that was stopped goes on with the same command.",
    )
    found.add_argument(
        "reference", nargs="?", type=Path, metavar="REF_DIR", help="references; - for none"
    )
    found.add_argument(
        "generated", nargs="*", type=Path, metavar="GEN_DIR", help="a folder of each system"
    )
    found.add_argument("--manifest", type=Path, metavar="CSV", help="a table instead of folders, with the "
                       "column generated and any of reference, text, language, name, system")  # fmt: skip
    found.add_argument("--metrics", default="", metavar="NAMES", help="ids, families such as pesq, or groups "
                       f"({', '.join(config()['presets'])}), separated by commas")  # fmt: skip
    found.add_argument("--list", action="store_true", help="list all metrics and stop")
    found.add_argument("--output", type=Path, default=Path("evaluation"), metavar="DIR",
                       help="where results and known scores go (evaluation)")  # fmt: skip
    found.add_argument(
        "--format", default="csv", metavar="NAMES", help="any of csv, json, latex (csv)"
    )
    found.add_argument("--plots", choices=("svg", "png"), help="box plots of each metric too")
    found.add_argument(
        "--language", default="en", metavar="CODE", help="of the texts beside the sounds (en)"
    )
    found.add_argument(
        "--processes", type=int, metavar="N", help="sounds measured at once (one a core)"
    )
    found.add_argument("--set", action="append", default=[], metavar="METRIC.NAME=VALUE", dest="settings",
                       help="a setting of one metric, such as mcd.order=34")  # fmt: skip
    for knob in knobs(Options):
        choices = list(knob.choices) if knob.kind is Kind.CHOICE else None
        found.add_argument(f"--{knob.name}", choices=choices, default=str(knob.default),
                           help=f"{knob.description} ({knob.default})".replace("%", "%%"))  # fmt: skip
    found.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Measure, write the files, print the means."""
    if options.list:
        print(_listed())
        return 0
    formats = [each.strip() for each in options.format.split(",") if each.strip()]
    if unknown := [each for each in formats if each not in WRITERS]:
        raise StudioError(f"There is no format {unknown[0]!r}; there are {', '.join(WRITERS)}.")
    common = {knob.name: getattr(options, knob.name) for knob in knobs(Options)}
    wanted = wishes(named(options.metrics.split(",")), common, _settings(options.settings))
    sources = _sources(options)
    for side, names in sources.missing.items():
        print(
            f"{len(names)} {side}: {', '.join(names[:10])}{' …' * (len(names) > 10)}",
            file=sys.stderr,
        )
    options.output.mkdir(parents=True, exist_ok=True)
    found = _measured(sources, wanted, options)
    for name in formats:
        path = options.output / f"{STEM}.{SUFFIXES[name]}"
        path.write_text(WRITERS[name](found), encoding="utf-8")
        print(f"wrote {path}", file=sys.stderr)
    if options.plots:
        _plots(found, options.output, options.plots)
    print(means_text(found))
    return 0


def _sources(options: argparse.Namespace) -> Sources:
    if options.manifest is not None:
        if options.reference is not None:
            raise StudioError("Name folders or a manifest, not both.")
        return from_manifest(options.manifest)
    if options.reference is None or not options.generated:
        raise StudioError("Name the folder of references (- for none) and one of each system.")
    reference = None if str(options.reference) == "-" else options.reference
    return from_folders(options.generated, reference, options.language)


def _settings(given: list[str]) -> Mapping[str, dict[str, Any]]:
    """``metric.name=value`` as settings by metric; values are JSON where they can be."""
    found: dict[str, dict[str, Any]] = {}
    for each in given:
        place, equals, value = each.partition("=")
        metric, dot, name = place.partition(".")
        if not (equals and dot and metric and name):
            raise StudioError(f"--set takes METRIC.NAME=VALUE, such as mcd.order=34, not {each!r}.")
        card(metric)
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            parsed = value
        found.setdefault(metric, {})[name] = parsed
    return found


def _measured(sources: Sources, wanted: Wishes, options: argparse.Namespace) -> Results:
    cache, rows = SqliteCache(options.output / CACHE), []
    total, shown = len(sources.items), sys.stderr.isatty()
    for result in measure_items(sources.items, wanted, cache, options.processes):
        rows.append(result)
        if shown or len(rows) == total:
            end = "\n" if len(rows) == total else "\r"
            print(f"{len(rows)} of {total} sounds", file=sys.stderr, end=end, flush=True)
    sets = measure_sets(sources.items, wanted, cache)
    return Results("Evaluation", wanted, tuple(rows), tuple(sets), sources.missing)


def _plots(found: Results, folder: Path, form: str) -> None:
    from engines.studio.evaluation.drawings import LIGHT, boxes

    for metric in found.metrics:
        path = folder / f"{metric}.{form}"
        path.write_bytes(boxes(found, metric, LIGHT, form))
        print(f"wrote {path}", file=sys.stderr)


def means_text(found: Results) -> str:
    """Means with half of their 95 % intervals, a row for each metric; ``*`` marks the best."""
    rows = []
    for of in found.cards:
        places, cells = column_digits(found, of.id), []
        for system in found.systems:
            value, half = found.value(system, of.id), half_of(found, system, of.id)
            number = "-" if value is None else f"{value:.{places}f}"
            interval = "" if half is None else f" ± {half:.{places}f}"
            cells.append(f"{number}{interval}{' *' * (system in found.best(of.id))}")
        rows.append([of.id, of.unit, str(of.better), *cells])
    return text_table(
        ["metric", "unit", "better", *(name or "sounds" for name in found.systems)], rows
    )


def _listed() -> str:
    rows = [
        (each.id, each.title, str(each.needs), str(each.better), f"{value_range(each)} {each.unit}".strip(),
         str(availability(each.id)[0]))
        for each in cards()
    ]  # fmt: skip
    return text_table(("metric", "title", "needs", "better", "range", "state"), rows)
