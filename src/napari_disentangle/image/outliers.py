"""Outliers: a few pixels far from all others, which would decide a look by themselves.

Pen, pigment, folds and debris in brightfield; one very bright object in fluorescence.
They are left out only where hardly a pixel lies between them and the others, and where
enough tissue or objects remain. OUR CHOICE: settled on slides and fields that no
benchmark reports, with a look at four slides of HistoQC and the fields of NEUBIAS.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles, Mask, chosen
from napari_disentangle.image.foreground import Foreground, coherence

# Largest share of the pixels that are outliers, edges aside, and of the foreground.
_MOST = 0.055
_OF_TISSUE = 1 / 2
_FEWEST = 20
# Robust standard deviations from which on an amount of stain is far.
_DARK = 4.0
_STEPS = 1.15 ** np.arange(14)
# Over this range of distances before them, there are so many times fewer pixels.
_GAP, _BETWEEN = 1.5, 0.35
# Share of the pixels that the middle of the colours and their spread are taken of, and
# standard deviations from which on a colour is far: the fewer pixels, the less spread.
_STRANGE = ((0.8, 10.0), (0.5, 30.0))
# Squares in pixels over which objects of all sizes are looked for, largest first.
_SIZES = (25, 13, 3)
# A bright object reaches this share of the highest mean; around it, it is above that.
_BRIGHT, _AROUND = 0.55, 0.4
# The other objects are so many times as large together, of most of them each is so many
# times fainter in sum (a cell before it divides is twice as bright as one after), and
# their pixels lie together.
_TIMES, _HEAVIER, _COHERENT = 2, 4, 0.6
_ROUNDS = 2
# The corner of four blocks cuts an object into so many pieces.
_PIECES = 4
# Edges of outliers in pixels: blur and compression.
_EDGE = 2
_MAD_TO_STD = 1.4826
_MOST_PIXELS = 2**16


class Sampled(NamedTuple):
    """Signal (C, h, w) of a part of an image, and its pixels that count (h, w)."""

    signal: Array
    counts: Mask


def outliers(blocks: Sequence[Sampled], foreground: Foreground) -> list[Mask]:
    """Find the pixels of an image that are far from all others.

    Parameters
    ----------
    blocks
        Parts of one image in absorbance (brightfield) or intensity (fluorescence).
    foreground
        That of all pixels that count.

    Returns
    -------
    list of ndarray
        A mask (h, w) for each block.
    """
    if foreground.modality == "brightfield":
        return _strange(blocks, foreground)
    found = [np.zeros(block.counts.shape, bool) for block in blocks]
    for channel in range(len(blocks[0].signal)):
        planes = [Sampled(b.signal[channel], b.counts) for b in blocks]
        for mask, bright in zip(found, _bright(planes), strict=True):
            mask |= bright
    return found


def _grown(masks: Sequence[Mask], blocks: Sequence[Sampled]) -> list[Mask]:
    from scipy.ndimage import binary_dilation

    pairs = zip(masks, blocks, strict=True)
    return [binary_dilation(m, iterations=_EDGE) & b.counts for m, b in pairs]


# --- brightfield: amount and colour of stain ----------------------------------------
def _strange(blocks: Sequence[Sampled], foreground: Foreground) -> list[Mask]:
    tissue = [foreground.mask(b.signal) & b.counts for b in blocks]
    shown = zip(blocks, tissue, strict=True)
    stained = np.concatenate([chosen(b.signal, mask) for b, mask in shown], axis=1)
    every = sum(int(b.counts.sum()) for b in blocks)
    most = min(_MOST * every, _OF_TISSUE * stained.shape[1])
    if most < _FEWEST:
        return [np.zeros_like(mask) for mask in tissue]
    far = _beyond_gap(_amounts(stained), _DARK, most)
    for densest, first in _STRANGE:
        if not far.any():
            far = _beyond_gap(_colours(stained, densest), first, most)
    masks = np.split(far, np.cumsum([mask.sum() for mask in tissue])[:-1])
    for mask, part in zip(tissue, masks, strict=True):
        mask[mask] = part
    return _grown(tissue, blocks)


def _beyond_gap(distances: Doubles, first: float, most: float) -> Mask:
    """What is farther than the emptiest gap in distances (N,), if there is one."""
    gaps = {}
    levels = first * _STEPS
    both = np.array([levels, levels / _GAP], distances.dtype)
    few = np.sort(distances[distances > both.min()])  # sorting all takes long
    beyond = len(few) - np.searchsorted(few, both, "right")
    for level, far, farther in zip(levels, *beyond, strict=True):
        between = farther - far
        if _FEWEST <= far <= most and between <= _BETWEEN * far:
            gaps[level] = between / far
    level = min(gaps, key=gaps.__getitem__, default=np.inf)
    found: Mask = distances > level / _GAP
    return found


def _amounts(stained: Array) -> Doubles:
    """How far more pixels (C, N) absorb than the median, in robust deviations."""
    total = stained.sum(axis=0)
    middle = np.median(total)
    spread = _MAD_TO_STD * np.median(np.abs(total - middle)) + 1e-6
    distances: Doubles = (total - middle) / spread
    return distances


def _colours(stained: Array, densest: float) -> Doubles:
    """How far pixels (C, N) are from this share of them, in standard deviations.

    By concentration steps (Rousseeuw and Van Driessen 1999, section 3).
    """
    few: Array = stained[:, :: -(-stained.shape[1] // _MOST_PIXELS)]
    middle: Array = np.median(few, axis=1, keepdims=True)
    inverse: Array = np.eye(len(few), dtype=few.dtype)
    for _ in range(8):
        distances = _mahalanobis(few - middle, inverse)
        near = chosen(few, distances <= np.quantile(distances, densest))
        middle = near.mean(axis=1, keepdims=True)
        covariance = np.cov(near) + 1e-5 * np.eye(len(few))
        inverse = np.linalg.inv(covariance).astype(few.dtype)
    return _mahalanobis(stained - middle, inverse)


def _mahalanobis(centred: Array, inverse: Doubles) -> Doubles:
    distances: Doubles = np.sqrt(((inverse @ centred) * centred).sum(axis=0))
    return distances


# --- fluorescence: one bright object ------------------------------------------------
def _bright(planes: Sequence[Sampled]) -> list[Mask]:
    """One object far brighter than the others (h, w), and then one more."""
    found = [np.zeros(plane.counts.shape, bool) for plane in planes]
    most = _MOST * sum(int(plane.counts.sum()) for plane in planes)
    for _ in range(_ROUNDS):
        pairs = zip(planes, found, strict=True)
        left = [Sampled(p.signal, p.counts & ~mask) for p, mask in pairs]
        objects = next(filter(None, (_objects(left, s, most) for s in _SIZES)), None)
        if objects is None:
            break
        most -= sum(int(mask.sum()) for mask in objects)
        grown = _grown(objects, left)
        found = [one | two for one, two in zip(found, grown, strict=True)]
    return found


def _objects(planes: Sequence[Sampled], size: int, most: float) -> list[Mask] | None:
    """What is bright over squares of so many pixels, if others are left without it."""
    from skimage.filters import apply_hysteresis_threshold as hysteresis

    values = np.concatenate([plane.signal[plane.counts] for plane in planes])
    middle = np.median(values) if values.size else 0.0
    smooth = [_smooth(plane, middle, size) for plane in planes]
    height = max(float(plane.max()) for plane in smooth) - middle
    bright, around = middle + _BRIGHT * height, middle + _AROUND * height
    seeds = [hysteresis(plane, around, bright) for plane in smooth]
    if height <= 0 or not _alone(seeds):
        return None
    pairs = zip(seeds, planes, strict=True)
    objects = [_outline(seed, _smooth(p, middle, 3), bright, size) for seed, p in pairs]
    area = sum(int(mask.sum()) for mask in objects)
    return objects if 0 < area <= most and _others(planes, objects, middle) else None


def _alone(seeds: Sequence[Mask]) -> bool:
    """Whether masks (h, w) show one object, or what blocks have cut it into."""
    from scipy.ndimage import label

    numbers = [label(seed)[1] for seed in seeds]
    cut = (
        sum(numbers) <= _PIECES
        and max(numbers) == 1
        and all(seed[1:-1, 1:-1].sum() < seed.sum() for seed in seeds if seed.any())
    )
    return sum(numbers) == 1 or cut


def _smooth(plane: Sampled, middle: float, size: int) -> Array:
    from scipy.ndimage import uniform_filter

    smooth: Array = uniform_filter(np.where(plane.counts, plane.signal, middle), size)
    return smooth


def _outline(seed: Mask, plane: Array, bright: float, size: int) -> Mask:
    """The bright pixels (h, w) at and around what was found over large squares."""
    from scipy.ndimage import binary_dilation, binary_propagation

    pixels = plane > bright
    within = pixels & binary_dilation(seed, iterations=size // 2)
    outline: Mask = binary_propagation(seed & pixels, mask=within)
    return outline


def _others(planes: Sequence[Sampled], objects: Sequence[Mask], middle: float) -> bool:
    """Whether there are objects without these: more of them, fainter ones, no noise."""
    from skimage.filters import threshold_otsu

    masks = zip(planes, _grown(objects, planes), strict=True)
    left = [Sampled(p.signal - middle, p.counts & ~mask) for p, mask in masks]
    rest = np.concatenate([p.signal[p.counts] for p in left])
    if not rest.size or not np.ptp(rest) > 0:
        return False
    level = threshold_otsu(rest)
    areas, sums = _sums(left, [(p.signal > level) & p.counts for p in left])
    bright = [Sampled(p.signal - middle, p.counts) for p in planes]
    area, total = (each.sum() for each in _sums(bright, objects))
    alike = areas[sums * _HEAVIER > total].sum() > areas.sum() / 2
    several = areas.max() <= areas.sum() / 2
    enough = areas.sum() >= _TIMES * area and several and not alike
    return bool(enough) and coherence(rest > level) > _COHERENT


def _sums(planes: Sequence[Sampled], masks: Sequence[Mask]) -> tuple[Doubles, Doubles]:
    """Areas and summed signals of the objects in masks (h, w)."""
    from scipy.ndimage import label

    areas, sums = [], []
    for plane, mask in zip(planes, masks, strict=True):
        parts = label(mask)[0].ravel()
        areas.append(np.bincount(parts)[1:].astype(np.float64))
        sums.append(np.bincount(parts, np.where(mask, plane.signal, 0).ravel())[1:])
    return np.concatenate(areas), np.concatenate(sums)
