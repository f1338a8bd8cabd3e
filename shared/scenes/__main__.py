"""Writes scenes to a folder, or says what is in them: `python -m shared.scenes --help`."""

import argparse
import json
import sys
from pathlib import Path

from shared.command import command
from shared.errors import UserError
from shared.scenes.dataset import SPLITS, annotations, statistics, write


def _write(options: argparse.Namespace) -> str:
    return str(write(options.out, options.split, options.count, options.seed, options.workers))


def _statistics(options: argparse.Namespace) -> str:
    indices = None if options.count is None else range(options.count)
    return json.dumps(statistics(annotations(options.split, indices, options.seed)), indent=2)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m shared.scenes", description="The built-in benchmark's scenes.")
    actions = p.add_subparsers(required=True)
    writing = actions.add_parser("write", help="images/*.png and annotations.json; prints the json's path")
    writing.add_argument("--out", type=Path, required=True, help="folder")
    writing.add_argument("--workers", type=int, default=1, help="processes")
    writing.set_defaults(run=_write)
    telling = actions.add_parser("statistics", help="counts and shares as json")
    telling.set_defaults(run=_statistics)
    for action in (writing, telling):
        action.add_argument("--split", choices=SPLITS, default="val")
        action.add_argument("--count", type=int, help="only the first scenes")
        action.add_argument("--seed", type=int, default=0)
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    try:
        sys.stdout.write(options.run(options) + "\n")
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; choose a folder that can be written") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
