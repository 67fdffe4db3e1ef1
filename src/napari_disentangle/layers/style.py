"""Where layers lie and how they look, and which pixels of one another one marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_disentangle.image.arrays import Doubles
from napari_disentangle.image.field import Field
from napari_disentangle.image.kind import proposed


@dataclass(frozen=True)
class Style:
    """What a result layer takes over from its source layer.

    Attributes
    ----------
    name, layer
        Name of the source layer, and what napari knows it by under any name.
    geometry
        ``scale``, ``translate``, ``rotate``, ``shear``, ``affine``, ``units`` and
        ``axis_labels`` as napari keeps them.
    look
        ``colormap``, ``contrast_limits``, ``gamma``, ``blending``, ``opacity``.
    world
        Matrix from data to world coordinates, homogeneous.
    """

    name: str
    layer: str
    geometry: dict[str, Any]
    look: dict[str, Any]
    world: Doubles

    @classmethod
    def of(cls, layer: Any) -> Style:
        """Snapshot of a layer; call it on the thread that owns the layer."""
        plain = ("scale", "translate", "rotate", "shear")
        geometry = {key: np.array(getattr(layer, key)) for key in plain}
        geometry["affine"] = np.array(layer.affine)
        geometry |= {"units": layer.units, "axis_labels": layer.axis_labels}
        look = {"blending": layer.blending, "opacity": layer.opacity}
        if not layer.rgb:
            look |= {
                "colormap": layer.colormap,
                "contrast_limits": tuple(layer.contrast_limits),
                "gamma": layer.gamma,
            }
        return cls(layer.name, str(layer.unique_id), geometry, look, world(layer))

    def without(self, place: int) -> dict[str, Any]:
        """Geometry with one axis dropped, as a single affine."""
        kept = {
            key: tuple(v for i, v in enumerate(self.geometry[key]) if i != place)
            for key in ("units", "axis_labels")
        }
        matrix = np.delete(np.delete(self.world, place, 0), place, 1)
        return {"affine": matrix, **kept}


@dataclass(frozen=True, eq=False)
class Picked:
    """An image as a person picked it: the Field, and the styles of its layers."""

    field: Field
    styles: tuple[Style, ...]

    @classmethod
    def of(cls, layers: Sequence[Any], **reading: Any) -> Picked:
        """One layer as one image, several as the channels of one."""
        many = len(layers) > 1
        field = (
            Field.from_layers(layers, **reading)
            if many
            else Field.from_layer(layers[0], **reading)
        )
        said = reading.get("modality") or hasattr(layers[0].data, "dask")  # slow
        known = field if said else proposed(field)
        return cls(known, tuple(Style.of(layer) for layer in layers))


def same(one: Any, other: Any) -> bool:
    """Whether these are the same layer: plugins are given napari's in wrappers."""
    return bool(one.unique_id == other.unique_id)


def world(layer: Any) -> Doubles:
    """Homogeneous matrix from data to world, read off the layer's own mapping."""
    n = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)))
    columns = [np.asarray(layer.data_to_world(row)) - origin for row in np.eye(n)]
    matrix = np.eye(n + 1)
    matrix[:n, :n] = np.column_stack(columns)
    matrix[:n, n] = origin
    return matrix
