"""From a table to the picture and back: go to an object, and tell which is clicked."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_disentangle.image.arrays import Array, Doubles

PLUGIN = "napari-disentangle"
# After images were opened, the panel has the width that it needs.
_SETTLED_MS = 200
# Of the view, that an object fills when it is gone to; and its least edge in pixels.
_FILLED, _EDGE = 0.25, 16


class WholeSample(QTimer):  # type: ignore[misc]
    """Brings all images of a sample of ours into view; napari shows the first.

    Parameters
    ----------
    viewer
        Where a sample may be opened.
    parent
        The widget, which the dock gives its width first.
    """

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.setSingleShot(True)
        self.setInterval(_SETTLED_MS)
        self.timeout.connect(self._show_all)
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)

    def _inserted(self, event: Any) -> None:
        sample = event.value.source.sample
        if sample and sample[0] == PLUGIN:
            self.start()

    def _removed(self, event: Any = None) -> None:
        """Leave the view as it is: a person has begun to work."""
        self.stop()

    def _show_all(self) -> None:
        if all(layer.source.sample for layer in self._viewer.layers):
            self._viewer.fit_to_view()


def look_at(viewer: Any, place: Doubles) -> None:
    """Move the view to a place in the world."""
    dims = viewer.dims
    point = np.array(dims.point)
    point[-len(place) :] = place
    hidden = [axis for axis in range(dims.ndim) if axis not in dims.displayed]
    dims.set_point(hidden, [point[axis] for axis in hidden])
    camera = viewer.scene.camera
    center = np.array(camera.center)
    shown = [point[axis] for axis in dims.displayed]
    center[-len(shown) :] = shown
    camera.center = tuple(center)


def zoom_to(viewer: Any, layer: Any, edges: Sequence[float] | Array) -> None:
    """Come so near that an object of these pixels can be seen; never go away."""
    size = np.asarray(edges, float)[-2:] + _EDGE
    scale = np.abs(np.asarray(layer.scale))[-2:]
    window = np.array(viewer.canvas.size, float)
    near = float((window * _FILLED / (size * scale)).min())
    camera = viewer.scene.camera
    camera.zoom = max(camera.zoom, near)


def select_clicked(layer: Any, event: Any) -> Generator[None, None, None]:
    """Select the label that is clicked while the view can be moved."""
    moved = False
    yield
    while event.type == "mouse_move":
        moved = True
        yield
    if moved or layer.mode != "pan_zoom":
        return
    label = layer.get_value(
        event.position,
        view_direction=event.view_direction,
        dims_displayed=event.dims_displayed,
        world=True,
    )
    if label:
        layer.selected_label = label


def follow_clicks(layer: Any, selected: Any) -> None:
    """Call ``selected`` with the event whenever a label of a layer is selected."""
    layer.events.selected_label.disconnect(selected)
    layer.events.selected_label.connect(selected)
    if select_clicked not in layer.mouse_drag_callbacks:
        layer.mouse_drag_callbacks.append(select_clicked)
