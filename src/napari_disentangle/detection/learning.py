"""Learning normal: from images, or marked parts of images, to a detector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_disentangle.detection import named, scorer
from napari_disentangle.detection.base import Learner
from napari_disentangle.detection.calibrate import calibrating
from napari_disentangle.detection.cells import cell_diameter
from napari_disentangle.detection.depth import depth, reach, smoothed
from napari_disentangle.detection.detector import Detector
from napari_disentangle.detection.scoring import content_rendering, known_pixels
from napari_disentangle.detection.sight import Normal, Sight, shrink_of
from napari_disentangle.device import memory_errors, one_thread
from napari_disentangle.errors import DataError
from napari_disentangle.field import Field
from napari_disentangle.fitting import fit
from napari_disentangle.model import checked
from napari_disentangle.sampling import Block, blocks, strata
from napari_disentangle.stacks import near
from napari_disentangle.steps import finished, within
from napari_disentangle.tiling import ALIGNED, Span, Tile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.attribute import Attribute
    from napari_disentangle.axes import Lead
    from napari_disentangle.detection.calibrate import Calibration
    from napari_disentangle.model import Model
    from napari_disentangle.rendering import Rendering

_One = TypeVar("_One")

# Edge of a block at the resolution of the score, and how many are taken of an image,
# and of all together.
_BLOCK = 64
_BLOCKS = 64
_MOST_BLOCKS = 1024
# Most blocks that the features of normal are learned from, or checked on.
_SEEN_BLOCKS = 192
# Looks at planes of stacks that are enough for blocks smoothed along Z, each of which
# takes several, and blocks that are looked at whatever it takes.
_LOOKS, _FEWEST_SMOOTHED = 1024, 48
# Blocks that are tried for each that is wanted, where only some are marked.
_TRIED = 32
_PIXELS_PER_BLOCK = 1024
# Images whose cells are measured, and half the edge of what is looked at in each.
_MEASURED, _MIDDLE = 8, 256
# Of so many images, every other one calibrates; of fewer, every other block.
_MANY = 4
# Where so many images or more calibrate, one should not hold half of this share of
# pixels, the most surprising ones.
_SEVERAL, _TOP = 6, 0.01
# With fewer pixels nothing is learned, and p could not even reach 0.05.
_FEWEST = 20
# Shares of the work after which images are measured, tiles are cut, seeing is learned,
# normal is, and blocks are scored that calibrate.
_READ, _CUT, _SEEING, _FITTED, _SCORED = 0.05, 0.1, 0.8, 0.9, 0.98


def fit_detector(
    normals: Field | Sequence[Field],
    detector: str = "default",
    on: Model | None = None,
    seed: int = 0,
    sources: Sequence[Attribute] = (),
    cell: float | None = None,
    **config: Any,
) -> Detector:
    """Learn what normal looks like; see :func:`fit_detector_steps`."""
    steps = fit_detector_steps(normals, detector, on, seed, sources, cell, **config)
    *_, last = steps
    assert isinstance(last, Detector)
    return last


def fit_detector_steps(
    normals: Field | Sequence[Field],
    detector: str = "default",
    on: Model | None = None,
    seed: int = 0,
    sources: Sequence[Attribute] = (),
    cell: float | None = None,
    **config: Any,
) -> Iterator[float | Detector]:
    """Learn what normal looks like, step by step.

    Of four images or more every other one teaches normal, of fewer every other block;
    the others calibrate, and nothing else is done with them. If all are stacks, they
    calibrate smoothed along Z as well, see :class:`Detector`.

    Parameters
    ----------
    normals
        Images, or parts of images marked by ``where``, that are normal.
    detector
        Name in :func:`napari_disentangle.detectors`, or ``"default"``.
    on
        Model whose content-only image is scored; ``None`` scores the raw image.
    seed
        Decides which blocks and pixels are used.
    sources
        Attributes of the normals, if they are known; else they are measured.
    cell
        Diameter of a typical cell or nucleus in pixels; measured if ``None``. Scores
        have the resolution at which it is about 14 pixels.
    **config
        Settings of the detector.

    Yields
    ------
    float or Detector
        The share that is done; at last the detector.

    Raises
    ------
    DataError
        If there are too few normal pixels.
    """
    many = [normals] if isinstance(normals, Field) else list(normals)
    if not many:
        raise DataError("there is no normal image: give at least one")
    settings = checked(detector, scorer(detector).config, config)
    model = on or fit(many[0], "identity")
    known: list[Attribute | None] = [*sources] or [None] * len(many)
    renderings: list[Rendering] = []
    for image, source in zip(many, known, strict=True):
        share = _READ * (len(renderings) + 0.5) / len(many)
        look = source or (yield from _look(model, image, share))
        renderings.append(content_rendering(model, image, look))
        yield _READ * len(renderings) / len(many)
    smallest = min(min(image.plane_shape) for image in many)
    part = smallest if len(many) >= _MANY else smallest // 2
    diameter = cell or _diameter(renderings)
    shrink = shrink_of(diameter, part)
    sight = Sight(named(detector), settings, shrink)
    teach, check = _split(renderings, shrink, seed)
    sight = yield from within(one_thread, _seeing(sight, teach, seed))
    normal = yield from within(one_thread, _normal(sight, teach, seed))
    stacks = all(depth(image, diameter) for image in many)
    deep = _deep(check, diameter) if stacks else []
    checking = _calibrations(_some(check), deep, normal)
    alone, through, status = yield from within(one_thread, checking)
    yield Detector(
        model, normal, alone, through, tuple(many), diameter, seed, cell, status
    )


def _look(model: Model, image: Field, done: float) -> Generator[float, None, Attribute]:
    """Attribute of a whole image, of which perhaps a part is marked."""
    for part in model.measuring(replace(image, where=None)):
        if part is not None:
            return part
        yield done
    raise AssertionError("measuring ends with the attribute")


# --- where ------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Place:
    """A block of an image, and how its content is rendered."""

    rendering: Rendering
    block: Block

    @property
    def image(self) -> Field:
        """Where it is."""
        return self.rendering.field

    def signal(self, sight: Sight) -> tuple[NDArray[np.float32], Tile]:
        """Content (C, h, w) of the block and all around it that is seen.

        NaN where nothing is known, or something is not marked as normal.
        """
        size, (y, x) = self.image.plane_shape, (self.block.y, self.block.x)
        step = lcm(sight.step, ALIGNED)
        outer = tuple(
            span.grow(sight.halo, n, step) for span, n in zip((y, x), size, strict=True)
        )
        tile = Tile((y, x), (outer[0], outer[1]))
        with memory_errors(f"learning from {self.image.name!r}"):
            _, rendered = self.rendering.read(self.block.lead, *tile.outer)
        signal = rendered.cpu().numpy().astype(np.float32)
        return signal, tile

    def use(self, tile: Tile, signal: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Pixels (h, w) of the block that are known and marked as normal."""
        y, x = tile.inner
        marked = self.image.mask(self.block.lead, y.slice, x.slice)
        use: NDArray[np.bool_] = marked & self.known(tile, signal)
        return use

    def known(self, tile: Tile, signal: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Pixels (h, w) of the block whose values are numbers."""
        y, x = tile.inner
        plane = self.image.plane(self.block.lead, y.slice, x.slice)
        return known_pixels(self.rendering, plane, signal[:, *tile.local])

    def tile(self, sight: Sight) -> NDArray[np.float32]:
        """Small normal signal (C, h, w) of the block alone, NaN where it is not."""
        y, x = self.block.y, self.block.x
        _, rendered = self.rendering.read(self.block.lead, y, x)
        signal = rendered.cpu().numpy().astype(np.float32)
        use = self.use(Tile((y, x), (y, x)), signal)
        return sight.small(np.where(use, signal, np.float32(np.nan)))

    def vectors(
        self, sight: Sight, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features (F, n) and signals (C, n) of some normal pixels."""
        signal, tile = self.signal(sight)
        small = sight.small(signal)
        features = finished(sight.seeing(small)).features
        use = np.zeros(signal.shape[1:], bool)
        use[tile.local] = self.use(tile, signal)
        whole = sight.small(use[None].astype(np.float32))[0] == 1
        places = np.flatnonzero(whole)
        some = np.sort(rng.permutation(places)[:_PIXELS_PER_BLOCK])
        return _at(features, some), _at(small, some)

    def near(self, sigma: float) -> dict[int, Lead]:
        """Planes, by distance, that a Gaussian of ``sigma`` planes takes in."""
        return near(self.image, self.block.lead, reach(sigma))

    def scores(self, normal: Normal, lead: Lead) -> NDArray[np.float32]:
        """Raw scores (h, w) at this place of a plane, NaN where nothing is known."""
        place = replace(self, block=replace(self.block, lead=lead))
        signal, tile = place.signal(normal.sight)
        scores = finished(normal.looking(signal, tile.local)).raw
        return np.where(place.known(tile, signal), scores, np.float32(np.nan))

    def checked(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (h, w) of the block, NaN where it is not marked as normal."""
        y, x = self.block.y.slice, self.block.x.slice
        marked = self.image.mask(self.block.lead, y, x)
        return np.where(marked, scores, np.float32(np.nan))


def _at(maps: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    return maps.reshape(len(maps), -1)[:, places]


def _diameter(renderings: Sequence[Rendering]) -> float:
    """Typical diameter of cells in pixels: the median of a few images."""
    few = renderings[:: -(-len(renderings) // _MEASURED)]
    return float(np.median([cell_diameter(_middle(one)) for one in few]))


def _middle(rendering: Rendering) -> NDArray[np.float32]:
    """Content (C, h, w) of the middle of the middle plane."""
    image = rendering.field
    leads = list(image.leads())
    spans = (
        Span(max(0, n // 2 - _MIDDLE), min(n, n // 2 + _MIDDLE))
        for n in image.plane_shape
    )
    with memory_errors(f"measuring cells of {image.name!r}"):
        _, content = rendering.read(leads[len(leads) // 2], *spans)
    return content.cpu().numpy().astype(np.float32)


def _split(
    renderings: Sequence[Rendering], shrink: int, seed: int
) -> tuple[list[Place], list[Place]]:
    """Where normal is learned, and where it is checked."""
    limit = min(_BLOCKS, max(2, _MOST_BLOCKS // len(renderings)))
    many = len(renderings) >= _MANY
    halves: tuple[list[Place], list[Place]] = ([], [])
    for i, rendering in enumerate(renderings):
        for j, block in enumerate(_blocks(rendering.field, many, shrink, limit, seed)):
            halves[(i if many else j) % 2].append(Place(rendering, block))
    return halves


def _some(places: Sequence[_One], limit: int = _SEEN_BLOCKS) -> list[_One]:
    """Evenly spaced ones of very many."""
    n = min(len(places), limit)
    return [places[i] for i in np.linspace(0, len(places) - 1, n).round().astype(int)]


def _blocks(
    image: Field, many: bool, shrink: int, limit: int, seed: int
) -> list[Block]:
    """Blocks of which some are marked as normal; larger ones if there are many images.

    A block is learned from or checked on, so that one image is cut into several.
    """
    edge, parts = (2 * _BLOCK, 1) if many else (_BLOCK, 4)
    part = min(image.plane_shape) // (parts * shrink) * shrink
    size = max(4, min(edge * shrink, part))
    if image.where is None:
        return blocks(image, size, limit, seed)
    tried = blocks(image, size, _TRIED * limit, seed)
    marked = [b for b in tried if image.mask(b.lead, b.y.slice, b.x.slice).any()]
    return [marked[i] for i in strata(len(marked), limit, seed)]


# --- what -------------------------------------------------------------------------
def _seeing(
    sight: Sight, teach: Sequence[Place], seed: int
) -> Generator[float, None, Sight]:
    """Learn to see, if the detector does."""
    own = sight.by_name
    if not isinstance(own, Learner):
        return sight
    tiles = []
    for i, place in enumerate(teach):
        tiles.append(place.tile(sight))
        yield _READ + (_CUT - _READ) * (i + 1) / len(teach)
    for part in own.learn(tiles, sight.config, seed):
        if not isinstance(part, float):
            return replace(sight, learned=part)
        yield _CUT + (_SEEING - _CUT) * part
    raise AssertionError("learning ends with what was learned")


def _normal(
    sight: Sight, teach: Sequence[Place], seed: int
) -> Generator[float, None, Normal]:
    """Learn what is normal of what is seen."""
    rng, pairs = np.random.default_rng(seed), []
    teach = _some(teach)
    for i, place in enumerate(teach):
        pairs.append(place.vectors(sight, rng))
        yield _SEEING + (_FITTED - _SEEING) * (i + 1) / len(teach)
    n = sum(features.shape[1] for features, _ in pairs)
    if n < _FEWEST:
        raise DataError(
            f"only {n} normal pixels are left to learn from: mark more as normal"
        )
    features, signals = (np.concatenate(part, 1) for part in zip(*pairs, strict=True))
    learned = sight.by_name.fit(features, sight.config)
    return Normal(sight, learned, signals.mean(axis=1))


def _deep(check: Sequence[Place], diameter: float) -> list[tuple[Place, float]]:
    """Where stacks are checked, and how far they are smoothed along Z there."""
    jobs = [(place, depth(place.image, diameter)) for place in check]
    looks = [len(place.near(sigma)) for place, sigma in jobs]
    limit = max(_FEWEST_SMOOTHED, _LOOKS // max(looks, default=1))
    return _some(jobs, limit)


def _calibrations(
    alone: Sequence[Place], deep: Sequence[tuple[Place, float]], normal: Normal
) -> Generator[float, None, tuple[Calibration, Calibration | None, tuple[str, ...]]]:
    """Calibrate on planes that are scored alone, and on smoothed ones if there are any.

    At last come both calibrations, and what a person should know of the normals.

    What lies near a block counts as it does in an image that is scored: if it is known,
    whether it is marked or not.
    """
    raw: list[NDArray[np.float32]] = []
    jobs = [*((place, 0.0) for place in alone), *deep]
    for place, sigma in jobs:
        parts = {}
        for distance, lead in place.near(sigma).items():
            parts[distance] = place.scores(normal, lead)
            yield _FITTED + (_SCORED - _FITTED) * len(raw) / len(jobs)
        raw.append(place.checked(smoothed(parts, sigma)))
    n = len(alone)
    plain = yield from calibrating(raw[:n], _SCORED)
    smooth = (yield from calibrating(raw[n:], _SCORED)) if deep else None
    return plain, smooth, _doubts(alone, raw[:n])


def _doubts(
    places: Sequence[Place], scores: Sequence[NDArray[np.float32]]
) -> tuple[str, ...]:
    """Which image decides alone what is surprising, if one of several does."""
    images = list(dict.fromkeys(place.image for place in places))
    if len(images) < _SEVERAL:
        return ()
    pairs = list(zip(places, scores, strict=True))
    limit = np.nanquantile(np.concatenate([s.ravel() for s in scores]), 1 - _TOP)
    above = [sum((s > limit).sum() for p, s in pairs if p.image is i) for i in images]
    if max(above) <= sum(above) / 2:
        return ()
    name = images[int(np.argmax(above))].name
    return (
        f"{name!r} alone, one of {len(images)} normal images, holds most of the most "
        f"surprising {_TOP:.0%} of normal pixels: if it is not normal, leave it out, "
        "or little else will be found",
    )
