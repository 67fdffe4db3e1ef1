"""Palettes: what a model takes for classes, and which colours a swap gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.image.signal import from_signal
from napari_disentangle.model.affine.method import ClassWise
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.base import Method
from napari_disentangle.model.model import Model

# Height of a row and of the gap below it, in pixels.
_ROW, _GAP = 40, 6


@dataclass(frozen=True, eq=False)
class Colours:
    """Classes of one image, the lightest first.

    Attributes
    ----------
    rgb
        Mean colour of every class (K, 3), from 0 to 1.
    shares
        How much of the image each fills (K,); the sum is 1.
    classes
        Number of each, from 1 on, as in the names of an attribute's values.
    """

    rgb: Doubles
    shares: Doubles
    classes: NDArray[np.intp]


def palettes(
    model: Model, look: Attribute, donor: Attribute
) -> tuple[Colours, Colours, Colours]:
    """Colours of classes before a swap, in the donor, and after the swap.

    Parameters
    ----------
    model
        An ``affine`` model with weights.
    look, donor
        How the image looks, and the donor: one attribute each for the whole image.

    Raises
    ------
    DataError
        If the model sorts pixels into no classes, or there is one look per plane.
    """
    return palettes_of(model.method, look, donor)


def palettes_of(
    method: Method, look: Attribute, donor: Attribute
) -> tuple[Colours, Colours, Colours]:
    """As :func:`palettes`, of the method of a model.

    Raises
    ------
    DataError
        As there.
    """
    if not isinstance(method, ClassWise) or look.axes or donor.axes:
        raise DataError(
            "only looks of whole images that 'affine' measured in colour have a "
            f"palette, but these are of {look.model!r} or one per plane"
        )
    pair = method.pair(look.values, donor.values)
    (absorbance, shares), (theirs, filled) = (one.classes() for one in pair)
    matrix, offset = method.map_between(look.values, donor.values)
    after = absorbance @ matrix.T + offset
    order = np.argsort(absorbance.sum(axis=1), kind="stable")
    rows = ((absorbance, shares), (theirs, filled), (after, shares))
    before, other, made = (
        Colours(_rgb(colours[order]), share[order], order + 1)
        for colours, share in rows
    )
    return before, other, made


def picture(rows: Sequence[Colours], width: int = 640) -> Array:
    """Draw palettes below each other (Y, X, 3) uint8, classes as wide as they fill.

    All rows have the widths of the first, so that classes can be compared.
    """
    edges = np.rint(np.cumsum(rows[0].shares) * width).astype(int)
    which = np.searchsorted(edges, np.arange(width), side="right")
    which = np.minimum(which, len(edges) - 1)
    gap = np.full((_GAP, width, 3), 255, np.uint8)
    drawn = []
    for row in rows:
        line = np.rint(255 * row.rgb[which]).astype(np.uint8)
        drawn += [np.broadcast_to(line, (_ROW, width, 3)), gap]
    return np.concatenate(drawn[:-1])


def _rgb(absorbance: Doubles) -> Doubles:
    import torch

    shown = from_signal(torch.from_numpy(absorbance), "absorbance", 1.0)
    rgb: Doubles = shown.numpy().clip(0, 1)
    return rgb
