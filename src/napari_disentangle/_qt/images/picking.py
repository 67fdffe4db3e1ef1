"""Layers that can be chosen: images, marks, and which of them are one image."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox

from napari_disentangle._qt.runs.difference import MARK
from napari_disentangle.image.axes import letter
from napari_disentangle.image.from_layer import axes_of_labels
from napari_disentangle.layers.data import KEY, LINK
from napari_disentangle.layers.source import axes_in_file
from napari_disentangle.pipeline.kinds import KINDS
from napari_disentangle.samples.data import KNOWN_ANSWER

# So many planes may be channels.
_FEW = range(2, 7)


class MarkBox(QComboBox):  # type: ignore[misc]
    """A choice of layers that something is painted in.

    With a first entry that stands for none, which is chosen to begin with; without, a
    new layer is chosen.
    """

    def __init__(self, none: str = "") -> None:
        super().__init__()
        self._none = [none] if none else []
        self.addItems(self._none)

    def show_layers(self, layers: Iterable[Any]) -> None:
        """Offer these layers; the chosen one stays, also under another name."""
        names = [*self._none, *(layer.name for layer in layers)]
        before = [self.itemText(i) for i in range(self.count())]
        at = min(self.currentIndex(), len(names) - 1)
        if self.currentText() in names:
            at = names.index(self.currentText())
        elif len(names) < len(before):
            at = 0
        new = [i for i, name in enumerate(names) if name not in before]
        if len(names) > len(before) and new and not self._none:
            at = new[-1]
        self.clear()
        self.addItems(names)
        self.setCurrentIndex(at)

    def among(self, layers: Any) -> Any | None:
        """The chosen one of these layers; ``None`` if none is."""
        name = self.currentText()
        return None if name in ("", *self._none) else layers[name]


def sources(layers: Iterable[Any]) -> list[Any]:
    """Image layers that are no results of this session, nor maps, nor differences."""
    return [
        layer for layer in layers if hasattr(layer, "rgb") and _image(layer.metadata)
    ]


def _image(metadata: Mapping[str, Any]) -> bool:
    """Whether it is an image that can be looked at as one."""
    output = metadata.get(KEY, {}).get("output")
    map_ = output is not None and not (output in KINDS and KINDS[output].pixels)
    return not (map_ or {LINK, MARK} & {*metadata})


def marking_layers(layers: Iterable[Any]) -> list[Any]:
    """Layers that something can be painted in, but for our results and answers."""
    ours = {KEY, KNOWN_ANSWER}
    return [
        layer for layer in layers if _paintable(layer) and not ours & {*layer.metadata}
    ]


def _paintable(layer: Any) -> bool:
    """Whether it is of shapes or labels."""
    return hasattr(layer, "shape_type") or hasattr(layer, "selected_label")


# --- layers to images -----------------------------------------------------------------
def groups(layers: Sequence[Any], as_channels: bool) -> list[list[Any]]:
    """Layers that make one image each: channels share shape, type and place."""
    if not as_channels:
        return [[layer] for layer in layers]
    found: dict[Any, list[Any]] = {}
    for layer in layers:
        key = layer.unique_id if layer.rgb else _place(layer)
        found.setdefault(key, []).append(layer)
    return list(found.values())


def proposes_channels(layers: Sequence[Any]) -> bool:
    """Whether layers look like channels of one image: same place, own colormaps."""
    many = [group for group in groups(layers, True) if len(group) > 1]
    return bool(many) and all(
        len({layer.colormap.name for layer in group}) == len(group) for group in many
    )


def _place(layer: Any) -> tuple[Any, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    matrix = np.asarray(layer.affine)
    numbers = (*layer.scale, *layer.translate, *np.ravel(layer.rotate), *matrix.ravel())
    return (tuple(data.shape), str(data.dtype), tuple(np.round(numbers, 6)))


def proposed_axes(layers: Sequence[Any]) -> str:
    """Axes as the first layer's labels have them, colour excluded."""
    if not layers:
        return ""
    return axes_in_file(layers[0]) or axes_of_labels(layers[0].axis_labels)


def in_doubt(layers: Sequence[Any]) -> int:
    """Number of planes along a first axis that may well be channels, and has no name.

    0 if nothing is in doubt.
    """
    if not layers or layers[0].rgb or layers[0].ndim < 3:
        return 0
    in_file = axes_in_file(layers[0]) or "P"  # as which a file's unnamed axis is read
    named = len(letter(layers[0].axis_labels[0])) == 1 or in_file[0] != "P"
    size = (layers[0].data[0] if layers[0].multiscale else layers[0].data).shape[0]
    return 0 if named or size not in _FEW else int(size)


def in_the_middle(viewer: Any, layer: Any) -> tuple[int, ...]:
    """Pixel of a layer that is in the middle of the canvas; it may lie outside."""
    point, shown = np.array(viewer.dims.point), list(viewer.dims.displayed)
    point[shown] = viewer.scene.camera.center[-len(shown) :]
    return tuple(int(i) for i in np.round(layer.world_to_data(point)))
