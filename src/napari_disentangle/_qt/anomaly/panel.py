"""What the widget "Anomaly map" shows, without any behaviour of its own."""

from collections.abc import Iterable
from typing import Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QGroupBox, QLabel

from napari_disentangle._qt.anomaly.regions_box import RegionsBox
from napari_disentangle._qt.common.form import form_of, settings_of
from napari_disentangle._qt.common.panel import BasePanel, box, row, words
from napari_disentangle._qt.common.picking import LayerList, MarkBox
from napari_disentangle.detector.registry import detectors, named
from napari_disentangle.pipeline.kinds import ANOMALY, EXPECTED, Kind

ITSELF, OTHERS, PAINTED = "itself", "others", "painted"
_NORMALS = {
    ITSELF: "nothing said: what is rare stands out",
    OTHERS: "other images",
    PAINTED: "what I painted on the images",
}
_MOST_CELL = 2000.0


class AnomalyPanel(BasePanel):
    """All inputs in the order of use, the regions, and the buttons below."""

    def __init__(self) -> None:
        super().__init__()
        self.regions = RegionsBox()
        self._alone = False
        on = self.model_box("Look that is taken away first")
        parts = [self.images_box(), self._normal(), self._detector(), on]
        self.stack([*parts, self._outputs(), self.regions], self.run_parts())
        self.model_chosen(self.model.currentText())
        self._detector_chosen()
        self._normal_chosen()
        self.set_running(False)

    # --- parts --------------------------------------------------------------------
    def _normal(self) -> QGroupBox:
        self.normal = QComboBox()
        for kind, text in _NORMALS.items():
            self.normal.addItem(text, kind)
        self.normal.currentIndexChanged.connect(self._normal_chosen)
        self.normal.currentIndexChanged.connect(self._propose_detector)
        self.normals = LayerList()
        self.marks = MarkBox()
        self.normal_note = words()
        return box("Normal is", self.normal, self.normals, self.marks, self.normal_note)

    def _detector(self) -> QGroupBox:
        self.detector = QComboBox()
        self.detector.addItems(detectors())
        self._propose_detector()
        self.detector.currentTextChanged.connect(self._detector_chosen)
        self.detector_text = words()
        self._detector_forms = {n: form_of(e.config) for n, e in detectors().items()}
        self.cell = QDoubleSpinBox()
        self.cell.setRange(0, _MOST_CELL)
        self.cell.setDecimals(1)
        self.cell.setSuffix(" px")
        self.cell.setSpecialValueText("measured")
        self.cell.setToolTip("Diameter of a typical cell; 0 to have it measured")
        self.cell_text = QLabel()
        return box(
            "Detector",
            self.detector,
            self.detector_text,
            *(form.native for form in self._detector_forms.values()),
            ("cell diameter", row(self.cell, self.cell_text)),
        )

    def _outputs(self) -> QGroupBox:
        self.anomaly = QCheckBox("anomaly map and its regions")
        self.anomaly.setChecked(True)
        self.expected = QCheckBox("pseudo-normal image (synthetic)")
        return box("New layers", self.anomaly, self.expected)

    # --- what is chosen -----------------------------------------------------------
    @property
    def normal_kind(self) -> str:
        """Where normal comes from."""
        return str(self.normal.currentData())

    def choose_normal(self, kind: str) -> None:
        """Choose where normal comes from."""
        self.normal.setCurrentIndex(self.normal.findData(kind))

    @property
    def detector_form(self) -> Any:
        """Form of the chosen detector."""
        return self._detector_forms[self.detector.currentText()]

    def detector_settings(self) -> dict[str, Any]:
        """Settings of the chosen detector."""
        return settings_of(self.detector_form)

    def outputs(self) -> tuple[Kind, ...]:
        """What is checked; the map comes last, to lie above."""
        boxes: dict[Kind, QCheckBox] = {EXPECTED: self.expected, ANOMALY: self.anomaly}
        return tuple(
            kind for kind, one in boxes.items() if one.isChecked() and one.isEnabled()
        )

    # --- what is shown ------------------------------------------------------------
    def show_marks(self, layers: Iterable[Any]) -> None:
        """Offer layers that something can be painted in, a new one before others."""
        self.marks.show_layers(layers)
        self._normal_chosen()

    def show_cell(self, size: float, unit: str) -> None:
        """Say how large the cell is in the world, if a pixel has a size there."""
        known = unit and self.cell.value()
        self.cell_text.setText(f"= {self.cell.value() * size:.3g} {unit}" * bool(known))

    def _normal_chosen(self, index: int = 0) -> None:
        kind = self.normal_kind
        self.normals.setVisible(kind == OTHERS)
        self.marks.setVisible(kind == PAINTED and self.marks.count() > 0)
        missing = kind == PAINTED and not self.marks.count()
        self.normal_note.setText(
            "Add a Shapes or Labels layer and paint what is normal." * missing
        )
        self.normal_note.setVisible(missing)

    def _propose_detector(self, index: int = 0) -> None:
        """Go from one detector to begin with to the other one, and from no other."""
        before, self._alone = self._alone, self.normal_kind == ITSELF
        begun = self.detector.currentText() == named("default", before)
        if begun and before != self._alone:
            self.detector.setCurrentText(named("default", self._alone))

    def _detector_chosen(self, name: str = "") -> None:
        chosen = self.detector.currentText()
        entry = detectors()[chosen]
        self.detector_text.setText(entry.description)
        for own, form in self._detector_forms.items():
            form.native.setVisible(own == chosen and len(form) > 0)
        self.expected.setEnabled(entry.expects)
        self.expected.setToolTip("" if entry.expects else f"{chosen} expects nothing")
