"""Channels that are kept as separate arrays, read as one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class ChannelStack:
    """Arrays of one shape and type, read as one array with channels first."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        kinds = {(tuple(a.shape), np.dtype(a.dtype)) for a in arrays}
        if len(kinds) != 1:
            raise DataError(
                "channels must have the same shape and type, found "
                + ", ".join(
                    f"{shape} {dtype}" for shape, dtype in sorted(kinds, key=str)
                )
            )
        self.arrays = tuple(arrays)
        shape, self.dtype = kinds.pop()
        self.shape = (len(self.arrays), *shape)

    def __eq__(self, other: object) -> bool:
        """Whether it is a stack of the very same arrays."""
        if not isinstance(other, ChannelStack):
            return NotImplemented
        return [id(a) for a in self.arrays] == [id(a) for a in other.arrays]

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        chosen = self.arrays[key[0]]
        return np.stack([np.asarray(array[key[1:]]) for array in chosen])


def split_names(names: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Split layer names into what differs (channels) and what is common (image)."""
    words = [name.split() for name in names]
    common = [w for w in words[0] if all(w in other for other in words)]
    rest = tuple(" ".join(w for w in word if w not in common) for word in words)
    if len(set(rest)) == len(rest) and all(rest):
        return rest, " ".join(common) or "channels"
    return tuple(names), "channels"
