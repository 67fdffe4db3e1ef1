"""Outlines of labelled regions along the edges of their pixels, as polygons."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.image.arrays import Array

# Corners [x, y] of a closed line; the last is the first.
Ring = list[list[int]]
# The outer ring, then one for each hole.
Polygon = list[Ring]

# Neighbour (dy, dx): first and last corner of the edge that is shared with it.
_SIDES = {
    (-1, 0): ((0, 0), (0, 1)),
    (0, 1): ((0, 1), (1, 1)),
    (1, 0): ((1, 1), (1, 0)),
    (0, -1): ((1, 0), (0, 0)),
}


def outlines(plane: NDArray[np.integer]) -> dict[int, list[Polygon]]:
    """Exact outlines of the labels of a plane (Y, X).

    Pixel (y, x) fills the square from (x, y) to (x + 1, y + 1). No ring crosses or
    touches itself: parts that touch at a corner only are polygons of their own. Outer
    rings have a positive area by the shoelace formula, holes a negative one.

    Returns
    -------
    dict
        Label to its polygons, in the order of the labels.
    """
    from skimage.measure import label

    parts, n = label(plane, connectivity=1, return_num=True)
    numbers = np.zeros(n + 1, int)
    numbers[parts] = plane
    shapes: dict[int, list[Polygon]] = {}
    for part, starts, ends in _edges(parts):
        rings = [_ring(loop, parts.shape[1] + 1) for loop in _loops(starts, ends)]
        # A part has one outer ring, since its pixels touch along edges.
        polygon = sorted(rings, key=_area, reverse=True)
        shapes.setdefault(int(numbers[part]), []).append(polygon)
    return dict(sorted(shapes.items()))


def _edges(
    parts: NDArray[np.integer],
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """The edges of every part, with the part on the right as seen on a screen.

    Corners are numbered row by row.
    """
    padded, width = np.pad(parts, 1), parts.shape[1] + 1
    found = []
    for side, (start, end) in _SIDES.items():
        y, x = np.nonzero((parts != 0) & (parts != _beside(padded, side)))
        corners = [(y + dy) * width + x + dx for dy, dx in (start, end)]
        found.append(np.stack([parts[y, x], *corners]))
    part, starts, ends = np.concatenate(found, axis=1)
    order = np.argsort(part, kind="stable")
    cuts = np.flatnonzero(np.diff(part[order])) + 1
    for some in np.split(order, cuts):
        if some.size:
            yield int(part[some[0]]), starts[some], ends[some]


def _beside(padded: Array, side: tuple[int, int]) -> Array:
    (h, w), (dy, dx) = padded.shape, side
    return padded[1 + dy : h - 1 + dy, 1 + dx : w - 1 + dx]


def _loops(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[list[int]]:
    """Join edges to loops that pass every corner once, however often they touch."""
    following: dict[int, list[int]] = defaultdict(list)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        following[start].append(end)
    while following:
        path = [next(iter(following))]
        places = {path[0]: 0}
        while path[-1] in following:
            corner = _step(following, path[-1])
            if corner in places:
                loop = path[places[corner] :]
                yield loop
                del path[places[corner] + 1 :]
                for passed in loop[1:]:
                    del places[passed]
            else:
                places[corner] = len(path)
                path.append(corner)


def _step(following: dict[int, list[int]], corner: int) -> int:
    """Take an edge that begins at a corner away; the corner where it ends."""
    taken = following[corner].pop()
    if not following[corner]:
        del following[corner]
    return taken


def _ring(loop: list[int], width: int) -> Ring:
    """The corners where a loop turns, closed."""
    xy = np.stack(np.divmod(loop, width)[::-1], axis=1)
    before, after = xy - np.roll(xy, 1, 0), np.roll(xy, -1, 0) - xy
    turns = xy[(before != after).any(axis=1)]
    ring: Ring = np.concatenate([turns, turns[:1]]).tolist()
    return ring


def _area(ring: Ring) -> float:
    x, y = np.asarray(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)
