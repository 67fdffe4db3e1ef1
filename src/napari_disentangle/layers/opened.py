"""Opening our own files again: as the layers that they were saved from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_disentangle.errors import DisentangleError
from napari_disentangle.files.registry import read, read_provenance, suffix_of
from napari_disentangle.files.text import TABLE, read_csv, table_of
from napari_disentangle.image.channels import RGB
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import KEY, REACH, SURPRISE, LayerData
from napari_disentangle.layers.save import DISPLAY
from napari_disentangle.pipeline.kinds import KINDS

# Outputs that are labels.
LABELS = ("regions", "classes", "objects")
# Of channels that are shown over each other.
_COLORMAPS = ("bop blue", "bop orange", "green", "magenta", "cyan", "yellow", "red")
# Larger images stay in their files until they are looked at.
_MOST = 2**26


def reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return what opens a file of ours; ``None`` for any other."""
    if not isinstance(path, str):
        return None
    try:
        known = read_provenance(path)
    except (DisentangleError, OSError):
        return None
    return open_again if known.get("output") in (*KINDS, *LABELS) else None


def open_again(path: str | list[str]) -> list[LayerData]:
    """Open one of our files: its kind, place and look, with provenance and recipe.

    Raises
    ------
    DisentangleError
        If it cannot be read.
    """
    one = str(path)
    field, kept = read(one), read_provenance(one)
    rgb = field.rgb or field.channel_names == RGB
    place = field.axes.index("C") if rgb else None
    levels = [_array(level, place) for level in field.levels]
    shown, has_table = dict(kept.pop(DISPLAY, {})), kept.pop(TABLE, False)
    attributes = {
        "name": Path(one).name.removesuffix(suffix_of(Path(one))),
        "metadata": {KEY: kept},
        **_geometry(field, rgb),
    }
    if kept["output"] in LABELS:
        labels, table = levels[0].astype(np.int32, copy=False), table_of(one)
        known = {"features": read_csv(table)} if has_table and table.exists() else {}
        return [(labels, attributes | known, "labels")]
    if KINDS[kept["output"]].shown == "score":
        shown = {"colormap": SURPRISE, "contrast_limits": (-REACH, REACH)}
    many = field.multiscale
    attributes |= {"rgb": rgb, "multiscale": many} | ({} if rgb else shown)
    return [(levels if many else levels[0], attributes, "image")]


def as_layers(field: Field, name: str) -> list[LayerData]:
    """An image as layers: one in colours, or one per channel over each other."""
    place = field.axes.index("C") if "C" in field.axes else None
    whole = [_array(level, place if field.rgb else None) for level in field.levels]
    if field.rgb or place is None:
        return [_as_layer(field, name, whole, "gray")]
    layers = []
    for i, channel in enumerate(field.channel_names):
        part = [_channel(level, place, i) for level in whole]
        colours = _COLORMAPS[i % len(_COLORMAPS)]
        layers.append(_as_layer(field, f"{name} [{channel}]", part, colours))
    return layers


def _as_layer(field: Field, name: str, levels: list[Any], colours: str) -> LayerData:
    many = len(field.channel_names) > 1 and not field.rgb
    attributes = {
        "name": name,
        "rgb": field.rgb,
        "multiscale": field.multiscale,
        "blending": "additive" if many else "translucent_no_depth",
        **_geometry(field, "C" in field.axes),
        **({} if field.rgb else {"colormap": colours}),
    }
    return levels if field.multiscale else levels[0], attributes, "image"


def _channel(level: Any, place: int, number: int) -> Any:
    return level[(*(slice(None),) * place, number)]


def _geometry(field: Field, rgb: bool) -> dict[str, Any]:
    """Place and axes as napari has them: colours are no axis there."""
    kept = [i for i, axis in enumerate(field.axes) if not (rgb and axis == "C")]
    known: dict[str, Any] = {"axis_labels": tuple(field.axes[i].lower() for i in kept)}
    for name, fill in (("scale", 1.0), ("translate", 0.0), ("units", "pixel")):
        values = dict(zip(field.grid_axes, getattr(field, name), strict=True))
        known[name] = tuple(values.get(field.axes[i], fill) for i in kept)
    return known


def _array(level: Any, colours: int | None) -> Any:
    if np.prod(level.shape) > _MOST:
        import dask.array as da

        whole = da.from_array(level, chunks="auto", asarray=False)
    else:
        whole = np.asarray(level)
    if colours is None or colours == whole.ndim - 1:
        return whole
    return np.moveaxis(whole, colours, -1)
