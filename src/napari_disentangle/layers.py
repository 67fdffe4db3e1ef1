"""napari layers from outputs: every transform and look of the source layer is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.attribute import Attribute
from napari_disentangle.batch import Inputs, Step, follow
from napari_disentangle.errors import DataError
from napari_disentangle.field import Field, Modality
from napari_disentangle.infer import means
from napari_disentangle.output import KINDS, Kind, Output
from napari_disentangle.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.detection.detector import Detector
    from napari_disentangle.infer import LazyImage, Operation
    from napari_disentangle.model import Model, Pool

KEY = "napari-disentangle"
# Results up to this many values are computed at once; larger ones where they are seen.
EAGER = 2**24
# The smallest level of a pyramid is computed at once, up to this many values.
_COARSEST = 2**21
_TITLES = {"content": "content-only", "swap": "swapped", "anomaly": "anomaly"}

# Ordinary is blue, typical black, surprising orange.
SURPRISE = {
    "name": "surprise",
    "colors": [[0.2, 0.6, 1.0, 1], [0, 0, 0, 1], [1, 0.4, 0, 1], [1, 1, 0.7, 1]],
    "controls": [0, 0.5, 0.8, 1],
}

LayerData = tuple[Any, dict[str, Any], str]


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
    """Compute an output and put it into layer tuples.

    Small results and anomaly maps are computed tile by tile; large ones and pyramids
    stay lazy except for the coarsest level, which napari keeps.

    Yields
    ------
    Step or tuple
        Signs of life, then ``(data, attributes, "image")`` once per layer.
    """
    what = f"computing {_TITLES[output.kind]}"
    shown = _shown(output.lazy)
    data: Any
    if output.kind == "anomaly":
        data = yield from _map(shown, what)
    elif shown.field.multiscale or shown.size > EAGER:
        data = yield from _levels(shown, what)
    else:
        data = yield from _whole(shown, what)
    for part, style in _split(output, data, styles):
        yield _tuple(output, part, style)


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
        Any of ``"content"``, ``"swap"``, ``"anomaly"``; ``None`` is all of them, or
        all but the swap without a donor.
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
    possible = tuple(k for k in KINDS if k != "swap" or look is not None)
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
    """Add a layer in the place of the one that an earlier run left for it."""
    values, attributes, _ = data
    tag = identity(attributes["metadata"])
    for old in [layer for layer in viewer.layers if identity(layer.metadata) == tag]:
        viewer.layers.remove(old)
    return viewer.add_image(values, **attributes)


def identity(metadata: Any) -> tuple[str, str] | None:
    """Which result of which layer this is; ``None`` if it is none of ours."""
    ours = metadata.get(KEY)
    return (ours["layer"], ours["output"]) if ours else None


# --- values ---------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Unit:
    """An operation whose colours are shown as float 0..1.

    napari shows 16-bit colours wrongly.
    """

    inner: Operation
    full_scale: float

    @property
    def halo(self) -> int:
        """As the inner operation."""
        return self.inner.halo

    @property
    def device(self) -> str:
        """As the inner operation."""
        return self.inner.device

    @property
    def keeps_channels(self) -> bool:
        """As the inner operation."""
        return self.inner.keeps_channels

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def on(self, device: str) -> Unit:
        """The same on another device."""
        return replace(self, inner=self.inner.on(device))

    def __call__(self, plane: NDArray[Any], lead: tuple[int, ...]) -> NDArray[Any]:
        """Compute, then divide by the full scale."""
        return self.inner(plane, lead).astype(np.float32) / np.float32(self.full_scale)


def _shown(lazy: LazyImage) -> LazyImage:
    field = lazy.field
    if not (field.rgb and field.dtype.kind in "ui" and field.dtype.itemsize > 1):
        return lazy
    if not lazy.operation.keeps_channels:
        return lazy
    return replace(lazy, operation=Unit(lazy.operation, field.full_scale or 1.0))


def _whole(lazy: LazyImage, what: str) -> Generator[Step, None, NDArray[Any]]:
    out = np.empty(lazy.shape, lazy.dtype)
    total = max(1, lazy.parts())
    for done in lazy.fill(out):
        yield Step(what, done / total)
    return out


def _levels(lazy: LazyImage, what: str) -> Generator[Step, None, Any]:
    levels: list[Any] = list(lazy.levels)
    if levels[-1].size <= _COARSEST:
        levels[-1] = yield from _whole(levels[-1], what)
    return levels if lazy.field.multiscale else levels[0]


def _map(lazy: LazyImage, what: str) -> Generator[Step, None, Any]:
    """A map at full resolution, and its means if the image came as a pyramid."""
    if lazy.size > EAGER:
        raise DataError(
            f"the anomaly map of {lazy.field.name!r} ({lazy.size / 1e6:.0f} million "
            "pixels) is too large to be computed at once: use nd.apply and nd.write"
        )
    first = yield from _whole(lazy, what)
    if not lazy.field.multiscale:
        return first
    kept = [i for i, axis in enumerate(lazy.field.axes) if axis in lazy.axes]
    shapes = [[level.shape[i] for i in kept] for level in lazy.field.levels[1:]]
    return [first, *(means(first, shape) for shape in shapes)]


def _split(
    output: Output, data: Any, styles: Sequence[Style]
) -> Iterator[tuple[Any, Style]]:
    """One layer per source layer, or one for all if there are no channels."""
    if len(styles) == 1 or output.kind == "anomaly":
        yield data, styles[0]
        return
    for i, style in enumerate(styles):
        yield _each(data, lambda level, i=i: level[i]), style  # type: ignore[misc]


def _each(data: Any, change: Callable[[Any], Any]) -> Any:
    return [change(level) for level in data] if isinstance(data, list) else change(data)


# --- attributes -----------------------------------------------------------------------
def _tuple(output: Output, data: Any, style: Style) -> LayerData:
    kept = dict(output.lazy.provenance) | {"layer": style.name}
    attributes: dict[str, Any] = {
        "name": f"{style.name} [{_TITLES[output.kind]}]",
        "metadata": {KEY: kept},
        "multiscale": isinstance(data, list),
        "rgb": output.image.rgb and output.kind != "anomaly",
    }
    if output.kind == "anomaly":
        own = _anomaly_geometry(output, style) | _anomaly_look(data)
        return data, attributes | own, "image"
    return data, attributes | style.geometry | style.look, "image"


def _anomaly_geometry(output: Output, style: Style) -> dict[str, Any]:
    axes, ndim = output.image.grid_axes, len(style.world) - 1
    own_channels = "C" in axes and ndim == len(axes)
    return style.without(axes.index("C")) if own_channels else style.geometry


def _anomaly_look(data: Any) -> dict[str, Any]:
    first = data[0] if isinstance(data, list) else data
    finite = np.abs(first[np.isfinite(first)])
    reach = max(3.0, float(np.percentile(finite, 99.9)) if finite.size else 3.0)
    return {"colormap": SURPRISE, "contrast_limits": (-reach, reach)}


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
