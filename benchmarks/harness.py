"""What all measurements share: interleaved timing, a record of the machine, a table, a JSON file."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.plots import Panel
from shared.weights import replacing

_LEAST_ROUNDS = 5
_SHORTEST = 0.01  # s; shorter work is repeated within a round until the clock's grain does not matter
_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "pycocotools",
    "torch",
    "keras",
    "tensorflow-cpu",
    "onnxruntime",
    "openvino",
)


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median, the smallest and the largest of `rounds` measurements."""

    median: float
    least: float
    most: float
    rounds: int


@dataclass(frozen=True)
class Report:
    """One measurement.  `of` says what the figures are of; `rows` have the same keys and become a table.

    `panels` are its curves, which `--plot` draws.
    """

    name: str
    of: str
    settings: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    machine: Mapping[str, Any] = field(default_factory=lambda: machine())
    panels: Sequence[Panel] = ()


def measure(
    works: Mapping[str, Callable[[], object]], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Time several pieces of work for about `seconds` each, one after the other in rounds.

    Whatever slows the machine for a while slows all of them, so that their ratios hold.  Each runs once unmeasured.
    `clock`: `time.process_time` for work of one thread on a machine that has other work too.
    """
    calls = {name: _calls(work, clock) for name, work in works.items()}
    found: dict[str, list[float]] = {name: [] for name in works}
    end = clock() + seconds * len(works)
    while clock() < end or min(map(len, found.values())) < _LEAST_ROUNDS:
        for name, work in works.items():
            found[name].append(_time(work, calls[name], clock))
    return {name: Timing(median(each), min(each), max(each), len(each)) for name, each in found.items()}


def _calls(work: Callable[[], object], clock: Callable[[], float]) -> int:
    """How many calls make a measurement; the first, which may fill caches, does not count."""
    work()
    return max(1, round(_SHORTEST / max(_time(work, 1, clock), 1e-9)))


def _time(work: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code: processor, load, versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version for name in _PACKAGES if (version := _version(name))},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def text(report: Report) -> str:
    """The report as Markdown: a table, and under it what it is of and where it was measured."""
    columns = list(report.rows[0])
    cells = [columns, *([_cell(row[name]) for name in columns] for row in report.rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    padded = [[value.ljust(width) for value, width in zip(line, widths, strict=True)] for line in cells]
    lines = [f"| {' | '.join(line)} |" for line in (padded[0], ["-" * width for width in widths], *padded[1:])]
    machine = ", ".join(f"{key} {value}" for key, value in report.machine.items())
    return "\n".join([*lines, "", f"Of {report.of}.", f"Machine: {machine}."])


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def save(report: Report, path: Path) -> None:
    """Write the report as JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
