"""Learning normal: from images, or marked parts of images, to a detector."""

import math
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np

from napari_disentangle.compute.device import memory_errors, one_thread
from napari_disentangle.compute.iterators import finished, within
from napari_disentangle.detector.blocks import MANY, Place, split
from napari_disentangle.detector.calibration import Calibration, calibrating
from napari_disentangle.detector.depth import depth, smoothed
from napari_disentangle.detector.detector import Detector
from napari_disentangle.detector.registry import named, settings
from napari_disentangle.detector.score import content_rendering
from napari_disentangle.detector.view import Normal, View, shrink_of
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Floats
from napari_disentangle.image.cells import cell_diameter
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import Span
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.fit import fit
from napari_disentangle.model.known import Known, digest
from napari_disentangle.model.model import Model, check_images
from napari_disentangle.model.render import Rendering

_One = TypeVar("_One")
# Detectors that were learned last, and pixels of normals that are looked at for that.
KNOWN: Known[Detector] = Known(4)
_PIXELS = 2**24

# Most blocks that the features of normal are learned from, or checked on.
_SEEN_BLOCKS = 192
# Looks at planes of stacks that are enough for blocks smoothed along Z, each of which
# takes several, and blocks that are looked at whatever it takes.
_LOOKS, _FEWEST_SMOOTHED = 1024, 48
# Images whose cells are measured, and half the edge of what is looked at in each.
_MEASURED, _MIDDLE = 8, 256
# Where so many images or more calibrate, one should not hold half of this share of
# pixels, the most surprising ones.
_SEVERAL, _TOP = 6, 0.01
# With fewer pixels nothing is learned, and p could not even reach 0.05.
_FEWEST = 20
# Shares of the work after which images are measured, tiles are cut, features are
# learned, normal is, and blocks are scored that calibrate.
_READ, _CUT, _EXTRACTING, _FITTED, _SCORED = 0.05, 0.1, 0.8, 0.9, 0.98


def fit_detector(
    normals: Field | Sequence[Field],
    detector: str = "default",
    on: Model | Literal["default"] | None = "default",
    seed: int = 0,
    sources: Sequence[Attribute] = (),
    cell: float | None = None,
    **config: Any,
) -> Detector:
    """Learn what normal looks like; see :func:`fit_detector_steps`."""
    return finished(learning(normals, detector, on, seed, sources, cell, config))


def fit_detector_steps(
    normals: Field | Sequence[Field],
    detector: str = "default",
    on: Model | Literal["default"] | None = "default",
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
        Name in :func:`napari_disentangle.detectors`, or ``"default"``: ``knn``, of one
        whole image ``mahalanobis``.
    on
        Model whose content-only image is scored; by default the one that the window
        takes, fitted to the normals. ``None`` scores the raw image.
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
        If there are too few normal pixels, or all have one value.
    ValueError
        If a setting is out of range, or something is no image or no model.
    """
    yield (yield from learning(normals, detector, on, seed, sources, cell, config))


def learning(
    normals: Field | Sequence[Field],
    detector: str,
    on: Model | Literal["default"] | None,
    seed: int,
    sources: Sequence[Attribute],
    cell: float | None,
    config: Mapping[str, Any],
) -> Generator[float, None, Detector]:
    """Learn what normal looks like; yields the share that is done.

    The settings of the detector have a name space of their own.
    """
    many = [normals] if isinstance(normals, Field) else list(normals)
    if not many:
        raise DataError("there is no normal image: give at least one")
    check_images(many)
    _check(on, seed, cell)
    detector = named(detector, is_alone(many))
    chosen = settings(detector, config)
    said_of = (detector, repr(chosen), int(seed), cell)
    key = _key(many, sources, on, said_of) if isinstance(on, Model) else None
    found = None if key is None else KNOWN.get(key)
    if found is None:
        found = yield from _learning(many, detector, chosen, on, seed, sources, cell)
        if key is not None:
            KNOWN.keep(key, replace(found, fitted_on=()))
    return replace(found, fitted_on=tuple(many))


def _key(
    normals: Sequence[Field], sources: Sequence[Attribute], on: Model, known: Hashable
) -> Hashable | None:
    """What tells what is learned; ``None`` where that takes files, or too long."""
    arrays = [one for image in normals for one in (image.levels[0], image.where)]
    plain = [one for one in arrays if one is not None]
    if not all(isinstance(one, np.ndarray) for one in plain):
        return None
    if sum(one.size for one in plain) > _PIXELS:
        return None
    said = [
        (i.name, i.axes, i.channel_names, i.modality, i.full_scale, i.scale)
        for i in normals
    ]
    looks = [(one.to_json(), one.status) for one in (on.reference, *sources)]
    marked = tuple(image.where is not None for image in normals)
    return (known, on.hash, repr(said), repr(looks), marked, digest(plain))


def _learning(
    many: Sequence[Field],
    detector: str,
    chosen: Any,
    on: Model | Literal["default"] | None,
    seed: int,
    sources: Sequence[Attribute],
    cell: float | None,
) -> Generator[float, None, Detector]:
    whole = [replace(image, where=None) for image in many]
    model = fit(whole) if on == "default" else on or fit(many[0], "identity")
    renderings, said = yield from _contents(model, many, sources)
    smallest = min(min(image.plane_shape) for image in many)
    part = smallest if len(many) >= MANY else smallest // 2
    diameter = cell or _diameter(renderings)
    shrink = shrink_of(diameter, part)
    view = View(detector, chosen, shrink)
    teach, check = split(renderings, shrink, seed)
    view = yield from within(one_thread, _learned(view, teach, seed))
    normal = yield from within(one_thread, _normal(view, teach, seed))
    stacks = all(depth(image, diameter) for image in many)
    deep = _deep(check, diameter) if stacks else []
    checking = _calibrations(_some(check), deep, normal)
    alone, through, doubts = yield from within(one_thread, checking)
    status = (*said, *doubts)
    return Detector(
        model, normal, alone, through, tuple(many), diameter, seed, cell, status
    )


def _contents(
    model: Model, images: Sequence[Field], sources: Sequence[Attribute]
) -> Generator[float, None, tuple[list[Rendering], list[str]]]:
    """How the content of every image is rendered, and what is odd about them."""
    known: list[Attribute | None] = [*sources] or [None] * len(images)
    renderings: list[Rendering] = []
    said: list[str] = []
    for image, source in zip(images, known, strict=True):
        share = _READ * (len(renderings) + 0.5) / len(images)
        look = source or (yield from _look(model, image, share))
        renderings.append(content_rendering(model, image, look))
        if source is None:
            said += (f"normal {image.name!r}: {words}" for words in look.status)
        yield _READ * len(renderings) / len(images)
    return renderings, said


def is_alone(normals: Sequence[Field]) -> bool:
    """Whether one whole image is all that is known of normal."""
    return len(set(normals)) == 1 and normals[0].where is None


def _check(on: Any, seed: Any, cell: Any) -> None:
    """Refuse what is no model, no seed or no diameter."""
    if on != "default" and not isinstance(on, Model | None):
        raise ValueError(f"on {on!r} is no model: make one with nd.fit(images)")
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ValueError(f"seed {seed!r} must be a whole number from 0 on")
    if cell is not None and not (
        isinstance(cell, int | float | np.number) and 0 < cell < math.inf
    ):
        raise ValueError(f"cell {cell!r} must be a diameter in pixels above 0")


def _look(model: Model, image: Field, done: float) -> Generator[float, None, Attribute]:
    """Attribute of a whole image, of which perhaps a part is marked."""
    for part in model.measuring(replace(image, where=None)):
        if part is not None:
            return part
        yield done
    raise AssertionError("measuring ends with the attribute")


def _diameter(renderings: Sequence[Rendering]) -> float:
    """Typical diameter of cells in pixels: the median of a few images."""
    few = renderings[:: -(-len(renderings) // _MEASURED)]
    return float(np.median([cell_diameter(_middle(one)) for one in few]))


def _middle(rendering: Rendering) -> Floats:
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


def _some(places: Sequence[_One], limit: int = _SEEN_BLOCKS) -> list[_One]:
    """Evenly spaced ones of very many."""
    n = min(len(places), limit)
    return [places[i] for i in np.linspace(0, len(places) - 1, n).round().astype(int)]


# --- what -------------------------------------------------------------------------
def _learned(
    view: View, teach: Sequence[Place], seed: int
) -> Generator[float, None, View]:
    """Learn to see, if the detector does."""
    own = view.by_name
    if not own.expects:
        return view
    tiles = []
    for i, place in enumerate(teach):
        tiles.append(place.tile(view))
        yield _READ + (_CUT - _READ) * (i + 1) / len(teach)
    for part in own.learn(tiles, view.config, seed):
        if not isinstance(part, float):
            return replace(view, learned=part)
        yield _CUT + (_EXTRACTING - _CUT) * part
    raise AssertionError("learning ends with what was learned")


def _normal(
    view: View, teach: Sequence[Place], seed: int
) -> Generator[float, None, Normal]:
    """Learn what is normal of what is seen."""
    rng, pairs = np.random.default_rng(seed), []
    teach = _some(teach)
    for i, place in enumerate(teach):
        pairs.append(place.vectors(view, rng))
        yield _EXTRACTING + (_FITTED - _EXTRACTING) * (i + 1) / len(teach)
    n = sum(features.shape[1] for features, _ in pairs)
    if n < _FEWEST:
        raise DataError(
            f"only {n} normal pixels are left to learn from: mark more as normal"
        )
    features, signals = (np.concatenate(part, 1) for part in zip(*pairs, strict=True))
    if not np.ptp(signals, axis=1).any() and not is_alone([p.image for p in teach]):
        raise DataError(
            "all normal pixels have one and the same value: leave such images out, or "
            "mark what shows something"
        )
    learned = view.by_name.fit(features, view.config)
    return Normal(view, learned, signals.mean(axis=1))


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
    raw: list[Floats] = []
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


def _doubts(places: Sequence[Place], scores: Sequence[Floats]) -> tuple[str, ...]:
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
