"""From the tuple of a napari layer to what can be written into a file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.compute.operation import Unchanged
from napari_disentangle.errors import DataError
from napari_disentangle.files.registry import Done, read_provenance, write
from napari_disentangle.files.text import TABLE, csv_text, table_of, write_text
from napari_disentangle.image.arrays import Doubles
from napari_disentangle.image.field import Field
from napari_disentangle.image.from_layer import axes_of_labels
from napari_disentangle.layers.data import KEY
from napari_disentangle.layers.filed import unfinished

# In the provenance of a file: how its layer was shown.
DISPLAY = "display"


def as_it_is(
    data: Any,
    attributes: dict[str, Any],
    provenance: Mapping[str, Any],
    labels: bool = False,
) -> LazyImage:
    """An array to be written, from the data and attributes of a layer."""
    whole = _field(data, attributes)
    return LazyImage(whole, Unchanged(labels), provenance=provenance)


def _field(data: Any, attributes: dict[str, Any]) -> Field:
    levels = list(data) if attributes.get("multiscale") else data
    rgb = bool(attributes.get("rgb"))
    n = len((levels[0] if attributes.get("multiscale") else data).shape) - rgb
    scale, translate = _pixels(attributes, n)
    labels = attributes.get("axis_labels") or [""] * n
    return Field(
        levels,
        axes_of_labels(labels) + "C" * rgb,
        scale=tuple(scale.tolist()),
        translate=tuple(translate.tolist()),
        units=tuple(str(u) for u in attributes.get("units", ())),
        name=attributes.get("name", "image"),
    )


def _pixels(attributes: dict[str, Any], n: int) -> tuple[Doubles, Doubles]:
    """Size of a pixel and place of the first; files hold neither turn nor shear."""
    affine = np.asarray(attributes.get("affine", np.eye(n + 1)))
    scale = np.asarray(attributes.get("scale", np.ones(n)))
    translate = np.asarray(attributes.get("translate", np.zeros(n)))
    linear = affine[:n, :n]
    return np.linalg.norm(linear, axis=0) * scale, linear @ translate + affine[:n, n]


def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save one image layer with its provenance ("Save with provenance" in napari).

    napari's own writers drop a layer's metadata.
    """
    for _ in writing(path, data, attributes):
        pass
    return [path]


def writing(path: str, data: Any, attributes: dict[str, Any]) -> Iterator[Done]:
    """Save one layer as :func:`write_layer` does, so that it can be cancelled.

    Raises
    ------
    DataError
        If it is still being computed, or cannot be written.
    """
    if unfinished(data):
        raise DataError(
            f"{attributes.get('name', 'the layer')!r} is not computed to its end: wait "
            "for that, then save it"
        )
    kept = attributes.get("metadata", {}).get(KEY, {}) | _display(attributes)
    features = attributes.get("features", {})
    columns = {str(name): np.asarray(features[name]) for name in features}
    rows = max(map(len, columns.values()), default=0)
    kept = {**kept, **({TABLE: True} if rows else {})}
    labels = as_it_is(data, attributes, kept, "features" in attributes)
    with _set_aside(Path(path), rows > 0):
        yield from write(labels, path, overwrite=True)
    if rows:
        write_text(table_of(path), csv_text(columns))


@contextmanager
def _set_aside(path: Path, replaced: bool) -> Iterator[None]:
    """Take the table of labels away that are written anew; it is back if that fails.

    Whatever ends the program, no labels lie beside the table of others.

    Raises
    ------
    DataError
        If it is of something else.
    """
    table = table_of(path)
    own = table.exists() and has_table(path)
    if replaced and table.exists() and not own:
        raise DataError(f"{table.name!r} exists already: choose another name")
    if not own:
        yield
        return
    aside = table.with_name(f".{table.name}.{uuid4().hex}")
    table.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(table)
        raise
    aside.unlink()


def has_table(path: Path) -> bool:
    """Whether a file of labels says that the table beside it is its own."""
    try:
        return bool(path.exists() and read_provenance(path).get(TABLE))
    except DataError:
        return False


def _display(attributes: dict[str, Any]) -> dict[str, Any]:
    """How a layer is shown, in plain JSON types; nothing for colours and labels."""
    colormap = attributes.get("colormap")
    if attributes.get("rgb") or "contrast_limits" not in attributes:
        return {}
    name = colormap["name"] if isinstance(colormap, dict) else colormap
    shown = {
        "colormap": str(getattr(name, "name", name)),
        "contrast_limits": [float(end) for end in attributes["contrast_limits"]],
        "gamma": float(attributes.get("gamma", 1)),
        "blending": str(attributes.get("blending", "translucent")),
    }
    return {DISPLAY: shown}
