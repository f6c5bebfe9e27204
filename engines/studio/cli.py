"""The studio from a shell, without its server and its data folder.

    studio evaluate recordings/ system-a/ system-b/ --metrics mcd,pesq --output results
    studio evaluate --manifest sounds.csv --metrics wer --format csv,latex
    studio evaluate --list

``python -m engines.studio.cli`` is the same. Exit code 0 when all is done, 1 for an error, which stands on
standard error, 130 when it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engines.base import InvalidParams, StudioError
from engines.studio.evaluation import command

STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except InvalidParams as error:
        for name, problem in error.problems.items():
            print(f"{name}: {problem}", file=sys.stderr)
    except StudioError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'output'}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped. What was measured is kept; the same command goes on.", file=sys.stderr)
        return STOPPED
    return 1


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    found = argparse.ArgumentParser(
        prog="studio", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    command.add(commands)
    return found


if __name__ == "__main__":
    sys.exit(main())
