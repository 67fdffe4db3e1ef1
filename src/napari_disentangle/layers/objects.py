"""Objects as Labels layers, with a row for each in the layer's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.compute.operation import Unchanged
from napari_disentangle.files.text import TABLE
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import KEY
from napari_disentangle.layers.style import Style, world
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.groups import Groups
from napari_disentangle.objects.objects import Objects
from napari_disentangle.objects.table import features, recipe

_TITLE = "objects"


def add_objects(
    viewer: Any, objects: Objects, *codes: Codes | Groups, layers: Sequence[Any] = ()
) -> list[Any]:
    """Add a Labels layer for every image, with the table of its objects as features.

    Parameters
    ----------
    viewer
        A napari viewer.
    objects
        The objects.
    *codes
        What is known of them, and their groups; the columns go into the table.
    layers
        The Image layers that the images were made from, in their order: their place,
        turn and units are kept. Without, those of the images.

    Returns
    -------
    list
        The new layers.
    """
    sources = list(layers) or [None] * len(objects.images)
    return [
        viewer.add_labels(
            objects.labels[number],
            name=f"{image.name} [{_TITLE}]",
            features=features(objects, number, codes),
            metadata={KEY: _kept(objects, image, codes)},
            **(_geometry(image) if source is None else _like(image, source)),
        )
        for number, (image, source) in enumerate(
            zip(objects.images, sources, strict=True)
        )
    ]


def attach(
    layer: Any, objects: Objects, number: int, codes: Sequence[Codes | Groups] = ()
) -> list[str]:
    """Put the table of objects into a Labels layer.

    Parameters
    ----------
    layer
        Of any program, with the labels of an image.
    objects, number
        The objects, and which of their images it is.
    codes
        What is known of them.

    Returns
    -------
    list of str
        What a person should know: columns of others are kept where their rows are
        still there.
    """
    before, fresh = layer.features, features(objects, number, codes)
    ours = {*fresh, *layer.metadata.get(KEY, {}).get("columns", ())}
    others = [name for name in before.columns if name not in ours]
    said = []
    if "index" in before.columns and others:
        rows = before.drop_duplicates("index").set_index("index")[others]
        known = rows.reindex(fresh["index"])
        fresh |= {name: known[name].to_numpy() for name in others}
        gone = int((~rows.index.isin(fresh["index"])).sum())
        if gone:
            said = [f"{gone} rows of {layer.name!r} are of labels that are gone"]
    elif others:
        said = [f"columns of {layer.name!r} name no labels and were dropped"]
    layer.features = fresh
    kept = _kept(objects, objects.images[number], codes)
    layer.metadata = {**layer.metadata, KEY: kept}
    return said


def labels_image(
    objects: Objects, number: int, codes: Sequence[Codes | Groups] = ()
) -> LazyImage:
    """Labels of one of the images, to be written with how they came about."""
    kept = {**_kept(objects, objects.images[number], codes), TABLE: True}
    return LazyImage(objects.drawn(number), Unchanged(True), provenance=kept)


def lies_on(layer: Any, image: Field, source: Any) -> bool:
    """Whether a Labels layer has the shape and place of an image.

    Parameters
    ----------
    layer
        The labels.
    image
        The image.
    source
        Its Image layer.
    """
    if layer.multiscale or tuple(layer.data.shape) != image.grid_shape:
        return False
    style, axes = Style.of(source), image.grid_axes
    matrix = style.world
    if "C" in axes and len(matrix) - 1 == len(axes):
        place = axes.index("C")
        matrix = np.delete(np.delete(matrix, place, 0), place, 1)
    return bool(np.allclose(world(layer), matrix, atol=1e-6))


def _kept(
    objects: Objects, image: Field, codes: Sequence[Codes | Groups]
) -> dict[str, Any]:
    return {
        "output": _TITLE,
        "image": image.name,
        "columns": [name for one in codes for name in one.columns()],
        **recipe(objects, *codes),
    }


def _geometry(image: Field) -> dict[str, Any]:
    """Of the image's grid without channels."""
    kept = [i for i, axis in enumerate(image.grid_axes) if axis != "C"]
    return {
        "scale": [image.scale[i] for i in kept],
        "translate": [image.translate[i] for i in kept],
        "units": [image.units[i] for i in kept],
        "axis_labels": [image.grid_axes[i].lower() for i in kept],
    }


def _like(image: Field, layer: Any) -> dict[str, Any]:
    """Of the layer, without a channel axis that it has."""
    style, axes = Style.of(layer), image.grid_axes
    own_channels = "C" in axes and len(style.world) - 1 == len(axes)
    return style.without(axes.index("C")) if own_channels else dict(style.geometry)
