"""Sight: how a detector looks at a signal, at the resolution of its cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.detection import expects, scorer
from napari_disentangle.detection.base import Learner, Seen
from napari_disentangle.detection.filters import smooth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_disentangle.detection.base import Scorer

# Diameter in pixels that cells have at the resolution of the score, about.
CELL = 14.0
# Edge of the smallest part of an image that says what is normal.
_LEAST = 32
# Networks halve the resolution twice.
_WHOLE = 4
# Scale in pixels at which it is decided whether there is more or less than expected.
_SIGN = 2.0
_SIGN_REACH = 6
# Scale in pixels of the Gaussian that scores are smoothed by; it reaches less far than
# that of the sign. OUR CHOICE: what is odd is larger than a pixel.
_SMOOTH = 1.0


@dataclass(frozen=True, eq=False)
class Sight:
    """What a detector sees.

    Attributes
    ----------
    name, config
        Which detector, and its settings.
    shrink
        Edge of the squares of pixels whose means are looked at.
    learned
        What a :class:`~napari_disentangle.detection.base.Learner` has learned.
    """

    name: str
    config: Any
    shrink: int = 1
    learned: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    @property
    def by_name(self) -> Scorer | Learner:
        """The detector's own part."""
        return scorer(self.name)

    @property
    def expects(self) -> bool:
        """Whether it says what an image should look like."""
        return expects(self.name)

    @property
    def halo(self) -> int:
        """Reach in pixels of the image."""
        own = self.by_name.halo(self.config) + _SIGN_REACH + 1
        return own * self.shrink

    @property
    def step(self) -> int:
        """Regions begin at multiples of this many pixels of the image."""
        own = self.by_name
        return self.shrink * (own.step(self.config) if isinstance(own, Learner) else 1)

    def small(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means over squares (C, h/k, w/k) of a signal (C, h, w) that starts a step.

        What is missing to whole squares is mirrored; NaN wherever one pixel is.
        """
        c, h, w = signal.shape
        unit = self.shrink * _WHOLE
        filled = np.pad(signal, ((0, 0), (0, -h % unit), (0, -w % unit)), "symmetric")
        k = self.shrink
        squares = filled.reshape(c, filled.shape[1] // k, k, filled.shape[2] // k, k)
        means: NDArray[np.float32] = squares.mean(axis=(2, 4), dtype=np.float32)
        return means

    def see(self, small: NDArray[np.float32]) -> Seen:
        """Features, and what was expected if anything was."""
        own = self.by_name
        if isinstance(own, Learner):
            return own.see(small, self.config, self.learned)
        return Seen(own.features(small, self.config), None)

    def large(
        self, small: NDArray[np.float32], shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Maps at the resolution of an image (..., h, w), linear between squares."""
        import torch
        from torch.nn.functional import interpolate

        x = torch.from_numpy(np.ascontiguousarray(small))[None]
        if self.shrink > 1:
            x = interpolate(x, scale_factor=float(self.shrink), mode="bilinear")
        maps: NDArray[np.float32] = x[0, :, : shape[-2], : shape[-1]].numpy()
        return maps


@dataclass(frozen=True, eq=False)
class Looked:
    """What a look at a signal gave, at the resolution of the image.

    Attributes
    ----------
    raw
        (h, w) raw score.
    more
        (h, w) whether there is more (+) or less (-) signal than expected.
    expected
        (C, h, w) the signal that was expected; ``None`` if nothing was.
    """

    raw: NDArray[np.float32]
    more: NDArray[np.float32]
    expected: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Normal:
    """What normal looks like.

    Attributes
    ----------
    sight
        How it is looked at.
    learned
        What the detector learned of the features.
    typical
        Mean signal per channel (C,).
    """

    sight: Sight
    learned: Mapping[str, NDArray[np.float64]]
    typical: NDArray[np.float32]

    def look(self, signal: NDArray[np.float32]) -> Looked:
        """Score a signal (C, h, w) that begins at a step."""
        small = self.sight.small(signal)
        seen = self.sight.see(small)
        typical = self.typical[:, None, None]
        usual = typical if seen.expected is None else seen.expected
        raw = smooth(self.sight.by_name.score(seen.features, self.learned), _SMOOTH)
        maps = [raw[None], direction(small, usual)[None], seen.expected]
        known = np.concatenate([part for part in maps if part is not None])
        raw, more, *expected = self.sight.large(known, signal.shape)
        return Looked(raw, more, np.stack(expected) if expected else None)


def shrink_of(cell: float, edge: int) -> int:
    """How many pixels become one for cells of this diameter in pixels.

    Parts of an image of ``edge`` pixels keep 32 at least.
    """
    return max(1, min(round(cell / CELL), edge // _LEAST))


def direction(
    signal: NDArray[np.float32], expected: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Whether there is more (+) or less (-) signal than expected, smoothed (h, w)."""
    from scipy.ndimage import gaussian_filter

    more = np.nan_to_num(signal - expected, posinf=0, neginf=0).sum(axis=0)
    smooth: NDArray[np.float32] = gaussian_filter(more, _SIGN, radius=_SIGN_REACH)
    return smooth
