"""Results in a viewer: a layer is renewed in its place, whatever a person did to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_disentangle.layers.data import KEY, LINK, LayerData, made_of
from napari_disentangle.layers.values import changeable
from napari_disentangle.pipeline.kinds import KINDS, OBJECTS

# Outlines of regions, in pixels of the screen, so that what is inside can be seen; in a
# colour that neither the map nor stained tissue has.
_OUTLINE = 2
_REGIONS = {None: "cyan", 0: "transparent"}
# Where a layer lies.
PLACED = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")

# Id of the source layer, output, and number of the content map or 0.
Identity = tuple[str, str, int]


@dataclass(frozen=True, eq=False)
class Before:
    """What a layer was before a result took its place.

    Attributes
    ----------
    layer
        The layer, which shows the result now.
    data, metadata
        As they were; ``data`` is ``None`` if the layer was not there.
    features, limits
        Of labels, and of what has contrast limits.
    removed
        Layers of an earlier run that gave way to it.
    """

    layer: Any
    data: Any = None
    metadata: Any = None
    features: Any = None
    limits: Any = None
    removed: tuple[Any, ...] = ()

    @classmethod
    def of(cls, layer: Any) -> Before:
        """Remember a layer as it is."""
        return cls(
            layer,
            layer.data,
            dict(layer.metadata),  # napari empties and fills the one it has
            getattr(layer, "features", None),
            getattr(layer, "contrast_limits", None),
        )

    def restore(self, layers: Any) -> None:
        """Undo: put back what was there, or take the layer away."""
        for layer in self.removed:
            layers.append(layer)
        if self.data is None:
            layers.remove(self.layer)
            return
        self.layer.data, self.layer.metadata = self.data, self.metadata
        if self.features is not None:
            self.layer.features = self.features
        if self.limits is not None:
            self.layer.contrast_limits = self.limits


def identity(metadata: Any) -> Identity | None:
    """Which result of which layer this is; ``None`` if it is none of ours, or kept."""
    ours, link = metadata.get(KEY), metadata.get(LINK)
    if not (ours and link) or link.get("kept"):
        return None
    return link["source"], ours["output"], ours.get("map", 0)


def put_layer(viewer: Any, data: LayerData) -> Before:
    """Show a result in the layer of an earlier run, or else in a new one.

    Colormap, contrast, opacity, visibility, order, selection and name stay as a person
    left them. The first content map takes the place of all maps: another model may
    have fewer.

    Returns
    -------
    Before
        The layer, and what it was before.
    """
    array, attributes, kind = changeable(data[0]), *data[1:]
    tag = identity(attributes["metadata"])
    same = [one for one in viewer.layers if identity(one.metadata) == tag]
    gone = [one for one in viewer.layers if _more_maps(one, tag)]
    if same and _changed(same[0], attributes):
        link = same[0].metadata[LINK]
        same[0].metadata = {**same[0].metadata, LINK: {**link, "kept": True}}
    elif same and _fits(same[0], array, attributes, kind):
        before = replace(Before.of(same[0]), removed=_removed(viewer, gone))
        _renew(same[0], array, attributes)
        return before
    else:
        gone += same
    removed = _removed(viewer, gone)
    return Before(_new(viewer, array, attributes, kind), removed=removed)


def _removed(viewer: Any, layers: Sequence[Any]) -> tuple[Any, ...]:
    for layer in layers:
        viewer.layers.remove(layer)
    return tuple(layers)


def _new(viewer: Any, array: Any, attributes: dict[str, Any], kind: str) -> Any:
    if kind == "image":
        barred = any(_barred(one) for one in viewer.layers)
        layer = viewer.add_image(array, **attributes)
        if _shown(attributes["metadata"]) == "score" and not barred:
            layer.colorbar.visible = True  # one tells of all: they have one scale
        return layer
    layer = viewer.add_labels(array, **attributes)
    if attributes["metadata"][KEY]["output"] == "regions":
        layer.contour, layer.colormap = _OUTLINE, _REGIONS
    return layer


def _shown(metadata: Any) -> str:
    return KINDS[metadata[KEY]["output"]].shown


def _barred(layer: Any) -> bool:
    known = identity(layer.metadata) and hasattr(layer, "rgb")
    return bool(known and layer.colorbar.visible)


def _changed(layer: Any, attributes: dict[str, Any]) -> bool:
    """Whether a person painted objects, or knows more of them: they are kept."""
    if attributes["metadata"][KEY]["output"] != OBJECTS:
        return False
    more = {*layer.features.columns} - {*attributes["features"]}
    return bool(more) or layer.metadata[LINK].get("made") != made_of(layer.data)


def _more_maps(layer: Any, tag: Identity | None) -> bool:
    old = identity(layer.metadata)
    return bool(old and tag and old[:2] == tag[:2] and old[2] > tag[2])


def _fits(layer: Any, array: Any, attributes: dict[str, Any], kind: str) -> bool:
    """Whether a layer can take this array."""
    if hasattr(layer, "rgb") != (kind == "image"):
        return False
    many = isinstance(array, list)
    rgb = bool(attributes.get("rgb"))
    ndim = (array[0] if many else array).ndim - rgb
    alike = (bool(layer.multiscale), bool(getattr(layer, "rgb", False)), layer.ndim)
    return alike == (many, rgb, ndim)


def _renew(layer: Any, array: Any, attributes: dict[str, Any]) -> None:
    before = layer.metadata[LINK].get("limits")
    layer.data = array
    limits = attributes.get("contrast_limits")
    if limits is not None and untouched(layer, before):
        layer.contrast_limits = limits
    layer.metadata = {**layer.metadata, **attributes["metadata"]}
    if "features" in attributes:
        layer.features = attributes["features"]
    for name in PLACED:
        value = attributes.get(name)
        if value is not None and not _alike(getattr(layer, name), value):
            setattr(layer, name, value)


def untouched(layer: Any, limits: Any) -> bool:
    """Whether contrast limits still are those that the layer was given."""
    own = getattr(layer, "contrast_limits", None)
    return limits is not None and own is not None and np.allclose(own, limits)


def _alike(one: Any, other: Any) -> bool:
    if hasattr(one, "affine_matrix") or isinstance(one, np.ndarray):
        return bool(np.array_equal(np.asarray(one), np.asarray(other)))
    return bool(one == other)
