"""The command behind eval/compare.py: runs side by side, if they were made under one protocol."""

import argparse
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import protocol as protocols
from shared.coco_ap import NAMES
from shared.command import command
from shared.errors import UserError

PUBLISHED = Path(__file__).with_name("published.toml")
_COLUMN = {"caffe": "original", "torch": "torch", "keras": "keras", "onnx": "onnx"}


def parser() -> argparse.ArgumentParser:
    """The arguments of eval/compare.py."""
    p = argparse.ArgumentParser(
        prog="eval/compare.py", description="Print runs side by side with the published numbers; refuse unlike ones."
    )
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a folder that eval/run.py wrote")
    p.add_argument("--json", action="store_true", help="print JSON")
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    runs = [_read(path) for path in options.runs]
    _refuse_unlike(options.runs, runs)
    columns = [(_title(run), run["numbers"]) for run in sorted(runs, key=_order)]
    published = matching(runs[0]["protocol"])
    if options.json:
        shown = {
            "protocol_sha256": runs[0]["protocol_sha256"],
            "runs": [{"run": title, "numbers": numbers} for title, numbers in columns],
            "published": published,
        }
        print(json.dumps(shown, indent=1))
        return 0
    _print(columns, published, runs[0])
    return 0


def matching(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The published numbers for the data, subset and model of a protocol."""
    if record["data"]["name"] != "coco":
        return []
    numbers = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))["number"]
    subset = record["subset"]
    # A set that is taken whole is known by its size: 5000 is val2017, 40504 is val2014.
    wanted = (record["model"]["spec"]["name"], str(subset["images"]) if subset["name"] == "all" else subset["name"])
    return [number for number in numbers if (number["model"], number["subset"]) == wanted]


def _read(path: Path) -> dict[str, Any]:
    file = path / "metrics.json"
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
        run["numbers"] = {name: float(run["numbers"][name]) for name in NAMES}
        whole = protocols.digest(run["protocol"]) == run["protocol_sha256"]
        known = run["framework"] in _COLUMN and len(run["weights"]["sha256"]) == 64
    except OSError:
        raise UserError(f"{file}: no such file; expected the folder of a finished run of eval/run.py") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not understood ({error!r}); expected metrics.json of eval/run.py") from None
    if not whole or not known:
        wrong = "its protocol's hash is not its own" if not whole else "framework or weights are unknown"
        raise UserError(f"{file}: {wrong}; run eval/run.py again")
    for name, value in run["numbers"].items():
        if not (value == -1 or 0 <= value <= 1):
            raise UserError(f"{file}: its {name} is {value}, expected -1 or 0 to 1; run eval/run.py again")
    return run


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
    return list(_COLUMN).index(run["framework"])


def _title(run: Mapping[str, Any]) -> str:
    return f"{_COLUMN[run['framework']]} {run['weights']['sha256'][:6]}"


def _print(
    columns: Sequence[tuple[str, Mapping[str, float]]], published: Sequence[Mapping[str, Any]], run: Any
) -> None:
    data, subset = run["protocol"]["data"]["name"], run["protocol"]["subset"]
    paper = next((n for n in published if n["who"].startswith("the paper")), {})
    print(f"{data}, {subset['name']} ({subset['images']} images), protocol {run['protocol_sha256'][:12]}")
    print(f"{'':6}{'paper*':>10}" + "".join(f"{title:>17}" for title, _ in columns))
    for name in NAMES:
        cell = f"{paper[name]:.3f}" if name in paper else "-"
        print(f"{name:6}{cell:>10}" + "".join(f"{numbers[name]:17.3f}" for _, numbers in columns))
    if not published:
        print("* nothing is published for this data, subset and model")
        return
    print("* published numbers have protocols of their own, so they stand beside these runs, not under their protocol:")
    for number in published:
        sure = "" if number["certain"] else " [quoted at second hand]"
        print(f"  AP {number['AP']:.3f}  {number['who']}: {number['protocol']}{sure}")
