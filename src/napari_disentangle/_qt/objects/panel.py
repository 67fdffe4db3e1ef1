"""What the widget "Objects" shows: images, buttons, groups and their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGroupBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.images.box import ImagesBox
from napari_disentangle._qt.images.table import BATCH, IMAGE, ROLE
from napari_disentangle._qt.objects.colours import LABEL, palette
from napari_disentangle._qt.objects.gallery import Gallery
from napari_disentangle._qt.window.parts import (
    Message,
    QuietWheel,
    Settling,
    column,
    flow,
    named,
    read_only_table,
    row,
    words,
)
from napari_disentangle.objects.coder import coders
from napari_disentangle.objects.groups import FINEST, Groups

GROUP = "group"
_FINDERS = {
    "opening": "The image less its grey opening: also under uneven light",
    "otsu": "Otsu's threshold of the smoothed image",
    "student": "A network that learns from both where they agree, about a minute",
}
_NARROW, _WIDE, _HIGH, _ROWS = 270, 380, 700, 6
_LEVEL, _MOST_IMAGES, _PARTS = 4, 8, 1000
_SQUARE = 12


class ObjectsPanel(QWidget):  # type: ignore[misc]
    """Inputs and results; ``grouped`` tells the number of a clicked group."""

    grouped = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.images = ImagesBox()
        self.images.table.show_task("objects", (IMAGE,))
        for one in (BATCH, ROLE):
            self.images.table.setColumnHidden(one, True)
        self.images.batches.hide()
        self.alike = named(
            QCheckBox("under one look"),
            "under one look",
            "Look at content-only: all images under one look, whatever their batches",
        )
        self.alike.setChecked(True)
        self.diameter = _diameter()
        self.finder = _choice("finder", "How objects are told from around", _FINDERS)
        self.coder = _choice("coder", "What kinds of objects are told by", coders())
        self._make_buttons()
        self.there, self.message = words(), Message()
        self.bar = QProgressBar()
        self.bar.setMaximum(_PARTS)
        self.results = self._make_results()
        self._lay_out()
        self.wheel = QuietWheel(self)
        self.wheel.watch(self)
        self.show_running(False)
        self.show_groups(None)

    def _make_buttons(self) -> None:
        find, code = QPushButton("&Find objects"), QPushButton("&Code and group")
        tip = "Make a Labels layer for every checked image"
        self.find = named(find, "Find objects", tip)
        tip = "Say what kinds there are, of the topmost Labels layer on every image"
        self.code = named(code, "Code and group", tip)
        self.cancel = named(QPushButton("Cancel"), "Cancel", "Stop; nothing is added")
        undo = QPushButton("&Undo")
        self.undo = named(undo, "Undo", "Take back what was found or coded last")
        export, copy = QPushButton("Export CSV ..."), QPushButton("Copy as Python")
        tip = "All objects with all that is known of them, and how it came about"
        self.export = named(export, "Export CSV", tip)
        self.copy = named(copy, "Copy as Python", "A script that does the same")

    def _make_results(self) -> QGroupBox:
        box = QGroupBox("Groups")
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(2, FINEST)
        self.level.setValue(_LEVEL)
        named(self.level, "coarse to fine", "How many groups")
        self.level_text = QLabel()
        tip = "By which column of the table objects are coloured"
        self.colour = named(QComboBox(), "colour by", tip)
        tip = "How many objects of every group; a click shows its most typical members"
        self.table = named(read_only_table(_ROWS), "groups", tip)
        self.table.itemSelectionChanged.connect(self._tell)
        self.one, self.gallery = words(), Gallery()
        column(
            box,
            ("coarse – fine", row(self.level, self.level_text)),
            ("colour by", self.colour),
            flow(self.export, self.copy),
            self.table,
            self.one,
            self.gallery,
        )
        return box

    def _lay_out(self) -> None:
        inside = QWidget()
        column(
            inside,
            self.images,
            self.alike,
            ("typical diameter", self.diameter),
            ("found by", self.finder),
            ("grouped by", self.coder),
            flow(self.find, self.code, self.undo, self.cancel),
            self.bar,
            self.there,
            self.message,
            self.results,
        )
        self.tabs = QTabWidget()
        self.add_tab("Find", inside)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.tabs)

    def add_tab(self, title: str, inside: QWidget) -> None:
        """Add a tab that can be scrolled."""
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        Settling(inside)
        scroll.setMinimumWidth(_NARROW)
        # what there is stays at the top
        inside.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.tabs.addTab(scroll, title)

    def sizeHint(self) -> QSize:
        """As wide as names of images need."""
        return QSize(_WIDE, _HIGH)

    # --- what is shown ------------------------------------------------------------
    def show_running(self, on: bool) -> None:
        """Show what can be done while it runs, or while nothing does."""
        for one in (self.images, self.alike, self.diameter, self.results):
            one.setEnabled(not on)
        for one in (self.finder, self.coder, self.find, self.code, self.undo):
            one.setEnabled(not on)
        self.cancel.setVisible(on)
        self.bar.setVisible(on)
        self.bar.setValue(0)

    def show_share(self, share: float) -> None:
        """Show how much is done."""
        self.bar.setValue(round(_PARTS * share))

    def show_columns(self, names: Sequence[str], chosen: str) -> None:
        """Offer columns to be coloured by."""
        with QSignalBlocker(self.colour):
            self.colour.clear()
            self.colour.addItems([LABEL, *names])
            self.colour.setCurrentText(chosen)

    def show_groups(self, groups: Groups | None) -> None:
        """Show how many objects of which images are in which group."""
        self.results.setVisible(groups is not None)
        if groups is None:
            return
        n = groups.level
        most = ", as many as there can be" * (n < self.level.value())
        self.level_text.setText(f"{n} group{'s' * (n != 1)}{most}")
        columns = dict(_counts(groups))
        with QSignalBlocker(self.table):
            self.table.clearSelection()
            self.table.setColumnCount(len(columns))
            self.table.setHorizontalHeaderLabels(list(columns))
            self.table.setRowCount(groups.level)
            for j, values in enumerate(columns.values()):
                for i, value in enumerate(values):
                    self.table.setItem(i, j, _item(value))
            for i, colour in enumerate(palette(groups.level)):
                square = QPixmap(_SQUARE, _SQUARE)
                square.fill(QColor.fromRgbF(*colour[:3]))
                icon = QIcon(square)
                icon.addPixmap(square, QIcon.Mode.Selected)
                self.table.item(i, 0).setIcon(icon)

    def select(self, number: int) -> None:
        """Select the row of a group."""
        self.table.selectRow(number - 1)

    def _tell(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self.grouped.emit(rows[0].row() + 1)


def _counts(groups: Groups) -> list[tuple[str, list[str]]]:
    """Columns of the table of groups: of all images, and of each if they are few."""
    levels = range(1, groups.level + 1)
    numbers, columns = groups.numbers, groups.codes.objects.columns
    total = [int((numbers == level).sum()) for level in levels]
    found = [
        (GROUP, [str(level) for level in levels]),
        ("objects", [str(n) for n in total]),
        ("share", [f"{100 * n / len(numbers):.0f} %" for n in total]),
    ]
    images = groups.codes.objects.images
    if 1 < len(images) <= _MOST_IMAGES:
        for number, image in enumerate(images):
            own = columns["image number"] == number
            counts = [str(int((own & (numbers == level)).sum())) for level in levels]
            found.append((image.name, counts))
    return found


def _item(text: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item


def _choice(name: str, tip: str, entries: Mapping[str, str]) -> QComboBox:
    """A choice of names, each with what it is."""
    box = named(QComboBox(), name, tip)
    for place, (entry, said) in enumerate(entries.items()):
        box.addItem(entry)
        box.setItemData(place, said, Qt.ItemDataRole.ToolTipRole)
    return box


def _diameter() -> QDoubleSpinBox:
    number = named(
        QDoubleSpinBox(), "typical diameter", "Of an object in pixels: what is found"
    )
    number.setRange(0, float(np.iinfo(np.int16).max))
    number.setSpecialValueText("measured")
    number.setSuffix(" px")
    number.setDecimals(1)
    return number
