"""The result tables of the top-down publications, with the cost of each model, and what was run here beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from eval import published, run_folder
from eval.published import Number
from eval.run_folder import DETECTOR, GROUND_TRUTH, Crops
from shared.arch import catalogue
from shared.arch.count import count
from shared.errors import UserError
from shared.skeleton import COCO17, MPII16

DATA = {"coco": COCO17.name, "mpii": MPII16.name}  # what has tables, and whose keypoints the networks have
_MARKS = {GROUND_TRUTH: "GT", DETECTOR: "det"}
_TITLES = ("model", "decoder", "box", "input", "params", "GMAC", "GiMAC*")
_N_LEFT = 4  # columns that begin at their left edge
_NOTES = (
    "GT: boxes of the annotations; nobody is missed, nobody invented: a higher AP than with a detector's (det).",
    "here: what was run, under the published row of its model and kind of boxes; not under one protocol with it.",
    "* by the rule of these publications: 2^30, transposed convolutions by their output.  GMAC: 10^9, as computed.",
)
Run = Mapping[str, Any]


def rows(data: str, runs: Mapping[Path, Run]) -> tuple[list[Number], list[Number]]:
    """The published rows, each with its cost and "here", the runs that belong to it; and the runs without a row.

    Raises `UserError` for a run of other data, and of a network that finds people itself.
    """
    found = [n for n in published.numbers() if n.get("data") == data]
    found = [{**n, **_cost(_spec(n, data)), "here": []} for n in found]
    left: list[Number] = []
    for path, run in runs.items():
        row = _here(path, run, data)
        place = published.nearest(found, row["model"], Crops(row["boxes"], row["size"], row["decoder"]))
        (left if place is None else found[place]["here"]).append(row)
    return found, left


def lines(data: str, found: Sequence[Number], left: Sequence[Number]) -> list[str]:
    """The table as text; `found` and `left` are those of `rows`."""
    names = run_folder.names(data)
    table: list[list[str] | str] = [[*_TITLES, *names, ""]]
    for (who, protocol), group in groupby(found, lambda n: (n["who"], n["protocol"])):
        table += ["", f"{who}: {protocol}"]
        for number in group:
            table.append([published.name(number), *_cells(number, names), ""])
            table += [_run_cells(row, names) for row in number["here"]]
    if left:
        table += ["", "Here, without a published row of the model with such boxes:"]
        table += [_run_cells(row, names) for row in left]
    return [*_aligned(table), "", *_NOTES]


def _here(path: Path, run: Run, data: str) -> Number:
    record = run["protocol"]
    crops, name = run_folder.crops(record), record["data"]["name"]
    if crops is None:
        raise UserError(f"{path}: of a network that finds people itself; --published is of others; leave it out")
    spec = catalogue.from_dict(record["model"]["spec"])
    if spec.skeleton != DATA[data]:
        raise UserError(f"{path}: of {spec.skeleton}, --published {data} is of {DATA[data]}; leave it out")
    size: tuple[int, int] = tuple(record["size"])
    return {
        "run": run_folder.title(run),
        "folder": str(path),
        "data": name,
        "images": record["subset"]["images"],
        "model": spec.name,
        "width": spec.width,
        **asdict(crops),
        **_cost(replace(spec, size=size)),
        **run["numbers"],
    }


def _spec(number: Number, data: str) -> Any:
    height, width = map(int, number["size"].split("x"))
    return catalogue.spec(number["model"], skeleton=DATA[data], size=(height, width))


def _cost(spec: Any) -> dict[str, int]:
    found = count(spec)
    return {
        "parameters": found.parameters,
        "multiply_adds": found.multiply_adds,
        "published_parameters": found.published_parameters,
        "published_multiply_adds": found.published_multiply_adds,
    }


def _cells(row: Number, names: Sequence[str]) -> list[str]:
    """All but the first and the last cell."""
    millions, giga, binary = row["parameters"] / 1e6, row["multiply_adds"] / 1e9, row["published_multiply_adds"] / 2**30
    cost = (f"{millions:.2f}M", f"{giga:.2f}", f"{binary:.2f}")
    return [row["decoder"], _MARKS[row["boxes"]], row["size"], *cost, *(shown(row.get(name)) for name in names)]


def _run_cells(row: Number, names: Sequence[str]) -> list[str]:
    width = "" if row["width"] == 1 else f", width {row['width']:g}"
    return [f"  {row['run']}", *_cells(row, names), f"here: {row['data']}, {row['images']} images{width}"]


def shown(value: float | None) -> str:
    """A number as it was published: shares of 1 with three digits, percent with as many as it has, at most three."""
    if value is None or value == -1:
        return "-"
    return f"{value:.3f}" if value <= 1 else f"{round(value, 3)}"


def _aligned(table: Sequence[list[str] | str]) -> list[str]:
    """Rows of cells in columns; a row that is text stays as it is."""
    widths = [max(map(len, column)) for column in zip(*(row for row in table if isinstance(row, list)), strict=True)]
    return [row if isinstance(row, str) else _line(row, widths) for row in table]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(row[:_N_LEFT], widths, strict=False)]
    right = [cell.rjust(width) for cell, width in zip(row[_N_LEFT:-1], widths[_N_LEFT:-1], strict=True)]
    return " ".join([*left, *right, row[-1]]).rstrip()
