"""Whether bfloat16 pays on this machine: a processor without it takes detours, and many times as long."""

import time
from collections.abc import Callable

_SLOW = 2.0  # times as long; more is told


def cost(convolution: Callable[[bool], Callable[[], object]]) -> float:
    """How long a convolution takes in bfloat16, as a multiple of its time in float32.

    `convolution(bf16)` gives a function that computes one in that precision.  The shortest of three times each.
    """
    seconds = []
    for bf16 in (True, False):
        run = convolution(bf16)
        run()  # prepares itself
        seconds.append(min(_seconds(run) for _ in range(3)))
    return seconds[0] / seconds[1]


def advice(convolution: Callable[[bool], Callable[[], object]]) -> str | None:
    """A line for where a training in bfloat16 would be much faster in float32; None where it would not."""
    times = cost(convolution)
    if times <= _SLOW:
        return None
    return f"bfloat16: a convolution takes {times:.0f} times as long as in float32 here; --set bf16=false trains faster"


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
