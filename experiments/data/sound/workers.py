"""Processes that decode."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def check_guard() -> None:
    """Raise ``RuntimeError`` in a decoding process, which runs the script that started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # The script would wait here for itself: it holds the lock, and waits for this process.
        raise RuntimeError(
            "decoding starts processes, which run the script again up to this line: put what it does under "
            "if __name__ == '__main__', or decode with num_workers=1"
        )


@contextmanager
def workers(number: int) -> Iterator[Callable[..., Iterable[bytes | str]]]:
    """Yield a `map` that works in `number` processes."""
    if number <= 1:
        yield map
        return
    # "spawn": a forked copy of a process with threads, as torch starts them, can hang.
    pool = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield partial(map_ahead, pool, 4 * number)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a decoding process was ended, perhaps for lack of memory; start again with fewer (data.num_workers=1)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def map_ahead(pool: Executor, ahead: int, job: Callable[[Path], T], paths: Sequence[Path]) -> Iterator[T]:
    """Map like `pool.map`, but at most `ahead` results ahead, so that a set is never in memory as a whole."""
    waiting: deque[Future[T]] = deque()
    for path in paths:
        waiting.append(pool.submit(job, path))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])  # otherwise the workers of a killed parent would wait for ever
    os._exit(1)
