"""The first pass over an image: from sampled blocks to an attribute, or words."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_disentangle.compute.device import once_more, one_thread
from napari_disentangle.compute.iterators import within
from napari_disentangle.image.arrays import Array, Mask, chosen, finite, varies
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.image.foreground import Foreground, find_foreground
from napari_disentangle.image.outliers import Sampled, outliers
from napari_disentangle.image.signal import (
    Space,
    from_signal,
    natural_space,
    plane_to_signal,
)
from napari_disentangle.image.tiling import Block, Span, blocks, tiles
from napari_disentangle.image.valid import blurred, searched, stray
from napari_disentangle.model.attribute import pooled
from napari_disentangle.model.base import Method, Sample, Values
from napari_disentangle.model.known import Known, digest
from napari_disentangle.model.remarks import (
    CONSTANT,
    NO_FOREGROUND,
    blank_planes,
    empty_channels,
    odd_pixels,
    outlier_words,
    padding_words,
    why_blank,
)
from napari_disentangle.model.render import Rendering

if TYPE_CHECKING:
    import torch

# Fewer foreground pixels than this say nothing about a look.
_FEWEST = 16
_MAD_TO_STD = 1.4826
# Tiles whose looks are compared, of an image that has more.
_VOTES = 8
# Edge in pixels of the regions in which whole images are gone through.
_REGION = 256
# Edge in pixels of the blocks that are measured.
_BLOCK = 128
# Blocks that are rendered to foresee what would be cut off.
_PREVIEWS = 16


@dataclass(frozen=True, eq=False)
class Measured:
    """What the first pass over an image found.

    Attributes
    ----------
    values
        Attribute (..., P); NaN for constant planes, and for all planes if none has
        foreground. Planes without foreground get the mean of the others.
    spread
        Robust standard deviation over tiles (P,).
    n_tiles
        Number of tiles that had enough to measure.
    status
        What a person should know, in words.
    empty
        Channels without foreground beside others that have some, on all planes.
    """

    values: Values
    spread: Values
    n_tiles: int
    status: tuple[str, ...]
    empty: tuple[str, ...]


class Part(NamedTuple):
    """A block of an image.

    Attributes
    ----------
    plane, signal
        Pixels (C, h, w), and the signal in which foreground is told.
    valid, allowed
        Pixels that are image, and those that are measured.
    """

    plane: Array
    signal: Array
    valid: Mask
    allowed: Mask


@dataclass(frozen=True, eq=False)
class _Look:
    """What was measured on planes that share an attribute.

    ``blank`` says why there was nothing to measure; it is empty if there was.
    """

    values: Values
    spread: Values
    n_tiles: int
    words: tuple[str, ...]
    blank: tuple[str, ...]
    empty: tuple[str, ...] = ()

    @property
    def constant(self) -> bool:
        return CONSTANT in self.blank


class Reader(NamedTuple):
    """What reads looks: a model's mathematics, its settings, and its hash."""

    method: Method
    config: Any
    hash: str


def measure(
    reader: Reader, field: Field, index: Sequence[int], axes: str
) -> Generator[None, None, Measured]:
    """Measure an attribute for every index along ``axes``.

    Yields after everything that takes long; closing cancels. What was measured on the
    same pixels before is not measured again.
    """
    steps = _measure(reader, field, index, axes)
    return (yield from within(one_thread, steps))


def _measure(
    reader: Reader, field: Field, index: Sequence[int], axes: str
) -> Generator[None, None, Measured]:
    sizes = [field.size(axis) for axis in axes]
    groups = _groups(field, axes)
    looks = []
    doing = f"measuring {field.name!r} in blocks of {_BLOCK} x {_BLOCK} pixels on cpu"
    for leads in groups:
        steps = partial(_measure_planes, reader, field, index, leads)
        looks.append((yield from once_more(doing, steps)))
        yield
    found = [look for look in looks if not look.blank]
    rows = np.stack([look.values for look in looks])
    if found:
        borrow = [bool(look.blank) and not look.constant for look in looks]
        seen = np.stack([look.values for look in found])
        rows[borrow] = pooled(seen, reader.method.names(_names(field, index)))
    spread = np.mean([look.spread for look in found or looks], axis=0)
    noun = "planes" if len(groups[0]) == 1 else "stacks"
    said = [word for look in looks for word in look.words]
    said += blank_planes([look.blank for look in looks], noun)
    n_tiles = sum(look.n_tiles for look in looks)
    each = [{*look.empty} for look in found]
    empty = tuple(sorted(set.intersection(*each))) if each else ()
    said += [f"channel {name} shows nothing: it is left as it is" for name in empty]
    values = rows.reshape(*sizes, rows.shape[1])
    status = tuple(dict.fromkeys(said))
    return Measured(values, spread, n_tiles, status, empty)


def sample(method: Method, field: Field, index: Sequence[int]) -> Sample:
    """Pixels of an image from which :func:`measure` takes one attribute of it all."""
    parts = _parts(field, index, list(field.leads()))
    _, samples, foreground = _told_apart(method, field, parts)
    return _join(samples, foreground)


@dataclass(frozen=True)
class Foreseen:
    """What rendering would do to an image, foreseen on a sample of blocks.

    Attributes
    ----------
    lost
        Share of the values that would leave the range of the image's type. Values at
        the end of the range already do not count.
    rise
        How many times the spread of the channel rises that gains most.
    """

    lost: float
    rise: float


def foresee(rendering: Rendering) -> Foreseen:
    """Render some blocks, and see what becomes of their values."""
    field = rendering.field
    space = rendering.method.space(field.modality)
    before, after = [], []
    for block in blocks(field, limit=_PREVIEWS):
        plane, signal = rendering.read(block.lead, block.y, block.x)
        x = from_signal(signal, space, field.full_scale).cpu().numpy()
        valid = field.valid(plane, block.lead, block.y.slice, block.x.slice)
        before.append(plane[list(rendering.index)][:, valid])
        after.append(x[:, valid])
    old, new = np.concatenate(before, axis=1), np.concatenate(after, axis=1)
    if not old.size:
        return Foreseen(0.0, 1.0)
    spread = np.maximum(old.std(axis=1, dtype=np.float64), 1e-9)
    rise = float((new.std(axis=1, dtype=np.float64) / spread).max())
    if field.dtype.kind == "f":
        return Foreseen(0.0, rise)
    limits = np.iinfo(field.dtype)
    above = (new > limits.max + 0.5) & (old < limits.max)
    below = (new < limits.min - 0.5) & (old > limits.min)
    return Foreseen(float((above | below).mean()), rise)


# --- one group of planes ------------------------------------------------------------
def _groups(field: Field, axes: str) -> list[list[Lead]]:
    """Planes that share an attribute, one list per index along ``axes``."""
    places = [field.lead_axes.index(axis) for axis in axes]
    groups: dict[Lead, list[Lead]] = {}
    for lead in field.leads():
        groups.setdefault(tuple(lead[place] for place in places), []).append(lead)
    return list(groups.values())


# Looks of samples that were measured last.
KNOWN: Known[_Look] = Known(1024)


def _measure_planes(
    reader: Reader, field: Field, index: Sequence[int], leads: list[Lead]
) -> Generator[None, None, _Look]:
    parts = _parts(field, index, leads)
    if not reader.method.sampled:
        return (yield from _measure_parts(reader, field, index, leads, parts))
    key = _key(reader, field, index, parts)
    look = KNOWN.get(key)
    if look is None:
        look = yield from _measure_parts(reader, field, index, leads, parts)
        KNOWN.keep(key, look)
    return look


def _key(
    reader: Reader, field: Field, index: Sequence[int], parts: Sequence[Part]
) -> Hashable:
    """All that a look, and what is said of it, depends on."""
    pixels = digest(array for p in parts for array in (p.plane, p.valid, p.allowed))
    said = field.remarks, searched(field), _names(field, index), len(parts)
    return reader.hash, pixels, field.modality, field.full_scale, said


def _measure_parts(
    reader: Reader,
    field: Field,
    index: Sequence[int],
    leads: list[Lead],
    parts: list[Part],
) -> Generator[None, None, _Look]:
    method, config, _ = reader
    inliers, samples, foreground = _told_apart(method, field, parts)
    every = np.concatenate(
        [chosen(part.plane, part.allowed) for part in inliers], axis=1
    )
    whole = _join(samples, foreground)
    names = _names(field, index)
    seen = ((part.plane, part.valid) for part in parts)
    left_out = outlier_words(*([p.allowed for p in each] for each in (parts, inliers)))
    words = (*padding_words(seen), *odd_pixels(field, every), *left_out)
    blank = why_blank(every, foreground)
    if not blank and not _enough(method, whole):
        blank = (NO_FOREGROUND,)
    if blank:
        unknown = np.full(len(method.names(names)), np.nan)
        return _Look(unknown, unknown, 0, words, blank)
    usable = [s for s in samples if _enough(method, s)]
    votes = []
    step = max(1, -(-len(usable) // _VOTES))
    for one in usable[::step] or [whole]:
        yield
        votes.append(method.estimate(one, config))
    each = np.stack(votes).astype(np.float64)
    middle = np.median(each, axis=0)
    spread = _MAD_TO_STD * np.median(np.abs(each - middle), axis=0)
    values = method.estimate(whole, config).astype(np.float64)
    yield
    regions = partial(_regions, method, field, index, leads)
    values = yield from method.complete(values, regions)
    empty = empty_channels(foreground, names)
    return _Look(values, spread, max(1, len(usable)), words, (), empty)


def _regions(
    method: Method, field: Field, index: Sequence[int], leads: Sequence[Lead]
) -> Iterator[tuple[torch.Tensor, tuple[slice, slice]]]:
    """All of some planes as signals (C, h, w), and where each is not seen elsewhere."""
    shape = field.plane_shape
    whole = (Span(0, shape[0]), Span(0, shape[1]))
    space = method.space(field.modality)
    for lead, tile in product(leads, tiles(whole, shape, _REGION, method.halo)):
        plane = field.plane(lead, tile.outer[0].slice, tile.outer[1].slice)
        x = plane_to_signal(plane[list(index)], space, field.full_scale)
        yield x, tile.local


def _parts(field: Field, index: Sequence[int], leads: list[Lead]) -> list[Part]:
    """Blocks spread over some planes."""
    places = blocks(field, _BLOCK, leads=leads)
    return [_read(field, block, index) for block in places]


def _inliers(method: Method, parts: list[Part], foreground: Foreground) -> list[Part]:
    """The blocks without pixels far from all others, for models that leave them out."""
    if not method.robust:
        return parts
    sampled = [
        Sampled(part.signal, part.allowed & finite(part.signal)) for part in parts
    ]
    odd = outliers(sampled, foreground)
    if not any(mask.any() for mask in odd):
        return parts
    return [
        part._replace(allowed=part.allowed & ~mask)
        for part, mask in zip(parts, odd, strict=True)
    ]


def _told_apart(
    method: Method, field: Field, parts: list[Part]
) -> tuple[list[Part], list[Sample], Foreground]:
    """The blocks without outliers, their pixels, and what tells their foreground."""
    foreground = _foreground(field, parts)
    inliers = _inliers(method, parts, foreground)
    own = foreground if inliers is parts else _foreground(field, inliers)
    samples = [_sample(method, field, part, own) for part in inliers]
    if method.both and inliers is not parts:
        samples = [
            replace(sample, every=_sample(method, field, part, foreground))
            for sample, part in zip(samples, parts, strict=True)
        ]
    return inliers, samples, own


def _foreground(field: Field, parts: Sequence[Part]) -> Foreground:
    signals = [chosen(part.signal, part.allowed) for part in parts]
    return find_foreground(np.concatenate(signals, axis=1), field.modality)


def _names(field: Field, index: Sequence[int]) -> tuple[str, ...]:
    return tuple(field.channel_names[i] for i in index)


def _read(field: Field, block: Block, index: Sequence[int]) -> Part:
    """A block, and which of its pixels say something about a look."""
    y, x = block.y.slice, block.x.slice
    plane = field.plane(block.lead, y, x)
    valid = field.valid(plane, block.lead, y, x)
    odd = stray(field, plane) | blurred(field, block.lead, y, x)
    allowed = valid & field.mask(block.lead, y, x) & ~odd
    # in one order, as single precision adds up to other digits in another one
    pixels = np.ascontiguousarray(plane[list(index)])
    signal = _signal(field, pixels, natural_space(field.modality))
    return Part(pixels, signal, valid, allowed)


def _signal(field: Field, pixels: Array, space: Space) -> Array:
    return plane_to_signal(pixels, space, field.full_scale).numpy()


def _sample(method: Method, field: Field, part: Part, foreground: Foreground) -> Sample:
    known = part.allowed & finite(part.signal)
    space, natural = method.space(foreground.modality), part.signal
    same = space == natural_space(foreground.modality)
    tile = natural if same else _signal(field, part.plane, space)
    pixels, mask = chosen(tile, known), foreground.mask(chosen(natural, known))
    if not known.all():
        tile = np.where(known, tile, np.nan).astype(tile.dtype)
    tiles = [(tile, float(mask.sum()))]
    return Sample(pixels, mask, foreground.white, foreground.modality, tiles)


def _join(samples: Sequence[Sample], foreground: Foreground) -> Sample:
    wholes = [s.every for s in samples if s.every is not None]
    every = _join(wholes, foreground) if wholes else None
    signal = np.concatenate([s.signal for s in samples], axis=1)
    mask = np.concatenate([s.foreground for s in samples])
    tiles = [tile for s in samples for tile in s.tiles]
    white, modality = foreground.white, foreground.modality
    return Sample(signal, mask, white, modality, tiles, every)


def _enough(method: Method, sample: Sample) -> bool:
    pixels = sample.tissue if method.masked else sample.signal
    some = pixels.shape[1] >= _FEWEST and varies(pixels)
    return some and (sample.every is None or _enough(method, sample.every))
