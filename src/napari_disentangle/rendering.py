"""Rendering: moves planes of one image from one attribute to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.signal import float_type, from_signal, to_dtype, to_signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from napari_disentangle.attribute import Attribute
    from napari_disentangle.axes import Lead
    from napari_disentangle.field import Field
    from napari_disentangle.methods.base import Method, Values


@dataclass(frozen=True, eq=False)
class Rendering:
    """The operation that moves planes of one image from one attribute to another."""

    method: Method
    index: Sequence[int]
    field: Field
    source: Attribute
    target: Attribute
    device: str = "cpu"
    halo: int = 0
    own_channels: tuple[str, ...] | None = None

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """The image's own type."""
        return source

    def on(self, device: str) -> Rendering:
        """The same on another device."""
        return replace(self, device=device)

    def values(self, lead: Lead) -> tuple[Values, Values]:
        """Source and target attribute of one plane."""
        axes = self.field.lead_axes
        return self.source.at(lead, axes), self.target.at(lead, axes)

    def __call__(self, plane: NDArray[Any], lead: Lead) -> NDArray[Any]:
        """Render a region (C, h, w) of one plane."""
        source, target = self.values(lead)
        if unchanged(source, target):
            return plane
        x = from_signal(self.signal(plane, lead), self._space, self._full_scale)
        out = plane.copy()
        out[list(self.index)] = to_dtype(x.cpu().numpy(), plane.dtype)
        return out

    def signal(self, plane: NDArray[Any], lead: Lead) -> torch.Tensor:
        """The rendered signal (C, h, w), neither rounded nor clipped."""
        source, target = self.values(lead)
        x = self._signal(plane)
        if unchanged(source, target):
            return x
        return self.method.transfer(x, source, target)

    def content(self, plane: NDArray[Any], lead: Lead) -> NDArray[np.float32]:
        """Content maps (K, h, w); a blank image is seen with the target's attribute."""
        x = self._signal(plane)
        known = [v for v in self.values(lead) if np.isfinite(v).all()]
        content = self.method.encode(x, known[0]) if known else x
        maps: NDArray[np.float32] = content.float().cpu().numpy()
        return maps

    def _signal(self, plane: NDArray[Any]) -> torch.Tensor:
        import torch

        chosen = plane[list(self.index)].astype(float_type(plane.dtype))
        x = torch.from_numpy(chosen).to(self.device)
        return to_signal(x, self._space, self._full_scale)

    @property
    def _space(self) -> Any:
        return self.method.space(self.field.modality or "fluorescence")

    @property
    def _full_scale(self) -> float:
        return float(self.field.full_scale or 1.0)


def unchanged(source: Values, target: Values) -> bool:
    """Whether rendering is exactly the input: equal attributes, or nothing to move."""
    return bool(np.array_equal(source, target) or not np.isfinite(source).all())
