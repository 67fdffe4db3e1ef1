"""All images of a study with what became of them: a list, or the map of a plate."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_disentangle.study.scan import Item

WAITING, DONE, FAILED, KEPT = "waiting", "done", "failed", "kept"
_MARKS = {WAITING: "", DONE: "✓", KEPT: "✓", FAILED: "✗"}
_COLOURS = {DONE: "#2fae66", KEPT: "#2fae66", FAILED: "#d55e00"}
_WELL = re.compile(r"^([A-Z]{1,2})/?0*(\d{1,2})$")
_HEAD = ("image", "group", "state")
_ROWS = 200
_KEY = Qt.ItemDataRole.UserRole


class Overview(QTableWidget):  # type: ignore[misc]
    """A row per image, or a cell per well; a double click or Enter opens it."""

    opened = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAccessibleName("images of the study")
        self.setToolTip("Double click opens an image with what was made of it")
        self._cells: dict[str, QTableWidgetItem] = {}
        self._states: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self.cellActivated.connect(self._open)
        self.cellDoubleClicked.connect(self._open)

    def show_items(self, items: Sequence[Item]) -> None:
        """Show these images, none of which is done yet."""
        self._states, self._reasons, self._cells = {}, {}, {}
        self.clear()
        wells = {item.path: _WELL.match(item.labels.get("well", "")) for item in items}
        plates = {item.labels.get("plate", "") for item in items}
        if items and all(wells.values()) and len(plates) == 1:
            self._show_plate(items, {k: w for k, w in wells.items() if w})
        else:
            self._show_list(items)

    def chosen(self) -> list[str]:
        """Images that are selected, by path."""
        found = [path for cell in self.selectedItems() for path in _paths(cell)]
        return list(dict.fromkeys(found))

    def mark(self, image: str, state: str, reason: str = "") -> None:
        """Show what became of an image; a failed output outweighs others."""
        if self._states.get(image) == FAILED and state != FAILED:
            return
        self._states[image] = state
        if reason:
            self._reasons[image] = reason
        cell = self._cells.get(image)
        if cell is not None:
            self._paint(cell)

    # --- how it is laid out -------------------------------------------------------
    def _show_list(self, items: Sequence[Item]) -> None:
        shown = items[:_ROWS]
        self.setRowCount(len(shown))
        self.setColumnCount(len(_HEAD))
        self.setHorizontalHeaderLabels(_HEAD)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setVisible(False)
        for row, item in enumerate(shown):
            told = item.group + " (control)" * (item.control and bool(item.group))
            for column, text in enumerate((item.title, told, "")):
                cell = QTableWidgetItem(text)
                cell.setData(_KEY, [item.path])
                cell.setToolTip(item.trouble or item.title)
                self.setItem(row, column, cell)
            self._cells[item.path] = self.item(row, len(_HEAD) - 1)
            if item.trouble:
                self.mark(item.path, FAILED, item.trouble)

    def _show_plate(
        self, items: Sequence[Item], wells: dict[str, re.Match[str]]
    ) -> None:
        rows = sorted({w.group(1) for w in wells.values()}, key=lambda r: (len(r), r))
        columns = sorted({int(w.group(2)) for w in wells.values()})
        self.setRowCount(len(rows))
        self.setColumnCount(len(columns))
        self.setVerticalHeaderLabels(rows)
        self.setHorizontalHeaderLabels([str(one) for one in columns])
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectItems)
        self.verticalHeader().setVisible(True)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for item in items:
            row, column = wells[item.path].groups()
            place = rows.index(row), columns.index(int(column))
            cell = self.item(*place)
            if cell is None:
                cell = QTableWidgetItem()
                cell.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                self.setItem(*place, cell)
            cell.setData(_KEY, [*_paths(cell), item.path])
            cell.setToolTip(f"{row}{column}, {len(_paths(cell))} fields")
            font = cell.font()
            font.setBold(font.bold() or item.control)
            cell.setFont(font)
            self._cells[item.path] = cell

    def _paint(self, cell: QTableWidgetItem) -> None:
        states = [self._states.get(path, WAITING) for path in _paths(cell)]
        worst = next((s for s in (FAILED, WAITING) if s in states), DONE)
        cell.setText(_MARKS[worst])
        if worst in _COLOURS:
            cell.setForeground(QColor(_COLOURS[worst]))
        reasons = [self._reasons[p] for p in _paths(cell) if p in self._reasons]
        if reasons:
            cell.setToolTip("\n".join(reasons))

    def _open(self, row: int, column: int) -> None:
        cell = self.item(row, column)
        if cell is not None:
            self.opened.emit(_paths(cell))


def _paths(cell: QTableWidgetItem) -> list[str]:
    return list(cell.data(_KEY) or [])
