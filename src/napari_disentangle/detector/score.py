"""Scoring: the operations that turn planes of one image into what a detector finds."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.compute.iterators import finished
from napari_disentangle.compute.operation import Operation
from napari_disentangle.detector import gpu as on_gpu
from napari_disentangle.detector.calibration import Calibration
from napari_disentangle.detector.depth import reach, smoothed
from napari_disentangle.detector.view import Normal, Scored
from napari_disentangle.image.arrays import Array, Floats, Mask
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import Part
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.model import Model
from napari_disentangle.model.render import Rendering

if TYPE_CHECKING:
    import torch

Steps = Generator[None, None, Array]


@dataclass(frozen=True, eq=False)
class Scoring(Operation):
    """The operation that turns planes of one image into a z map.

    Attributes
    ----------
    normal
        What was learned of normal, and how an image is looked at.
    calibration
        What normal scores are like in such an image.
    depth
        Standard deviation in planes by which scores are smoothed along Z.
    rendering
        Renders the content that is scored.
    """

    normal: Normal
    calibration: Calibration
    depth: float
    rendering: Rendering
    own_channels: tuple[str, ...] | None = ()

    @property
    def device(self) -> str:
        """Where the content is rendered, and scored if it can be there."""
        return self.rendering.device

    @property
    def halo(self) -> int:
        """Reach of the features, and of the model whose content they are of."""
        return self.normal.view.halo + self.rendering.halo

    @property
    def stride(self) -> int:
        """What both the features and the model begin at multiples of."""
        return lcm(self.normal.view.stride, self.rendering.stride)

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def on(self, device: str) -> Scoring:
        """The same on another device."""
        return replace(self, rendering=self.rendering.on(device))

    def without(self, result: Array, plane: Array, valid: Mask) -> Array:
        """No score where there is no image."""
        result = result.copy()
        result[0][~valid] = np.nan
        return result

    def __call__(self, plane: Array, lead: Lead) -> Array:
        """Score a region (C, h, w) of one plane: (1, h, w)."""
        h, w = plane.shape[1:]
        return finished(self.steps(plane, lead, (slice(0, h), slice(0, w))))

    def steps(self, plane: Array, lead: Lead, kept: Part) -> Steps:
        """Score the part of a region (C, h, w) that is kept."""
        return self.told((yield from self.raw(plane, lead, kept)))

    def raw(self, plane: Array, lead: Lead, kept: Part) -> Steps:
        """Raw score of a part of a region, and whether there is more or less (2, h, w).

        The score is NaN where nothing is known.
        """
        signal = self.rendering.signal(plane, lead)
        scored = yield from self._scored(signal, kept)
        return self._known(plane[:, *kept], signal[:, *kept], scored)

    def told(self, seen: Array) -> Array:
        """The z map (1, h, w) of what was seen."""
        raw, more = seen[:2].astype(np.float32, copy=False)
        return self.calibration.z(raw, np.where(more < 0, -1, 1))[None]

    def _scored(
        self, signal: torch.Tensor, kept: Part
    ) -> Generator[None, None, Scored]:
        """Look at a signal where it is, if that can be done there."""
        normal = self.normal
        if on_gpu.sees(normal.view, self.device):
            found = yield from on_gpu.scoring(normal, signal, kept)
            raw, more, expected = np.split(found.cpu().numpy(), [1, 2])
            return Scored(raw[0], more[0], expected if len(expected) else None)
        return (yield from normal.scoring(_on_cpu(signal), kept))

    def _known(self, plane: Array, signal: torch.Tensor, scored: Scored) -> Floats:
        known = known_pixels(self.rendering, plane, _on_cpu(signal))
        return np.stack([np.where(known, scored.raw, np.float32(np.nan)), scored.more])


@dataclass(frozen=True, eq=False)
class Expecting(Scoring):
    """The operation that turns planes of one image into what was expected there."""

    own_channels: tuple[str, ...] | None = None

    def without(self, result: Array, plane: Array, valid: Mask) -> Array:
        """The image as it is where it is none."""
        return Operation.without(self, result, plane, valid)

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """The image's own type."""
        return source

    def steps(self, plane: Array, lead: Lead, kept: Part) -> Steps:
        """Predict the part of a region (C, h, w) that is kept, in its own units."""
        signal = self.rendering.signal(plane, lead)
        expected = yield from self._expecting(signal, kept)
        return _shown(self.rendering, plane[:, *kept], expected)

    def _expecting(self, signal: torch.Tensor, kept: Part) -> Steps:
        """What was expected, without a score where that would take long."""
        view = self.normal.view
        if not on_gpu.sees(view, self.device):
            return (yield from view.expecting(_on_cpu(signal), kept))
        scored = yield from self._scored(signal, kept)
        assert scored.expected is not None
        return scored.expected


@dataclass(frozen=True, eq=False)
class Both(Scoring):
    """The operation that turns planes into a z map and what was expected."""

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """A type that holds both."""
        return np.result_type(np.float32, source)

    def without(self, result: Array, plane: Array, valid: Mask) -> Array:
        """No score where there is no image, and the image as it is."""
        result = super().without(result, plane, valid)
        result[-len(plane) :] = np.where(valid, result[-len(plane) :], plane)
        return result

    def raw(self, plane: Array, lead: Lead, kept: Part) -> Steps:
        """As without what was expected, and that behind it: (2 + C, h, w)."""
        signal = self.rendering.signal(plane, lead)
        scored = yield from self._scored(signal, kept)
        assert scored.expected is not None
        part = plane[:, *kept]
        known = self._known(part, signal[:, *kept], scored)
        return np.concatenate([known, _shown(self.rendering, part, scored.expected)])

    def told(self, seen: Array) -> Array:
        """The z map and what was expected (1 + C, h, w)."""
        return np.concatenate([super().told(seen), seen[2:]])


@dataclass(frozen=True, eq=False)
class Smoothed(Scoring):
    """The operation that turns planes of a stack into a z map that is smooth along Z.

    Scores are smoothed, each pixel over the planes near it; whether there is more or
    less than expected, and what was expected, is of the plane itself.
    """

    @property
    def reach(self) -> int:
        """How many planes before and after a plane count."""
        return reach(self.depth)

    def steps(self, plane: Array, lead: Lead, kept: Part) -> Steps:
        """What is seen in the part of a region (C, h, w) of one plane that is kept."""
        return self.raw(plane, lead, kept)

    def merged(self, parts: Mapping[int, Array]) -> Array:
        """The result for a plane, from what was seen in those near it."""
        own = parts[0].copy()
        raw = {distance: seen[0] for distance, seen in parts.items()}
        own[0] = smoothed(raw, self.depth)
        return self.told(own)


@dataclass(frozen=True, eq=False)
class SmoothedBoth(Smoothed, Both):
    """The same with what was expected."""


def _on_cpu(signal: torch.Tensor) -> Floats:
    known: Array = signal.cpu().numpy()
    return known.astype(np.float32, copy=False)


def _shown(rendering: Rendering, plane: Array, expected: Floats) -> Array:
    import torch

    return rendering.shown(torch.from_numpy(expected), plane)


def content_rendering(
    model: Model, image: Field, source: Attribute | None = None, device: str = "cpu"
) -> Rendering:
    """The operation that renders an image's content under the model's reference."""
    return model.rendering(image, model.reference, source, device)


def known_pixels(rendering: Rendering, plane: Array, signal: Array) -> Mask:
    """Pixels (h, w) whose values are numbers, before rendering and after."""
    given = np.isfinite(plane[list(rendering.index)]).all(axis=0)
    return np.asarray(given & np.isfinite(signal).all(axis=0))
