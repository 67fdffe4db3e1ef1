"""Objects coloured by a column of their table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap, label_colormap

from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.layers.data import KEY

LABEL = "label"
# Numbers get one of so many colours, between these percentiles.
_SHADES, _RANGE = 64, (1, 99)
# Of labels beyond this, napari draws no colours of ours unless numba is there.
_MOST = 2**16
# Numbers that have a colour beyond those that there are, for what is painted next.
_SPARE = 256
# Readable for the colour-blind (Okabe and Ito 2008), and beyond them napari's own.
_KINDS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
# Of no object, and of one that was painted since.
_NONE, _UNKNOWN = "#00000000", "#808080"
# What a layer stands in for that cannot be coloured itself.
COLOURS_OF = "colours of"


def scale(values: Array) -> Array:
    """What colours of a column are told by: its different values, or two ends."""
    if values.dtype.kind not in "fiu":
        return np.unique(values.astype(str))
    known = values[np.isfinite(values)]
    return np.percentile(known, _RANGE) if len(known) else np.array([0.0, 1.0])


def colours(values: Array, group: bool, known: Array | None = None) -> Doubles:
    """Colours (n, 4) of the values of a column (n,); grey where there is none.

    Of several layers the same value has the same colour by the scale of all of them.
    """
    if group:
        number = values.astype(int) - 1
        of_group: Doubles = palette(int(number.max(initial=0)) + 1)[number]
        return of_group
    ends = scale(values) if known is None else known
    if ends.dtype.kind not in "fiu":
        of_kind: Doubles = palette(len(ends))[np.searchsorted(ends, values.astype(str))]
        return of_kind
    low, high = ends
    known = np.isfinite(values)
    unit = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    shade = np.round(np.nan_to_num(unit) * (_SHADES - 1)) / (_SHADES - 1)
    found: Doubles = np.asarray(ensure_colormap("viridis").map(shade), float)
    found[~known] = (0.5, 0.5, 0.5, 1)
    return found


def palette(n: int) -> Doubles:
    """Colours of groups (n, 4), by their number less 1."""
    first = [_rgba(one) for one in _KINDS[:n]]
    rest = label_colormap(n + 1).colors[1 + len(first) : n + 1]
    return np.array([*first, *rest], float)


def show_all(viewer: Any, layers: Sequence[Any], name: str) -> None:
    """Colour the objects of several layers alike by a column of their tables."""
    columns = [one.features.get(name) for one in layers]
    parts = [np.asarray(one) for one in columns if one is not None]
    known = scale(np.concatenate(parts)) if parts else None
    for layer in layers:
        # a new colormap tells of a label that nobody selected
        with layer.events.selected_label.blocker():
            _show(viewer, layer, name, known)
    _redraw(viewer)


def show(viewer: Any, layer: Any, name: str) -> None:
    """Colour the objects of one layer; see :func:`show_all`."""
    show_all(viewer, [layer], name)


def restore(viewer: Any, maps: Sequence[tuple[Any, Any]]) -> None:
    """Give layers that are still there the colormaps that they had."""
    there = {one.unique_id for one in viewer.layers}
    for layer, colormap in maps:
        if layer.unique_id in there:
            with layer.events.selected_label.blocker():
                forget(viewer, layer)
                layer.colormap = colormap
    _redraw(viewer)


def _redraw(viewer: Any) -> None:
    """Order the layers once more, as they are.

    napari 0.9.2 draws labels no more whose colormap became one of another kind, until
    layers are put in order.
    """
    viewer.layers.events.reordered()


def _show(viewer: Any, layer: Any, name: str, ends: Array | None = None) -> None:
    """Colour the objects of a Labels layer by a column of its table.

    Labels too large for napari get a layer of their own that shows the colours.
    """
    known = layer.features
    if name == LABEL or name not in known.columns:
        forget(viewer, layer)
        # one of another kind would take napari seconds, here and on the way back
        if isinstance(layer.colormap, DirectLabelColormap):
            own = np.arange(1, 1 + _SPARE + int(np.max(layer.data, initial=0)))
            layer.colormap = _direct(own, _usual().map(own))
        return
    numbers = np.asarray(known.get("index", np.arange(len(known))))
    found = colours(known[name].to_numpy(), name == "group", ends)
    if not len(numbers) or numbers.max() < _MOST:
        forget(viewer, layer)
        layer.colormap = _direct(numbers, found)
        return
    _beside(viewer, layer, numbers, found)


@cache
def _usual() -> Any:
    return label_colormap()


def _direct(numbers: Array, found: Doubles) -> DirectLabelColormap:
    colormap = DirectLabelColormap(color_dict={None: _UNKNOWN, 0: _NONE})
    # checked one by one, thousands of colours would take as many seconds
    pairs = zip(numbers.tolist(), found.astype(np.float32), strict=True)
    clear = colormap.color_dict[0]
    colormap.color_dict.update({**dict(pairs), 0: clear})
    return colormap


def _beside(viewer: Any, layer: Any, numbers: Array, found: Doubles) -> None:
    """Show colours in a layer whose labels are few."""
    shades, kind = np.unique(found, axis=0, return_inverse=True)
    order = np.argsort(numbers)
    labels = np.asarray(layer.data)
    at = np.searchsorted(numbers[order], labels).clip(max=len(numbers) - 1)
    hit = numbers[order][at] == labels
    drawn = np.where(hit, kind.ravel()[order][at] + 1, 0).astype(np.uint16)
    colormap = _direct(np.arange(1, 1 + len(shades)), shades)
    mine = _mine(viewer, layer)
    if mine is not None:
        mine.data, mine.colormap = drawn, colormap
        return
    kept = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    viewer.add_labels(
        drawn,
        name=f"{layer.name} [colours]",
        colormap=colormap,
        metadata={KEY: {"output": "colours", COLOURS_OF: str(layer.unique_id)}},
        **{key: getattr(layer, key) for key in kept},
    )


def _mine(viewer: Any, layer: Any) -> Any | None:
    name = str(layer.unique_id)
    for one in viewer.layers:
        if one.metadata.get(KEY, {}).get(COLOURS_OF) == name:
            return one
    return None


def forget(viewer: Any, layer: Any) -> None:
    """Take away the layer that shows the colours of another one, if there is one."""
    mine = _mine(viewer, layer)
    if mine is not None:
        viewer.layers.remove(mine)


def _rgba(colour: str) -> tuple[float, ...]:
    return (*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0)
