"""``python -m training.recipes RECIPE.yaml FOLDER``: make a model from scratch, or go on with it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from engines.base import StudioError
from training.config import Precision
from training.recipes.pipeline import Pipeline, Stage
from training.recipes.recipe import Recipe
from training.record import State


def main() -> int:
    """The command line; exit code 0 when done, 1 for a clear error, 130 when stopped."""
    parser = argparse.ArgumentParser(prog="python -m training.recipes", description=__doc__)
    parser.add_argument("recipe", type=Path, help="a YAML file, such as configs/recipes/*.yaml")
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument(
        "--stages", nargs="+", type=Stage, choices=list(Stage), default=list(Stage), metavar="STAGE",
        help=f"only these of {', '.join(Stage)}",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="for rendering")
    parser.add_argument(
        "--precision", type=Precision, choices=list(Precision), default=Precision.AUTO
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        recipe = Recipe.read(options.recipe)
        made = Pipeline(recipe, options.folder, options.workers, options.precision)
        state = made.run(tuple(options.stages))
    except StudioError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 130 if state is State.STOPPED else 0


if __name__ == "__main__":
    sys.exit(main())
