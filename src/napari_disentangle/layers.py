"""napari layers from outputs: every transform and look of the source layer is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.attribute import Attribute
from napari_disentangle.batch import Inputs, Step, follow
from napari_disentangle.encoding import limits
from napari_disentangle.field import Field, Modality
from napari_disentangle.output import USUAL, Kind, Output
from napari_disentangle.recipe import Recipe
from napari_disentangle.showing import values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.detection.detector import Detector
    from napari_disentangle.model import Model, Pool

KEY = "napari-disentangle"
_TITLES: dict[Kind, str] = {
    "content": "content-only",
    "swap": "swapped",
    "anomaly": "anomaly",
    "maps": "content map",
}

# Ordinary is blue, typical black, surprising orange.
SURPRISE = {
    "name": "surprise",
    "colors": [[0.2, 0.6, 1.0, 1], [0, 0, 0, 1], [1, 0.4, 0, 1], [1, 1, 0.7, 1]],
    "controls": [0, 0.5, 0.8, 1],
}

LayerData = tuple[Any, dict[str, Any], str]
# Layer, output, and number of the content map or 0.
Identity = tuple[str, str, int]


@dataclass(frozen=True)
class Style:
    """What a result layer takes over from its source layer.

    Attributes
    ----------
    name
        Name of the source layer.
    geometry
        ``scale``, ``translate``, ``rotate``, ``shear``, ``affine``, ``units`` and
        ``axis_labels`` as napari keeps them.
    look
        ``colormap``, ``contrast_limits``, ``gamma``, ``blending``, ``opacity``.
    world
        Matrix from data to world coordinates, homogeneous.
    """

    name: str
    geometry: dict[str, Any]
    look: dict[str, Any]
    world: NDArray[np.float64]

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
        return cls(layer.name, geometry, look, _world(layer))

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
        return cls(field, tuple(Style.of(layer) for layer in layers))


def layer_data(output: Output, styles: Sequence[Style]) -> Iterator[Step | LayerData]:
    """Compute an output as far as napari needs it, and put it into layer tuples.

    Yields
    ------
    Step or tuple
        Signs of life, then ``(data, attributes, "image")`` once per layer.
    """
    data = yield from values(output, _TITLES[output.kind])
    yield from _SHOWN[output.kind](output, data, styles)


def add_layers(
    viewer: Any,
    model: Model,
    layer: Any,
    outputs: Sequence[Kind] | None = None,
    donor: Any = None,
    strength: float = 1.0,
    detector: Detector | None = None,
    source: Attribute | None = None,
    pool: Pool = "image",
    axes: str | None = None,
    modality: Modality | None = None,
    device: str = "auto",
) -> list[Any]:
    """Add result layers to a viewer, exactly as the widget does.

    Parameters
    ----------
    viewer
        A napari viewer.
    model
        A fitted model; content-only uses its reference.
    layer
        An Image layer, or a list of layers that are the channels of one image.
    outputs
        Any of ``"content"``, ``"swap"``, ``"anomaly"``, ``"maps"``; ``None`` is the
        first three, or two of them without a donor.
    donor
        For a swap: a layer, several layers, a Field, several, or an attribute. If
        ``layer`` is a list of channels, so is a list of layers here.
    strength
        How far the swap goes, 0 to 1.
    detector
        A fitted detector; ``None`` takes the image itself as its own normal.
    source
        The image's attribute, e.g. that of its batch; measured if ``None``.
    pool
        What shares a measured attribute; see :meth:`Model.attribute`.
    axes, modality
        How the layer is to be read; see :meth:`Field.from_layer`.
    device
        ``"cpu"``, ``"cuda:0"``, ..., or ``"auto"``.

    Returns
    -------
    list
        The new layers; those of an earlier run on the same image are replaced.
    """
    many = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    reading: dict[str, Any] = {"axes": axes, "modality": modality}
    picked = Picked.of(many, **reading)
    known: dict[str, Any] = {"strength": strength, "pool": pool, "device": device}
    known |= {"source": source.to_json()} if source else {}
    look = _look(donor, len(many) > 1, reading)
    recipe, inputs = _recipe(model, picked.field, outputs, look, known)
    made = (p for p in follow(recipe, inputs, detector, model) if isinstance(p, Output))
    return [new for output in made for new in _put(viewer, output, picked.styles)]


def _put(viewer: Any, output: Output, styles: Sequence[Style]) -> Iterator[Any]:
    for data in layer_data(output, styles):
        if isinstance(data, tuple):
            yield put_layer(viewer, data)


def _recipe(
    model: Model,
    field: Field,
    outputs: Sequence[Kind] | None,
    look: Attribute | list[Field] | None,
    known: dict[str, Any],
) -> tuple[Recipe, Inputs]:
    """The recipe that :func:`add_layers` follows."""
    possible = tuple(k for k in USUAL if k != "swap" or look is not None)
    attribute = look if isinstance(look, Attribute) else None
    donors = look if isinstance(look, list) else []
    recipe = Recipe(
        model=model.path or model.name,
        config=asdict(model.config),
        outputs=tuple(outputs) if outputs is not None else possible,
        donor=attribute.to_json() if attribute else None,
        reference=model.reference.to_json(),
        **known,
    )
    return recipe, Inputs([field], donors)


def _look(
    donor: Any, channels: bool, reading: dict[str, Any]
) -> Attribute | list[Field] | None:
    """Layers become Fields, read as the image is; an attribute is left as it is."""
    if donor is None or isinstance(donor, Attribute):
        return donor
    many = donor if isinstance(donor, (list, tuple)) else [donor]
    if channels and not any(isinstance(one, Field) for one in many):
        return [Field.from_layers(many, **reading)]
    return [
        one if isinstance(one, Field) else Field.from_layer(one, **reading)
        for one in many
    ]


def put_layer(viewer: Any, data: LayerData) -> Any:
    """Add a layer in the place of what an earlier run left for it.

    The first content map takes the place of all maps: another model may have fewer.
    """
    array, attributes, _ = data
    tag = identity(attributes["metadata"])
    for old in [layer for layer in viewer.layers if _gives_way(layer, tag)]:
        viewer.layers.remove(old)
    return viewer.add_image(array, **attributes)


def identity(metadata: Any) -> Identity | None:
    """Which result of which layer this is; ``None`` if it is none of ours."""
    ours = metadata.get(KEY)
    return (ours["layer"], ours["output"], ours.get("map", 0)) if ours else None


def _gives_way(layer: Any, tag: Identity | None) -> bool:
    old = identity(layer.metadata)
    return bool(old and tag and old[:2] == tag[:2] and old[2] >= tag[2])


# --- one output, one or more layers ---------------------------------------------------
def _rendered(
    output: Output, data: Any, styles: Sequence[Style]
) -> Iterator[LayerData]:
    """One layer per source layer, looking as it does."""
    for i, style in enumerate(styles):
        part = data if len(styles) == 1 else _part(data, 0, i)
        own = style.geometry | style.look
        yield part, _attributes(output, part, style) | own, "image"


def _anomaly(output: Output, data: Any, styles: Sequence[Style]) -> Iterator[LayerData]:
    """One layer for all channels."""
    first = data[0] if isinstance(data, list) else data
    finite = np.abs(first[np.isfinite(first)])
    reach = max(3.0, float(np.percentile(finite, 99.9)) if finite.size else 3.0)
    own = _geometry(output, styles[0])
    own |= {"colormap": SURPRISE, "contrast_limits": (-reach, reach)}
    yield data, _attributes(output, data, styles[0]) | own, "image"


def _maps(output: Output, data: Any, styles: Sequence[Style]) -> Iterator[LayerData]:
    """One grey layer per content map."""
    place = output.lazy.axes.index("C")
    own = _geometry(output, styles[0]) | {"colormap": "gray"}
    for i, ends in enumerate(limits(output.lazy)):
        part = _part(data, place, i)
        known = _attributes(output, part, styles[0], i + 1)
        yield part, known | own | {"contrast_limits": ends}, "image"


_SHOWN = {"content": _rendered, "swap": _rendered, "anomaly": _anomaly, "maps": _maps}


def _part(data: Any, place: int, number: int) -> Any:
    """One of what lies along an axis of an array, or of the arrays of a pyramid."""
    key = (*(slice(None),) * place, number)
    return [level[key] for level in data] if isinstance(data, list) else data[key]


def _attributes(
    output: Output, data: Any, style: Style, number: int = 0
) -> dict[str, Any]:
    """Name and provenance; content maps are numbered from 1."""
    kept = dict(output.lazy.provenance) | {"layer": style.name}
    title = _TITLES[output.kind]
    if number:
        kept["map"] = number
        title = f"{title} {number}"
    return {
        "name": f"{style.name} [{title}]",
        "metadata": {KEY: kept},
        "multiscale": isinstance(data, list),
        "rgb": output.lazy.rgb,
    }


def _geometry(output: Output, style: Style) -> dict[str, Any]:
    """Geometry of a map: that of its image without the channel axis."""
    axes, ndim = output.image.grid_axes, len(style.world) - 1
    own_channels = "C" in axes and ndim == len(axes)
    return style.without(axes.index("C")) if own_channels else style.geometry


def _world(layer: Any) -> NDArray[np.float64]:
    """Homogeneous matrix from data to world, read off the layer's own mapping."""
    n = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)))
    columns = [np.asarray(layer.data_to_world(row)) - origin for row in np.eye(n)]
    matrix = np.eye(n + 1)
    matrix[:n, :n] = np.column_stack(columns)
    matrix[:n, n] = origin
    return matrix


# --- saving ---------------------------------------------------------------------------
def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save one image layer with its provenance ("Save with provenance" in napari).

    napari's own writers drop a layer's metadata.
    """
    from napari_disentangle.saving import as_it_is
    from napari_disentangle.store import write

    kept = attributes.get("metadata", {}).get(KEY, {})
    for _ in write(as_it_is(data, attributes, kept), path, overwrite=True):
        pass
    return [path]
