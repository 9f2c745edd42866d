"""Processes that do tasks, die with their parent, and may die without taking the run along."""

import collections
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import connection, context
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
_MAX_ATTEMPTS = 2
_JOIN_SECONDS = 5.0


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    num_workers: int,
    name_of: Callable[[Task], str],
    inherited: Sequence[int] = (),
) -> Generator[Result, None, None]:
    """Yields the results in the order in which they come.

    A task whose worker dies is given to a new one once. Leaving the iterator, by its end, by an
    error or by a signal, ends the workers.

    Args:
        function: does one task; a module's function, or a partial of one.
        tasks: handed out from the first.
        num_workers: processes.
        name_of: what to call a task in an error.
        inherited: descriptors that a worker closes at once, so that no lock outlives its owner.

    Raises:
        ChildProcessError: the worker died twice on a task.
        Exception: whatever `function` raised.
    """
    pool = _Pool(function, inherited)
    waiting = collections.deque(range(len(tasks)))
    attempts: collections.Counter[int] = collections.Counter()
    try:
        while waiting or pool.busy:
            while waiting and len(pool.busy) < num_workers:
                pool.start(waiting[0], tasks[waiting[0]])
                waiting.popleft()
            for index, is_done, value in pool.finished():
                if is_done:
                    yield value
                    continue
                attempts[index] += 1
                if attempts[index] == _MAX_ATTEMPTS:
                    raise ChildProcessError(
                        f"the worker of {name_of(tasks[index])} died {_MAX_ATTEMPTS} times "
                        f"({value}): if memory is short, use fewer --workers"
                    )
                waiting.appendleft(index)
    finally:
        pool.stop()


class _Worker:
    """One process and the parent's end of its pipe."""

    def __init__(
        self, start: context.BaseContext, function: Callable[[Any], Any], inherited: Sequence[int]
    ) -> None:
        self.connection, child = multiprocessing.Pipe()
        arguments = (function, child, os.getpid(), tuple(inherited))
        # Ctrl-C goes to the whole process group: the child must not see it before it ignores it.
        with _blocked_interrupt():
            self.process = start.Process(target=_work, args=arguments, daemon=True)  # type: ignore[attr-defined]
            self.process.start()
        child.close()

    def death(self) -> str:
        """Returns how the process ended."""
        self.process.join(_JOIN_SECONDS)
        code = self.process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


class _Pool(Generic[Task, Result]):
    """Idle and busy workers."""

    def __init__(self, function: Callable[[Task], Result], inherited: Sequence[int]) -> None:
        self._function = function
        self._context = multiprocessing.get_context(_start_method())
        self._inherited = inherited if self._context.get_start_method() == "fork" else ()
        self._idle: list[_Worker] = []
        self.busy: dict[_Worker, int] = {}

    def start(self, index: int, task: Task) -> None:
        """Gives a task to a worker, a new one if none is idle."""
        if self._idle:
            worker = self._idle.pop()
        else:
            worker = _Worker(self._context, self._function, self._inherited)
        self.busy[worker] = index
        # A worker that died idle is found out when its answer is read.
        with contextlib.suppress(BrokenPipeError):
            worker.connection.send(task)

    def finished(self) -> Iterator[tuple[int, bool, Any]]:
        """Waits; yields (task index, True, result) or (task index, False, how the worker died)."""
        ready = connection.wait([worker.connection for worker in self.busy])
        for worker in [worker for worker in self.busy if worker.connection in ready]:
            index = self.busy.pop(worker)
            try:
                is_done, value = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                worker.connection.close()
                yield index, False, worker.death()
                continue
            self._idle.append(worker)
            if not is_done:
                raise value
            yield index, True, value

    def stop(self) -> None:
        """Ends all workers; what they were at is left half-done, under temporary names."""
        workers = [*self._idle, *self.busy]
        for worker in workers:
            worker.process.kill()
            worker.connection.close()
        for worker in workers:
            worker.process.join(_JOIN_SECONDS)


def _work(
    function: Callable[[Any], Any],
    child: "connection.Connection[Any, Any]",
    parent: int,
    inherited: Sequence[int],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for descriptor in inherited:
        os.close(descriptor)
    die_with(parent)
    while True:
        try:
            task = child.recv()
        except EOFError:
            return
        try:
            answer = True, function(task)
        except Exception as err:  # the parent raises it; a worker has nobody to tell
            err.add_note("".join(traceback.format_exception(err)))
            answer = False, err
        child.send(answer)


def die_with(parent: int) -> None:
    """Asks the kernel for SIGKILL when the parent is gone: a killed parent can't tell anyone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _start_method() -> str:
    """Fork where it is safe: it shares what is imported. TensorFlow's threads don't survive it."""
    is_safe = sys.platform == "linux" and "tensorflow" not in sys.modules
    return "fork" if is_safe and threading.active_count() == 1 else "spawn"


@contextlib.contextmanager
def _blocked_interrupt() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
