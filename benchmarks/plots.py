"""Curves as a picture: what something costs against how much of it there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from shared.weights import replacing

_SUFFIXES = (".png", ".svg")
_SIZE = 4.2, 3.2  # inches of a panel
_LINES = ("-", "--", ":", "-.")  # so that curves differ without colour as well


@dataclass(frozen=True)
class Panel:
    """One pair of axes.  `series`: name -> points (x, y); `log`: which axes are logarithmic ("", "x", "y", "xy")."""

    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    log: str = ""


def save(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Draw the panels side by side into a PNG or SVG.  Raises `UserError` for another kind of file."""
    check(path)
    import matplotlib
    from matplotlib.figure import Figure

    # The same bytes for the same curves, and text as text.
    with matplotlib.rc_context({"svg.hashsalt": title, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure((_SIZE[0] * len(panels), _SIZE[1]), layout="constrained")
        figure.suptitle(title)
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axes, panel)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def check(path: Path) -> None:
    """A `UserError` for a file that cannot be drawn, before anything is measured for it."""
    if path.suffix not in _SUFFIXES:
        raise UserError(f"--plot {path}: expected a name that ends in .png or .svg")


def _draw(axes, panel: Panel) -> None:  # type: ignore[no-untyped-def]
    for number, (name, points) in enumerate(panel.series.items()):
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, label=name, marker="o", markersize=3, linestyle=_LINES[number % len(_LINES)])
    axes.set(xlabel=panel.x, ylabel=panel.y)
    axes.set_xscale("log" if "x" in panel.log else "linear")
    if "y" in panel.log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if len(panel.series) > 1:
        axes.legend()
