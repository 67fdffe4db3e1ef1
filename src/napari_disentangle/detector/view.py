"""View: how a detector looks at a signal, at the resolution of its cells."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from math import lcm
from typing import Any

import numpy as np

from napari_disentangle.detector.base import Features, Scorer
from napari_disentangle.detector.registry import expects, scorer
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.image.filters import smooth
from napari_disentangle.image.tiling import Part

# Diameter in pixels that cells have at the resolution of the score, about.
CELL = 14.0
# Edge of the smallest part of an image that says what is normal.
_LEAST = 32
# Networks halve the resolution twice.
WHOLE = 4
# Scale in pixels at which it is decided whether there is more or less than expected.
SIGN = 2.0
SIGN_REACH = 6
# Scale in pixels of the Gaussian that scores are smoothed by; it reaches less far than
# that of the sign. OUR CHOICE: what is odd is larger than a pixel.
SMOOTH = 1.0
# How far around a part of the small maps decides about it: that, and squares between
# which there are lines.
_AROUND = SIGN_REACH + 1
# Rows whose scores are computed together.
_ROWS = 128


@dataclass(frozen=True, eq=False)
class View:
    """What a detector sees.

    Attributes
    ----------
    name, config
        Which detector, and its settings.
    shrink
        Edge of the squares of pixels whose means are looked at.
    learned
        What a detector that expects something has learned.
    """

    name: str
    config: Any
    shrink: int = 1
    learned: Mapping[str, Array] = field(default_factory=dict, repr=False)

    @property
    def by_name(self) -> Scorer:
        """The detector's own part."""
        return scorer(self.name)

    @property
    def expects(self) -> bool:
        """Whether it says what an image should look like."""
        return expects(self.name)

    @property
    def halo(self) -> int:
        """Reach in pixels of the image."""
        own = self.by_name.halo(self.config) + _AROUND
        return own * self.shrink

    @property
    def stride(self) -> int:
        """Regions begin at multiples of this many pixels of the image.

        So they end at the border with the same mirrored pixels wherever they begin.
        """
        own = self.by_name
        return self.shrink * lcm(own.stride(self.config), WHOLE)

    def small(self, signal: Floats) -> Floats:
        """Means over squares (C, h/k, w/k) of a signal (C, h, w) that starts a step.

        What is missing to whole squares is mirrored; NaN wherever one pixel is.
        """
        c, h, w = signal.shape
        unit = self.shrink * WHOLE
        filled = np.pad(signal, ((0, 0), (0, -h % unit), (0, -w % unit)), "symmetric")
        k = self.shrink
        squares = filled.reshape(c, filled.shape[1] // k, k, filled.shape[2] // k, k)
        means: Floats = squares.mean(axis=(2, 4), dtype=np.float32)
        return means

    def extracting(self, small: Floats) -> Generator[None, None, Features]:
        """Features, and what was expected if anything was; see Scorer.extracting."""
        return self.by_name.extracting(small, self.config, self.learned)

    def expecting(self, signal: Floats, kept: Part) -> Generator[None, None, Floats]:
        """What was expected (C, h, w) in a part of a signal that begins at a step."""
        small = self.small(signal)
        expected = (yield from self.extracting(small)).expected
        assert expected is not None
        around = self.around(kept, small.shape)
        return self.large(expected[:, *around], around, kept)

    def around(self, kept: Part, shape: tuple[int, ...]) -> Part:
        """Part of a small signal (C, h, w) that decides about a part of the image."""
        y, x = (
            slice(
                max(0, part.start // self.shrink - _AROUND),
                min(n, -(-part.stop // self.shrink) + _AROUND),
            )
            for part, n in zip(kept, shape[-2:], strict=True)
        )
        return y, x

    def large(self, small: Floats, around: Part, kept: Part) -> Floats:
        """Maps of a part of an image (..., h, w), linear between squares.

        ``small`` are those of what lies :meth:`around` it.
        """
        import torch
        from torch.nn.functional import interpolate

        k, large = self.shrink, torch.from_numpy(np.ascontiguousarray(small))[None]
        if k > 1:  # in double, so that no place depends on where the part begins
            large = interpolate(large.double(), scale_factor=float(k), mode="bilinear")
        y, x = (
            slice(part.start - k * seen.start, part.stop - k * seen.start)
            for part, seen in zip(kept, around, strict=True)
        )
        return large[0, :, y, x].float().numpy()


@dataclass(frozen=True, eq=False)
class Scored:
    """What a look at a part of a signal gave, at the resolution of the image.

    Attributes
    ----------
    raw
        (h, w) raw score.
    more
        (h, w) whether there is more (+) or less (-) signal than expected.
    expected
        (C, h, w) the signal that was expected; ``None`` if nothing was.
    """

    raw: Floats
    more: Floats
    expected: Floats | None


@dataclass(frozen=True, eq=False)
class Normal:
    """What normal looks like.

    Attributes
    ----------
    view
        How it is looked at.
    learned
        What the detector learned of the features.
    typical
        Mean signal per channel (C,).
    """

    view: View
    learned: Mapping[str, Doubles] = field(repr=False)
    typical: Floats

    def scoring(self, signal: Floats, kept: Part) -> Generator[None, None, Scored]:
        """Score a part of a signal (C, h, w) that begins at a step.

        Yields
        ------
        None
            Wherever it can be stopped.
        """
        small = self.view.small(signal)
        found = yield from self.view.extracting(small)
        yield
        around = self.view.around(kept, small.shape)
        features, signals = found.maps[:, *around], small[:, *around]
        expected = None if found.expected is None else found.expected[:, *around]
        typical = self.typical[:, None, None]
        raw = smooth((yield from self._rows(features)), SMOOTH)
        more = direction(signals, typical if expected is None else expected)
        maps = [raw[None], more[None], expected]
        known = np.concatenate([part for part in maps if part is not None])
        raw, more, *shown = self.view.large(known, around, kept)
        return Scored(raw, more, np.stack(shown) if shown else None)

    def _rows(self, features: Floats) -> Generator[None, None, Floats]:
        """Raw scores of features (F, h, w), rows by rows."""
        scores = []
        for start in range(0, features.shape[1], _ROWS):
            part = features[:, start : start + _ROWS]
            scores.append(self.view.by_name.score(part, self.learned))
            yield
        return np.concatenate(scores)


def shrink_of(cell: float, edge: int) -> int:
    """How many pixels become one for cells of this diameter in pixels.

    Parts of an image of ``edge`` pixels keep 32 at least.
    """
    return max(1, min(round(cell / CELL), edge // _LEAST))


def direction(signal: Floats, expected: Floats) -> Floats:
    """Whether there is more (+) or less (-) signal than expected, smoothed (h, w)."""
    from scipy.ndimage import gaussian_filter

    more = np.nan_to_num(signal - expected, posinf=0, neginf=0).sum(axis=0)
    smooth: Floats = gaussian_filter(more, SIGN, radius=SIGN_REACH)
    return smooth
