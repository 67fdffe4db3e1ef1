"""Objects: labels of images, and one table with a row for every object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Field
from napari_disentangle.objects.instances import Labels

Columns = Mapping[str, Array]


@dataclass(frozen=True)
class Place:
    """Where in an image labels are of one time.

    Attributes
    ----------
    index
        Into an array of the image's grid.
    axes
        What is left of its axes: Y, X and perhaps Z, in the image's order.
    apart
        Number along every other axis.
    """

    index: tuple[int | slice, ...]
    axes: str
    apart: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of images.

    Attributes
    ----------
    images
        The images.
    labels
        Of every image, as large as its grid: 0 is none, and every object has a number.
        The same number in two time points is two rows.
    columns
        Of the table, (n,) each: ``image`` (name), ``label``, ``t``, ``centroid-y``, ...
        in world units, ``bbox-y0``, ... in pixels, ``touches_border``, and what coders
        add.
    said
        What a person should know, in sentences.
    recipe
        How they came about, in plain JSON types.
    """

    images: tuple[Field, ...]
    labels: tuple[Labels, ...]
    columns: Columns
    said: tuple[str, ...] = ()
    recipe: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.columns["label"])

    @classmethod
    def of(
        cls, images: Field | Sequence[Field], labels: Array | Sequence[Array]
    ) -> Self:
        """Take labels that are there already, of whatever program.

        Raises
        ------
        AxesError
            If labels have another shape than their image without channels.
        DataError
            If labels are no whole numbers from 0 on, or there is no object.
        """
        many = several(images)
        given = list(labels) if isinstance(labels, (list, tuple)) else [labels]
        if len(given) != len(many):
            raise DataError(
                f"there are {len(many)} images and {len(given)} arrays of labels: give "
                "one for each image"
            )
        checked = tuple(map(_checked, many, map(np.asarray, given)))
        columns = rows(many, checked)
        if not len(columns["label"]):
            raise DataError("there is no object in the labels: all of them are 0")
        return cls(many, checked, columns)

    def having(self, columns: Columns) -> Self:
        """The same with more columns."""
        return replace(self, columns={**self.columns, **columns})

    def column(self, name: str) -> Array:
        """A column by its name.

        Raises
        ------
        DataError
            If there is none.
        """
        if name not in self.columns:
            raise DataError(
                f"objects have no column {name!r}: take one of "
                f"{', '.join(self.columns)}, or add it with Objects.having"
            )
        return self.columns[name]

    def of_image(self, number: int) -> Array:
        """Rows of one image."""
        return np.flatnonzero(self.columns["image number"] == number)

    def drawn(self, number: int) -> Field:
        """Labels of one image as an image, in the same place."""
        image = self.images[number]
        kept = [i for i, axis in enumerate(image.grid_axes) if axis != "C"]
        return Field(
            self.labels[number],
            image.axes.replace("C", ""),
            scale=tuple(image.scale[i] for i in kept),
            translate=tuple(image.translate[i] for i in kept),
            units=tuple(image.units[i] for i in kept),
            name=image.name,
        )


def several(images: Field | Sequence[Field]) -> tuple[Field, ...]:
    """Images as such, one at least.

    Raises
    ------
    DataError
        If there is none.
    """
    many = (images,) if isinstance(images, Field) else tuple(images)
    if not many:
        raise DataError("there is no image: give at least one")
    return many


def places(image: Field) -> Iterator[Place]:
    """All parts of an image whose labels are of one time, in order."""
    grid = image.axes.replace("C", "")
    axes = "".join(axis for axis in grid if axis in "ZYX")
    apart = "".join(axis for axis in grid if axis not in axes)
    for numbers in np.ndindex(*(image.size(axis) for axis in apart)):
        known = dict(zip(apart, numbers, strict=True))
        index = tuple(known.get(axis, slice(None)) for axis in grid)
        yield Place(index, axes, known)


def _checked(image: Field, labels: Array) -> Labels:
    shape = image.grid_shape
    if tuple(labels.shape) != shape:
        raise AxesError(
            f"labels have shape {tuple(labels.shape)}, but {image.name!r} needs "
            f"{shape}: take labels of this image"
        )
    if labels.dtype.kind not in "uib" or (labels.size and labels.min() < 0):
        raise DataError(
            f"labels of {image.name!r} are no whole numbers from 0 on: take a Labels "
            "layer, 0 where there is no object"
        )
    if labels.size and labels.max() > np.iinfo(np.int32).max:
        raise DataError(f"labels of {image.name!r} reach beyond 2**31: relabel them")
    return np.asarray(labels, np.int32)


def rows(images: Sequence[Field], labels: Sequence[Labels]) -> dict[str, Array]:
    """The rows of all images, with where they are: (n,) per column."""
    parts = [
        _rows_of(number, image, part, own[part.index])
        for number, (image, own) in enumerate(zip(images, labels, strict=True))
        for part in places(image)
    ]
    return joined(parts, "label")


def joined(parts: Sequence[Columns], known: str) -> dict[str, Array]:
    """Columns of all parts, one after the other; NaN where a part lacks one.

    Parameters
    ----------
    parts
        Columns of each.
    known
        A column that none lacks.
    """
    names = dict.fromkeys(name for part in parts for name in part)
    lacking = [np.full(len(part[known]), np.nan) for part in parts]
    every = [*zip(parts, lacking, strict=True)]
    return {k: np.concatenate([part.get(k, none) for part, none in every])
            for k in names}  # fmt: skip


def _rows_of(
    number: int, image: Field, part: Place, labels: Labels
) -> dict[str, Array]:
    """Objects of one time of an image: number, place and box."""
    from scipy.ndimage import find_objects

    boxes = find_objects(labels)
    known = np.array([i + 1 for i, box in enumerate(boxes) if box], np.int64)
    n, found = len(known), [boxes[label - 1] for label in known]
    columns: dict[str, Array] = {
        "image": np.full(n, image.name, object),
        "image number": np.full(n, number),
        "label": known,
        "t": np.full(n, part.apart.get("T", 0)),
    } | {k.lower(): np.full(n, at) for k, at in part.apart.items()}
    middles, border = _middles(labels, known), np.zeros(n, bool)
    for i, (axis, middle) in enumerate(zip(part.axes, middles, strict=True)):
        at, name = image.grid_axes.index(axis), axis.lower()
        begins = np.array([box[i].start for box in found], np.int64)
        ends = np.array([box[i].stop for box in found], np.int64)
        columns[f"centroid-{name}"] = middle * image.scale[at] + image.translate[at]
        columns |= {f"bbox-{name}0": begins, f"bbox-{name}1": ends}
        if axis in "YX":
            border |= (begins == 0) | (ends == labels.shape[i])
    return columns | {"touches_border": border}


def _middles(labels: Labels, known: Array) -> list[Array]:
    """Mean place of every object along every axis, in pixels."""
    flat = labels.ravel()
    counts = np.bincount(flat)[known]
    grid = (np.arange(size) for size in labels.shape)
    spread = np.meshgrid(*grid, indexing="ij", sparse=True)
    sums = (np.bincount(flat, np.broadcast_to(one, labels.shape).ravel())
            for one in spread)  # fmt: skip
    return [one[known] / counts for one in sums]
