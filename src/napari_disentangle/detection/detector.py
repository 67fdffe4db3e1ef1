"""Detector: what fitting returns. It scores content-only images against normal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.channels import ChannelStack
from napari_disentangle.detection import scorer
from napari_disentangle.detection.calibrate import Calibration, calibration
from napari_disentangle.detection.regions import regions
from napari_disentangle.device import memory_errors
from napari_disentangle.errors import DataError
from napari_disentangle.field import Field
from napari_disentangle.fitting import fit
from napari_disentangle.infer import LazyImage
from napari_disentangle.model import Model, checked
from napari_disentangle.rendering import Rendering
from napari_disentangle.sampling import Block, blocks
from napari_disentangle.tiling import Tile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.attribute import Attribute
    from napari_disentangle.axes import Lead
    from napari_disentangle.detection.base import Scorer

HELD_OUT = "held-out normals"
SELF = "this image: rarity assumed"

_BLOCK = 64
_BLOCKS = 64
_PIXELS_PER_BLOCK = 1024
_TILE = 256
# With fewer pixels nothing is learned, and p could not even reach 0.05.
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class Score:
    """How surprising an image is, pixel by pixel.

    Attributes
    ----------
    z
        Map (..., Y, X), float32: 0 is typical or less, positive surprising, in robust
        standard deviations of held-out normal pixels.
    p
        Conformal p value of the same shape, in (0, 1].
    basis
        What was taken for normal, in words.
    spacing
        World size of a pixel per axis.
    calibration
        What normal scores are like.
    connected
        How many of the last axes are space; regions never join along the others.
    """

    z: NDArray[np.float32]
    p: NDArray[np.float32]
    basis: str
    spacing: tuple[float, ...]
    calibration: Calibration = field(repr=False)
    connected: int = 2

    def regions(
        self, alpha: float = 0.01, min_size: int = 16
    ) -> tuple[NDArray[np.int32], dict[str, NDArray[Any]]]:
        """Connected regions of at least ``min_size`` pixels with ``p <= alpha``.

        Returns
        -------
        labels, table
            Int32 labels on the grid of ``z``, and a table with one row per label; see
            :func:`napari_disentangle.detection.regions.regions`.
        """
        return regions(
            self.calibration.raw(self.z),
            np.sign(self.z),
            self.calibration,
            alpha,
            min_size,
            self.spacing,
            connected=self.connected,
        )


@dataclass(frozen=True, eq=False)
class Detector:
    """A fitted detector.

    Attributes
    ----------
    name, config
        Which detector, and its settings.
    on
        Model whose content-only image is scored.
    normal
        What was learned of normal.
    calibration
        Held-out scores.
    fitted_on
        The normal images.
    seed
        Seed it was fitted with.
    """

    name: str
    config: Any
    on: Model
    normal: Mapping[str, NDArray[np.float64]]
    calibration: Calibration
    fitted_on: tuple[Field, ...] = field(repr=False)
    seed: int = 0

    @property
    def hash(self) -> str:
        """Identifies the detector with all that it learned."""
        text = json.dumps([self.name, asdict(self.config), self.on.hash])
        known: list[NDArray[Any]] = [self.on.reference.values]
        known += [self.calibration.scores, self.calibration.maxima]
        known += [self.normal[key] for key in sorted(self.normal)]
        parts = [text.encode(), *(array.tobytes() for array in known)]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    def basis(self, image: Field) -> str:
        """What is taken for normal when this image is scored."""
        return (
            SELF if any(_same(image, known) for known in self.fitted_on) else HELD_OUT
        )

    def lazy(
        self, image: Field, source: Attribute | None = None, device: str = "cpu"
    ) -> LazyImage:
        """The z map, computed where it is read."""
        rendering = content_rendering(self.on, image, source, device)
        return LazyImage(image, Scoring(self, rendering), tile=_TILE)

    def score(
        self, image: Field, source: Attribute | None = None, device: str = "cpu"
    ) -> Score:
        """Score a whole image in memory; ``source`` is measured if ``None``."""
        z = np.asarray(self.lazy(image, source, device))
        return self.read(z, image)

    def read(self, z: NDArray[np.float32], image: Field) -> Score:
        """Put a computed z map together with its p values and its basis."""
        sizes = dict(zip(image.grid_axes, image.scale, strict=True))
        axes = image.axes.replace("C", "")
        spacing = tuple(sizes[axis] for axis in axes)
        p = self.calibration.p(self.calibration.raw(z))
        connected = len(axes) - len(axes.rstrip("ZYX"))
        return Score(z, p, self.basis(image), spacing, self.calibration, connected)


@dataclass(frozen=True, eq=False)
class Scoring:
    """The operation that turns planes of one image into a z map."""

    detector: Detector
    rendering: Rendering
    own_channels: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """Where the content is rendered."""
        return self.rendering.device

    @property
    def halo(self) -> int:
        """Reach of the features, and of the model whose content they are of."""
        own = scorer(self.detector.name).halo(self.detector.config)
        return own + self.rendering.halo

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def on(self, device: str) -> Scoring:
        """The same on another device."""
        return replace(self, rendering=self.rendering.on(device))

    def __call__(self, plane: NDArray[Any], lead: Lead) -> NDArray[np.float32]:
        """Score a region (C, h, w) of one plane: (1, h, w)."""
        detector = self.detector
        signal = self.rendering.signal(plane, lead).cpu().numpy()
        by_name = scorer(detector.name)
        features = by_name.features(signal, detector.config)
        z = detector.calibration.z(by_name.score(features, detector.normal))
        return np.where(_known(self.rendering, plane, signal), z, np.float32(np.nan))[
            None
        ]


def fit_detector(
    normals: Field | Sequence[Field],
    detector: str = "mahalanobis",
    on: Model | None = None,
    seed: int = 0,
    sources: Sequence[Attribute] = (),
    **config: Any,
) -> Detector:
    """Learn what normal looks like; see :func:`fit_detector_steps`."""
    *_, last = fit_detector_steps(normals, detector, on, seed, sources, **config)
    assert isinstance(last, Detector)
    return last


def fit_detector_steps(
    normals: Field | Sequence[Field],
    detector: str = "mahalanobis",
    on: Model | None = None,
    seed: int = 0,
    sources: Sequence[Attribute] = (),
    **config: Any,
) -> Iterator[float | Detector]:
    """Learn what normal looks like, block by block.

    Every other block teaches normal, those between calibrate.

    Parameters
    ----------
    normals
        Images, or parts of images marked by ``where``, that are normal.
    detector
        Name in :func:`napari_disentangle.detectors`.
    on
        Model whose content-only image is scored; ``None`` scores the raw image.
    seed
        Decides which blocks and pixels are used.
    sources
        Attributes of the normals, if they are known; else they are measured.
    **config
        Settings of the detector.

    Yields
    ------
    float or Detector
        The share that is done after every block; at last the detector.

    Raises
    ------
    DataError
        If there are too few normal pixels.
    """
    many = [normals] if isinstance(normals, Field) else list(normals)
    if not many:
        raise DataError("there is no normal image: give at least one")
    by_name = scorer(detector)
    settings = checked(detector, by_name.config, config)
    model = on or fit(many[0], "identity")
    rng = np.random.default_rng(seed)
    known: list[Attribute | None] = [*sources] or [None] * len(many)
    chosen = [_blocks(image, seed) for image in many]
    total = sum(len(one) for one in chosen) + 1
    done = 0
    teach: list[NDArray[np.float32]] = []
    check: list[NDArray[np.float32]] = []
    for image, source, places in zip(many, known, chosen, strict=True):
        rendering = content_rendering(model, image, source)
        for block in places:
            with memory_errors(f"learning from {image.name!r}"):
                bank = _features(by_name, settings, image, rendering, block)
            if bank.size and len(teach) == len(check):
                teach.append(_some(bank, rng))
            elif bank.size:
                # The largest score of a block has to be that of all its pixels.
                check.append(bank)
            done += 1
            yield done / total
    _check_enough(teach, check)
    normal = by_name.fit(np.concatenate(teach, axis=1), settings)
    calibrated = calibration([by_name.score(bank, normal) for bank in check])
    yield Detector(detector, settings, model, normal, calibrated, tuple(many), seed)


def content_rendering(
    model: Model, image: Field, source: Attribute | None = None, device: str = "cpu"
) -> Rendering:
    """The operation that renders an image's content under the model's reference."""
    operation = model.lazy(image, model.reference, source, device).operation
    assert isinstance(operation, Rendering)
    return operation


def _blocks(image: Field, seed: int) -> list[Block]:
    edge = max(4, min(_BLOCK, min(image.plane_shape) // 4))
    return blocks(image, edge, _BLOCKS, seed)


def _features(
    by_name: Scorer,
    settings: Any,
    image: Field,
    rendering: Rendering,
    block: Block,
) -> NDArray[np.float32]:
    """Feature vectors (F, n) of the normal pixels of a block."""
    halo, (h, w) = by_name.halo(settings), image.plane_shape
    y, x = block.y.grow(halo, h), block.x.grow(halo, w)
    plane, rendered = rendering.read(block.lead, y, x)
    signal = rendered.cpu().numpy()
    inner = Tile((block.y, block.x), (y, x)).local
    use = image.mask(block.lead, y.slice, x.slice)[inner]
    use = use & _known(rendering, plane, signal)[inner]
    return by_name.features(signal, settings)[:, *inner][:, use]


def _some(bank: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """As many pixels of a block as are learned from."""
    some = rng.permutation(bank.shape[1])[:_PIXELS_PER_BLOCK]
    return bank[:, np.sort(some)]


def _same(image: Field, other: Field) -> bool:
    """Whether two Fields show one image: the same arrays, or the same file."""
    one, two = image.levels[0], other.levels[0]
    stacked = isinstance(one, ChannelStack) and one == two
    return (
        one is two or stacked or (image.path is not None and image.path == other.path)
    )


def _known(
    rendering: Rendering, plane: NDArray[Any], signal: NDArray[Any]
) -> NDArray[np.bool_]:
    """Pixels (h, w) whose values are numbers, before rendering and after."""
    given = np.isfinite(plane[list(rendering.index)]).all(axis=0)
    known: NDArray[np.bool_] = given & np.isfinite(signal).all(axis=0)
    return known


def _check_enough(*halves: Sequence[NDArray[np.float32]]) -> None:
    few = min(sum(bank.shape[1] for bank in half) for half in halves)
    if few < _FEWEST:
        raise DataError(
            f"only {few} normal pixels are left to learn from or to calibrate on: "
            "mark more"
        )
