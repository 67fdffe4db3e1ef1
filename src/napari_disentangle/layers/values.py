"""The values of result layers: computed at once, or where they are seen."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.compute.operation import Operation
from napari_disentangle.compute.pyramid import means
from napari_disentangle.detector.detector import Score
from napari_disentangle.detector.score import Scoring
from napari_disentangle.errors import DataError
from napari_disentangle.files.stored import OnDisk
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.signal import to_dtype
from napari_disentangle.layers.filed import Focus, filed
from napari_disentangle.pipeline.follow import Step
from napari_disentangle.pipeline.kinds import KINDS
from napari_disentangle.pipeline.output import Output

# Results up to this many values are computed at once; larger ones where they are seen.
EAGER = 2**24
# The smallest level of a pyramid is computed at once, up to this many values.
_COARSEST = 2**21
# So many pixels tell how bright an image is shown.
_SAMPLED = 2**20


@dataclass(frozen=True, eq=False)
class Unit(Operation):
    """An operation whose colours are shown as float 0..1.

    napari shows 16-bit colours wrongly.
    """

    inner: Operation
    full_scale: float
    own_channels: tuple[str, ...] | None = None

    @property
    def halo(self) -> int:
        """As the inner operation."""
        return self.inner.halo

    @property
    def stride(self) -> int:
        """As the inner operation."""
        return self.inner.stride

    @property
    def device(self) -> str:
        """As the inner operation."""
        return self.inner.device

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def on(self, device: str) -> Unit:
        """The same on another device."""
        return replace(self, inner=self.inner.on(device))

    def __call__(self, plane: Array, lead: tuple[int, ...]) -> Array:
        """Compute, then divide by the full scale."""
        return self.inner(plane, lead).astype(np.float32) / np.float32(self.full_scale)


@dataclass(eq=False)
class Changeable(OnDisk):
    """What a layer shows, computed where it is seen; exchanged in its place.

    Setting the data of a layer takes napari about as long as adding one.
    """

    lazy: LazyImage

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Of the values."""
        return self.lazy.shape

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Type of the values."""
        return self.lazy.dtype

    def _part(self, key: tuple[Any, ...]) -> Array:
        return np.asarray(self.lazy[key])


def changeable(data: Any) -> Any:
    """The same data for a layer, what is lazy in it changeable; nobody else has it."""
    if isinstance(data, list):
        return [level.copy() if _known(level) else changeable(level) for level in data]
    return Changeable(data) if isinstance(data, LazyImage) else data


def _known(level: Any) -> bool:
    return isinstance(level, np.ndarray)


def exchanged(shown: Any, data: Any) -> bool:
    """Put other data of the same kind in the place of the data of a layer.

    ``False`` if all of it is in memory, or in a file.
    """
    if isinstance(shown, Changeable):
        shown, data = [shown], [data] if isinstance(data, Changeable) else data
    if not isinstance(shown[0], Changeable):
        return False
    for place, level in zip(shown, data, strict=False):
        if isinstance(place, Changeable):
            place.lazy = level.lazy if isinstance(level, Changeable) else level
        else:  # the coarsest one
            place[...] = level
    return True


def as_it_is(data: Any) -> Any:
    """The data of a layer, which no slider changes any more."""
    if isinstance(data, Sequence):
        return [level.copy() if _known(level) else as_it_is(level) for level in data]
    return data.lazy if isinstance(data, Changeable) else data


@dataclass(frozen=True, eq=False)
class Shown:
    """Data of a layer: an array, a lazy one, or a list of them for a pyramid.

    Attributes
    ----------
    data
        What can be seen.
    rest
        Computes what is still missing in it.
    """

    data: Any
    rest: Iterator[Step] = field(default_factory=lambda: iter(()))


def values(output: Output, what: str, focus: Focus) -> Generator[Step, None, Shown]:
    """Data of a layer, as far as they have to be known before they can be seen.

    Small results are computed, large ones and pyramids stay lazy except for the
    coarsest level, which napari keeps. What looks at neighbours takes too long to be
    computed while a person moves about: it is computed at once, or, if it is large,
    into a file that can be seen while it fills.

    Parameters
    ----------
    output
        What is shown.
    what
        The output in words, for messages.
    focus
        Where such a file is filled first.

    Raises
    ------
    DataError
        If a file cannot be written.
    """
    shown, doing = _shown(output.lazy), f"computing {what}"
    if KINDS[output.kind].shown == "score" or shown.operation.halo:
        if shown.size > EAGER:
            return Shown(*filed(shown, doing, focus))
        return Shown(pyramid(shown, (yield from whole(shown, doing))))
    if shown.field.multiscale or shown.size > EAGER:
        return Shown((yield from _levels(shown, doing)))
    return Shown((yield from whole(shown, doing)))


def too_large(output: Output) -> bool:
    """Whether an anomaly map is too large for memory, and for finding regions."""
    return KINDS[output.kind].shown == "score" and output.lazy.size > EAGER


def parts(output: Output, layers: int) -> list[list[LazyImage]]:
    """Levels of the values of an output, for each of so many layers."""
    levels = _shown(output.lazy).levels
    if layers == 1:
        return [[*levels]]
    return [[level[i] for level in levels] for i in range(layers)]


def shown_alike(
    limits: tuple[float, float], before: Sequence[Array], after: Any
) -> tuple[float, float]:
    """Limits under which a result looks as bright as its image does under its own.

    They lie at the same quantiles, and as far outside of the values. Large results
    without a pyramid keep the limits of the image.

    Parameters
    ----------
    limits
        Contrast limits of the image.
    before
        Its levels.
    after
        The result: an array, or the list of its levels.
    """
    made = after[-1] if isinstance(after, list) else after
    if not isinstance(made, np.ndarray) or made.shape != before[-1].shape:
        return limits
    step = max(1, made.size // _SAMPLED)
    old, new = (np.asarray(a).ravel()[::step].astype(float) for a in (before[-1], made))
    known = np.isfinite(old) & np.isfinite(new)
    old, new = old[known], new[known]
    if not known.any() or np.ptp(old) == 0 or np.array_equal(old, new):
        return limits
    rise = np.ptp(new) / np.ptp(old)
    outside = max(0, old.min() - limits[0]), max(0, limits[1] - old.max())
    shares = np.mean(old < limits[0]), np.mean(old <= limits[1])
    low, high = np.quantile(new, shares) + rise * np.array([-outside[0], outside[1]])
    low = max(low, 0.0) if made.dtype.kind == "u" else low
    return (float(low), float(high)) if low < high else limits


def scored(
    output: Output, what: str, expected: Array | None = None
) -> Generator[Step, None, Score]:
    """Compute the score behind an anomaly map, and what was expected if anything was.

    Its :attr:`Score.extent` is known then.

    Parameters
    ----------
    output
        An anomaly map.
    what
        The output in words, for messages.
    expected
        What was expected, if it is known.

    Raises
    ------
    DataError
        If it is no anomaly map.
    """
    detector, lazy, doing = output.detector, output.lazy, f"computing {what}"
    if detector is None or not isinstance(lazy.operation, Scoring):
        raise DataError(f"{output.kind} has no regions: only an anomaly map has them")
    if expected is not None:
        found = detector.read((yield from whole(lazy, doing)), output.image, expected)
    else:
        rendering = lazy.operation.rendering
        both = detector.whole(output.image, rendering.source, rendering.device)
        found = detector.read_whole((yield from whole(both, doing)), output.image)
    found = replace(found, status=output.status)
    for _ in found.extending():
        yield Step("looking for regions", 1)
    return found


def _shown(lazy: LazyImage) -> LazyImage:
    image = lazy.field
    if not (lazy.rgb and image.dtype.kind in "ui" and image.dtype.itemsize > 1):
        return lazy
    return replace(lazy, operation=Unit(lazy.operation, image.full_scale))


def whole(lazy: LazyImage, doing: str) -> Generator[Step, None, Array]:
    """Compute all of it at full resolution."""
    out = np.empty(lazy.shape, lazy.dtype)
    total = max(1, lazy.parts())
    for done in lazy.fill(out):
        yield Step(doing, done / total)
    return out


def _levels(lazy: LazyImage, doing: str) -> Generator[Step, None, Any]:
    levels: list[Any] = list(lazy.levels)
    if levels[-1].size <= _COARSEST:
        levels[-1] = yield from whole(levels[-1], doing)
    return levels if lazy.field.multiscale else levels[0]


def pyramid(lazy: LazyImage, first: Array) -> Any:
    """The result at full resolution, and its means if the image came as a pyramid."""
    if not lazy.field.multiscale:
        return first
    smaller = range(1, len(lazy.field.levels))
    shapes = [replace(lazy, level=i, key=()).shape for i in smaller]
    if lazy.operation.numbers:
        return [first, *(_thinned(first, shape) for shape in shapes)]
    values = first if first.dtype.kind == "f" else first.astype(np.float32)
    return [first, *(to_dtype(means(values, shape), first.dtype) for shape in shapes)]


def _thinned(numbers: Array, shape: Sequence[int]) -> Array:
    """Some of the pixels of numbers (..., Y, X), which have no means."""
    pairs = zip(shape[-2:], numbers.shape[-2:], strict=True)
    y, x = (np.arange(small) * large // small for small, large in pairs)
    return numbers[..., y[:, None], x]
