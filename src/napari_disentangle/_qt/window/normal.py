"""What odd is compared with, and the detector that looks for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QWidget

from napari_disentangle._qt.images.picking import MarkBox
from napari_disentangle._qt.window.form import form_of, settings_of
from napari_disentangle._qt.window.parts import column, named, row, words
from napari_disentangle.detector.registry import detectors
from napari_disentangle.detector.registry import named as detector_named

ITSELF, OTHERS, PAINTED = "itself", "others", "painted"
_NORMALS = {
    ITSELF: "most of the image itself",
    OTHERS: "images whose role is 'normal'",
    PAINTED: "what I painted on the images",
}
_MOST_CELL = 2000.0


class NormalBox(QWidget):  # type: ignore[misc]
    """Where normal comes from."""

    def __init__(self) -> None:
        super().__init__()
        tip = "What the images are compared with"
        self.kind_box = named(QComboBox(), "normal is", tip)
        for kind, text in _NORMALS.items():
            self.kind_box.addItem(text, kind)
        self.marks = named(
            MarkBox(), "painted in", "The Shapes or Labels layer that marks the normal"
        )
        self.note = words()
        self.kind_box.currentIndexChanged.connect(self._chosen)
        column(self, ("normal is", self.kind_box), self.marks, self.note)
        self._chosen()

    @property
    def kind(self) -> str:
        """Where normal comes from."""
        return str(self.kind_box.currentData())

    @property
    def alone(self) -> bool:
        """Whether every image is its own normal."""
        return self.kind == ITSELF

    def choose(self, kind: str) -> None:
        """Choose where normal comes from."""
        self.kind_box.setCurrentIndex(self.kind_box.findData(kind))

    def show_marks(self, layers: Iterable[Any]) -> None:
        """Offer layers that something can be painted in, a new one before others."""
        self.marks.show_layers(layers)
        self._chosen()

    def say(self, text: str) -> None:
        """Say what will be compared with what."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def _chosen(self, index: int = 0) -> None:
        self.marks.setVisible(self.kind == PAINTED and self.marks.count() > 0)


class DetectorBox(QWidget):  # type: ignore[misc]
    """Which detector, its settings, and the size of a cell."""

    def __init__(self) -> None:
        super().__init__()
        self._alone = True
        self.name = named(QComboBox(), "detector", "How what is odd is found")
        self.name.addItems(detectors())
        self.name.setCurrentText(detector_named("default", True))
        self.text = words()
        self._forms = {n: form_of(e.config) for n, e in detectors().items()}
        self.cell = self._cell()
        self.cell_text = QLabel()
        self.expected = named(
            QCheckBox("pseudo-normal image (synthetic)"),
            "pseudo-normal image",
            "A layer of what was expected in the place of what is odd",
        )
        column(
            self,
            ("detector", self.name),
            self.text,
            *(form.native for form in self._forms.values()),
            ("cell diameter", row(self.cell, self.cell_text)),
            self.expected,
        )
        self.name.currentTextChanged.connect(self._chosen)
        self._chosen()

    def _cell(self) -> QDoubleSpinBox:
        cell = QDoubleSpinBox()
        cell.setRange(0, _MOST_CELL)
        cell.setDecimals(1)
        cell.setSuffix(" px")
        cell.setSpecialValueText("measured")
        tip = "Diameter of a typical cell; 0 to have it measured"
        return named(cell, "cell diameter", tip)

    @property
    def form(self) -> Any:
        """Form of the chosen detector."""
        return self._forms[self.name.currentText()]

    def settings(self) -> dict[str, Any]:
        """Settings of the chosen detector."""
        return settings_of(self.form)

    def wants_expected(self) -> bool:
        """Whether the pseudo-normal image is to be made."""
        return bool(self.expected.isChecked() and self.expected.isEnabled())

    def propose(self, alone: bool) -> None:
        """Go from one detector to begin with to the other one, and from no other."""
        before, self._alone = self._alone, alone
        if self.name.currentText() == detector_named("default", before):
            self.name.setCurrentText(detector_named("default", alone))

    def show_cell(self, size: float, unit: str) -> None:
        """Say how large the cell is in the world, if a pixel has a size there."""
        known = unit and self.cell.value()
        self.cell_text.setText(f"= {self.cell.value() * size:.3g} {unit}" * bool(known))

    def _chosen(self, name: str = "") -> None:
        chosen = self.name.currentText()
        entry = detectors()[chosen]
        self.text.setText(entry.description)
        for own, form in self._forms.items():
            form.native.setVisible(own == chosen and len(form) > 0)
        self.expected.setEnabled(entry.expects)
        tip = "What was expected in the place of what is odd"
        self.expected.setToolTip(tip if entry.expects else f"{chosen} expects nothing")
