"""Memory for large arrays that come and go."""

import ctypes
import sys
from contextlib import suppress

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h
_ALL = 2**31 - 1


def keep_freed() -> None:
    """Let the C library keep what the process frees, instead of asking the system for the same pages again.

    PyTorch allocates every map anew, and an image of 368x368 px took 40,000 page faults, a tenth of its time.  The
    process stays as large as it was at its largest.  Does nothing where there is no glibc.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, _ALL)
