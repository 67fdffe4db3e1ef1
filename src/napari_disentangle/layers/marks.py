"""Marks on an image: pixels that were painted in a Shapes or Labels layer."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Doubles, Mask
from napari_disentangle.image.field import Field
from napari_disentangle.layers.style import world

# Corners of the polygon that stands for an ellipse.
_CORNERS = 64
# Numbers with rounding errors lie this close to each other.
_CLOSE = 1e-6


def painted(marks: Any, layer: Any, axes: str | None = None) -> Mask:
    """The pixels of an image layer that are painted on, for ``where`` of a Field.

    Layers are aligned as napari aligns them: in the world, by their last axes. What has
    fewer axes than the image marks all its planes. Pixels count if their centre is
    inside.

    Parameters
    ----------
    marks
        A napari Labels or Shapes layer; every label and every closed shape counts.
    layer
        The Image layer, or a list of layers that are the channels of one image.
    axes
        How that is to be read; see :meth:`Field.from_layer`.

    Returns
    -------
    ndarray
        Of the image's shape without channels.

    Raises
    ------
    DataError
        If nothing on the image is marked, or a shape has no area or lies across its
        planes.
    """
    group = layer if isinstance(layer, (list, tuple)) else [layer]
    mask = marked(marks, group, axes)
    if not mask.any():
        raise DataError(
            f"{marks.name!r} marks nothing on {group[0].name!r}: paint there what is "
            "normal"
        )
    return mask


def marked(marks: Any, group: Sequence[Any], axes: str | None = None) -> Mask:
    """What :func:`painted` returns, even if that is nothing."""
    field = Field.from_layer(group[0], axes=axes)
    paint = _shapes if hasattr(marks, "shape_type") else _labels
    mask = paint(marks, _between(group[0], marks), field)
    if "C" in field.grid_axes:
        mask = np.any(mask, axis=field.axes.index("C"))
    return mask


def _between(layer: Any, marks: Any) -> Doubles:
    """Matrix from pixels of an image to those of what marks it, shared axes only."""
    n = min(layer.ndim, marks.ndim) + 1
    to_world, from_world = world(layer)[-n:, -n:], world(marks)[-n:, -n:]
    return np.linalg.inv(from_world) @ to_world


def _grid(field: Field) -> tuple[int, ...]:
    """Shape of an image without colours."""
    return field.shape[: len(field.grid_axes)]


def _labels(marks: Any, matrix: Doubles, field: Field) -> Mask:
    """Whether the label at the place of each pixel is not 0."""
    from scipy.ndimage import affine_transform

    shape, n = _grid(field), len(matrix) - 1
    data = marks.data[0] if marks.multiscale else marks.data
    marked = np.asarray(data) != 0
    marked = marked.any(axis=tuple(range(marked.ndim - n)))
    if marked.shape == shape[-n:] and np.allclose(matrix, np.eye(n + 1), atol=_CLOSE):
        return np.broadcast_to(marked, shape)
    found: Mask = affine_transform(
        marked.astype(np.uint8),
        # rounding errors must not decide which of two pixels is nearest
        np.round(matrix, 9),
        output_shape=shape[-n:],
        order=0,
        mode="grid-constant",
    ).astype(bool)
    return np.broadcast_to(found, shape)


def _shapes(marks: Any, matrix: Doubles, field: Field) -> Mask:
    """Whether each pixel is in any shape."""
    from skimage.measure import grid_points_in_poly

    mask = np.zeros(_grid(field), bool)
    n, axes = len(matrix) - 1, field.grid_axes
    shared = axes[-n:]
    plane = (*(a for a in axes if a not in "YX"), *"YX")
    planes = mask.transpose([axes.index(a) for a in plane])  # a view, Y and X last
    for corners in _polygons(marks, n):
        found = corners @ np.linalg.inv(matrix)[:n, :n].T + np.linalg.inv(matrix)[:n, n]
        index = tuple(
            _number(found[:, shared.index(a)], marks) if a in shared else slice(None)
            for a in plane[:-2]
        )
        if all(_inside(i, size) for i, size in zip(index, planes.shape, strict=False)):
            yx = found[:, [shared.index("Y"), shared.index("X")]]
            planes[index] |= grid_points_in_poly(field.plane_shape, yx)
    return mask


def _polygons(marks: Any, n: int) -> Iterator[Doubles]:
    """Corners of all shapes, along the last axes only."""
    for corners, kind in zip(marks.data, marks.shape_type, strict=True):
        if kind in ("line", "path"):
            raise DataError(
                f"a {kind} in {marks.name!r} has no area: draw rectangles, ellipses or "
                "polygons"
            )
        own = np.asarray(corners, float)[:, -n:]
        yield _ellipse(own) if kind == "ellipse" else own


def _ellipse(corners: Doubles) -> Doubles:
    """The ellipse in a parallelogram."""
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    half = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    ring: Doubles = corners.mean(axis=0) + (
        np.cos(angle) * half[0] + np.sin(angle) * half[1]
    )
    return ring


def _number(places: Doubles, marks: Any) -> int:
    """The plane that a shape lies in."""
    if np.ptp(places) > _CLOSE:
        raise DataError(
            f"a shape in {marks.name!r} lies across the planes of the image: draw it "
            "in one plane"
        )
    return int(np.round(places[0]))


def _inside(index: int | slice, size: int) -> bool:
    return isinstance(index, slice) or 0 <= index < size
