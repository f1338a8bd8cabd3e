"""The one error that a user can cause: bad input, told in one line and answered with exit code 2."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input.  The message says what was found, what was expected and what to do, on one line."""


class WeightError(UserError):
    """Weights that do not fit: a missing, left-over, wrongly shaped or unsafe array or file."""


class Diverged(UserError):
    """A training whose weights are not worth keeping."""


def unknown(what: str, value: object, choices: Iterable[str]) -> UserError:
    """The error for a name that is not one of `choices`; it names the nearest one and lists all."""
    choices = list(choices)
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return UserError(f"{what} {value!s}: unknown{hint}; choose one of {', '.join(choices)}")
