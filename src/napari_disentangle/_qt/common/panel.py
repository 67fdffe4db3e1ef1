"""What the panels have in common: images, model, device, and the buttons below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.common.form import form_of, settings_of
from napari_disentangle._qt.common.model_box import ModelBox
from napari_disentangle._qt.common.picking import LayerList
from napari_disentangle.image.field import Modality
from napari_disentangle.model.registry import models
from napari_disentangle.pipeline.follow import Step

if TYPE_CHECKING:
    from magicgui.widgets import Container

_BY_ITSELF = "as proposed"
_AXES = {"Z": "depth (Z)", "T": "time (T)", "C": "channels (C)", "P": "positions (P)"}
# Of 32 bits.
_LARGEST = 2.0**32 - 1
_WIDTH = 350


class BasePanel(QWidget):  # type: ignore[misc]
    """Inputs that scroll, and the buttons that stay in sight below."""

    def stack(self, parts: Sequence[QWidget], below: Sequence[Any]) -> None:
        """Put the parts of a panel in their places."""
        inside = QWidget()
        inner = QVBoxLayout(inside)
        for part in parts:
            inner.addWidget(part)
        inner.addStretch()
        self.scroll = scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(_WIDTH)
        scroll.setWidget(inside)
        column = QVBoxLayout(self)
        column.addWidget(scroll)
        for one in below:
            add = column.addWidget if isinstance(one, QWidget) else column.addLayout
            add(one)

    # --- parts --------------------------------------------------------------------
    def images_box(self, *more: Any) -> QGroupBox:
        """What is read, and how; and more rows."""
        self.images = LayerList()
        self.as_channels = QCheckBox("these are channels of one image")
        self.as_channels.setToolTip("Layers of one shape in one place become one image")
        self.summary = words()
        self.axes = QLineEdit()
        self.axes.setToolTip("One letter per axis, e.g. ZYX; C is the channel axis")
        self.modality = QComboBox()
        self.modality.addItems([_BY_ITSELF, "brightfield", "fluorescence"])
        self.first_axis = QComboBox()
        for axis, text in _AXES.items():
            self.first_axis.addItem(text, axis)
        self.first_axis.activated.connect(self._first_axis_said)
        self.first_axis_note = words()
        self.full_scale = _full_scale()
        return box(
            "Images",
            self.images,
            self.as_channels,
            self.summary,
            self.first_axis_note,
            self.first_axis,
            ("axes", self.axes),
            ("kind", self.modality),
            ("full scale", self.full_scale),
            *more,
        )

    def ask_first_axis(self, planes: int) -> None:
        """Ask what a first axis without a name is; 0 planes ask nothing."""
        self.first_axis_note.setText(f"The first axis has {planes} planes and no name:")
        for widget in (self.first_axis_note, self.first_axis):
            widget.setVisible(planes > 0)
        at = self.first_axis.findData(self.axes.text()[:1])
        self.first_axis.setCurrentIndex(max(at, 0))

    def _first_axis_said(self, index: int) -> None:
        self.axes.setText(self.first_axis.itemData(index) + self.axes.text()[1:])
        self.axes.editingFinished.emit()

    def model_box(self, title: str, *more: Any) -> QGroupBox:
        """The model with its settings, more rows, and the device."""
        self.model = ModelBox()
        self.model.currentTextChanged.connect(self.model_chosen)
        self.description = words()
        self._forms = {name: form_of(e.config) for name, e in models().items()}
        self.device = QComboBox()
        self.device.addItem("auto", "auto")
        self.device.addItem("CPU", "cpu")
        self.check_devices = QPushButton("Check my GPU")
        return box(
            title,
            self.model,
            self.description,
            *(form.native for form in self._forms.values()),
            *more,
            ("device", row(self.device, self.check_devices)),
        )

    def run_parts(self) -> list[Any]:
        """Notes and buttons of a run."""
        self.run = QPushButton("Run")
        self.cancel = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.copy_python = QPushButton("Copy as Python")
        self.copy_recipe = QPushButton("Copy recipe")
        self.notes = words()
        copies = row(self.copy_python, self.copy_recipe)
        return [self.notes, row(self.run, self.cancel), self.progress, copies]

    # --- what is chosen -----------------------------------------------------------
    @property
    def form(self) -> Container:
        """Form of the chosen model, if it is not a file that has its own settings."""
        return self._forms[self.model.chosen]

    def settings(self) -> dict[str, Any]:
        """Settings of the chosen model."""
        return {} if self.model.file else settings_of(self.form)

    def chosen_modality(self) -> Modality | None:
        """The kind of image that was said, if any."""
        text = self.modality.currentText()
        return None if text == _BY_ITSELF else text

    # --- what is shown ------------------------------------------------------------
    def model_chosen(self, label: str) -> None:
        """Describe the chosen model, and show its settings."""
        if not label:
            return
        self.description.setText(self.model.description)
        for name, form in self._forms.items():
            form.native.setVisible(name == self.model.chosen and len(form) > 0)

    def choose_device(self, name: str) -> None:
        """Choose a device; one that is not listed yet is added."""
        if self.device.findData(name) < 0:
            self.device.addItem(name, name)
        self.device.setCurrentIndex(self.device.findData(name))

    def show_devices(self, devices: dict[str, str]) -> None:
        """Offer the devices that were found."""
        chosen = self.device.currentData()
        self.device.clear()
        self.device.addItem("auto", "auto")
        for name, text in devices.items():
            self.device.addItem(f"{name}: {text}", name)
        self.choose_device(chosen)

    def set_running(self, running: bool) -> None:
        """Enable what makes sense now."""
        self.run.setEnabled(not running)
        self.cancel.setEnabled(running)
        self.progress.setVisible(running)
        self.progress.setValue(0)
        self.progress.setFormat("starting ...")

    def show_progress(self, step: Step, elapsed: float) -> None:
        """Show a step and the time that is left, estimated from the share done."""
        self.progress.setValue(round(100 * step.done))
        left = elapsed * (1 - step.done) / step.done if 0.05 < step.done < 1 else None
        about = f", about {left:.0f} s left" if left is not None else ""
        self.progress.setFormat(f"{step.text}{about}")


def _full_scale() -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setRange(0, _LARGEST)
    number.setDecimals(0)
    number.setKeyboardTracking(False)
    number.setSpecialValueText("of the type")
    number.setToolTip("Value of full transmittance, e.g. 4095 for 12 bits kept in 16")
    return number


def words() -> QLabel:
    """A text of several lines."""
    label = QLabel()
    label.setWordWrap(True)
    return label


def row(*widgets: QWidget) -> QHBoxLayout:
    """Widgets side by side."""
    line = QHBoxLayout()
    for widget in widgets:
        line.addWidget(widget)
    return line


def box(title: str, *parts: Any) -> QGroupBox:
    """Stack widgets and layouts; pairs become a labelled row."""
    group = QGroupBox(title)
    form = QFormLayout(group)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for part in parts:
        form.addRow(*part) if isinstance(part, tuple) else form.addRow(part)
    return group
