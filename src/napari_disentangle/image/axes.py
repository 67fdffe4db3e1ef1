"""Axes of arrays by name: from an image with any axes to channels first, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from napari_disentangle.errors import AxesError
from napari_disentangle.image.arrays import Array

Lead = tuple[int, ...]

# What axes are called by others, in lower case.
_MEANINGS = {
    "T": ("t", "time", "frame"),
    "C": ("c", "ch", "channel", "channels", "band", "wavelength"),
    "Z": ("z", "depth", "plane", "slice"),
    "Y": ("y", "row", "height"),
    "X": ("x", "col", "column", "width"),
    "P": ("p", "position", "scene"),
}
_LETTERS = {name: axis for axis, names in _MEANINGS.items() for name in names}
_SPACE = "ZYX"


def letter(name: str) -> str:
    """The letter of an axis by its name, whatever that is; itself if it is a letter."""
    return _LETTERS.get(name.lower(), name.upper())


def typed_letters(axes: Sequence[Mapping[str, Any]]) -> str:
    """Letters of axes as OME-Zarr has them: the type decides, then the name.

    The last of several axes of space are Y and X, whatever they are called.
    """
    kinds = {"time": "T", "channel": "C"}
    read = [kinds.get(a.get("type", ""), letter(a["name"])) for a in axes]
    space = [i for i, a in enumerate(axes) if a.get("type") == "space"]
    known = [read[i] for i in space]
    if len(space) <= len(_SPACE) and {*known} != {*_SPACE[-len(space) :]}:
        for i, axis in zip(space, _SPACE[len(_SPACE) - len(space) :], strict=True):
            read[i] = axis
    return "".join(read)


def plane_key(axes: str, lead: Lead, y: slice, x: slice) -> tuple[int | slice, ...]:
    """Index of a region of one plane for an array with these axes."""
    numbers = iter(lead)
    fixed = {"Y": y, "X": x, "C": slice(None)}
    return tuple(fixed[a] if a in fixed else next(numbers) for a in axes)


def channels_first(region: Array, axes: str) -> Array:
    """Bring a region read with :func:`plane_key` to (C, Y, X)."""
    kept = [axis for axis in axes if axis in "CYX"]
    if "C" not in kept:
        region, kept = region[None], ["C", *kept]
    return region.transpose([kept.index(axis) for axis in "CYX"])


def channels_back(plane: Array, axes: str) -> Array:
    """Bring (C, Y, X) to an array with these axes, of size 1 where not C, Y or X."""
    lead = "".join(axis for axis in axes if axis not in "CYX")
    order = lead + "CYX"
    if "C" not in axes:
        order, plane = lead + "YX", plane[0]
    full = plane.reshape((1,) * len(lead) + plane.shape)
    return full.transpose([order.index(axis) for axis in axes])


def with_channels(axes: str) -> str:
    """Axes with a channel axis: where it is, but never last, else before the plane.

    Channels that come last are colours, and these are none.
    """
    if "C" in axes[:-1]:
        return axes
    grid = axes.replace("C", "")
    plane = min(grid.index("Y"), grid.index("X"))
    return f"{grid[:plane]}C{grid[plane:]}"


def check_axes(axes: str, shape: tuple[int, ...]) -> None:
    """Refuse axes that do not fit an array of this shape."""
    if len(axes) != len(shape):
        raise AxesError(
            f"axes {axes!r} name {len(axes)} axes, but the image has {len(shape)} "
            f"(shape {shape})"
        )
    if len(set(axes)) != len(axes) or not axes.isalpha() or not axes.isupper():
        raise AxesError(f"axes {axes!r} must be different capital letters, e.g. 'CZYX'")
    if "Y" not in axes or "X" not in axes:
        raise AxesError(f"axes {axes!r} must contain Y and X")
