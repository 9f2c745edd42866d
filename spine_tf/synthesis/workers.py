"""A process pool whose results come in order, with few of them waiting."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Result = TypeVar("Result")

# Tasks per worker that are handed out before the oldest result is taken.
_AHEAD = 4


def ordered_map(
    function: Callable[[int], Result], values: Iterable[int], num_workers: int
) -> Iterator[Result]:
    """Yields function(value) for each value in order, from `num_workers` processes (1: this one).

    Raises:
        OSError: a worker died, such as for want of memory.
    """
    if num_workers == 1:
        yield from map(function, values)
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        num_workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    try:
        for value in values:
            waiting.append(pool.submit(function, value))
            if len(waiting) >= _AHEAD * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except concurrent.futures.process.BrokenProcessPool as err:
        raise OSError(
            "a worker process died, perhaps for want of memory: try fewer --workers"
        ) from err
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
