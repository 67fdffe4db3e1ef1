"""Sorting: turns planes of one image into what a model takes their pixels for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.compute.operation import Operation
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles, Mask
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.signal import Space, from_signal, plane_to_signal
from napari_disentangle.model.affine.method import ClassWise
from napari_disentangle.model.attribute import pooled
from napari_disentangle.model.measure import sample
from napari_disentangle.model.render import Rendering

if TYPE_CHECKING:
    import torch

_NO_CLASSES = (
    "only 'affine' sorts the pixels of colour images into classes: choose it, or leave "
    "the class map out"
)


@dataclass(frozen=True, eq=False)
class Sorting(Operation):
    """The operation that gives every pixel the number of its class, from 1 on.

    Attributes
    ----------
    sort
        From a signal (C, h, w) to numbers (h, w).
    index
        Channels that the signal is made of.
    space, full_scale
        How it is made.
    reach
        Pixels around a region that it needs to see, and what regions begin at
        multiples of.
    rgb, shares
        Mean colour of every class (K, 3), from 0 to 1, and how much it fills (K,).
    """

    sort: Callable[[torch.Tensor], Array]
    index: Sequence[int]
    space: Space
    full_scale: float
    reach: tuple[int, int]
    rgb: Doubles
    shares: Doubles
    own_channels: tuple[str, ...] = ()

    @property
    def halo(self) -> int:
        """As the networks."""
        return self.reach[0]

    @property
    def stride(self) -> int:
        """As the networks."""
        return self.reach[1]

    @property
    def numbers(self) -> bool:
        """They have no means."""
        return True

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Always uint8."""
        return np.dtype(np.uint8)

    def without(self, result: Array, plane: Array, valid: Mask) -> Array:
        """Numbers (1, h, w), and 0 where there is no image."""
        return result * valid

    def __call__(self, plane: Array, lead: Lead) -> Array:
        """Numbers (1, h, w) of a region (C, h, w) of one plane."""
        signal = plane_to_signal(plane[list(self.index)], self.space, self.full_scale)
        return self.sort(signal)[None]


def sorted_by(lazy: LazyImage) -> LazyImage:
    """What the model of a rendering takes pixels for, computed where it is read.

    Raises
    ------
    DataError
        If the model knows no classes.
    """
    import torch

    rendering = lazy.operation
    assert isinstance(rendering, Rendering)
    method, field = rendering.method, lazy.field
    if not isinstance(method, ClassWise):
        raise DataError(_NO_CLASSES)
    look, space = rendering.source, method.space(field.modality)
    rows = look.values.reshape(-1, look.values.shape[-1])
    colours, shares = method.classes(pooled(rows, look.names))
    n = method.sorted_classes
    operation = Sorting(
        method.sorter(sample(method, field, rendering.index)),
        rendering.index,
        space,
        field.full_scale,
        method.reach,
        from_signal(torch.from_numpy(colours[:n]), space, 1.0).numpy().clip(0, 1),
        shares[:n] / shares[:n].sum(),
    )
    return LazyImage(field, operation)
