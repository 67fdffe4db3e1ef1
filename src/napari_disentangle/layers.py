"""napari layers from outputs: every transform and look of the source layer is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from napari_disentangle.attribute import Attribute
from napari_disentangle.batch import Inputs, Step, follow
from napari_disentangle.detection.export import named
from napari_disentangle.encoding import limits
from napari_disentangle.field import Field, Modality
from napari_disentangle.output import USUAL, Kind, Output
from napari_disentangle.placing import Picked, Style
from napari_disentangle.recipe import Recipe
from napari_disentangle.showing import pyramid, scored, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_disentangle.detection.detector import Detector, Score
    from napari_disentangle.model import Model, Pool

KEY = "napari-disentangle"
_TITLES: dict[Kind, str] = {
    "content": "content-only",
    "swap": "swapped",
    "anomaly": "anomaly",
    "expected": "pseudo-normal SYNTHETIC",
    "maps": "content map",
}

# Less than expected is blue, typical black, more than expected orange.
SURPRISE = {
    "name": "surprise",
    "colors": [
        [0.75, 0.95, 1, 1],
        [0, 0.5, 1, 1],
        [0, 0, 0, 1],
        [1, 0.4, 0, 1],
        [1, 1, 0.7, 1],
    ],
    "controls": [0, 0.2, 0.5, 0.8, 1],
}
# A colour means the same z in every image.
REACH = 10.0
# Outlines of regions, in pixels of the screen, so that what is inside can be seen; in a
# colour that neither the map nor stained tissue has.
_OUTLINE = 2
_REGIONS = {None: "cyan", 0: "transparent"}

LayerData = tuple[Any, dict[str, Any], str]
# Layer, output, and number of the content map or 0.
Identity = tuple[str, str, int]


@dataclass(frozen=True, eq=False)
class Marking:
    """How anomalous regions are found.

    Attributes
    ----------
    alpha
        Largest p value of a pixel in a region.
    min_size
        Smallest number of pixels of a region.
    expected
        What was expected of images, as far as it has been computed.
    """

    alpha: float = 0.01
    min_size: int = 16
    expected: dict[int, Any] = field(default_factory=dict)

    def keep(self, output: Output, values: Any) -> None:
        """Remember what was expected, if it is in the image's own units."""
        if values.dtype == output.image.dtype:
            self.expected[id(output.image)] = values


def layer_data(
    output: Output, styles: Sequence[Style], marking: Marking | None = None
) -> Iterator[Step | LayerData | Score]:
    """Compute an output as far as napari needs it, and put it into layer tuples.

    Yields
    ------
    Step, tuple or Score
        Signs of life, then ``(data, attributes, "image")`` once per layer; with
        ``marking`` also the score behind an anomaly map, and its regions as
        ``(data, attributes, "labels")``.
    """
    if marking and output.kind == "anomaly":
        yield from _marked(output, styles, marking)
        return
    data = yield from values(output, _TITLES[output.kind])
    yield from _SHOWN[output.kind](output, data, styles)
    if marking and output.kind == "expected":
        marking.keep(output, data[0] if isinstance(data, list) else data)


def _marked(
    output: Output, styles: Sequence[Style], marking: Marking
) -> Iterator[Step | LayerData | Score]:
    """An anomaly map, its score, and its regions."""
    known = marking.expected.get(id(output.image))
    score = yield from scored(output, _TITLES[output.kind], known)
    yield from _anomaly(output, pyramid(output.lazy, score.z), styles)
    yield score
    found = score.regions(marking.alpha, marking.min_size)
    yield region_data(output, styles[0], found, score.units, marking)


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
    alpha: float | None = 0.01,
    min_size: int = 16,
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
        Any of ``"content"``, ``"swap"``, ``"anomaly"``, ``"expected"``, ``"maps"``;
        ``None`` is the first three, or two of them without a donor.
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
    alpha, min_size
        With an anomaly map comes a layer of its regions; see :meth:`Score.regions`.
        ``None`` adds no regions.

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
    marking = None if alpha is None else Marking(alpha, min_size)
    styles = picked.styles
    return [new for output in made for new in _put(viewer, output, styles, marking)]


def _put(
    viewer: Any, output: Output, styles: Sequence[Style], marking: Marking | None
) -> Iterator[Any]:
    for data in layer_data(output, styles, marking):
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
    array, attributes, kind = data
    tag = identity(attributes["metadata"])
    for old in [layer for layer in viewer.layers if _gives_way(layer, tag)]:
        viewer.layers.remove(old)
    if kind == "image":
        return viewer.add_image(array, **attributes)
    layer = viewer.add_labels(array, **attributes)
    layer.contour, layer.colormap = _OUTLINE, _REGIONS
    return layer


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
    own = _geometry(output, styles[0])
    own |= {"colormap": SURPRISE, "contrast_limits": (-REACH, REACH)}
    yield data, _attributes(output, data, styles[0]) | own, "image"


def region_data(
    output: Output,
    style: Style,
    found: tuple[Any, dict[str, Any]],
    units: Sequence[str],
    marking: Marking,
) -> LayerData:
    """The regions of an anomaly map, with their table as features."""
    labels, table = found
    kept = dict(output.lazy.provenance) | {"output": "regions", "layer": style.name}
    kept |= {"alpha": marking.alpha, "min_size": marking.min_size}
    own = {
        "name": f"{style.name} [anomalous regions]",
        "metadata": {KEY: kept},
        "features": {"index": table["label"], **named(table, units)},
    }
    return labels, own | _geometry(output, style), "labels"


def _maps(output: Output, data: Any, styles: Sequence[Style]) -> Iterator[LayerData]:
    """One grey layer per content map."""
    place = output.lazy.axes.index("C")
    own = _geometry(output, styles[0]) | {"colormap": "gray"}
    for i, ends in enumerate(limits(output.lazy)):
        part = _part(data, place, i)
        known = _attributes(output, part, styles[0], i + 1)
        yield part, known | own | {"contrast_limits": ends}, "image"


_SHOWN = {
    "content": _rendered,
    "swap": _rendered,
    "anomaly": _anomaly,
    "expected": _rendered,
    "maps": _maps,
}


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
    return style.without(axes.index("C")) if own_channels else dict(style.geometry)


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
