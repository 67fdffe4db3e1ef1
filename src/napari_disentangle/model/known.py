"""Looks that were measured before, found again by the pixels they were measured on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from hashlib import blake2b
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

from napari_disentangle.image.arrays import Array

_Found = TypeVar("_Found")


class Known(Generic[_Found]):
    """What was found last, so many at most; threads may share it.

    Parameters
    ----------
    limit
        Number of entries that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._found: OrderedDict[Hashable, _Found] = OrderedDict()

    def get(self, key: Hashable) -> _Found | None:
        """What was found under a key, if it is still kept."""
        with self._lock:
            if key not in self._found:
                return None
            self._found.move_to_end(key)
            return self._found[key]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._found.clear()

    def keep(self, key: Hashable, found: _Found) -> None:
        """Keep what was found under a key; the oldest goes."""
        with self._lock:
            self._found[key] = found
            self._found.move_to_end(key)
            while len(self._found) > self._limit:
                self._found.popitem(last=False)


def digest(arrays: Iterable[Array]) -> bytes:
    """Short hash of the values, shapes and types of arrays."""
    known = blake2b(digest_size=16)
    for array in arrays:
        known.update(f"{array.dtype.str}{array.shape}".encode())
        known.update(np.ascontiguousarray(array).data)
    return known.digest()
