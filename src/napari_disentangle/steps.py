"""Generators of steps: run to their end, or each step inside a context of its own."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

_Step = TypeVar("_Step")
_End = TypeVar("_End")


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


def finished(steps: Generator[Any, None, _End]) -> _End:
    """What steps return, once all are done."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: _End = end.value
            return found
