"""The tab "Ask": a question to the tables of the layers, and its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QApplication, QFileDialog, QVBoxLayout, QWidget

from napari_disentangle._qt.ask.panel import AskPanel
from napari_disentangle._qt.ask.tables import (
    NAMES,
    Gathered,
    apart,
    gathered,
    image_of,
    put,
    read_file,
    read_names,
    spread,
    with_tables,
)
from napari_disentangle._qt.objects import colours
from napari_disentangle._qt.runs.worker import Steps, StepWorker
from napari_disentangle._qt.window.plan import said
from napari_disentangle._qt.window.sight import follow_clicks, look_at
from napari_disentangle.asking.ask import ask_steps
from napari_disentangle.asking.columns import text_of
from napari_disentangle.asking.finding import Finding
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.arrays import Array

if TYPE_CHECKING:
    import napari

_LISTED = 3


class AskWidget(QWidget):  # type: ignore[misc]
    """Ask the tables of all Labels layers that are seen.

    Parameters
    ----------
    viewer
        The viewer whose layers are used.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer, self.panel = viewer, AskPanel()
        self.finding: Finding | None = None
        # Of the answer: the tables, the question and its options; how many were asked.
        self._asked: tuple[Gathered, str, dict[str, Any]] | None = None
        self._questions: dict[tuple[int, ...], set[str]] = {}
        self._next: tuple[Gathered, str, dict[str, Any]] | None = None
        self._worker: StepWorker | None = None
        self._undo: list[Callable[[], None]] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._connect()
        self.refresh()

    def _connect(self) -> None:
        panel, events = self.panel, self.viewer.layers.events
        for event in (events.inserted, events.removed):
            event.connect(self._layers_changed)
        panel.question.currentTextChanged.connect(self.refresh)
        panel.ask.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.keep.clicked.connect(self.keep)
        panel.undo.clicked.connect(self.undo)
        panel.copy.clicked.connect(self.copy_python)
        panel.name_it.clicked.connect(self.name_selected)
        panel.add.clicked.connect(self.add_from_names)
        panel.join.clicked.connect(self._ask_file)
        panel.pattern.textChanged.connect(self._preview)
        panel.chosen.connect(self.go_to)

    @property
    def running(self) -> bool:
        """Whether a question is being answered."""
        return self._worker is not None

    # --- what is asked ------------------------------------------------------------
    def _layers_changed(self, event: Any = None) -> None:
        """Look at all tables only where somebody does."""
        if self.isVisible():
            self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Show the tables that are there now."""
        layers = with_tables(self.viewer.layers)
        columns: Mapping[str, Array] = {}
        text = "No table yet: find and code objects in the tab Find, or open labels."
        if layers:
            with said(self._say):
                table = gathered(layers)
                columns = table.columns
                listed = ", ".join(layer.name for layer in layers[:_LISTED])
                more = f" and {len(layers) - _LISTED} more" * (len(layers) > _LISTED)
                text = f"{len(table)} objects of {listed}{more}"
                lost = apart(layers)
                if lost:
                    text += f"; not asked, for not all have it: {', '.join(lost[:5])}"
                for layer in layers:
                    follow_clicks(layer, self._selected)
        self.panel.tables.setText(text)
        self.panel.show_question(columns)
        self._show_names(columns)
        self.panel.undo.setEnabled(bool(self._undo))

    def _show_names(self, columns: Mapping[str, Array]) -> None:
        names = map(text_of, columns.get(NAMES, ()))
        counts = Counter(name for name in names if name)
        told = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
        start = "Click an object in the picture, give it a name; two names are needed."
        self.panel.names.setText(f"Named: {told}" if told else start)

    def _table(self) -> Gathered:
        return gathered(with_tables(self.viewer.layers))

    def start(self) -> None:
        """Ask (the button)."""
        self.refresh()
        self.finding = None
        self.panel.show_finding(None)
        self.panel.message.clear()
        with said(self._say):
            question = self.panel.question.currentText()
            table, options = self._table(), self.panel.form.options(question)
            if question == "teach" and not any(map(text_of, table.columns[NAMES])):
                raise DataError(
                    "Name some objects first: click one, and press Name it."
                )
            self._next = (table, question, options)
            asked = len(self._counted(table) | {_called(question, options)})
            asking = partial(ask_steps, question, dict(table.columns), **options)
            self._begin(partial(asking, asked=asked))

    def _counted(self, table: Gathered) -> set[str]:
        """Questions that these tables answered."""
        return self._questions.setdefault(tuple(map(id, table.layers)), set())

    def _begin(self, asking: Callable[[], Steps]) -> None:
        self.panel.show_running(True)
        worker = StepWorker(asking)
        worker.yielded.connect(partial(self._step, worker))
        worker.errored.connect(partial(self._broken, worker))
        worker.finished.connect(partial(self._ended, worker))
        self.destroyed.connect(worker.quit)
        self._worker = worker
        worker.start()

    def cancel(self) -> None:
        """Cancel (the button)."""
        if self._worker is not None:
            self._worker.quit()
            self._ended(self._worker)
            self._say("Cancelled.")

    def _step(self, worker: StepWorker, step: Any) -> None:
        if worker is self._worker and isinstance(step, Finding):
            assert self._next is not None
            self.finding, self._asked = step, self._next
            self._counted(self._asked[0]).add(_called(*self._asked[1:]))
            self.panel.show_finding(step, self._object)

    def _object(self, row: int) -> str:
        assert self._asked is not None
        layer, label = self._asked[0].place(row)
        return f"{image_of(layer)} {label}"

    def _broken(self, worker: StepWorker, error: Exception) -> None:
        if worker is not self._worker:
            return
        known = isinstance(error, (DisentangleError, ValueError))
        self._say(str(error) if known else f"{type(error).__name__}: {error}")

    def _ended(self, worker: StepWorker) -> None:
        if worker is self._worker:
            self._worker = None
            self.panel.show_running(False)

    def _say(self, *lines: str) -> None:
        self.panel.message.say(lines)

    # --- what was found -----------------------------------------------------------
    def keep(self) -> None:
        """Keep as columns (the button)."""
        with said(self._say):
            table, _, _ = self._known()
            assert self.finding is not None
            columns = self.finding.columns
            self._change(table, columns)
            name = next(iter(columns))
            colours.show_all(self.viewer, table.layers, name)
            self._say(f"Kept: {', '.join(columns)}; objects are coloured by {name}.")

    def _known(self) -> tuple[Gathered, str, dict[str, Any]]:
        assert self._asked is not None
        gone = [
            one.name for one in self._asked[0].layers if one not in self.viewer.layers
        ]
        if gone:
            raise DataError(f"{gone[0]!r} was removed: ask again.")
        if not self._asked[0].unchanged:
            raise DataError("Objects were added or removed since: ask again.")
        return self._asked

    def _change(self, table: Gathered, columns: Mapping[str, Array]) -> None:
        """Put columns into the tables, so that it can be taken back."""
        sizes = {len(np.asarray(values)) for values in columns.values()}
        if sizes != {len(table)}:
            raise DataError("Objects were added or removed since: ask again.")
        maps = [(layer, layer.colormap) for layer in table.layers]
        restore = put(table, columns)

        def back() -> None:
            restore()
            colours.restore(self.viewer, maps)

        self._undo.append(back)
        self.refresh()

    def undo(self) -> None:
        """Undo (the button)."""
        self._undo.pop()()
        self.panel.message.clear()
        self.refresh()

    def go_to(self, row: int) -> None:
        """Select an object, and move the view there."""
        with said(self._say):
            layer, label = self._known()[0].place(row)
            layer.selected_label = label
            self.viewer.layers.selection.active = layer
            there = np.argwhere(np.asarray(layer.data) == label)
            if len(there):
                look_at(self.viewer, np.asarray(layer.data_to_world(there.mean(0))))

    def copy_python(self) -> None:
        """Copy as Python (the button)."""
        with said(self._say):
            table, question, options = self._known()
            n = len(self._counted(table))
            asked = {"asked": n} if n > 1 else {}
            code = python_code(table, question, options | asked)
            QApplication.clipboard().setText(code)
            self._say("Copied: paste it into napari's console.")

    # --- names of objects and of images ---------------------------------------------
    def name_selected(self) -> None:
        """Name it (the button)."""
        with said(self._say):
            name, layer = (
                self.panel.name.text().strip(),
                self.viewer.layers.selection.active,
            )
            table = self._table()
            if not name:
                raise DataError("Type what the object is, such as 'mitotic'.")
            if layer not in table.layers:
                raise DataError("Select the Labels layer, and an object in it.")
            named = np.array(table.columns.get(NAMES, len(table) * [""]), object)
            labels = table.columns["index"]
            # napari hands out layers in wrappers, which are equal but not the same
            own = [layer == one for one, part in table.parts(named) for _ in part]
            row = np.flatnonzero(np.array(own) & (labels == layer.selected_label))
            if not len(row):
                raise DataError(f"{layer.selected_label} is no object of this table.")
            named[row] = name
            self.panel.message.clear()
            self._change(table, {NAMES: named})

    def _selected(self, event: Any) -> None:
        """Name the layer in which an object was selected."""
        self.viewer.layers.selection.active = event.source

    def _images(self) -> list[str]:
        return [image_of(layer) for layer in with_tables(self.viewer.layers)]

    def _preview(self, pattern: str) -> None:
        """Show what a pattern reads off the first name."""
        images = self._images()
        if not images:
            return
        try:
            found = read_names(pattern, images)
            first = ", ".join(f"{name} = {values[0]}" for name, values in found.items())
            self.panel.read.setText(f"{images[0]}: {first}")
        except DataError as error:
            self.panel.read.setText(str(error) if pattern else "")

    def add_from_names(self) -> None:
        """Add from names (the button)."""
        with said(self._say):
            table = self._table()
            known = read_names(self.panel.pattern.text(), self._images())
            self._change(table, spread(table, known))
            self._say(f"Added: {', '.join(known)}.")

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Join CSV", "", "Tables (*.csv)")
        if path:
            self.join(path)

    def join(self, path: str) -> None:
        """Add the columns of a table with a row for every image."""
        with said(self._say):
            table, known = self._table(), read_file(Path(path), self._images())
            self._change(table, spread(table, known))
            self._say(f"Added: {', '.join(known)}.")


def _called(question: str, options: Mapping[str, Any]) -> str:
    """What tells one question from another."""
    return f"{question} {sorted(options.items(), key=str)}"


def python_code(table: Gathered, question: str, options: Mapping[str, Any]) -> str:
    """A script for napari's console that asks the same."""
    images = {layer.name: image_of(layer) for layer in table.layers}
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    lines = [
        "import pandas as pd",
        "import napari_disentangle as nd",
        "",
        f"images = {images!r}",
        "tables = [",
        "    viewer.layers[name].features.assign(image=image)",
        "    for name, image in images.items()",
        "]",
        "table = pd.concat(tables, join='inner')",
        f"finding = nd.ask({question!r}, table{given})",
        "print(finding.statement)",
    ]
    return "\n".join(lines) + "\n"
