"""Three figures on a run, and how bright its images are before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from napari_disentangle._qt.numbers.data import REFERENCE, SHARES, Curve, Figures
from napari_disentangle._qt.runs.job import Job, Result, run_job
from napari_disentangle.audit.palettes import palettes_of, picture
from napari_disentangle.audit.structure import gradient_correlation
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.image.field import Field
from napari_disentangle.model.render import Rendering
from napari_disentangle.pipeline.kinds import KINDS

# Pixels of an image that are looked at, and edge of the part whose edges are.
_SAMPLED, _EDGE = 2**16, 512


@dataclass(frozen=True, eq=False)
class _Seen:
    """Sampled pixels (N, C) of an image and of its result."""

    batch: str
    before: Array
    after: Array


def run_and_look(job: Job) -> Iterator[Any]:
    """All that a run gives, and figures on it in the end."""
    results = []
    for step in run_job(job):
        if isinstance(step, Result):
            results.append(step)
        yield step
    figures = figures_of(job, results)
    if figures is not None:
        yield figures


def figures_of(job: Job, results: Sequence[Result]) -> Figures | None:
    """What a run did; ``None`` if nothing of it is in memory to be looked at."""
    made = [one for one in results if KINDS[one.output.kind].recoloured]
    named = _batches(job)
    seen = [
        _Seen(named[one.output.image], *pair)
        for one in made
        if (pair := _pixels(one)) is not None
    ]
    if not seen:
        return None
    given = [*job.references, *(one.field for one in job.donors)]
    aims = [_values(field.levels[-1], field) for field in given]
    aims = [one for one in aims if len(one)]
    colour = made[0].output.image.rgb
    batches = list(dict.fromkeys(one.batch for one in seen))
    return Figures(
        before=_apart(seen, aims, colour, "before"),
        after=_apart(seen, aims, colour, "after"),
        colour=colour,
        structure=float(np.median([_structure(one) for one in made])),
        cut=float(np.mean([_cut(one) for one in seen])),
        curves=(*_curves(seen, batches), *_of_reference(aims)),
        palette=_palette(made[0]),
    )


def _batches(job: Job) -> dict[Field, str]:
    """A name for the batch of every image; its own, if it has none."""
    images = [one.field for one in job.picked]
    batches = job.batches or [None] * len(images)
    pairs = zip(images, batches, strict=True)
    return {image: batch or image.name for image, batch in pairs}


# --- pixels ---------------------------------------------------------------------------
def _pixels(result: Result) -> tuple[Array, Array] | None:
    """Sampled pixels before and after, where the result is in memory."""
    field, shown = result.output.image, [data for data, _, _ in result.layers]
    made = [one[-1] if isinstance(one, list) else one for one in shown]
    if not all(isinstance(one, np.ndarray) for one in made):
        return None
    level = field.levels[-1] if isinstance(shown[0], list) else field.levels[0]
    after = np.stack(made) if len(made) > 1 else made[0]
    if after.shape != tuple(level.shape):
        return None
    rise = field.full_scale if after.dtype.kind == "f" != field.dtype.kind else 1
    pair = _values(level, field), _values(after, field) * rise
    return pair if all(len(one) for one in pair) else None


def _values(level: Any, field: Field) -> Array:
    """Some pixels (N, C) of an array with the axes of an image."""
    planes = np.asarray(level[(slice(None),) * len(level.shape)])
    if "C" not in field.axes:
        planes = planes[..., None]
    else:
        planes = np.moveaxis(planes, field.axes.index("C"), -1)
    flat = planes.reshape(-1, planes.shape[-1])
    some = flat[:: max(1, len(flat) // _SAMPLED), : 3 if field.rgb else None]
    finite: Array = some[np.isfinite(some).all(axis=1)]
    return finite


# --- figures --------------------------------------------------------------------------
def _apart(
    seen: Sequence[_Seen], aims: Sequence[Array], colour: bool, when: str
) -> float:
    """Mean difference of all batches to the reference, or between all pairs of them."""
    groups: dict[str, list[Doubles]] = {}
    for one in seen:
        groups.setdefault(one.batch, []).append(_mean(getattr(one, when), colour))
    means = [np.mean(group, axis=0) for group in groups.values()]
    if aims:
        aim = np.mean([_mean(one, colour) for one in aims], axis=0)
        pairs = [(mean, aim) for mean in means]
    else:
        pairs = list(combinations(means, 2))
    return float(np.mean([_distance(*pair, colour) for pair in pairs] or [0.0]))


def _mean(pixels: Array, colour: bool) -> Doubles:
    if not colour:
        mean: Doubles = pixels.mean(axis=0, dtype=float)
        return mean
    from skimage.color import rgb2lab

    top = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1.0
    lab: Doubles = rgb2lab(np.clip(pixels[None] / top, 0, 1))[0].mean(axis=0)
    return lab


def _distance(one: Doubles, other: Doubles, colour: bool) -> float:
    if colour:
        return float(np.linalg.norm(one - other))
    middle = np.maximum((np.abs(one) + np.abs(other)) / 2, 1e-12)
    return float(np.mean(np.abs(one - other) / middle))


def _cut(one: _Seen) -> float:
    if one.after.dtype.kind not in "ui":
        return 0.0
    known = np.iinfo(one.after.dtype)
    ends = [known.min, known.max]
    return max(0.0, float(np.isin(one.after, ends).mean() - _at_ends(one, ends)))


def _at_ends(one: _Seen, ends: Sequence[int]) -> float:
    return float(np.isin(one.before, ends).mean())


def _structure(result: Result) -> float:
    """Correlation of gradients in the middle of the image."""
    lazy, image = result.output.lazy, result.output.image
    lead = tuple(image.size(axis) // 2 for axis in image.lead_axes)
    y, x = (_middle(image.size(axis)) for axis in "YX")
    before = np.asarray(image.plane(lead, y, x), float)
    operation = lazy.operation
    if not isinstance(operation, Rendering) or min(before.shape[1:]) < 2:
        return 1.0  # a line has no gradients to lose
    after = operation(image.plane(lead, y, x), lead).astype(float)
    known = np.isfinite(before) & np.isfinite(after)
    before, after = np.where(known, before, 0), np.where(known, after, 0)
    return gradient_correlation(before, after).correlation


def _middle(size: int) -> slice:
    start = max(0, size // 2 - _EDGE // 2)
    return slice(start, min(start + _EDGE, size))


# --- what is drawn --------------------------------------------------------------------
def _curves(seen: Sequence[_Seen], batches: Sequence[str]) -> Iterator[Curve]:
    for batch in batches:
        own = [one for one in seen if one.batch == batch]
        yield Curve(
            batch,
            _quantiles([one.before for one in own]),
            _quantiles([one.after for one in own]),
        )


def _of_reference(aims: Sequence[Array]) -> Iterator[Curve]:
    if aims:
        values = _quantiles(aims)
        yield Curve(REFERENCE, values, values)


def _quantiles(pixels: Sequence[Array]) -> Doubles:
    grey = np.concatenate([one.mean(axis=1, dtype=float) for one in pixels])
    values: Doubles = np.quantile(grey[np.isfinite(grey)], SHARES)
    return values


def _palette(result: Result) -> Array | None:
    operation = result.output.lazy.operation
    if not isinstance(operation, Rendering):
        return None
    try:
        before, aim, after = palettes_of(
            operation.method, operation.source, operation.target
        )
    except DataError:
        return None
    return picture([before, aim, after])
