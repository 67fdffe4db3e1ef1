"""Channels that are kept as separate arrays, read as one image."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array

# Names of the channels of colour images.
RGB = ("R", "G", "B")
RGBA = (*RGB, "alpha")
# A word, and what parts it from the next.
_WORD = re.compile(r"([^\s_-]+)([\s_-]*)")


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

    def __getitem__(self, key: tuple[Any, ...]) -> Array:
        chosen = self.arrays[key[0]]
        return np.stack([np.asarray(array[key[1:]]) for array in chosen])


def split_names(names: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Split layer names into what differs (channels) and what is common (image).

    Words end at blanks, underscores and dashes, which stay between what is kept.
    """
    words = [_WORD.findall(name) for name in names]
    common = set.intersection(*({word for word, _ in some} for some in words))
    rest = tuple(_text(w for w in some if w[0] not in common) for some in words)
    if len(set(rest)) == len(rest) and all(rest):
        return rest, _text(w for w in words[0] if w[0] in common) or "channels"
    return tuple(names), "channels"


def _text(words: Iterable[tuple[str, str]]) -> str:
    return "".join(word + gap for word, gap in words).strip(" _-")
