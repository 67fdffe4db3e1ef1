"""What the widget shows: lists, boxes and buttons, without any behaviour of its own."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.fitting import TITLE as FITTING
from napari_disentangle._qt.fitting import FitSection
from napari_disentangle._qt.form import form_of, settings_of
from napari_disentangle._qt.model_box import ModelBox
from napari_disentangle._qt.picking import LayerList
from napari_disentangle.catalogue import models
from napari_disentangle.output import KINDS, USUAL, Kind

if TYPE_CHECKING:
    from magicgui.widgets import Container

    from napari_disentangle.batch import Step
    from napari_disentangle.field import Modality

_BY_ITSELF = "as proposed"
_WIDTH = 350
_TEXTS: dict[Kind, str] = {
    "content": "content-only",
    "swap": "attribute-swapped",
    "anomaly": "anomaly map",
    "maps": "content maps",
}
_POOLS = {
    "image": "one look per image",
    "batch": "one look for all checked images (plate, batch)",
    "stack": "one look per time point",
    "frame": "one look per plane",
}
# Black on amber is read on light and on dark.
_WARNING = "background: #f2c14e; color: black; padding: 4px; border-radius: 3px;"
# Warnings that are spelled out.
_SPELLED = 2


class Panel(QWidget):  # type: ignore[misc]
    """All inputs in the order of use, and the buttons that stay in sight below."""

    def __init__(self) -> None:
        super().__init__()
        inside = QWidget()
        parts = QVBoxLayout(inside)
        self.fitting = FitSection()
        for part in (self._images(), self._model(), self.fitting, self._outputs()):
            parts.addWidget(part)
        parts.addWidget(self._swap())
        parts.addWidget(self._anomaly())
        parts.addStretch()
        self._scroll = scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(_WIDTH)
        scroll.setWidget(inside)
        column = QVBoxLayout(self)
        column.addWidget(scroll)
        column.addLayout(self._run())
        self._model_chosen(self.model.currentText())
        self.set_running(False)
        self.show_strength()

    # --- parts --------------------------------------------------------------------
    def _images(self) -> QGroupBox:
        self.images = LayerList()
        self.as_channels = QCheckBox("these are channels of one image")
        self.as_channels.setToolTip("Layers of one shape in one place become one image")
        self.summary = _words()
        self.axes = QLineEdit()
        self.axes.setToolTip("One letter per axis, e.g. ZYX; C is the channel axis")
        self.modality = QComboBox()
        self.modality.addItems([_BY_ITSELF, "brightfield", "fluorescence"])
        return _box(
            "Images",
            self.images,
            self.as_channels,
            self.summary,
            ("axes", self.axes),
            ("kind", self.modality),
        )

    def _model(self) -> QGroupBox:
        self.model = ModelBox()
        self.model.currentTextChanged.connect(self._model_chosen)
        self.description = _words()
        self._forms = {name: form_of(e.config) for name, e in models().items()}
        self.pool = QComboBox()
        self.pool.addItems(list(_POOLS))
        for i, text in enumerate(_POOLS.values()):
            self.pool.setItemData(i, text, Qt.ItemDataRole.ToolTipRole)
        self.device = QComboBox()
        self.device.addItem("auto", "auto")
        self.device.addItem("CPU", "cpu")
        self.check_devices = QPushButton("Check my GPU")
        return _box(
            "Model",
            self.model,
            self.description,
            *(form.native for form in self._forms.values()),
            ("one look per", self.pool),
            ("device", _row(self.device, self.check_devices)),
        )

    def _outputs(self) -> QGroupBox:
        self.output_boxes = {kind: QCheckBox(_TEXTS[kind]) for kind in KINDS}
        self.choose_outputs(USUAL)
        return _box("New layers", *self.output_boxes.values())

    def _swap(self) -> QGroupBox:
        self.donors = LayerList()
        self.donor_file = _words()
        self.donors.itemChanged.connect(self.donor_file.clear)
        self.load_donor = QPushButton("Load look ...")
        self.save_donor = QPushButton("Save look ...")
        self.strength = QSlider(Qt.Orientation.Horizontal)
        self.strength.setRange(0, 100)
        self.strength.setValue(100)
        self.strength_text = QLabel()
        return _box(
            "Swap to the look of",
            self.donors,
            self.donor_file,
            _row(self.load_donor, self.save_donor),
            ("strength", _row(self.strength, self.strength_text)),
        )

    def _anomaly(self) -> QGroupBox:
        self.normals = LayerList()
        note = _words()
        note.setText("If none is checked, every image is its own normal: rarity.")
        return _box("Anomalies compared with", self.normals, note)

    def _run(self) -> QVBoxLayout:
        self.run = QPushButton("Run")
        self.cancel = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.copy_python = QPushButton("Copy as Python")
        self.copy_recipe = QPushButton("Copy recipe")
        self.warning, self.notes = _words(), _words()
        self.warning.setStyleSheet(_WARNING)
        self.warning.linkActivated.connect(self.open_fitting)
        self.show_warnings([])
        column = QVBoxLayout()
        column.addWidget(self.warning)
        column.addWidget(self.notes)
        column.addLayout(_row(self.run, self.cancel))
        column.addWidget(self.progress)
        column.addLayout(_row(self.copy_python, self.copy_recipe))
        return column

    # --- what is chosen -----------------------------------------------------------
    @property
    def form(self) -> Container:
        """Form of the chosen model, if it is not a file that has its own settings."""
        return self._forms[self.model.chosen]

    def settings(self) -> dict[str, Any]:
        """Settings of the chosen model."""
        return {} if self.model.file else settings_of(self.form)

    def outputs(self) -> tuple[Kind, ...]:
        """Outputs that are checked."""
        return tuple(k for k, box in self.output_boxes.items() if box.isChecked())

    def choose_outputs(self, kinds: tuple[Kind, ...]) -> None:
        """Check these outputs and no others."""
        for kind, box in self.output_boxes.items():
            box.setChecked(kind in kinds)

    def chosen_modality(self) -> Modality | None:
        """The kind of image that was said, if any."""
        text = self.modality.currentText()
        return None if text == _BY_ITSELF else text

    # --- what is shown ------------------------------------------------------------
    def _model_chosen(self, label: str) -> None:
        if not label:
            return
        self.description.setText(self.model.description)
        for name, form in self._forms.items():
            form.native.setVisible(name == self.model.chosen)
        self.fitting.save.setEnabled(self.model.file is not None)

    def open_fitting(self, link: str = "") -> None:
        """Bring the section for fitting into sight."""
        self.fitting.expand()
        QTimer.singleShot(0, self._scroll_to_fitting)  # once it has its height

    def _scroll_to_fitting(self) -> None:
        self._scroll.verticalScrollBar().setValue(self.fitting.y())

    def show_warnings(self, warnings: list[str]) -> None:
        """Say what to think of before Run, and what cures it."""
        more = len(warnings) - _SPELLED
        lines = [escape(words) for words in warnings[:_SPELLED]]
        lines += [f"... and {more} more"] if more > 0 else []
        cure = f'<a href="fit" style="color: black">{FITTING} ...</a>'
        self.warning.setText("<br>".join(["&#9888; " + "<br>".join(lines), cure]))
        self.warning.setVisible(bool(warnings))

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

    def show_strength(self) -> None:
        """Show the slider's value."""
        self.strength_text.setText(f"{self.strength.value()} %")

    def set_running(self, running: bool, fitting: bool = False) -> None:
        """Enable what makes sense now."""
        self.fitting.set_running(running, fitting)
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


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _box(title: str, *parts: Any) -> QGroupBox:
    """Stack widgets and layouts; pairs become a labelled row."""
    box = QGroupBox(title)
    form = QFormLayout(box)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for part in parts:
        form.addRow(*part) if isinstance(part, tuple) else form.addRow(part)
    return box
