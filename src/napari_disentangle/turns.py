"""Turns: threads read an image one after another; not every array bears two at once."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of every image its own, so that an image may be computed from another while it is
# read; kept apart from it, because images are sent to other processes.
_LOCKS: WeakKeyDictionary[object, Any] = WeakKeyDictionary()
_GUARD = Lock()


@contextmanager
def in_turn(image: object) -> Iterator[None]:
    """Wait until no other thread is inside with the same image."""
    with _GUARD:
        lock = _LOCKS.setdefault(image, RLock())
    with lock:
        yield
