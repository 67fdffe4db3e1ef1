"""All images of a study with what became of them: a list, or the map of a plate."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle.study.run import KEPT
from napari_disentangle.study.scan import Item, plate_of, well_of
from napari_disentangle.study.unit import DONE, FAILED

WAITING = "waiting"
_MARKS = {WAITING: "", DONE: "✓", KEPT: "✓", FAILED: "✗"}
_COLOURS = {DONE: "#6fdc9a", KEPT: "#6fdc9a", FAILED: "#ffae70"}
# Of wells that are controls, behind the mark of what became of them.
_CONTROL = "#33506e"
# Rows and columns of a plate that has many, in pixels.
_SMALLEST = 16
_HEAD = ("image", "group", "state")
_ROWS = 200
_KEY = Qt.ItemDataRole.UserRole


class Overview(QWidget):  # type: ignore[misc]
    """A list of images, or maps of plates, one of which is shown.

    Attributes
    ----------
    opened
        Emitted with the paths of images that are to be opened.
    """

    opened = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.plate = QComboBox()
        self.plate.setAccessibleName("plate")
        self.plate.setToolTip("Which plate is shown")
        self.table = _Table()
        self._items: Sequence[Item] = ()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.plate)
        rows.addWidget(self.table)
        self.plate.currentTextChanged.connect(self._show)
        self.table.opened.connect(self.opened)

    def show_items(self, items: Sequence[Item], controlled: bool) -> None:
        """Show these images, none of which is done yet, and which are controls."""
        self._items = items
        self.table.forget(controlled)
        wells = bool(items) and all(map(well_of, items))
        plates = list(dict.fromkeys(map(plate_of, items))) if wells else []
        shown = self.plate.currentText()
        self.plate.blockSignals(True)
        self.plate.clear()
        self.plate.addItems(plates)
        self.plate.setCurrentIndex(max(0, self.plate.findText(shown)))
        self.plate.blockSignals(False)
        self.plate.setVisible(len(plates) > 1)
        self._show()

    def _show(self, plate: str = "") -> None:
        shown = self.plate.currentText()
        if self.plate.count():
            self.table.show_plate([i for i in self._items if plate_of(i) == shown])
        else:
            self.table.show_list(self._items)

    def chosen(self) -> list[str]:
        """Images that are selected, by path."""
        return self.table.chosen()

    def mark(self, image: str, state: str, reason: str = "") -> None:
        """Show what became of an image; a failed output outweighs others."""
        self.table.mark(image, state, reason)


class _Table(QTableWidget):  # type: ignore[misc]
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
        self._controlled = False
        self.cellActivated.connect(self._open)
        self.cellDoubleClicked.connect(self._open)

    def forget(self, controlled: bool) -> None:
        """Forget what became of images; say whether some of them are controls."""
        self._states, self._reasons, self._controlled = {}, {}, controlled

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
    def show_list(self, items: Sequence[Item]) -> None:
        """A row per image."""
        self._begin()
        shown = items[:_ROWS]
        self.setRowCount(len(shown))
        self.setColumnCount(len(_HEAD))
        self.setHorizontalHeaderLabels(_HEAD)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setVisible(False)
        usual = QHeaderView.ResizeMode.ResizeToContents
        self.verticalHeader().setSectionResizeMode(usual)
        for row, item in enumerate(shown):
            told = item.group + " (control)" * (item.control and self._controlled)
            for column, text in enumerate((item.path, told, "")):
                cell = QTableWidgetItem(text)
                cell.setData(_KEY, [item.path])
                cell.setToolTip(item.trouble or item.path)
                self.setItem(row, column, cell)
            self._cells[item.path] = self.item(row, len(_HEAD) - 1)
            if item.trouble:
                self.mark(item.path, FAILED, item.trouble)

    def _begin(self) -> None:
        self._cells = {}
        self.clear()

    def show_plate(self, items: Sequence[Item]) -> None:
        """A cell per well."""
        self._begin()
        wells = {item.path: well for item in items if (well := well_of(item))}
        rows = sorted({row for row, _ in wells.values()}, key=lambda r: (len(r), r))
        columns = sorted({column for _, column in wells.values()})
        self.setRowCount(len(rows))
        self.setColumnCount(len(columns))
        self.setVerticalHeaderLabels(rows)
        self.setHorizontalHeaderLabels([str(one) for one in columns])
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectItems)
        self.verticalHeader().setVisible(True)
        header = self.horizontalHeader()
        for one in (header, self.verticalHeader()):
            one.setMinimumSectionSize(_SMALLEST)
            one.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for item in items:
            row, column = wells[item.path]
            self._add_field(item, rows.index(row), columns.index(column))
        for cell in self._cells.values():
            self._paint(cell)

    def _add_field(self, item: Item, row: int, column: int) -> None:
        cell = self.item(row, column)
        if cell is None:
            cell = QTableWidgetItem()
            cell.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.setItem(row, column, cell)
        cell.setData(_KEY, [*_paths(cell), item.path])
        control = item.control and self._controlled
        n = len(_paths(cell))
        fields = "1 field" if n == 1 else f"{n} fields"
        cell.setToolTip(f"{item.labels['well']}{', control' * control}, {fields}")
        if control:
            cell.setBackground(QColor(_CONTROL))
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
