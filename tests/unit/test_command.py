"""What every command does around its work."""

import argparse

import pytest

from shared.command import command
from shared.errors import UserError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="test")
    p.add_argument("--count", type=int, required=True)
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    if options.count < 0:
        raise UserError(f"--count {options.count}:\n expected 0 or more")
    if options.count > 9:
        raise KeyboardInterrupt
    return 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--count", "-1"], "error: --count -1: expected 0 or more\n"),
        (["--count", "many"], "error: argument --count: invalid int value: 'many'; see --help\n"),
        ([], "error: the following arguments are required: --count; see --help\n"),
        (["--count", "1", "--coutn", "2"], "error: unrecognized arguments: --coutn 2; see --help\n"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, error, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", error)


def test_work_that_is_stopped_says_so(capsys):
    assert main(["--count", "10"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_good_input_is_worked_on_and_help_is_help(capsys):
    assert main(["--count", "3"]) == 0
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "usage: test" in capsys.readouterr().out
