"""Rendering: moves planes of one image from one attribute to another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.compute.operation import Operation
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.image.signal import (
    Space,
    from_signal,
    plane_to_signal,
    to_dtype,
)
from napari_disentangle.image.tiling import ALIGNED, Span, Tile
from napari_disentangle.image.valid import as_background
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.base import Method, Painter, PixelMethod, Values
from napari_disentangle.model.pixels import PixelMap

if TYPE_CHECKING:
    import torch


# Bytes of content that are kept.
_KEPT = 2**29


class Contents:
    """Content of the regions of one image that were rendered last.

    Another look of them costs no more than painting. Threads may share it; a copy in
    another process begins empty.
    """

    def __init__(self, limit: int = _KEPT) -> None:
        self._limit = limit
        self._lock = Lock()
        self._known: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def __reduce__(self) -> tuple[type[Contents], tuple[int]]:
        return Contents, (self._limit,)

    def of(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What is known by this key, made now if nothing is."""
        with self._lock:
            known = self._known.pop(key, None)
        content = make() if known is None else known
        with self._lock:
            self._known[key] = content
            self._known.move_to_end(key)
            while sum(c.nbytes for c in self._known.values()) > self._limit:
                self._known.popitem(last=False)
        return content


@dataclass(frozen=True, eq=False)
class Rendering(Operation):
    """The operation that moves planes of one image from one attribute to another.

    With ``contents`` it remembers what takes long, for the next target.
    """

    method: Method
    index: Sequence[int]
    field: Field
    source: Attribute
    target: Attribute
    device: str = "cpu"
    own_channels: tuple[str, ...] | None = None
    contents: Contents | None = None

    @property
    def halo(self) -> int:
        """Pixels around a region that the model needs to see."""
        return self.method.halo

    @property
    def stride(self) -> int:
        """What regions begin at multiples of."""
        return ALIGNED

    def on(self, device: str) -> Rendering:
        """The same on another device."""
        return replace(self, device=device)

    def values(self, lead: Lead) -> tuple[Values, Values]:
        """Source and target attribute of one plane."""
        axes = self.field.lead_axes
        return self.source.at(lead, axes), self.target.at(lead, axes)

    def __call__(self, plane: Array, lead: Lead) -> Array:
        """Render a region (C, h, w) of one plane."""
        source, target = self.values(lead)
        if self._unchanged(source, target):
            return plane
        if self.device == "cpu" and isinstance(self.method, PixelMethod):
            return self._mapped(plane, lead, self.method)
        return self.shown(self.signal(plane, lead), plane)

    def _mapped(self, plane: Array, lead: Lead, method: PixelMethod) -> Array:
        """The region by the affine map of its plane."""
        values = [np.asarray(one, np.float64).tobytes() for one in self.values(lead)]
        move = _pixel_map(method, *values, self._space, self._full_scale)
        left = self._left
        whole = len(self.index) == len(plane) and not left
        out = np.empty_like(plane) if whole else plane.copy(order="K")
        names = zip(self.source.channels, self.index, strict=True)
        targets = [None if name in left else out[i] for name, i in names]
        move([plane[i] for i in self.index], targets)
        return out

    @property
    def _left(self) -> set[str]:
        """Channels that show nothing in one of the images."""
        return {*self.source.empty, *self.target.empty}

    def shown(self, signal: torch.Tensor, plane: Array) -> Array:
        """The region with another signal (C, h, w), in its own units and type."""
        x = from_signal(signal, self._space, self._full_scale)
        out = plane.copy()
        out[list(self.index)] = to_dtype(x.cpu().numpy(), plane.dtype)
        return out

    def signal(self, plane: Array, lead: Lead) -> torch.Tensor:
        """The rendered signal (C, h, w), neither rounded nor clipped."""
        source, target = self.values(lead)
        x = self._signal(plane)
        if self._unchanged(source, target):
            return x
        if self.contents is None or not isinstance(self.method, Painter):
            made = self.method.transfer(x, source, target)
        else:
            make = partial(self.method.content, x, source)
            content = self.contents.of(_key(plane, lead, self.device), make)
            made = self.method.paint(content, x, target)
        named = enumerate(self.source.channels)
        for i in (i for i, name in named if name in self._left):
            made[i] = x[i]
        return made

    def read(self, lead: Lead, y: Span, x: Span) -> tuple[Array, torch.Tensor]:
        """A part (C, h, w) of one plane of the image, and its rendered signal."""
        sizes = self.field.plane_shape
        outer = y.grow(self.halo, sizes[0]), x.grow(self.halo, sizes[1])
        rows, columns = (span.slice for span in outer)
        plane = self.field.plane(lead, rows, columns)
        valid = self.field.valid(plane, lead, rows, columns)
        seen = as_background(self.field, plane, valid)
        local = Tile((y, x), outer).local
        return plane[:, *local], self.signal(seen, lead)[:, *local]

    def content(self, plane: Array, lead: Lead) -> Floats:
        """Content maps (K, h, w); a blank image is seen with the target's attribute."""
        x = self._signal(plane)
        known = [v for v in self.values(lead) if np.isfinite(v).all()]
        content = self.method.encode(x, known[0]) if known else x
        return content.float().cpu().numpy()

    def _signal(self, plane: Array) -> torch.Tensor:
        pixels = plane[list(self.index)]
        scale = self._full_scale
        return plane_to_signal(pixels, self._space, scale, device=self.device)

    def _unchanged(self, source: Values, target: Values) -> bool:
        """Whether the result is the input: nothing to move, or no way to go."""
        alike = self.method.invertible and np.array_equal(source, target)
        return bool(alike or not np.isfinite(source).all())

    @property
    def _space(self) -> Any:
        return self.method.space(self.field.modality)

    @property
    def _full_scale(self) -> float:
        return self.field.full_scale


@lru_cache(maxsize=16)
def _pixel_map(
    method: PixelMethod, source: bytes, target: bytes, space: Space, full_scale: float
) -> PixelMap:
    """The map from one attribute to another, which all tiles share."""
    values = (np.frombuffer(one).copy() for one in (source, target))
    return PixelMap(*method.map_between(*values), space, full_scale)


def _key(plane: Array, lead: Lead, device: str) -> Hashable:
    """What tells a region of an image from others: its pixels."""
    pixels = blake2b(np.ascontiguousarray(plane).tobytes(), digest_size=16).digest()
    return lead, plane.shape, pixels, device
