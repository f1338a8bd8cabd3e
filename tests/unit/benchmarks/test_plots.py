"""Curves become pictures, the same bytes for the same curves."""

import cv2
import pytest

from benchmarks import plots
from benchmarks.plots import Panel
from shared.errors import UserError

TIME = Panel("people", "ms", {"fast": [(1, 0.1), (10, 1.0), (100, 30.0)], "plain": [(1, 5.0), (100, 900.0)]}, "xy")
MEMORY = Panel("images", "GB", {"all": [(0, 0.5), (5000, 0.6)]})


def test_panels_stand_side_by_side_with_their_names(tmp_path):
    path = tmp_path / "docs" / "curves.svg"

    plots.save(path, "Costs", [TIME, MEMORY])

    text = path.read_text()
    assert all(word in text for word in ("Costs", "people", "ms", "fast", "plain", "images", "GB"))
    assert [file.name for file in path.parent.iterdir()] == ["curves.svg"]


def test_the_same_curves_are_the_same_bytes_and_others_are_not(tmp_path):
    drawn = []
    for number, panels in enumerate(([TIME], [TIME], [MEMORY])):
        plots.save(tmp_path / f"{number}.svg", "Costs", panels)
        drawn.append((tmp_path / f"{number}.svg").read_bytes())

    assert drawn[0] == drawn[1] != drawn[2]


def test_a_png_is_a_picture_that_grows_with_the_panels(tmp_path):
    widths = []
    for n in (1, 2):
        plots.save(tmp_path / "a.png", "Costs", [TIME, MEMORY][:n])
        widths.append(cv2.imread(str(tmp_path / "a.png")).shape[1])

    assert widths[1] == 2 * widths[0]


def test_another_kind_of_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"--plot .*curves\.gif: expected a name that ends in \.png or \.svg"):
        plots.check(tmp_path / "curves.gif")
