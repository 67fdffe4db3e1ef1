"""What can be chosen about a study, from top to bottom in the order of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt, QUrl
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.batch.overview import Overview
from napari_disentangle._qt.window.parts import (
    Message,
    QuietWheel,
    Section,
    column,
    flow,
    named,
    words,
)
from napari_disentangle.study.scan import Item
from napari_disentangle.study.study import Study

ALL, PATTERN, NONE = "all are alike", "a pattern in the path ...", "none"
# The column that a pattern is read into.
READ_OFF = "batch"
_FORMATS = {"as the images are": None, "OME-TIFF": ".ome.tif", "OME-Zarr": ".ome.zarr"}
_LISTED = 4
_NARROW, _WIDE, _HIGH, _MAP = 280, 420, 800, 230


def button(text: str, tip: str) -> QPushButton:
    """A button with a tooltip and a name that is read out."""
    made = named(QPushButton(text), text, tip)
    made.setAutoDefault(False)
    return made


class BatchPanel(QWidget):  # type: ignore[misc]
    """Folder, groups, controls, run, images, report."""

    def __init__(self) -> None:
        super().__init__()
        self.path = named(
            QLineEdit(), "path", "A folder of images, a plate, a table or a recipe"
        )
        self.path.setPlaceholderText("Type, paste or drop a folder, and press Enter")
        self.source = words("Choose a folder of images, a plate, a table or a recipe.")
        self._choices()
        self._buttons()
        self.bar, self.left = QProgressBar(), words()
        self.message = Message()
        self.overview = Overview()
        self._wheel = QuietWheel()
        self._lay_out()
        self.show_running(False)
        self.show_study(None, [])

    def _choices(self) -> None:
        self.group = named(QComboBox(), "alike", "Which images were taken alike")
        self.pattern = named(
            QLineEdit(), "pattern", "A regular expression; what is in () is the group"
        )
        self.pattern.setPlaceholderText(r"what is in () counts: _([a-z]+)\.tif")
        self.groups = words()
        self.control = named(
            QComboBox(), "controls", "Column that tells which images are controls"
        )
        self.values = named(
            QLineEdit(), "values of controls", "For example: A01, B*; * stands for all"
        )
        self.controls = words()
        self.biology = named(
            QComboBox(), "biology", "What must stay, for the report: treatment, ..."
        )
        self.singly = QCheckBox("match every image by itself")
        named(self.singly, "every image by itself", "Also removes what treatments do")
        self.replace = QCheckBox("replace earlier results")
        named(self.replace, "replace", "Also those of other groups or controls")
        self.format = named(QComboBox(), "file format", "Files that are written")
        self.format.addItems(_FORMATS)
        self.target = named(QLineEdit(), "results in", "The folder that results go to")
        self.more = Section(
            "More",
            "Biology, single images, file format",
            ("biology by", self.biology),
            self.singly,
            ("file format", self.format),
        )

    def _buttons(self) -> None:
        self.choose = button("Folder or plate ...", "Images that belong together")
        self.recipe = button(
            "Recipe or table ...", "Run a recipe (YAML), or the images of a table"
        )
        self.selected = button(
            "Use selected as controls", "The wells or images that are selected below"
        )
        self.preview = button("Preview", "Show images of three groups before and after")
        self.run = button("Run", "Write all images; what is done already is kept")
        self.cancel = button("Cancel", "Stop; what is done is kept")
        self.report = button("Open report", "The page about the whole study")

    def _lay_out(self) -> None:
        self.chosen = QWidget()
        column(
            self.chosen,
            ("alike by", self.group),
            self.pattern,
            self.groups,
            ("controls by", self.control),
            self.values,
            self.controls,
            ("results in", self.target),
            self.more,
            self.replace,
            flow(self.preview, self.run, self.cancel, self.report),
            self.bar,
            self.left,
        )
        inner = QWidget()
        rows = QVBoxLayout(inner)
        rows.addWidget(flow(self.choose, self.recipe))
        for part in (self.path, self.source, self.chosen, self.message, self.selected):
            rows.addWidget(part)
        rows.addWidget(self.overview, 1)
        rows.addStretch()
        self.overview.setMinimumHeight(_MAP)
        self._wheel.watch(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(_scrolled(inner))

    def showEvent(self, event: Any) -> None:
        """Let a path be typed or pasted at once."""
        super().showEvent(event)
        if not event.spontaneous():  # not when the window comes back to the screen
            self.path.setFocus()

    def sizeHint(self) -> QSize:
        """As wide as names of images need."""
        return QSize(_WIDE, _HIGH)

    # --- what is shown ------------------------------------------------------------
    def show_study(self, study: Study | None, items: Sequence[Item]) -> None:
        """Show a study that was chosen just now; nothing if there is none."""
        for part in (self.chosen, self.overview, self.selected):
            part.setVisible(study is not None)
        if study is None:
            return
        columns = _columns(items)
        _fill(self.group, [ALL, *columns, PATTERN], study.group or ALL)
        self.pattern.setText(study.labels.get(READ_OFF, ""))
        known = next(iter(study.controls), None)
        _fill(self.control, [NONE, *columns], known or NONE)
        self.values.setText(", ".join(study.controls[known]) if known else "")
        _fill(self.biology, [NONE, *columns], study.biology or NONE)
        for box in (self.group, self.control, self.biology):
            _tell_values(box, items)
        self.singly.setChecked(study.look == "image")
        if study.biology or self.singly.isChecked():
            self.more.open()
        self.target.setText(str(study.target))
        formats = {suffix: name for name, suffix in _FORMATS.items()}
        self.format.setCurrentText(formats.get(study.suffix, next(iter(_FORMATS))))
        self.show_items(items)

    def show_items(self, items: Sequence[Item]) -> None:
        """Show images with their groups and controls."""
        self.pattern.setVisible(self.group.currentText() == PATTERN)
        self.values.setVisible(self.control.currentText() != NONE)
        self.groups.setText(_told(items))
        self.controls.setText(_controls(items, self.control.currentText() != NONE))
        asked = self.control.currentText() != NONE and bool(self.values.text().strip())
        self.overview.show_items(items, asked)

    def show_running(self, on: bool) -> None:
        """Show what can be done while it runs, or while nothing does."""
        for part in (self.path, self.choose, self.recipe, self.preview, self.run):
            part.setEnabled(not on)
        for part in (self.group, self.pattern, self.control, self.values, self.more):
            part.setEnabled(not on)
        for part in (self.target, self.replace, self.report, self.selected):
            part.setEnabled(not on)
        for part in (self.cancel, self.bar, self.left):
            part.setVisible(on)

    def show_progress(self, done: int, total: int, left: str) -> None:
        """Show how far it is."""
        self.bar.setMaximum(total)
        self.bar.setValue(done)
        self.left.setText(left)

    # --- what is chosen -----------------------------------------------------------
    def said_path(self) -> str:
        """The path that was typed or dropped."""
        text = self.path.text().strip().strip("\"'")
        return str(QUrl(text).toLocalFile() if text.startswith("file:") else text)

    def said(self, study: Study) -> Study:
        """The study as it is chosen here.

        Raises
        ------
        RecipeError
            If the pattern is none.
        """
        group, labels = self.group.currentText(), dict(study.labels)
        if group == PATTERN:
            labels[READ_OFF] = self.pattern.text()
        column = self.control.currentText()
        values = tuple(v.strip() for v in self.values.text().split(",") if v.strip())
        changed = study.to_json() | {
            "labels": labels,
            "group": {ALL: None, PATTERN: READ_OFF}.get(group, group),
            "controls": {column: values} if column != NONE and values else {},
            "biology": _column(self.biology),
            "folder": _folder(study, self.target.text().strip()),
            "look": "image" if self.singly.isChecked() else "group",
            "suffix": _FORMATS[self.format.currentText()],
        }
        return Study.from_json(changed).at(study.root)


def _scrolled(inner: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    area.setMinimumWidth(_NARROW)
    return area


def _columns(items: Sequence[Item]) -> list[str]:
    """Columns that tell some images apart, or the only ones there are."""
    known = dict.fromkeys(name for item in items for name in item.labels)
    return [n for n in known if len({item.labels.get(n, "") for item in items}) > 1]


def _folder(study: Study, text: str) -> str:
    """The folder of results; a name alone is that of one beside the present one."""
    if text in ("", str(study.target)):
        return study.folder
    return str(study.target.parent / Path(text).expanduser())


def _column(box: QComboBox) -> str | None:
    return None if box.currentText() == NONE else box.currentText()


def _fill(box: QComboBox, texts: Iterable[str], chosen: str) -> None:
    box.blockSignals(True)
    box.clear()
    box.addItems(list(dict.fromkeys([*texts, chosen])))
    box.setCurrentText(chosen)
    box.blockSignals(False)


def _tell_values(box: QComboBox, items: Sequence[Item]) -> None:
    """Say of every column what it tells, where the mouse rests on it."""
    for i in range(box.count()):
        values = dict.fromkeys(item.labels.get(box.itemText(i), "") for item in items)
        some = [value for value in values if value]
        more = ", ..." if len(some) > _LISTED else ""
        tip = ", ".join(some[:_LISTED]) + more
        box.setItemData(i, tip, Qt.ItemDataRole.ToolTipRole)


def _told(items: Sequence[Item]) -> str:
    """The groups with an example each."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    lines = [
        f"{group or 'no name'}: {len(own)} images, such as {own[0].short}"
        for group, own in [*groups.items()][:_LISTED]
    ]
    more = f"\nand {len(groups) - _LISTED} more groups" if len(groups) > _LISTED else ""
    count = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
    return f"{len(items)} images in {count}\n" + "\n".join(lines) + more


def _controls(items: Sequence[Item], asked: bool) -> str:
    if not asked:
        return ""
    groups = {item.group for item in items}
    having = {item.group for item in items if item.control}
    n = sum(item.control for item in items)
    if n == len(items):
        return "Say which values controls have, e.g. A01, B*, or select them below."
    lacking = len(groups) - len(having)
    more = f"; {lacking} groups have none and will fail" if lacking else ""
    return f"{n} controls in {len(having)} of {len(groups)} groups{more}"
