"""What every command does around its work: one line and exit code 2 for bad input, plain text otherwise."""

import argparse
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from shared.errors import UserError

Parser = Callable[[], argparse.ArgumentParser]
Work = Callable[[argparse.Namespace], int]


class Command:
    """A command line program: `command(argv)` gives its exit code, `command.parser()` its arguments."""

    def __init__(self, parser: Parser, work: Work) -> None:
        self.parser = parser
        self.work = work

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        parser = self.parser()
        for each in (parser, *_actions(parser)):
            each.error = _refuse  # type: ignore[method-assign] # argparse would print its whole usage first
        try:
            return self.work(parser.parse_args(argv))
        except UserError as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130


def _actions(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers of a command's actions, where it has such."""
    choices = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [action for named in choices for action in named.values()]


def _refuse(message: str) -> NoReturn:
    raise UserError(f"{message}; see --help")


def command(parser: Parser) -> Callable[[Work], Command]:
    """Make a command of `work(options) -> exit code`; a `UserError` becomes one line on stderr and exit code 2."""
    return lambda work: Command(parser, work)


def parsed_size(text: str | None) -> tuple[int, int] | None:
    """(height, width) of --size "256x192"; None for none.  What a network takes, its spec checks."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise UserError(f"--size {text}: expected HEIGHTxWIDTH in pixels, as 256x192")
    return int(match[1]), int(match[2])


@dataclass
class Stop:
    """While it is entered SIGTERM and SIGINT only set `signal`: the work ends where it can be taken up again."""

    signal: int = 0
    before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> "Stop":
        for number in (signal.SIGTERM, signal.SIGINT):
            self.before[number] = signal.signal(number, lambda received, _: setattr(self, "signal", received))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
