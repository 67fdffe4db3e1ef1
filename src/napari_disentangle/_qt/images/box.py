"""The part of the panel that images are chosen in, and how they are read."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGroupBox,
    QLineEdit,
    QMenu,
    QPushButton,
    QToolButton,
)

from napari_disentangle._qt.images.chosen import Chosen, chosen
from napari_disentangle._qt.images.picking import groups, proposes_channels
from napari_disentangle._qt.images.reading import ReadingBox
from napari_disentangle._qt.images.table import ImageTable
from napari_disentangle._qt.window.parts import column, flow, named, words


class ImagesBox(QGroupBox):  # type: ignore[misc]
    """The table, and one line that says how its images are read.

    ``changed`` tells of every change of what :meth:`chosen` gives.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Images")
        self._before: list[Any] = []
        self.table = ImageTable()
        self.every = _small("All", "Check all images that are listed")
        self.none = _small("None", "Check none of the images that are listed")
        self.batches = self._batch_menu()
        self.filter = _filter()
        tip = "Layers of one shape in one place become one image"
        self.as_channels = named(
            QCheckBox("channels of one image"), "channels of one image", tip
        )
        self.summary = words()
        self.change = named(
            QPushButton("Change reading ..."),
            "Change reading",
            "Axes, kind and full scale: of the selected rows, or of all",
        )
        self.change.setCheckable(True)
        self.reading = ReadingBox()
        self.reading.hide()
        column(
            self,
            flow(self.every, self.none, self.batches, self.filter),
            self.table,
            self.as_channels,
            self.summary,
            self.change,
            self.reading,
        )
        self._connect()

    def _batch_menu(self) -> QToolButton:
        button = named(QToolButton(), "Batches", "Which images share a look")
        button.setText("Batches")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        self.each_its_own = menu.addAction("Each image is its own")
        self.all_one = menu.addAction("All are one")
        self.from_names = menu.addAction("As names and folders say")
        button.setMenu(menu)
        return button

    def _connect(self) -> None:
        table = self.table
        self.every.clicked.connect(lambda: table.check_shown(True))
        self.none.clicked.connect(lambda: table.check_shown(False))
        self.each_its_own.triggered.connect(lambda: table.set_batch(table.layers(), ""))
        self.all_one.triggered.connect(lambda: table.set_batch(table.layers(), "1"))
        self.from_names.triggered.connect(table.propose_again)
        self.filter.textChanged.connect(table.filter)
        table.changed.connect(self._table_changed)
        table.itemSelectionChanged.connect(self._show_reading)
        self.as_channels.clicked.connect(self._emit)
        self.reading.changed.connect(self._emit)
        self.change.toggled.connect(self.reading.setVisible)

    def chosen(self) -> Chosen:
        """What takes part, and what cannot."""
        return chosen(self.table, self.as_channels.isChecked(), self.reading.reading)

    def show_layers(self, layers: list[Any]) -> None:
        """List these layers."""
        self.table.show_layers(layers)
        self._table_changed()

    def _table_changed(self) -> None:
        checked = self.table.checked()
        if checked != self._before:
            self._before = checked
            self.as_channels.setChecked(proposes_channels(checked))
        self.as_channels.setVisible(len(groups(checked, True)) < len(checked))
        self._show_reading()
        self._emit()

    def _show_reading(self) -> None:
        self.reading.show_for(self.table.selected() or self.table.checked())

    def _emit(self, change: Any = None) -> None:
        self.changed.emit()

    def say(self, lines: list[str]) -> None:
        """Say how the images are read."""
        self.summary.setText("\n".join(line for line in lines if line))


def _small(text: str, tip: str) -> QToolButton:
    button: QToolButton = named(QToolButton(), text, tip)
    button.setText(text)
    return button


def _filter() -> QLineEdit:
    line: QLineEdit = named(QLineEdit(), "filter", "List names with this text only")
    line.setPlaceholderText("filter")
    line.setMaximumWidth(12 * line.fontMetrics().averageCharWidth())
    line.setClearButtonEnabled(True)
    return line
