"""Encoding: turns planes of one image into its content maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_disentangle.compute.iterators import finished
from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.compute.operation import Operation, computing
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import Block, Span, blocks, tiles
from napari_disentangle.model.render import Rendering

Limits = tuple[float, float]

_BLOCK = 128
_BLOCKS = 16
# Percentiles that black and white stand for.
_ENDS = (0.1, 99.9)


@dataclass(frozen=True, eq=False)
class Encoding(Operation):
    """The operation that turns planes of one image into its content maps.

    Attributes
    ----------
    rendering
        Knows the method and the image's attribute; where it renders to matters only
        for a blank image, which is seen with that attribute.
    own_channels
        Names of the maps.
    """

    rendering: Rendering
    own_channels: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """Where the maps are computed."""
        return self.rendering.device

    @property
    def halo(self) -> int:
        """Reach of the content."""
        return self.rendering.halo

    @property
    def stride(self) -> int:
        """As the rendering."""
        return self.rendering.stride

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def on(self, device: str) -> Encoding:
        """The same on another device."""
        return replace(self, rendering=self.rendering.on(device))

    def __call__(self, plane: Array, lead: Lead) -> Floats:
        """Content maps (K, h, w) of a region (C, h, w) of one plane."""
        return self.rendering.content(plane, lead)


def encoded(lazy: LazyImage) -> LazyImage:
    """The content maps that a rendering starts from, computed where they are read.

    How many there are is learned from a corner of the image.
    """
    assert isinstance(lazy.operation, Rendering)
    unnamed = Encoding(lazy.operation)
    first = next(lazy.field.leads())
    corner = Block(first, Span(0, 1), Span(0, 1))
    n = len(_values(unnamed, lazy.field, corner))
    names = tuple(f"content {i}" for i in range(1, n + 1))
    return replace(lazy, operation=replace(unnamed, own_channels=names), key=())


def limits(maps: LazyImage) -> list[Limits]:
    """From what to what each map is shown, from blocks spread over the image."""
    chosen = blocks(maps.field, _BLOCK, _BLOCKS)
    seen = [_values(maps.operation, maps.field, block) for block in chosen]
    return [_limits(values) for values in np.concatenate(seen, axis=1)]


def _values(operation: Operation, field: Field, block: Block) -> Array:
    """Values (K, n) of a block."""
    region = (block.y, block.x)
    reach = (operation.halo, operation.stride)
    tile = next(tiles(region, field.plane_shape, _BLOCK, *reach))
    values = finished(computing(operation, field, 0, block.lead, tile))
    return values.reshape(len(values), -1)


def _limits(values: Array) -> Limits:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, _ENDS) if finite.size else (0.0, 1.0)
    return float(low), float(high) if high > low else float(low) + 1
