"""Detector: what fitting returns. It scores content-only images against normal."""

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.compute.iterators import finished
from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.detector import gpu as on_gpu
from napari_disentangle.detector.calibration import Calibration, adjusted_limits
from napari_disentangle.detector.depth import depth
from napari_disentangle.detector.regions import regions
from napari_disentangle.detector.registry import check_expects
from napari_disentangle.detector.score import (
    Both,
    Expecting,
    Scoring,
    Smoothed,
    SmoothedBoth,
    content_rendering,
)
from napari_disentangle.detector.view import Normal, View
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.axes import with_channels
from napari_disentangle.image.channels import ChannelStack
from napari_disentangle.image.field import Field
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.model import Model
from napari_disentangle.model.remarks import doubt_words, is_another
from napari_disentangle.model.render import Rendering

HELD_OUT = "held-out normals"
SELF = "this image: rarity assumed"
MARKED = "marked parts of this image"

# On a GPU less time goes into beginning a tile if there are fewer.
_TILE, _TILE_ON_GPU = 384, 768


@dataclass(frozen=True, eq=False)
class Score:
    """How surprising an image is, pixel by pixel.

    Attributes
    ----------
    z
        Signed map (..., Y, X), float32: how surprising in robust standard deviations of
        held-out normal pixels, 0 for what is typical or less; positive where there is
        more signal than expected, negative where there is less.
    basis
        What was taken for normal, in words.
    spacing
        World size of a pixel per axis.
    calibration
        What normal scores are like.
    connected
        How many of the last axes are space; regions never join along the others.
    axes, translate, units
        Axes of ``z``, world position of the first pixel, and units, one per axis.
    observed, expected
        The image and what was expected, of the shape of ``z`` or with a channel axis
        before that; ``expected`` is ``None`` if nothing was.
    channel_names
        Names of those channels.
    status
        What a person should know of the image and of the normals, in sentences.
    """

    z: Floats
    basis: str
    spacing: tuple[float, ...]
    calibration: Calibration = field(repr=False)
    connected: int = 2
    axes: str = "YX"
    translate: tuple[float, ...] | None = None
    units: tuple[str, ...] = ()
    observed: Array | None = field(default=None, repr=False)
    expected: Array | None = field(default=None, repr=False)
    channel_names: tuple[str, ...] = ()
    status: tuple[str, ...] = ()

    @cached_property
    def p(self) -> Floats:
        """Conformal p value of every pixel, in (0, 1]."""
        return self.calibration.p(self.calibration.raw(self.z))

    @cached_property
    def extent(self) -> NDArray[np.uint32]:
        """How many pixels are surprising together, see :meth:`Calibration.extent`."""
        return finished(self.extending())

    def extending(self) -> Generator[None, None, NDArray[np.uint32]]:
        """Compute :attr:`extent` some rows at a time, and keep it."""
        raw = self.calibration.raw(self.z)
        found = yield from self.calibration.extending(raw)
        self.__dict__["extent"] = found  # where a cached property looks
        return found

    def regions(
        self, alpha: float = 0.01, min_size: int = 16
    ) -> tuple[NDArray[np.int32], dict[str, Array]]:
        """Connected regions of at least ``min_size`` pixels with ``p <= alpha``.

        Returns
        -------
        labels, table
            Int32 labels on the grid of ``z``, and a table with one row per label; see
            :func:`napari_disentangle.detector.regions.regions`.
        """
        return regions(
            self.calibration.raw(self.z),
            self.extent,
            np.sign(self.z),
            self.calibration,
            alpha,
            min_size,
            self.spacing,
            self.observed,
            self.expected,
            self.channel_names,
            self.connected,
            self.translate,
        )

    def limits(self, table: Mapping[str, Array]) -> str:
        """Why the regions of a table have no p, or no q; empty if they have both."""
        known = self.calibration
        looks = known.looks(self.z)
        tests = max(len(table["label"]), looks)
        return known.limits or adjusted_limits(len(known.extents), tests)


@dataclass(frozen=True, eq=False)
class Detector:
    """A fitted detector.

    Fitted on stacks it smooths the scores of stacks along Z (see :meth:`depth`), and
    planes have a calibration of their own. Fitted on planes, or on both, it never saw
    what normal is like smoothed: it scores every plane of a stack alone.

    Attributes
    ----------
    on
        Model whose content-only image is scored.
    normal
        What was learned of normal, and how an image is looked at.
    calibration
        Held-out scores of planes, each scored alone.
    smoothed
        Held-out scores smoothed along Z; ``None`` if not all normals are stacks.
    fitted_on
        The normal images.
    diameter
        Of a typical cell in pixels: ``cell``, or what was measured.
    seed
        Seed it was fitted with.
    cell
        Diameter of a cell in pixels that it was told; ``None`` if it was measured.
    status
        What a person should know of the normals, in sentences.
    """

    on: Model
    normal: Normal
    calibration: Calibration = field(repr=False)
    smoothed: Calibration | None = field(repr=False)
    fitted_on: tuple[Field, ...] = field(repr=False)
    diameter: float
    seed: int = 0
    cell: float | None = None
    status: tuple[str, ...] = ()

    @property
    def view(self) -> View:
        """How it looks at an image."""
        return self.normal.view

    @property
    def name(self) -> str:
        """Which detector."""
        return self.view.name

    @property
    def config(self) -> Any:
        """Its settings."""
        return self.view.config

    @property
    def hash(self) -> str:
        """Identifies the detector with all that it learned."""
        known = [self.name, asdict(self.config), self.view.shrink, self.on.hash]
        known.append(self.diameter)
        arrays: list[Array] = [self.on.reference.values, self.normal.typical]
        for calibration in filter(None, (self.calibration, self.smoothed)):
            arrays += [calibration.scores, calibration.extents]
            known.append(calibration.block_size)
        for learned in (self.normal.learned, self.view.learned):
            arrays += [learned[key] for key in sorted(learned)]
        parts = [json.dumps(known).encode(), *(array.tobytes() for array in arrays)]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    def basis(self, image: Field) -> str:
        """What is taken for normal when this image is scored."""
        own = [known for known in self.fitted_on if same_image(image, known)]
        if not own:
            return HELD_OUT
        return SELF if any(known.where is None for known in own) else MARKED

    def doubts(self, image: Field, look: Attribute) -> tuple[str, ...]:
        """What a person should know of the normals, and of an image beside them."""
        own = f"normal {image.name!r}: "  # what its own status says too
        known = (words for words in self.status if not words.startswith(own))
        return (*known, *self._scales(image), *self._hidden(look))

    def _hidden(self, look: Attribute) -> Iterator[str]:
        """That a look which is hard to read may be that of what is odd."""
        usual = self.on.reference
        if doubt_words(self.on.doubt(look)) or is_another(look, usual):
            yield (
                "what is odd in it may have been taken for its look, and then is not "
                "found: score it as it is too (model 'identity')"
            )

    def _scales(self, image: Field) -> Iterator[str]:
        """That raw values are compared which mean different things."""
        scales = sorted({known.full_scale for known in self.fitted_on})
        raw = not self.on.reference.names and image.modality == "fluorescence"
        if raw and image.full_scale not in scales:
            normal = ", ".join(f"{scale:g}" for scale in scales)
            yield (
                f"its full scale is {image.full_scale:g}, that of the normal images "
                f"{normal}, and raw values are compared: convert them to one type and "
                "range, or take the look away first"
            )

    def depth(self, image: Field) -> float:
        """How far scores of an image are smoothed along Z.

        Returns
        -------
        float
            Standard deviation in planes, 0.3 cell diameters in world units; 0 where
            every plane is scored alone, see
            :func:`napari_disentangle.detector.depth.depth`.
        """
        return 0.0 if self.smoothed is None else depth(image, self.diameter)

    def calibrated(self, image: Field) -> Calibration:
        """What normal scores are like in such an image."""
        deep = self.smoothed if self.depth(image) else None
        return deep or self.calibration

    def lazy(
        self, image: Field, source: Attribute | None = None, device: str = "cpu"
    ) -> LazyImage:
        """The z map, computed where it is read."""
        kind = Smoothed if self.depth(image) else Scoring
        return self._lazy(kind(*self._scoring(image, source, device)))

    def expected(
        self, image: Field, source: Attribute | None = None, device: str = "cpu"
    ) -> LazyImage:
        """The image as it was expected, content-only, computed where it is read.

        Raises
        ------
        DataError
            If this detector expects nothing.
        """
        check_expects(self.name)
        return self._lazy(Expecting(*self._scoring(image, source, device)))

    def score(
        self, image: Field, source: Attribute | None = None, device: str = "cpu"
    ) -> Score:
        """Score a whole image in memory; ``source`` is measured if ``None``."""
        own = self.on.attribute(image) if source is None else source
        found = self.read_whole(np.asarray(self.whole(image, own, device)), image)
        return replace(found, status=(*own.status, *self.doubts(image, own)))

    def whole(
        self, image: Field, source: Attribute | None = None, device: str = "cpu"
    ) -> LazyImage:
        """The z map, and stacked behind it what was expected, if anything was.

        One look instead of the two of :meth:`lazy` and :meth:`expected`.
        """
        if not self.view.expects:
            return self.lazy(image, source, device)
        kind = SmoothedBoth if self.depth(image) else Both
        given = self._scoring(image, source, device)
        return self._lazy(kind(*given, ("z", *image.channel_names)))

    def _scoring(
        self, image: Field, source: Attribute | None, device: str
    ) -> tuple[Normal, Calibration, float, Rendering]:
        """What an operation that scores an image is made of."""
        rendering = content_rendering(self.on, image, source, device)
        return self.normal, self.calibrated(image), self.depth(image), rendering

    def _lazy(self, scoring: Scoring) -> LazyImage:
        on_the_gpu = on_gpu.sees(self.view, scoring.device)
        tile = _TILE_ON_GPU if on_the_gpu else _TILE
        return LazyImage(scoring.rendering.field, scoring, tile=tile)

    def read_whole(self, computed: NDArray[np.floating], image: Field) -> Score:
        """Put what :meth:`whole` computed together with the image."""
        if not self.view.expects:
            return self.read(computed.astype(np.float32, copy=False), image)
        z, *channels = np.moveaxis(computed, with_channels(image.axes).index("C"), 0)
        own = image.axes.find("C")
        expected = channels[0] if own < 0 else np.stack(channels, own)
        return self.read(z.astype(np.float32), image, expected.astype(image.dtype))

    def read(self, z: Floats, image: Field, expected: Array | None = None) -> Score:
        """Put a computed z map, and what was expected, together with the image."""
        axes = image.axes.replace("C", "")
        along = {
            axis: values
            for axis, *values in zip(
                image.grid_axes, image.scale, image.translate, image.units, strict=True
            )
            if axis != "C"
        }
        spacing, translate, units = zip(*along.values(), strict=True)
        whole = np.asarray(image.levels[0][(slice(None),) * len(image.axes)])
        return Score(
            z,
            self.basis(image),
            spacing,
            self.calibrated(image),
            connected=len(axes) - len(axes.rstrip("ZYX")),
            axes=axes,
            translate=translate,
            units=units,
            observed=_by_channel(whole, image.axes),
            expected=None if expected is None else _by_channel(expected, image.axes),
            channel_names=image.channel_names if "C" in image.axes else (),
        )


def _by_channel(values: Array, axes: str) -> Array:
    """With the channels first, if there are any."""
    return np.moveaxis(values, axes.index("C"), 0) if "C" in axes else values


def same_image(image: Field, other: Field) -> bool:
    """Whether two Fields show one image: the same arrays, or the same file."""
    one, two = image.levels[0], other.levels[0]
    stacked = isinstance(one, ChannelStack) and one == two
    return (
        one is two or stacked or (image.path is not None and image.path == other.path)
    )
