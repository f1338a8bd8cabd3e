"""Figures that tests measure, told at the end of a run."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

_FIGURE = "figure"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a line that the run prints at its end: what was measured, not only that it passed."""
    return partial(record_property, _FIGURE)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    lines = {line for report in reports for name, line in getattr(report, "user_properties", ()) if name == _FIGURE}
    if lines:
        terminalreporter.section("measured; differences of maps are shares of the stage's maximum")
        for line in sorted(lines):
            terminalreporter.write_line(line)
