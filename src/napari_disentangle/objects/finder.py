"""Finders: from an image to its foreground probability, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from napari_disentangle.compute.operation import Operation
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.tiling import Span, blocks
from napari_disentangle.model.base import Weights
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects import closed
from napari_disentangle.objects.grey import Grey, measuring

STUDENT = "student"
# Blocks that the threshold of a closed form is taken from, and their edge in pixels at
# which finders work.
_BLOCKS, _EDGE = 16, 256


@dataclass(frozen=True, eq=False)
class Finder:
    """How foreground is told: a closed form by its name, or a student.

    Attributes
    ----------
    name
        One of :data:`napari_disentangle.objects.closed.FORMS`, or ``"student"``.
    weights
        What a student has learned.

    Raises
    ------
    ValueError
        If it is no closed form and has learned nothing.
    """

    name: str = "opening"
    weights: Weights | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.weights is None and self.name not in closed.FORMS:
            raise ValueError(
                f"finder {self.name!r} is unknown: use one of "
                f"{', '.join(closed.FORMS)}, or what was learned"
            )

    @property
    def hash(self) -> str:
        """What tells it from others."""
        learned = self.weights.hash if self.weights else ""
        return sha256(f"{self.name} {learned}".encode()).hexdigest()[:16]

    @property
    def reach(self) -> int:
        """How far it sees, in pixels at which it works."""
        if self.weights is None:
            return closed.REACH
        from napari_disentangle.objects.student.net import REACH
        from napari_disentangle.objects.student.use import VIEW

        return VIEW + REACH

    @property
    def step(self) -> int:
        """Multiple of pixels at which regions begin that give what the whole gives."""
        if self.weights is None:
            return 1
        from napari_disentangle.objects.student.net import STEP

        return STEP

    def probability(self, threshold: float) -> Callable[[Floats], Floats]:
        """What makes a grey plane a foreground probability."""
        if self.weights is None:
            return closed.probability(self.name, threshold)
        from napari_disentangle.objects.student.use import Learned

        return Learned(self.weights.tensors)


@dataclass(frozen=True, eq=False)
class Finding(Operation):
    """The operation that turns planes of one image into foreground probability.

    Attributes
    ----------
    finder
        How foreground is told.
    rendering
        What it is told from: the image, or its content.
    grey
        How that becomes one plane.
    factor
        Edge of the cells of pixels that are seen as one.
    threshold
        Of a closed form.
    """

    finder: Finder
    rendering: Rendering
    grey: Grey
    factor: int
    threshold: float = math.inf
    own_channels: tuple[str, ...] | None = ()

    @property
    def halo(self) -> int:
        """Reach of the finder, and of the model whose content it sees."""
        return self.rendering.halo + self.factor * (self.finder.reach + 1)

    @property
    def stride(self) -> int:
        """What both the finder and the model begin at multiples of."""
        return math.lcm(self.factor * self.finder.step, self.rendering.stride)

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def __call__(self, plane: Array, lead: Lead) -> Array:
        """Foreground probability (1, h, w) of a region (C, h, w)."""
        signal = self.rendering.signal(plane, lead).cpu().numpy()
        grey = pooled(self.grey.of(signal), self.factor)
        found = enlarged(self._probability(grey), self.factor)
        return found[None, : plane.shape[1], : plane.shape[2]]

    @cached_property
    def _probability(self) -> Callable[[Floats], Floats]:
        return self.finder.probability(self.threshold)


def preparing(
    finder: Finder, rendering: Rendering, diameter: float, seed: int = 0
) -> Generator[None, None, Finding]:
    """Measure what a finder has to know of an image.

    Parameters
    ----------
    finder, rendering
        How foreground is told, and from what.
    diameter
        Of a typical object, in pixels.
    seed
        Decides which blocks are read.

    Yields
    ------
    None
        After every block.
    """
    grey = yield from measuring(rendering, seed)
    factor = max(1, round(diameter / closed.WORKING))
    made = Finding(finder, rendering, grey, factor)
    if finder.weights is not None or not grey.high > grey.low:
        return made
    values = []
    for block in blocks(rendering.field, _EDGE * factor, _BLOCKS, seed):
        values.append(_values(made, block.lead, block.y, block.x))
        yield
    return replace(made, threshold=closed.otsu(np.concatenate(values)))


def _values(finding: Finding, lead: Lead, y: Span, x: Span) -> Floats:
    """What is held against a threshold, of all pixels of a block."""
    _, signal = finding.rendering.read(lead, y, x)
    grey = pooled(finding.grey.of(signal.cpu().numpy()), finding.factor)
    seen, _ = closed.FORMS[finding.finder.name]
    return seen(grey).ravel()


def pooled(plane: Floats, factor: int) -> Floats:
    """Means of cells of pixels; those at the end are filled up with the last ones."""
    if factor == 1:
        return plane
    ends = [(0, -n % factor) for n in plane.shape]
    whole = np.pad(plane, ends, mode="edge")
    h, w = (n // factor for n in whole.shape)
    means: Floats = whole.reshape(h, factor, w, factor).mean((1, 3), dtype=np.float32)
    return means


def enlarged(plane: Floats, factor: int) -> Floats:
    """A plane at as many times its resolution, linear in between."""
    if factor == 1:
        return plane
    import torch
    from torch.nn import functional

    found: Floats = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(plane))[None, None],
        scale_factor=factor,
        mode="bilinear",
        align_corners=False,
    )[0, 0].numpy()
    return found


def tensors_of(net: Any) -> Mapping[str, Array]:
    """What a network has learned, as arrays."""
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}
