"""What the tab "Ask" shows: a question, its columns, and the answer with its guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLineEdit, QPushButton, QTableWidgetItem, QWidget

from napari_disentangle._qt.ask.form import QuestionForm
from napari_disentangle._qt.numbers.drawing import GREY, quiet_plot
from napari_disentangle._qt.objects.colours import colours
from napari_disentangle._qt.window.parts import (
    Message,
    Section,
    column,
    flow,
    named,
    read_only_table,
    together,
    words,
)
from napari_disentangle.asking.ask import questions
from napari_disentangle.asking.finding import Finding
from napari_disentangle.image.arrays import Array

# The column that holds rows of objects.
_OBJECT = "row"
_TIP = Qt.ItemDataRole.ToolTipRole
_ROWS, _PLOT, _DRAWN, _DOT = 6, 180, 5000, 4
# Of a passed and of a refused guard; said in words as well.
_PASSED, _REFUSED = "#009e73", "#d55e00"


class AskPanel(QWidget):  # type: ignore[misc]
    """Inputs and the answer; ``chosen`` tells the row of an object that is clicked."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.tables = words()
        self.question = QComboBox()
        for place, (name, entry) in enumerate(questions().items()):
            self.question.addItem(name)
            self.question.setItemData(place, entry.description, _TIP)
        named(self.question, "question", "What is asked of the table")
        self.what = words()
        self.form = QuestionForm()
        self.naming = self._make_naming()
        self.more = self._make_more()
        self._make_buttons()
        self.message = Message()
        self.answer = self._make_answer()
        column(
            self,
            self.tables,
            ("question", self.question),
            self.what,
            self.form,
            self.naming,
            self.more,
            flow(self.ask, self.cancel, self.keep, self.undo, self.copy),
            self.message,
            self.answer,
        )
        self.show_running(False)
        self.show_finding(None)

    def _make_naming(self) -> QWidget:
        tip = "What the selected object is, such as 'mitotic'; others need a name too"
        self.name = named(QLineEdit(), "name", tip)
        self.name.setPlaceholderText("mitotic, other ...")
        button = QPushButton("&Name it")
        tip = "Give this name to the object that is selected in its Labels layer"
        self.name_it = named(button, "Name it", tip)
        self.names = words()
        return together(("name", self.name), flow(self.name_it), self.names)

    def _make_more(self) -> Section:
        tip = "Such as {plate}_{well}_*: what stands there becomes a column"
        self.pattern = named(QLineEdit(), "names of images", tip)
        self.pattern.setPlaceholderText("{plate}_{well}_*")
        self.read = words()
        add, join = QPushButton("Add from names"), QPushButton("Join CSV ...")
        self.add = named(add, "Add from names", "Add these columns to the tables")
        tip = "Add the columns of a table with a row for every image"
        self.join = named(join, "Join CSV", tip)
        return Section(
            "Wells, plates, treatments",
            "Columns that are known of whole images",
            ("names", self.pattern),
            self.read,
            flow(self.add, self.join),
        )

    def _make_buttons(self) -> None:
        self.ask = named(QPushButton("&Ask"), "Ask", "Ask the table this question")
        self.cancel = named(QPushButton("Cancel"), "Cancel", "Stop; nothing is changed")
        tip = "Put what was found into the tables, and colour objects by it"
        self.keep = named(QPushButton("&Keep as columns"), "Keep as columns", tip)
        self.undo = named(
            QPushButton("Undo"), "Undo", "Take back what was changed last"
        )
        self.copy = named(
            QPushButton("Copy as Python"),
            "Copy as Python",
            "A script that does the same",
        )

    def _make_answer(self) -> QWidget:
        self.statement, self.guard, self.said = words(), words(), words()
        font = self.statement.font()
        font.setBold(True)
        self.statement.setFont(font)
        self.plot = quiet_plot("objects along their two main axes", _PLOT)
        self.dots = pg.ScatterPlotItem(size=_DOT, pen=None)
        self.plot.addItem(self.dots)
        self.plot.setLabel("bottom", "main axis 1")
        self.plot.setLabel("left", "main axis 2")
        self.legend = words()
        tip = "A click on a row goes to the object"
        self.objects = named(read_only_table(_ROWS), "objects", tip)
        self.objects.itemSelectionChanged.connect(self._tell)
        self.table = named(read_only_table(_ROWS), "figures", "The figures")
        return together(
            self.statement,
            self.guard,
            self.objects,
            self.table,
            self.legend,
            self.plot,
            self.said,
        )

    # --- what is shown ------------------------------------------------------------
    def show_question(self, columns: Mapping[str, Array]) -> None:
        """Show what the question takes."""
        question = self.question.currentText()
        self.what.setText(questions()[question].description)
        self.form.show_question(question, columns)
        self.naming.setVisible(question == "teach")

    def show_running(self, on: bool) -> None:
        """Show what can be done while it is asked, or while nothing is."""
        for one in (self.question, self.form, self.naming, self.more, self.ask):
            one.setEnabled(not on)
        self.cancel.setVisible(on)

    def show_finding(
        self, finding: Finding | None, called: Callable[[int], str] = str
    ) -> None:
        """Show an answer, or none; ``called`` tells what the object of a row is."""
        self.answer.setVisible(finding is not None)
        self.keep.setEnabled(finding is not None and bool(finding.columns))
        self.copy.setEnabled(finding is not None)
        if finding is None:
            return
        guard = finding.guard
        self.statement.setText(finding.statement)
        word = "passed" if guard.passed else "refused"
        word = word if guard.checked else "has nothing to check"
        colour = _PASSED if guard.passed else _REFUSED
        told = guard.why in finding.statement  # a refusal says why by itself
        self.guard.setText(f"Guard {word}." if told else f"Guard {word}: {guard.why}.")
        self.guard.setStyleSheet(f"color: {colour if guard.checked else GREY};")
        self.said.setText("\n".join(finding.said))
        objects = [row for row in finding.table if _OBJECT in row]
        others = [row for row in finding.table if _OBJECT not in row]
        self._show_rows(self.objects, objects, called)
        self._show_rows(self.table, others, called)
        self._draw(finding.plot)

    def _show_rows(
        self,
        table: Any,
        rows: Sequence[Mapping[str, Any]],
        called: Callable[[int], str],
    ) -> None:
        names = [*dict.fromkeys(name for row in rows for name in row)]
        table.setVisible(bool(rows))
        table.clear()
        table.setColumnCount(len(names))
        heads = ["object" if name == _OBJECT else name for name in names]
        table.setHorizontalHeaderLabels(heads)
        table.setRowCount(len(rows))
        for i, row in enumerate(rows):
            for j, name in enumerate(names):
                value = row.get(name, "")
                item = QTableWidgetItem(str(value))
                if name == _OBJECT and name in row:
                    item.setText(called(value))
                    item.setData(Qt.ItemDataRole.UserRole, value)
                table.setItem(i, j, item)

    def _draw(self, plot: Mapping[str, Array]) -> None:
        """Some thousand objects along their main axes, coloured by what is asked."""
        for one in (self.plot, self.legend):
            one.setVisible("x" in plot)
        if "x" not in plot:
            return
        rows = slice(None, None, max(1, len(plot["x"]) // _DRAWN))
        of = next((name for name in plot if name not in "xy"), None)
        shades = np.full((len(plot["x"][rows]), 4), 0.5)
        if of is not None:
            shades = colours(plot[of][rows], False)
        brushes = [pg.mkBrush(*(255 * one).astype(int)) for one in shades]
        self.dots.setData(plot["x"][rows], plot["y"][rows], brush=brushes)
        self.legend.setText(f"Objects, coloured by {of}:" if of else "Objects:")

    def _tell(self) -> None:
        """Tell which object's row is clicked."""
        for item in self.objects.selectedItems():
            row = item.data(Qt.ItemDataRole.UserRole)
            if row is not None:
                self.chosen.emit(row)
