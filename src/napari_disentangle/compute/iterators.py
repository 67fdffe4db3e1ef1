"""Generators of steps: to their end, inside a context of their own, side by side."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing
from itertools import islice
from typing import Any, TypeVar

_Step = TypeVar("_Step")
_Other = TypeVar("_Other")
_End = TypeVar("_End")
# What an iterator gives that has ended.
_END = object()


def within(
    context: Callable[[], AbstractContextManager[Any]],
    steps: Generator[_Step, None, _End],
) -> Generator[_Step, None, _End]:
    """The same steps, each computed in the context; between them it is left."""
    with closing(steps):
        while True:
            with context():
                try:
                    step = next(steps)
                except StopIteration as end:
                    found: _End = end.value
                    return found
            yield step


def changed(
    steps: Generator[_Step, None, _End], change: Callable[[_Step], _Other]
) -> Generator[_Other, None, _End]:
    """Yield every step changed; return what the steps return."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: _End = end.value
                return result
            yield change(step)


def finished(steps: Generator[Any, None, _End]) -> _End:
    """What steps return, once all are done."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: _End = end.value
            return found


def side_by_side(
    jobs: Iterable[Generator[_Step, None, None]],
    threads: int,
    begin: Callable[[], None] | None = None,
) -> Generator[_Step, None, None]:
    """What all jobs give, in the order in which it is there.

    So many of them are at work at once, each a step at a time in some thread, which
    begins with ``begin``. Close it: then, or if a job fails, it ends when the steps
    that were begun have ended.
    """
    if threads == 1:
        for job in jobs:
            yield from job
        return
    waiting = iter(jobs)
    running: dict[Future[Any], Generator[_Step, None, None]] = {}
    with ThreadPoolExecutor(threads, initializer=begin) as pool:

        def go_on(job: Generator[_Step, None, None]) -> None:
            running[pool.submit(next, job, _END)] = job

        try:
            for job in islice(waiting, threads):
                go_on(job)
            while running:
                future = wait(running, return_when=FIRST_COMPLETED).done.pop()
                job, step = running.pop(future), future.result()
                if step is not _END:
                    go_on(job)
                    yield step
                elif following := next(waiting, None):
                    go_on(following)
        finally:
            wait(running)
            for job in running.values():
                job.close()
