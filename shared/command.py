"""What every command does around its work: one line and exit code 2 for bad input, plain text otherwise."""

import functools
import sys
from collections.abc import Callable, Sequence

from shared.errors import UserError

Main = Callable[[Sequence[str] | None], int]


def command(main: Main) -> Callable[..., int]:
    """Wrap `main(argv) -> exit code` so that a `UserError` becomes one line on stderr and exit code 2."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        except UserError as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130

    return run
