"""What the widget shows: lists, boxes and buttons, without any behaviour of its own."""

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QGroupBox, QLabel, QPushButton, QSlider

from napari_disentangle._qt.common.panel import BasePanel, box, row, words
from napari_disentangle._qt.common.picking import LayerList, MarkBox
from napari_disentangle._qt.disentangle.fit_section import FitSection
from napari_disentangle.errors import DataError
from napari_disentangle.pipeline.kinds import KINDS, USUAL, Kind

# What is expected is chosen where anomalies are.
_TEXTS: dict[Kind, str] = {
    name: kind.label for name, kind in KINDS.items() if kind.needs != "prediction"
}
_POOLS = {
    "image": "one look per image",
    "batch": "one look for all checked images (plate, batch)",
    "stack": "one look per time point",
    "frame": "one look per plane",
}
_CHECK_DONOR = "check an image under 'Swap to the look of'"


class Panel(BasePanel):
    """All inputs in the order of use, and the buttons that stay in sight below."""

    def __init__(self) -> None:
        super().__init__()
        self.fitting = FitSection()
        self.measured = MarkBox(none="on the whole image")
        self.measured.setToolTip("or only where a Shapes or Labels layer is painted")
        self.stack(
            [
                self.images_box(("look measured", self.measured)),
                self._model(),
                self.fitting,
                self._outputs(),
                self._swap(),
                self._anomaly(),
            ],
            self.run_parts(),
        )
        self.model_chosen(self.model.currentText())
        self.set_running(False)
        self.show_strength()

    # --- parts --------------------------------------------------------------------
    def _model(self) -> QGroupBox:
        self.pool = QComboBox()
        self.pool.addItems(list(_POOLS))
        for i, text in enumerate(_POOLS.values()):
            self.pool.setItemData(i, text, Qt.ItemDataRole.ToolTipRole)
        return self.model_box("Model", ("one look per", self.pool))

    def _outputs(self) -> QGroupBox:
        self.output_boxes = {kind: QCheckBox(_TEXTS[kind]) for kind in _TEXTS}
        self.choose_outputs(USUAL)
        return box("New layers", *self.output_boxes.values())

    def _swap(self) -> QGroupBox:
        self.donors = LayerList()
        self.donor_file = words()
        self.donors.itemChanged.connect(self.donor_file.clear)
        self.load_donor = QPushButton("Load look ...")
        self.save_donor = QPushButton("Save look ...")
        self.strength = QSlider(Qt.Orientation.Horizontal)
        self.strength.setRange(0, 100)
        self.strength.setValue(100)
        self.strength_text = QLabel()
        return box(
            "Swap to the look of",
            self.donors,
            self.donor_file,
            row(self.load_donor, self.save_donor),
            ("strength", row(self.strength, self.strength_text)),
        )

    def _anomaly(self) -> QGroupBox:
        self.normals = LayerList()
        note = words()
        note.setText("If none is checked, every image is its own normal: rarity.")
        return box("Anomalies compared with", self.normals, note)

    # --- what is chosen -----------------------------------------------------------
    def outputs(self, donor: bool) -> tuple[Kind, ...]:
        """Outputs that are checked; those that need a donor only if there is one.

        Raises
        ------
        DataError
            If that leaves nothing.
        """
        checked = [k for k, box in self.output_boxes.items() if box.isChecked()]
        possible = tuple(k for k in checked if donor or KINDS[k].needs != "donor")
        if checked and not possible:
            raise DataError(f"{KINDS[checked[0]].label} needs a donor: {_CHECK_DONOR}")
        return possible

    def without_donor(self) -> list[str]:
        """What is checked and cannot be made without a donor, in words."""
        boxes = self.output_boxes.items()
        missing = [k for k, b in boxes if b.isChecked() and KINDS[k].needs == "donor"]
        return [f"{KINDS[k].label} was not made: {_CHECK_DONOR}" for k in missing]

    def choose_outputs(self, kinds: tuple[Kind, ...]) -> None:
        """Check these outputs and no others."""
        for kind, one in self.output_boxes.items():
            one.setChecked(kind in kinds)

    # --- what is shown ------------------------------------------------------------
    def model_chosen(self, label: str) -> None:
        """Describe the chosen model, show its settings, and let it be saved."""
        super().model_chosen(label)
        self.fitting.save.setEnabled(self.model.file is not None)

    def open_fitting(self, link: str = "") -> None:
        """Bring the section for fitting into sight."""
        self.fitting.expand()
        QTimer.singleShot(0, self._scroll_to_fitting)  # once it has its height

    def _scroll_to_fitting(self) -> None:
        self.scroll.verticalScrollBar().setValue(self.fitting.y())

    def show_strength(self) -> None:
        """Show the slider's value."""
        self.strength_text.setText(f"{self.strength.value()} %")

    def set_running(self, running: bool, fitting: bool = False) -> None:
        """Enable what makes sense now."""
        self.fitting.set_running(running, fitting)
        super().set_running(running)
