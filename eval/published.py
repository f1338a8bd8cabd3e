"""The published numbers, and which of them belong beside a run."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.run_folder import DETECTOR, GROUND_TRUTH, Crops, crops

FILE = Path(__file__).with_suffix(".toml")
BOXES = {GROUND_TRUTH: "ground-truth boxes", DETECTOR: "a detector's boxes"}
Number = dict[str, Any]


@dataclass(frozen=True)
class Beside:
    """Published numbers of a run's model on its images: those that had boxes as the run's, the nearest first, and the
    others, which are not to be compared with it."""

    alike: list[Number]
    others: list[Number]


def numbers() -> list[Number]:
    """All of them: model, subset, who, protocol, certain, and what was measured by its name.

    Of networks of one person also boxes, size, decoder, and the variant where the model has several.
    """
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    found = list(content["number"])
    for table in content["table"]:
        columns, rows = table.pop("columns"), table.pop("rows")
        found += [{**table, **dict(zip(columns, row, strict=True))} for row in rows]
    return found


def matching(record: Mapping[str, Any], people: int | None = None) -> list[Number]:
    """Those for the data, subset and model of a protocol; `people` are those of an MPII file, by which it is known."""
    data, subset, spec, person = record["data"]["name"], record["subset"], record["model"]["spec"], crops(record)
    if person and spec.get("width", 1.0) != 1.0:
        return []
    # A set that is taken whole is known by its size: 5000 is val2017, 40504 is val2014.
    size = people if data == "mpii" else subset["images"]
    wanted = (data, spec["name"], str(size) if subset["name"] == "all" else subset["name"])
    return [n for n in numbers() if (n.get("data", "coco"), n["model"], n["subset"]) == wanted]


def beside(record: Mapping[str, Any], people: int | None = None) -> Beside:
    """`matching`, with what had other boxes or another size of crops told apart."""
    found, person = matching(record, people), crops(record)
    if person is None:
        return Beside(found, [])
    alike = [n for n in found if (n["boxes"], n["size"]) == (person.boxes, person.size)]
    return Beside(sorted(alike, key=lambda n: _distance(n, person)), [n for n in found if n not in alike])


def nearest(found: list[Number], model: str, person: Crops) -> int | None:
    """The number of the row that a run belongs to: of its model and with boxes as its own, if there is any."""
    rows = [i for i, n in enumerate(found) if (n["model"], n["boxes"]) == (model, person.boxes)]
    return min(rows, key=lambda i: _distance(found[i], person), default=None)


def name(number: Number) -> str:
    """The model with its variant."""
    return f"{number['model']}, {number['variant']}" if "variant" in number else number["model"]


def _distance(number: Number, person: Crops) -> tuple[bool, bool, bool]:
    return number["size"] != person.size, number["decoder"] != person.decoder, "variant" in number
