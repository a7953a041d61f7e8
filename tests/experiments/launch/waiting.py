"""Waiting for other programs."""

import time
from collections.abc import Callable


def until(true: Callable[[], object], seconds: float = 120) -> None:
    """Wait until a condition is met.

    Raises:
        TimeoutError: It was not in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("what the test waits for has not happened")
        time.sleep(0.05)
