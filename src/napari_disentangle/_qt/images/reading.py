"""How images are read: axes, kind and full scale, said for one layer or for several."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLineEdit, QWidget

from napari_disentangle._qt.images.picking import in_doubt, proposed_axes
from napari_disentangle._qt.window.parts import column, named, words
from napari_disentangle.image.field import Modality

_BY_ITSELF = "as proposed"
_AXES = {"Z": "depth (Z)", "T": "time (T)", "C": "channels (C)", "P": "positions (P)"}
# Of 32 bits.
_LARGEST = 2.0**32 - 1


@dataclass(frozen=True)
class Reading:
    """How a layer is read; ``None`` where nobody said it."""

    axes: str | None = None
    modality: Modality | None = None
    full_scale: float | None = None


class ReadingBox(QWidget):  # type: ignore[misc]
    """Shows and changes how layers are read; ``changed`` tells of it."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[Hashable, Reading] = {}
        self._layers: list[Any] = []
        self.of = words()
        self.axes = named(
            QLineEdit(), "axes", "One letter per axis, e.g. ZYX; C is the channel axis"
        )
        self.modality = named(
            QComboBox(),
            "kind",
            "Brightfield: stains take light away. Fluorescence: stains give it",
        )
        self.modality.addItems([_BY_ITSELF, "brightfield", "fluorescence"])
        self.full_scale = _full_scale()
        self.first_axis_note = words()
        self.first_axis = named(QComboBox(), "first axis", "What the planes are")
        for axis, text in _AXES.items():
            self.first_axis.addItem(text, axis)
        column(
            self,
            self.of,
            self.first_axis_note,
            self.first_axis,
            ("axes", self.axes),
            ("kind", self.modality),
            ("full scale", self.full_scale),
        )
        self.first_axis.activated.connect(self._first_axis_said)
        self.axes.editingFinished.connect(self._axes_said)
        self.modality.activated.connect(self._modality_said)
        self.full_scale.valueChanged.connect(self._full_scale_said)

    def reading(self, layer: Any) -> Reading:
        """How a layer is read, with axes as its labels or its file say."""
        said = self._said.get(layer.unique_id, Reading())
        return replace(said, axes=said.axes or proposed_axes([layer]) or None)

    def show_for(self, layers: Sequence[Any]) -> None:
        """Show how these layers are read: the first of them, where they differ."""
        self._layers = list(layers)
        self.setEnabled(bool(layers))
        first = self.reading(layers[0]) if layers else Reading()
        for widget in (self.axes, self.modality, self.full_scale):
            widget.blockSignals(True)
        self.axes.setText(first.axes or "")
        self.modality.setCurrentText(first.modality or _BY_ITSELF)
        self.full_scale.setValue(first.full_scale or 0)
        for widget in (self.axes, self.modality, self.full_scale):
            widget.blockSignals(False)
        names = [layer.name for layer in layers]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        self.of.setText(f"of {names[0]}{more}:" if names else "")
        self._ask_first_axis(in_doubt(layers))

    def _ask_first_axis(self, planes: int) -> None:
        """Ask what a first axis without a name is; 0 planes ask nothing."""
        self.first_axis_note.setText(f"The first axis has {planes} planes and no name:")
        for widget in (self.first_axis_note, self.first_axis):
            widget.setVisible(planes > 0)
        with QSignalBlocker(self.first_axis):
            at = self.first_axis.findData(self.axes.text()[:1])
            self.first_axis.setCurrentIndex(max(at, 0))

    def _first_axis_said(self, index: int) -> None:
        self.axes.setText(self.first_axis.itemData(index) + self.axes.text()[1:])
        self._axes_said()

    def _axes_said(self) -> None:
        axes = self.axes.text().strip().upper() or None
        alike = [one for one in self._layers if one.ndim == self._layers[0].ndim]
        if alike and axes != self.reading(alike[0]).axes:
            self._say(alike, axes=axes)

    def _modality_said(self, index: int = 0) -> None:
        text = self.modality.currentText()
        self._say(self._layers, modality=None if text == _BY_ITSELF else text)

    def _full_scale_said(self, value: float) -> None:
        alike = [one for one in self._layers if one.dtype == self._layers[0].dtype]
        self._say(alike, full_scale=value or None)

    def say_modality(self, text: str) -> None:
        """Choose the kind of the layers that are shown."""
        self.modality.setCurrentText(text)
        self._modality_said()

    def _say(self, layers: Sequence[Any], **change: Any) -> None:
        for layer in layers:
            said = self._said.get(layer.unique_id, Reading())
            self._said[layer.unique_id] = replace(said, **change)
        self.changed.emit()


def _full_scale() -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setRange(0, _LARGEST)
    number.setDecimals(0)
    number.setKeyboardTracking(False)
    number.setSpecialValueText("of the type")
    tip = "Value of full transmittance, e.g. 4095 for 12 bits kept in 16"
    return named(number, "full scale", tip)
