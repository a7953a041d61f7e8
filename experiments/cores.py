"""How many cores this process may use."""

import os


def cores() -> int:
    """Return the number of cores that the scheduler grants to this process, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
