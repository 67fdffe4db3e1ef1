"""Regions: connected surprising pixels, and a table with one row for each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_disentangle.detector.calibration import Calibration, adjusted
from napari_disentangle.image.arrays import Array, Doubles

Table = dict[str, Array]


def regions(
    score: NDArray[np.floating],
    extent: NDArray[np.uint32],
    sign: ArrayLike,
    calibration: Calibration,
    alpha: float,
    min_size: int,
    spacing: Sequence[float],
    observed: Array | None = None,
    expected: Array | None = None,
    channel_names: Sequence[str] = (),
    connected: int | None = None,
    translate: Sequence[float] | None = None,
) -> tuple[NDArray[np.int32], Table]:
    """Connected pixels with ``p <= alpha``, and one table row for each region.

    Pixels that touch at a corner are connected. Scores that are not finite are in no
    region.

    Parameters
    ----------
    score
        Raw scores (Y, X), (Z, Y, X), or with more axes before those.
    extent
        What :meth:`Calibration.extent` says of them.
    sign
        +1 or -1: one for all, or of the shape of ``score``.
    calibration
        What normal scores are like.
    alpha
        Largest p value of a pixel in a region, above 0 and below 1.
    min_size
        Smallest number of pixels of a region.
    spacing
        World size of a pixel per axis of ``score``, negative along a mirrored axis.
    observed, expected
        Maps of the shape of ``score``, or with a channel axis before that.
    channel_names
        Names of those channels; numbers if there are none.
    connected
        How many of the last axes are space, 2 or 3; regions never join along the
        others (time, or planes that are separate). All by default.
    translate
        World position of the first pixel per axis of ``score``; 0 by default.

    Returns
    -------
    labels
        Int32 array of the shape of ``score``; 0 is background.
    table
        Columns, one row per label: ``label``; ``size`` in pixels; ``area`` or
        ``volume`` and ``equivalent_diameter`` in world units; ``max_z`` of the most
        surprising pixel and ``mean_z``, signed; ``p`` and ``q`` of the region, from its
        largest extent, NaN if too few normal blocks are known; ``mean_observed`` and
        ``mean_expected``, with ``_<channel>`` if there are channels;
        ``centroid-<axis>`` in pixels and ``centroid_world-<axis>``. With ``index`` =
        ``label`` it can be the features of a napari Labels layer.

    Raises
    ------
    ValueError
        If ``alpha`` or ``connected`` is out of range, or something has another shape
        than ``score``.
    """
    space = score.ndim if connected is None else connected
    _check(score, alpha, space, spacing)
    labels = _labels(score, calibration.threshold(alpha), min_size, space)
    inside = _inside(labels)
    found = score[inside.at]
    z = calibration.z(found, np.broadcast_to(sign, score.shape)[inside.at])
    top = inside.last_by(found)
    table: Table = {"label": np.arange(1, inside.n + 1), "size": inside.sizes}
    table |= _measures(inside.sizes, spacing[-space:])
    table |= {"max_z": z[top], "mean_z": inside.mean(z)}
    together = extent[inside.at]
    p = calibration.region_p(together[inside.last_by(together)])
    n_blocks, looks = len(calibration.extents), calibration.looks(score)
    table |= {"p": p, "q": adjusted(p, n_blocks, looks)}
    for name, values in (("mean_observed", observed), ("mean_expected", expected)):
        maps = _maps(name, values, score.shape, channel_names)
        table |= {own: inside.mean(one[inside.at]) for own, one in maps.items()}
    return labels, table | _centroids(inside, spacing, translate)


def _check(score: Array, alpha: float, space: int, spacing: Sequence[float]) -> None:
    if not (isinstance(alpha, float | np.floating) and 0 < alpha < 1):
        raise ValueError(f"alpha {alpha!r} must lie between 0 and 1, e.g. 0.01")
    if space not in (2, 3) or space > score.ndim:
        raise ValueError(
            f"connected {space} must be 2 or 3, the number of last axes that are space "
            f"of the {score.ndim} there are"
        )
    if len(spacing) != score.ndim:
        raise ValueError(
            f"spacing {tuple(spacing)} must have {score.ndim} numbers, one per axis"
        )


def _labels(
    score: NDArray[np.floating], threshold: float, min_size: int, space: int
) -> NDArray[np.int32]:
    """Number the regions in the order of their first pixel."""
    from scipy.ndimage import label

    touching = np.zeros((3,) * score.ndim, bool)
    touching[(1,) * (score.ndim - space)] = True
    found, _ = label((score > threshold) & np.isfinite(score), touching)
    kept = np.bincount(found.ravel()) >= min_size
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    large: NDArray[np.int32] = numbers[found]
    return large


class _Inside(NamedTuple):
    """The pixels of all regions, and which region each is of, counted from 0."""

    at: tuple[NDArray[np.int64], ...]
    row: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def n(self) -> int:
        return len(self.sizes)

    def mean(self, values: Array) -> Doubles:
        """Mean over each region."""
        return np.bincount(self.row, values, self.n) / self.sizes

    def last_by(self, values: Array) -> NDArray[np.int64]:
        """Place of the pixel with the largest value of each region."""
        return np.lexsort((values, self.row))[np.cumsum(self.sizes) - 1]


def _inside(labels: NDArray[np.int32]) -> _Inside:
    at = np.nonzero(labels)
    row = labels[at].astype(np.int64) - 1
    return _Inside(at, row, np.bincount(row))


def _measures(sizes: NDArray[np.int64], spacing: Sequence[float]) -> Table:
    """Area or volume, and the diameter of the disk or ball that has it."""
    extent = sizes * abs(float(np.prod(spacing)))
    if len(spacing) == 2:
        return {"area": extent, "equivalent_diameter": np.sqrt(extent * 4 / np.pi)}
    return {"volume": extent, "equivalent_diameter": np.cbrt(extent * 6 / np.pi)}


def _maps(
    name: str,
    values: Array | None,
    shape: tuple[int, ...],
    channel_names: Sequence[str],
) -> dict[str, Array]:
    """The maps by the names of their columns."""
    if values is None:
        return {}
    if values.shape == shape:
        return {name: values}
    names = channel_names or [str(i) for i in range(len(values))]
    if values.shape != (len(names), *shape):
        raise ValueError(
            f"the map for {name} has shape {values.shape}, but must have {shape}, or "
            f"{(len(names), *shape)} with channels {list(names)}"
        )
    return {f"{name}_{own}": one for own, one in zip(names, values, strict=True)}


def _centroids(
    inside: _Inside, spacing: Sequence[float], translate: Sequence[float] | None
) -> Table:
    starts = translate or (0.0,) * len(spacing)
    table: Table = {}
    for i, places in enumerate(inside.at):
        table[f"centroid-{i}"] = inside.mean(places)
    for i, (step, start) in enumerate(zip(spacing, starts, strict=True)):
        table[f"centroid_world-{i}"] = table[f"centroid-{i}"] * step + start
    return table
