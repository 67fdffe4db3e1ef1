"""Objects as Labels layers, with a row for each in the layer's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_disentangle._version import __version__
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import KEY
from napari_disentangle.layers.style import Style
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.groups import Groups
from napari_disentangle.objects.objects import Objects

_TITLE = "objects"
# Of all images together, and not of a layer.
_APART = ("image", "image number")


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
    for one in codes:
        objects = objects.having(one.columns())
    sources = list(layers) or [None] * len(objects.images)
    return [
        viewer.add_labels(
            objects.labels[number],
            name=f"{image.name} [{_TITLE}]",
            features=_features(objects, number),
            metadata={KEY: _kept(objects, image, codes)},
            **(_geometry(image) if source is None else _like(image, source)),
        )
        for number, (image, source) in enumerate(
            zip(objects.images, sources, strict=True)
        )
    ]


def _features(objects: Objects, number: int) -> dict[str, Any]:
    """Columns of one image; napari finds rows by ``index``."""
    rows = objects.of_image(number)
    known = {k: v[rows] for k, v in objects.columns.items() if k not in _APART}
    return {"index": known["label"], **known}


def _kept(
    objects: Objects, image: Field, codes: Sequence[Codes | Groups]
) -> dict[str, Any]:
    return {
        "software": f"napari-disentangle {__version__}",
        "output": _TITLE,
        "image": image.name,
        "objects": dict(objects.recipe or {}),
        "codes": [dict(one.recipe) for one in codes],
        "status": [*objects.said, *(said for one in codes for said in one.said)],
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
