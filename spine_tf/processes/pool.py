"""Processes that do tasks, and may die without taking the run along."""

import collections
import contextlib
import os
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import connection
from typing import Any, Generic, Protocol, TypeVar

from spine_tf.processes import child

Task = TypeVar("Task")
Result = TypeVar("Result")
_Item = TypeVar("_Item", covariant=True)

_MAX_ATTEMPTS = 2
# In order, so many tasks a worker may be done before the oldest is: their results wait in memory.
_AHEAD = 4


class Tasks(Protocol[_Item]):
    """A sequence of tasks, or what makes each when it is handed out, and again if a worker dies."""

    def __len__(self) -> int:
        """Returns how many there are."""

    def __getitem__(self, index: int, /) -> _Item:
        """Returns one."""


def num_cpus() -> int:
    """Returns the number of processors that this process may use."""
    # macOS has no affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Tasks[Task],
    *,
    num_workers: int,
    name_of: Callable[[Task], str],
    is_in_order: bool = False,
    inherited: Sequence[int] = (),
) -> Generator[Result, None, None]:
    """Yields the results in the order in which they come.

    A task whose worker dies is given to a new one once. Leaving the iterator, by its end, by an
    error or by a signal, ends the workers.

    Args:
        function: does one task; a module's function, or a partial of one.
        tasks: handed out from the first.
        num_workers: processes; 0 does all in this one.
        name_of: what to call a task in an error.
        is_in_order: yield the results in the order of the tasks, with few of them waiting.
        inherited: descriptors that a worker closes at once, so that no lock outlives its owner.

    Raises:
        ChildProcessError: the worker died twice on a task.
        Exception: whatever `function` raised.
    """
    if not num_workers:
        yield from (function(tasks[index]) for index in range(len(tasks)))
        return
    ahead = _AHEAD * num_workers if is_in_order else len(tasks)
    workers = _Workers(function, num_workers, inherited)
    with contextlib.closing(_run(workers, tasks, name_of, ahead)) as results:
        if is_in_order:
            yield from _in_order(results)
        else:
            yield from (result for _, result in results)


def _in_order(results: Iterator[tuple[int, Result]]) -> Iterator[Result]:
    waiting: dict[int, Result] = {}
    num_yielded = 0
    for index, result in results:
        waiting[index] = result
        while num_yielded in waiting:
            yield waiting.pop(num_yielded)
            num_yielded += 1


def _run(
    workers: "_Workers[Task, Result]",
    tasks: Tasks[Task],
    name_of: Callable[[Task], str],
    ahead: int,
) -> Generator[tuple[int, Result], None, None]:
    """Yields (task index, result); no task begins that is `ahead` of one that is not done."""
    waiting = collections.deque(range(len(tasks)))
    attempts: collections.Counter[int] = collections.Counter()

    def start_some() -> None:
        while waiting and workers.can_start(waiting[0], ahead):
            index = waiting.popleft()
            workers.start(index, tasks[index])

    try:
        while waiting or workers.busy:
            start_some()
            for index, is_done, value in workers.finished():
                if is_done:
                    # Before the caller does what it does with a result, such as asking a network.
                    start_some()
                    yield index, value
                    continue
                attempts[index] += 1
                if attempts[index] == _MAX_ATTEMPTS:
                    raise ChildProcessError(
                        f"the worker of {name_of(tasks[index])} died {_MAX_ATTEMPTS} times "
                        f"(it {value}): if memory is short, use fewer --workers"
                    )
                waiting.appendleft(index)
    finally:
        workers.end()


class _Workers(Generic[Task, Result]):
    """Idle and busy workers."""

    def __init__(
        self, function: Callable[[Task], Result], num_workers: int, inherited: Sequence[int]
    ) -> None:
        self._function = function
        self._num_workers = num_workers
        self._inherited = inherited
        self._idle: list[child.Child] = []
        self.busy: dict[child.Child, int] = {}

    def can_start(self, index: int, ahead: int) -> bool:
        """Whether a worker is free, and the oldest running task not far behind."""
        oldest = min(self.busy.values(), default=index)
        return len(self.busy) < self._num_workers and index < oldest + ahead

    def start(self, index: int, task: Task) -> None:
        """Gives a task to a worker, a new one if none is idle."""
        worker = self._idle.pop() if self._idle else self._new()
        self.busy[worker] = index
        worker.send(task)

    def _new(self) -> child.Child:
        # Asked each time: TensorFlow may have been imported since the others were forked.
        method = child.start_method()
        return child.Child(_work, self._function, start_method=method, inherited=self._inherited)

    def finished(self) -> Iterator[tuple[int, bool, Any]]:
        """Waits; yields (task index, True, result) or (task index, False, how the worker died)."""
        ready = connection.wait([worker.connection for worker in self.busy])
        for worker in [worker for worker in self.busy if worker.connection in ready]:
            index = self.busy.pop(worker)
            try:
                is_done, value = worker.receive()
            except ChildProcessError as err:
                worker.end()
                yield index, False, str(err)
                continue
            self._idle.append(worker)
            if not is_done:
                raise value
            yield index, True, value

    def end(self) -> None:
        """Ends all workers; what they were at is left half-done, under temporary names."""
        for worker in (*self._idle, *self.busy):
            worker.end()


def _work(parent: child.Connection, function: Callable[[Any], Any]) -> None:
    while True:
        try:
            task = parent.recv()
        except EOFError:
            return
        try:
            answer = True, function(task)
        except Exception as err:  # noqa: BLE001 - the parent raises it; nobody else can be told
            err.add_note("".join(traceback.format_exception(err)))
            answer = False, err
        parent.send(answer)
