"""napari layers from outputs: every transform and look of the source layer is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from napari_disentangle.detector.detector import Detector
from napari_disentangle.image.field import Field, Modality
from napari_disentangle.layers.data import Marking, layer_data
from napari_disentangle.layers.put import put_layer
from napari_disentangle.layers.source import axes_in_file
from napari_disentangle.layers.style import Picked, Style
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.model import Model, Pool
from napari_disentangle.pipeline.follow import follow
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import Kind, usual
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe


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
    full_scale: float | None = None,
    where: Any = None,
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
        Any of ``"content"``, ``"swap"``, ``"anomaly"``, ``"expected"``, ``"maps"``,
        ``"classes"``, ``"objects"``;
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
        How the layer is to be read; see :meth:`Field.from_layer`. Axes without a name
        are those of the file that the layer was opened from, if there is one.
    device
        ``"cpu"``, ``"cuda:0"``, ..., or ``"auto"``.
    alpha, min_size
        With an anomaly map comes a layer of its regions; see :meth:`Score.regions`.
        ``None`` adds no regions.
    full_scale, where
        As for :class:`Field`: ``where`` are the pixels that the look is measured on,
        e.g. from :func:`painted`.

    Returns
    -------
    list
        The new layers; what an earlier run left for the same image is renewed in its
        place.
    """
    many = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    known_axes = axes or axes_in_file(many[0])
    reading: dict[str, Any] = {"axes": known_axes, "modality": modality}
    picked = Picked.of(many, **reading, where=where, full_scale=full_scale)
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
    pieces = list(layer_data(output, styles, marking))  # whole, before it is seen
    for data in pieces:
        if isinstance(data, tuple):
            yield put_layer(viewer, data).layer


def _recipe(
    model: Model,
    field: Field,
    outputs: Sequence[Kind] | None,
    look: Attribute | list[Field] | None,
    known: dict[str, Any],
) -> tuple[Recipe, Inputs]:
    """The recipe that :func:`add_layers` follows."""
    possible = usual(donor=look is not None)
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
