"""Pictures of the most typical members of a group; a click goes to one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_disentangle._qt.numbers.drawing import pixmap
from napari_disentangle._qt.window.parts import flow, named
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Field
from napari_disentangle.objects.crops import plane_of, window
from napari_disentangle.objects.objects import Objects

MOST = 12
_EDGE = 56
_RANGE = (0.5, 99.8)


class Gallery(QWidget):  # type: ignore[misc]
    """Buttons with pictures; ``chosen`` tells the row of a clicked one."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = [self._button() for _ in range(MOST)]
        self.rows: list[int] = []
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(flow(*self.buttons))
        self.hide()

    def _button(self) -> QToolButton:
        button = named(QToolButton(), "object", "Go to this object in its image")
        button.setIconSize(QSize(_EDGE, _EDGE))
        button.clicked.connect(self._clicked)
        button.hide()
        return button

    def _clicked(self) -> None:
        self.chosen.emit(self.rows[self.buttons.index(self.sender())])

    def show_rows(self, objects: Objects, rows: Iterable[int]) -> None:
        """Show these objects, those of one image under the same limits."""
        self.rows = [int(row) for row in rows][:MOST]
        taken = pictures(objects, self.rows)
        self.setVisible(bool(self.rows))
        for place, button in enumerate(self.buttons):
            button.setVisible(place < len(self.rows))
            if place < len(self.rows):
                row = self.rows[place]
                name = objects.columns["image"][row]
                button.setIcon(QIcon(pixmap(taken[place])))
                label = objects.columns["label"][row]
                named(button, f"object {label}", f"Go to object {label} of {name}")


def pictures(objects: Objects, rows: Sequence[int]) -> list[Array]:
    """Objects as they are in their images (h, w, 3) uint8."""
    planes = [_plane(objects, row) for row in rows]
    if not planes:
        return []
    if planes[0].dtype == np.uint8 and len(planes[0]) > 1:
        colours = np.array([(0.0, 255.0)] * len(planes[0]))  # as they are
        return [_shown(plane, colours) for plane in planes]
    numbers = objects.columns["image number"][list(rows)].tolist()
    both = [*zip(numbers, planes, strict=True)]
    limits = {n: _limits([p for m, p in both if m == n]) for n in numbers}
    return [_shown(plane, limits[n]) for n, plane in both]


def _limits(planes: Sequence[Array]) -> Array:
    """Of every channel of one image (C, 2)."""
    every = np.concatenate([plane.reshape(len(plane), -1) for plane in planes], 1)
    limits: Array = np.percentile(every, _RANGE, axis=1).T
    return limits


def _plane(objects: Objects, row: int) -> Array:
    """Pixels around an object (C, h, w)."""
    image: Field = objects.images[int(objects.columns["image number"][row])]
    inner, beyond = window(objects.columns, row, image.plane_shape)
    known = plane_of(objects.columns, row, image.axes)
    lead = tuple(known[axis] for axis in image.axes if axis not in "CYX")
    y, x = (span.slice for span in inner)
    plane = image.plane(lead, y, x)
    seen = [i for i, name in enumerate(image.channel_names) if name != "alpha"][:3]
    return np.pad(np.nan_to_num(plane[seen]), [(0, 0), *beyond], mode="edge")


def _shown(plane: Array, limits: Array) -> Array:
    scaled = [
        np.clip((values - low) / max(high - low, 1e-9), 0, 1)
        for values, (low, high) in zip(plane, limits, strict=False)
    ]
    lacking = scaled[0] if len(scaled) == 1 else np.zeros_like(scaled[0])
    colour = np.stack([*scaled, lacking, lacking][:3], axis=-1)
    return np.ascontiguousarray(_enlarged(colour) * 255, np.uint8)


def _enlarged(colour: Array) -> Array:
    """A picture of the gallery's size, from the nearest pixels."""
    at = (np.arange(_EDGE) * len(colour) / _EDGE).astype(int)
    found: Array = colour[np.ix_(at, at)]
    return found
