"""The section "Regions": the slider of alpha, the table, and what limits it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QTableWidgetItem,
)

from napari_disentangle._qt.window.parts import flow, named, read_only_table, row, words
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.units import PIXEL, plain_symbol
from napari_disentangle.pipeline.kinds import EXPECTED

Table = Mapping[str, Array]

# The slider counts fiftieths of a decade from 0.0001, up to 0.2.
_LEAST, _PER_DECADE, _STEPS = 1e-4, 50, 165
_START, _MIN_SIZE, _MOST_SIZE = 0.01, 16, 10**6
_ROWS = 8
# Rows that are listed; files have all.
LISTED = 500
_UNKNOWN = "–"
# Numbers from here on are written without a fraction.
_LARGE = 1000
_COLUMNS = {
    "label": "Number of the region in its layer",
    "area": "Size of the region",
    "volume": "Size of the region",
    "pixels": "Size of the region",
    "max z": "The most surprising pixel: standard deviations from normal",
    "region p": "Share of normal blocks with a region as surprising: small is odd; "
    "the slider is about p of pixels",
    "region q": "Share of false ones to be expected among the regions down to this one",
    "observed": "Mean of the image in the region",
    "expected": "Mean that was expected there",
}


class RegionsBox(QGroupBox):  # type: ignore[misc]
    """Regions of one map at a time; ``chosen`` tells the label of a clicked row."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__("Regions")
        self.which = named(QComboBox(), "map", "Whose regions are listed")
        self.alpha = QSlider(Qt.Orientation.Horizontal)
        self.alpha.setRange(0, _STEPS)
        self.alpha_text = QLabel()
        named(self.alpha, "alpha", "Largest p value of a pixel in a region")
        self.min_size = QSpinBox()
        self.min_size.setRange(1, _MOST_SIZE)
        self.min_size.setValue(_MIN_SIZE)
        self.min_size.setSuffix(" px")
        named(self.min_size, "smallest", "Smallest number of pixels of a region")
        self.only = named(QCheckBox("selected one only"), "selected region only")
        self.basis = words()
        self.limits = words()
        table, outlines = QPushButton("Save table ..."), QPushButton("Outlines ...")
        self.save_table = named(table, "Save table", "The regions as CSV")
        self.save_outlines = named(outlines, "Save outlines", "As GeoJSON")
        tip = "A click shows the region in the image"
        self.table = named(read_only_table(_ROWS + 1), "regions", tip)
        self.table.itemSelectionChanged.connect(self._tell)
        self.alpha.valueChanged.connect(self._show_alpha)
        self._lay_out()
        self.set_alpha(_START)
        self.show_maps([])

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(self.which)
        form.addRow("alpha", row(self.alpha, self.alpha_text))
        form.addRow("smallest", self.min_size)
        form.addRow(self.basis)
        form.addRow(self.table)
        form.addRow(self.limits)
        form.addRow(self.only)
        form.addRow(flow(self.save_table, self.save_outlines))

    # --- what is chosen -----------------------------------------------------------
    def level(self) -> float:
        """Alpha as the slider has it, with two digits."""
        return float(f"{_LEAST * 10 ** (self.alpha.value() / _PER_DECADE):.2g}")

    def set_alpha(self, alpha: float) -> None:
        """Move the slider to the nearest place."""
        self.alpha.setValue(round(_PER_DECADE * float(np.log10(alpha / _LEAST))))
        self._show_alpha()

    def labels(self) -> list[int]:
        """Labels of the rows, from top to bottom."""
        items = (self.table.item(i, 0) for i in range(self.table.rowCount()))
        return [int(item.text()) for item in items]

    # --- what is shown ------------------------------------------------------------
    def show_maps(self, names: Sequence[str]) -> None:
        """Offer the maps that have regions."""
        with QSignalBlocker(self.which):
            self.which.clear()
            self.which.addItems(names)
        self.which.setVisible(len(names) > 1)
        for one in (self.save_table, self.save_outlines, self.only):
            one.setEnabled(bool(names))
        if not names:
            self.show_table({}, ())
            self.basis.setText("Run first: then alpha can be moved.")
            self.limits.setText("")

    def show_table(self, table: Table, units: Sequence[str]) -> None:
        """Fill the table: by p, then by the most surprising pixel."""
        columns = dict(_columns(table, units)) if table else {}
        order = _order(table)[:LISTED] if table else []
        self.table.setVisible(bool(order))
        with QSignalBlocker(self.table):
            self.table.clearSelection()
            self.table.setColumnCount(len(columns))
            self.table.setRowCount(len(order))
            self.table.setHorizontalHeaderLabels(list(columns))
            for j, name in enumerate(columns):
                self.table.horizontalHeaderItem(j).setToolTip(_tip(name))
            for j, values in enumerate(columns.values()):
                for i, place in enumerate(order):
                    self.table.setItem(i, j, _item(values[place]))

    def select(self, label: int) -> None:
        """Select the row of a label, or none."""
        labels = self.labels()
        with QSignalBlocker(self.table):
            self.table.clearSelection()
            if label in labels:
                self.table.selectRow(labels.index(label))
                self.table.scrollToItem(self.table.item(labels.index(label), 0))

    def _show_alpha(self, value: int = 0) -> None:
        self.alpha_text.setText(f"pixels: p ≤ {self.level():g}")

    def _tell(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self.chosen.emit(self.labels()[rows[0].row()])


def _order(table: Table) -> list[int]:
    """Rows by p, those that have none last, then by the absolute z."""
    p = np.nan_to_num(table["p"], nan=2)
    order: list[int] = np.lexsort((-np.abs(table["max_z"]), p)).tolist()
    return order


def _columns(table: Table, units: Sequence[str]) -> Iterator[tuple[str, Array]]:
    yield "label", table["label"]
    yield _extent(table, units)
    yield "max z", table["max_z"]
    # what no region has takes no room: the words below say why
    known = (n for n in "pq" if not np.isnan(table[n]).all())
    yield from ((f"region {n}", table[n]) for n in known)
    for name, values in table.items():
        kind, _, channel = name.removeprefix("mean_").partition("_")
        if kind in ("observed", EXPECTED):
            yield f"{kind} {channel}".strip(), values


def _extent(table: Table, units: Sequence[str]) -> tuple[str, Array]:
    """Area or volume in world units, or the number of pixels if they have none."""
    n = 3 if "volume" in table else 2
    known = {plain_symbol(unit) for unit in units[-n:]}
    if len(known) > 1 or plain_symbol(PIXEL) in known:
        return "pixels", table["size"]
    name = "volume" if n == 3 else "area"
    return f"{name} ({known.pop()}{n})", table[name]


def _tip(column: str) -> str:
    """What a column says."""
    return next((tip for name, tip in _COLUMNS.items() if column.startswith(name)), "")


def _item(value: Any) -> QTableWidgetItem:
    whole = isinstance(value, np.integer)
    number = f"{value:.0f}" if whole or abs(value) >= _LARGE else f"{value:.3g}"
    item = QTableWidgetItem(number if np.isfinite(value) else _UNKNOWN)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
