"""How a result differs from its image, as a layer with a sign and one scale for all."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_disentangle.image.arrays import Array
from napari_disentangle.layers.data import KEY, LINK
from napari_disentangle.layers.put import PLACED
from napari_disentangle.pipeline.kinds import KINDS

MARK = "napari-disentangle difference"
# Darker than the original is blue, brighter orange.
COLOURS = {
    "name": "difference",
    "colors": [[0, 0.45, 0.7, 1], [0, 0, 0, 1], [0.9, 0.6, 0, 1]],
    "controls": [0, 0.5, 1],
}
# Larger images are compared at a smaller level of their pyramid.
_MOST = 2**24
# Share of pixels whose difference the scale holds.
_HELD = 0.999


def of_pair(
    sources: Sequence[Any], results: Sequence[Any]
) -> tuple[Array, dict[str, Any]] | None:
    """The mean difference over channels, as data and attributes of a layer.

    ``None`` where they cannot be compared: of maps, and of what is too large.
    """
    if len(sources) != len(results) or not results:
        return None
    if KINDS[results[0].metadata[KEY]["output"]].shown != "image":
        return None
    pairs = [_levels(*pair) for pair in zip(sources, results, strict=True)]
    if any(one is None or one[0].shape != one[1].shape for one in pairs):
        return None
    apart = np.stack([_apart(*one) for one in pairs if one])
    data: Array = np.asarray(apart.mean(axis=0, dtype=np.float32))
    if sources[0].rgb:
        data = data.mean(axis=-1)
    return data, _attributes(sources[0], results[0], data)


def limits_of(differences: Sequence[Array]) -> tuple[float, float]:
    """One scale for all, the same on both sides of none."""
    known = [one[np.isfinite(one)] for one in differences]
    ends = [float(np.quantile(np.abs(one), _HELD)) for one in known if one.size]
    most = max([*ends, 1e-6])
    step = 10 ** np.floor(np.log10(most)) / 2  # ends that a bar of colours can show
    most = float(np.ceil(most / step) * step)
    return -most, most


def _levels(source: Any, result: Any) -> tuple[Array, Array] | None:
    """Both at the finest level that is not too large."""
    one, other = (
        list(layer.data) if layer.multiscale else [layer.data]
        for layer in (source, result)
    )
    for a, b in zip(one, other, strict=False):
        if np.prod(a.shape) <= _MOST:
            return np.asarray(a), np.asarray(b)
    return None


def _apart(before: Array, after: Array) -> Array:
    """Result minus image, in units of the image."""
    rise = 1.0
    if after.dtype.kind == "f" and before.dtype.kind in "ui":  # 16-bit colours as 0..1
        rise = float(np.iinfo(before.dtype).max)
    return after.astype(np.float32) * np.float32(rise) - before.astype(np.float32)


def _attributes(source: Any, result: Any, data: Array) -> dict[str, Any]:
    shape = source.data[0].shape if source.multiscale else source.data.shape
    known = {name: getattr(source, name) for name in PLACED}
    ratio = np.divide(shape[: data.ndim], data.shape)
    known["scale"] = np.asarray(source.scale) * ratio
    return {
        **known,
        "name": f"{result.name} [difference]",
        "colormap": COLOURS,
        "metadata": {MARK: result.metadata[LINK]["source"]},
    }
