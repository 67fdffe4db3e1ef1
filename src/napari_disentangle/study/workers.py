"""Many tasks at once, in processes of this machine or of a cluster.

An exception in one task is its result; a process that dies (no memory, a broken
library) takes only the task with it that killed it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from time import sleep
from typing import Any, TypeVar

from napari_disentangle.compute.device import use_threads
from napari_disentangle.errors import DataError

_Task = TypeVar("_Task")
_Found = TypeVar("_Found")
# Tasks that wait in line for every worker, so that none is idle.
_AHEAD = 2
# Every process has one core: more threads of BLAS only wait for each other.
_ALONE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
# Seconds after which a process looks whether the one that started it is still there.
_LOOK = 1.0


@dataclass(frozen=True)
class Where:
    """Where tasks are worked on: how many at once, and what opens the executor."""

    n: int
    opened: Callable[[int], AbstractContextManager[Executor]]


def here(n: int | None) -> Where:
    """Processes of this machine, as many as there are cores if ``None``."""
    n = n or cores()
    return Where(n, one_by_one if n == 1 else processes)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """Workers that are there from the first task on, until they are closed.

    Parameters
    ----------
    where
        Where they are.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._stack = ExitStack()
        self._pool: Executor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def each(
        self, work: Callable[[_Task], _Found], tasks: Iterable[_Task]
    ) -> Iterator[tuple[_Task, _Found | BaseException]]:
        """Every task with what became of it, in the order in which they end."""
        waiting = iter(tasks)
        while suspects := (yield from self._go_on(work, waiting, self._where.n)):
            for task in suspects:
                if (yield from self._go_on(work, iter([task]), 1)):
                    yield (
                        task,
                        DataError(
                            "the process that worked on it was killed, perhaps because "
                            "memory ran out: run again with fewer workers"
                        ),
                    )

    def _go_on(
        self, work: Callable[[_Task], _Found], tasks: Iterator[_Task], n: int
    ) -> Generator[tuple[_Task, _Found | BaseException], None, list[_Task]]:
        """Work until all is done, or a worker has died; then what it may have been."""
        running: dict[Future[_Found], _Task] = {}
        broken: list[_Task] = []
        for task in tasks:
            try:
                running[self._executor().submit(_once, work, task)] = task
            except BrokenExecutor:
                broken.append(task)
                break
            if len(running) >= n * _AHEAD and (
                yield from _ended(running, broken, FIRST_COMPLETED)
            ):
                break
        while running:
            yield from _ended(running, broken, FIRST_COMPLETED)
        if broken:
            self._stack.close()
            self._pool = None
        return broken

    def _executor(self) -> Executor:
        if self._pool is None:
            self._pool = self._stack.enter_context(self._where.opened(self._where.n))
        return self._pool


def _once(work: Callable[[_Task], _Found], task: _Task) -> _Found:
    """Work on one of thousands of images: none of them is kept for later."""
    from napari_disentangle.files.stored import forget
    from napari_disentangle.model.measure import KNOWN

    try:
        return work(task)
    finally:
        forget()
        KNOWN.clear()


def _ended(
    running: dict[Future[_Found], _Task], broken: list[_Task], when: str
) -> Generator[tuple[_Task, _Found | BaseException], None, bool]:
    """What has ended; returns whether a worker has died."""
    for future in wait(running, return_when=when).done:
        task, error = running.pop(future), future.exception()
        if isinstance(error, BrokenExecutor):
            broken.append(task)
        else:
            yield task, error or future.result()
    return bool(broken)


@contextmanager
def one_by_one(n: int) -> Iterator[Executor]:
    """A thread of this process."""
    with ThreadPoolExecutor(n, initializer=use_threads, initargs=(1,)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def processes(n: int) -> Iterator[Executor]:
    """Processes that end with this one, even if it is killed.

    Those of loky do not run the script anew that started them, which may open windows.
    """
    loky: Any = import_module("loky")
    pool = loky.ProcessPoolExecutor(
        n, initializer=_begin, initargs=(os.getpid(),), env=_ALONE
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(kill_workers=True)  # nobody waits for what they are at
        raise
    else:
        pool.shutdown()


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us
    use_threads(1)
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the process that started us has ended."""
    while os.getppid() == parent:
        sleep(_LOOK)
    os._exit(1)
