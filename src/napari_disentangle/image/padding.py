"""Where the padding of a plane is: areas of one value, whose edges are straight.

JPEG frays the edges of padding, and colours bleed into it: there it is told by whole
rows and columns, by darkness that no image has, by the sides of an image that was
turned, and by whole blocks, each mostly of the value itself. OUR CHOICE.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.image.arrays import Array, Mask

# JPEG changes a value by so much in images of 8 bits, and so much beside an edge.
NEAR, RINGING = 3, 40
# Edge of the smallest block that no border touches.
BLOCK = 8
# Pixels of the smallest area, and areas that are looked at, the largest first.
_LEAST, _AREAS = 16, 64
# Lines in any direction are straight from this share of the image on.
_LINE = 0.12
# Edge of the blocks of JPEG, and blocks over which colours ring, which are kept at half
# of the resolution.
_JPEG, _FRAYED = 8, 2
# Share of a row of frayed padding that is near its value, and of the next at most.
_WHOLE, _ENDS = 0.98, 0.5
# Share of an area that is within so many levels of its value.
_CORE = {NEAR: 0.1, 12: 0.6}
# Share of a plane around an image that was turned, at least; degrees by which its sides
# are off, the share of them that is not farther off, and of those across the longest.
_CORNERS, _TURNED, _SQUARE, _ACROSS = 0.01, 4.0, 0.8, 0.1
# Share of a plane that an image which was turned fills, at least.
_LEAST_TURNED = 0.3


class Edge(NamedTuple):
    """What edge is straight.

    Attributes
    ----------
    run
        Pixels of the shortest straight run along an axis.
    straight
        Share of an edge that has to be straight.
    off
        How far from a line an edge in another direction may be.
    """

    run: int
    straight: float
    off: float


CLEAN = Edge(12, 0.8, 1.0)
_DARK, _OF_BLOCKS = Edge(12, 0.65, 2.0), Edge(5, 0.8, 1.0)


def like(plane: Array, value: float, off: int) -> Mask:
    """Pixels (h, w) of a plane (C, h, w) that are this near a value in all channels."""
    low, high = value - off, value + off
    return np.asarray(((plane >= low) & (plane <= high)).all(axis=0))


def straight_areas(alike: Mask, edge: Edge = CLEAN) -> Mask:
    """The areas (h, w) of one value whose edges are straight."""
    from scipy.ndimage import find_objects, label

    found = np.zeros(alike.shape, bool)
    if not alike.any() or alike.all():
        return found
    parts, _ = label(alike)
    sizes = np.bincount(parts.ravel())
    order = [i for i in np.argsort(sizes)[::-1] if i and sizes[i] >= _LEAST]
    places = find_objects(parts)
    for number in order[:_AREAS]:
        place = places[number - 1]
        part = parts[place] == number
        if _is_padding(part, place, alike.shape, edge):
            found[place] |= part
    return found


def frayed(plane: Array, value: float, known: Mask, step: float) -> Mask:
    """Padding (h, w) beside what is known, of a value that JPEG has blurred."""
    near = like(plane, value, RINGING)
    if np.count_nonzero(near) < _LEAST:
        return np.zeros(near.shape, bool)
    # hardly a pixel of an image is as dark as black padding
    found = _bands(near) | (
        straight_areas(near, _DARK) if value == 0 else _around(near)
    )
    found = _cored(found, plane, value) & ~known
    exact = like(plane, value, NEAR) & ~(known | found)
    return np.asarray(found | _whole_blocks(exact, step))


def _cored(areas: Mask, plane: Array, value: float) -> Mask:
    """Areas (h, w) that are of the value, but for what JPEG did: no pen, no glass."""
    from scipy.ndimage import label

    parts, _ = label(areas)
    numbers = parts.ravel()
    sizes = np.maximum(np.bincount(numbers), 1)
    cored = np.ones(len(sizes), bool)
    for off, share in _CORE.items():
        within = np.bincount(numbers, weights=like(plane, value, off).ravel())
        cored &= within >= share * sizes
    return np.asarray(areas & cored[parts])


def _around(alike: Mask) -> Mask:
    """What lies around an image that was turned (h, w): beyond the sides of a square.

    Parameters
    ----------
    alike
        Pixels near the value (h, w).
    """
    image, nothing = ~alike, np.zeros(alike.shape, bool)
    if alike[:: len(alike) - 1, :: alike.shape[1] - 1].sum() < 2 or not image.any():
        return nothing
    from scipy.ndimage import binary_dilation, binary_erosion
    from skimage.morphology import convex_hull_image

    hull = np.asarray(convex_hull_image(image))
    if not _LEAST_TURNED <= hull.mean() <= 1 - _CORNERS or not _square(image):
        return nothing
    edge = hull & ~binary_erosion(hull, border_value=1)
    touched = binary_dilation(image, iterations=2)[edge].mean()
    return np.asarray(~hull) if touched >= _ENDS else nothing


def _square(image: Mask) -> bool:
    """Whether most of the hull of an image, but at borders, has two directions."""
    from scipy.ndimage import binary_erosion
    from scipy.spatial import ConvexHull, QhullError

    places = np.argwhere(image & ~binary_erosion(image))
    try:
        corners = places[ConvexHull(places).vertices]
    except QhullError:  # all in one line
        return False
    others, ends = np.roll(corners, 1, axis=0), np.array(image.shape) - 1
    cut = (corners == others) & ((corners == 0) | (corners == ends))
    lines = (corners - others)[~cut.any(axis=1)]
    lengths = np.linalg.norm(lines, axis=1)
    if not len(lines):
        return False
    angles = np.degrees(np.arctan2(*lines.T)) - np.degrees(
        np.arctan2(*lines[lengths.argmax()])
    )
    along, across = (
        lengths[np.abs((angles + turn) % 180 - 90) <= _TURNED].sum() / lengths.sum()
        for turn in (90, 0)
    )
    return bool(along + across >= _SQUARE and across >= _ACROSS)


def _whole_blocks(alike: Mask, step: float) -> Mask:
    """Areas of one value whose edges JPEG has frayed, and the pixels around them.

    Blocks that are of one value as a whole have straight edges, if padding has them;
    ringing reaches over the rest of a block.

    Parameters
    ----------
    alike
        Pixels of a map that have the value (h, w).
    step
        Pixels of the plane to one of the map.
    """
    from scipy.ndimage import binary_dilation

    edge = max(2, round(_JPEG / step))
    lacking = [(0, -n % edge) for n in alike.shape]
    cut = np.pad(alike, lacking, mode="edge").reshape(
        -(-alike.shape[0] // edge), edge, -(-alike.shape[1] // edge), edge
    )
    whole: Mask = np.asarray(cut.all(axis=(1, 3)))
    areas = straight_areas(whole, _OF_BLOCKS)
    grown = binary_dilation(areas, np.ones((3, 3), bool), _FRAYED)
    return np.kron(grown, np.ones((edge, edge), bool))[
        : alike.shape[0], : alike.shape[1]
    ]


def _bands(alike: Mask) -> Mask:
    """Rows and columns (h, w) that are padding, but for what JPEG has frayed.

    They are of the value as a whole, and end as a whole: at a border, or where at once
    much of the next ones is of another value.

    Parameters
    ----------
    alike
        Pixels near the value, as far as JPEG may have moved them (h, w).
    """
    found = np.zeros(alike.shape, bool)
    lines, columns = _whole(alike), _whole(alike.T)
    ways = (alike, columns, found), (alike.T, lines, found.T)
    for own, across, bands in ways if lines.any() or columns.any() else ():
        if across.all():
            continue
        inside = own[:, ~across]
        ends = np.flatnonzero(np.diff(np.pad(_whole(inside), 1).astype(np.int8)))
        for start, stop in zip(ends[::2], ends[1::2], strict=True):
            sides = inside[max(0, start - 2) : start], inside[stop : stop + 2]
            if all(_ends(side) for side in sides) and stop - start < len(own):
                bands[start:stop] = True
    return found


def _whole(alike: Mask) -> Mask:
    """Rows that are of one value."""
    return np.asarray(alike.mean(axis=1) >= _WHOLE)


def _ends(side: Mask) -> bool:
    """Whether rows beside some of one value are of others, or there are none."""
    return not len(side) or bool(side.mean(axis=1).min() <= _ENDS)


def _is_padding(
    part: Mask, place: Sequence[slice], shape: Sequence[int], edge: Edge
) -> bool:
    """Whether an area is at a border or a whole block, and its edges are straight."""
    sides = [(at.start == 0, at.stop == n) for at, n in zip(place, shape, strict=True)]
    at_border = np.pad(part, [(int(a), int(b)) for a, b in sides], mode="edge")
    lengths = np.concatenate([*_runs(at_border, sides)])
    along = lengths[lengths >= edge.run].sum() / max(lengths.sum(), 1)
    if not any(one for side in sides for one in side):
        whole = bool(part.all()) and min(part.shape) >= BLOCK
        return whole or bool(along == 1)
    if along >= edge.straight or not lengths.sum():
        return bool(lengths.sum())
    lines = np.array([*_lines(at_border, sides, edge.off)])
    long = lines >= _LINE * min(shape)
    return bool(lines[long].sum() >= edge.straight * lines.sum())


def _runs(part: Mask, sides: Sequence[tuple[bool, bool]]) -> Iterator[NDArray[np.intp]]:
    """Lengths of the straight pieces of the edge of an area, along both axes.

    The area is repeated beyond the borders of the image, where it has no edge.
    """
    outside = [(0 if a else 1, 0 if b else 1) for a, b in sides]
    whole = np.pad(part, outside)
    for turned in (whole, whole.T):
        for rising in (True, False):
            above, below = turned[:-1], turned[1:]
            edge = below & ~above if rising else above & ~below
            ends = np.diff(np.pad(edge, [(0, 0), (1, 1)]).astype(np.int8), axis=1)
            yield np.flatnonzero(ends.ravel() < 0) - np.flatnonzero(ends.ravel() > 0)


def _lines(
    part: Mask, sides: Sequence[tuple[bool, bool]], off: float
) -> Iterator[float]:
    """Lengths of the lines that an edge in any direction is made of."""
    from skimage.measure import approximate_polygon, find_contours

    outside = [(0 if a else 1, 0 if b else 1) for a, b in sides]
    for contour in find_contours(np.pad(part, outside).astype(float), 0.5):
        corners = approximate_polygon(contour, off)
        yield from np.linalg.norm(np.diff(corners, axis=0), axis=1)
