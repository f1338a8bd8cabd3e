"""The command behind eval/compare.py: runs side by side, if they were made under one protocol, and published tables."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import protocol as protocols
from eval import published, published_table, run_folder
from eval.published import BOXES, Beside, Number
from shared.command import command
from shared.errors import UserError, unknown

_OWN = "published numbers have protocols of their own"
_MAIN = {"mpii": "Mean"}  # the number by which publications are listed, else AP


def parser() -> argparse.ArgumentParser:
    """The arguments of eval/compare.py."""
    p = argparse.ArgumentParser(
        prog="eval/compare.py", description="Print runs side by side with the published numbers; refuse unlike ones."
    )
    p.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="a folder that eval/run.py wrote")
    p.add_argument(
        "--published",
        metavar="DATA",
        help="print instead the published tables of networks of one person on coco or mpii, with what each costs, "
        "and each RUN under the row of its model",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    if options.published is not None:
        return _published(options)
    if not options.runs:
        raise UserError("no RUN; expected folders that eval/run.py wrote, or --published coco or mpii; see --help")
    runs = [run_folder.metrics(path) for path in options.runs]
    _refuse_unlike(options.runs, runs)
    columns = [(run_folder.title(run), run["numbers"]) for run in sorted(runs, key=_order)]
    found = published.beside(runs[0]["protocol"], runs[0].get("detections"))
    if options.json:
        shown = {
            "protocol_sha256": runs[0]["protocol_sha256"],
            "runs": [{"run": title, "numbers": numbers} for title, numbers in columns],
            "published": found.alike,
            "published_otherwise": found.others,
        }
        print(json.dumps(shown, indent=1))
        return 0
    _print(columns, found, runs[0])
    return 0


def _published(options: argparse.Namespace) -> int:
    if options.published not in published_table.DATA:
        raise unknown("--published", options.published, published_table.DATA)
    runs = {path: run_folder.metrics(path) for path in options.runs}
    found, left = published_table.rows(options.published, runs)
    if options.json:
        print(json.dumps({"published": found, "without_a_row": left}, indent=1))
    else:
        print("\n".join(published_table.lines(options.published, found, left)))
    return 0


def _refuse_unlike(paths: Sequence[Path], runs: Sequence[Mapping[str, Any]]) -> None:
    first = runs[0]
    for path, run in zip(paths[1:], runs[1:], strict=True):
        if run["protocol_sha256"] != first["protocol_sha256"]:
            unlike = protocols.differences(first["protocol"], run["protocol"])
            raise UserError(
                f"cannot compare {paths[0]} and {path}: protocols {first['protocol_sha256'][:8]} and "
                f"{run['protocol_sha256'][:8]} differ in {'; '.join(unlike[:4])}; run both with the same options"
            )


def _order(run: Mapping[str, Any]) -> int:
    return list(run_folder.COLUMNS).index(run["framework"])


def _print(columns: Sequence[tuple[str, Mapping[str, float]]], found: Beside, run: Mapping[str, Any]) -> None:
    data, subset = run["protocol"]["data"]["name"], run["protocol"]["subset"]
    crops = run_folder.crops(run["protocol"])
    boxes = f", {BOXES[crops.boxes]}" if crops else ""
    print(f"{data}, {subset['name']} ({subset['images']} images){boxes}, protocol {run['protocol_sha256'][:12]}")
    if crops:
        title, first = "published*", next(iter(found.alike), {})
    else:
        title, first = "paper*", next((n for n in found.alike if n["who"].startswith("the paper")), {})
    names = run_folder.names(data)
    width = max(6, *(len(name) + 1 for name in names))
    print(f"{'':{width}}{title:>10}" + "".join(f"{title:>17}" for title, _ in columns))
    for name in names:
        cell = published_table.shown(first.get(name))
        print(f"{name:{width}}{cell:>10}" + "".join(f"{numbers[name]:17.3f}" for _, numbers in columns))
    _print_published(found, _MAIN.get(data, "AP"), f" with {BOXES[crops.boxes]} at {crops.size}" if crops else "")


def _print_published(found: Beside, main: str, which: str) -> None:
    if found.alike:
        print(f"* {_OWN}, so they stand beside these runs, not under their protocol:")
    else:
        print(f"* nothing is published for this data, subset and model{which}")
    for number in found.alike:
        print(_entry(number, main))
    if found.others:
        print("with other boxes or of another size, not to be set beside these runs:")
    for number in found.others:
        print(_entry(number, main))


def _entry(number: Number, main: str) -> str:
    sure = "" if number["certain"] else " [quoted at second hand]"
    how = ""
    if "boxes" in number:
        variant = f", {number['variant']}" if "variant" in number else ""
        how = f" [{BOXES[number['boxes']]}, {number['size']}, {number['decoder']}{variant}]"
    return f"  {main} {published_table.shown(number[main])}  {number['who']}{how}: {number['protocol']}{sure}"
