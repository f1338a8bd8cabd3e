"""Numba, where it is installed: kernels live in modules of their own, which are imported when they are first used."""

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

OFF = "POSE_NUMBA"  # the environment variable that turns compiled kernels off when it is 0


@cache
def _installed() -> bool:
    return find_spec("numba") is not None


def available() -> bool:
    """Whether compiled kernels are used.  Asking does not import numba, which takes half a second."""
    return os.environ.get(OFF) != "0" and _installed()


def njit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, without the GIL, and keep the code on the disk for the next process.

    It imports numba: a decorator for modules of kernels, which are imported inside functions.  Where compiled kernels
    are not `available()` the function stays plain Python.
    Numba keeps the code in `__pycache__`, or below the home directory where that cannot be written, or in
    NUMBA_CACHE_DIR; where none can be written it is compiled anew in every process.
    """
    if not available():
        return function
    import numba

    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "no locator available": nowhere to keep it
        return numba.njit(nogil=True)(function)
