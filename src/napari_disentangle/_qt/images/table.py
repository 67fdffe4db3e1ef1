"""The table of images: which take part, their batches, and what each is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from qtpy.QtCore import QEvent, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_disentangle._qt.window.parts import named
from napari_disentangle.layers.style import same
from napari_disentangle.study.batches import colour, proposed

NAME, BATCH, ROLE = range(3)
IMAGE, REFERENCE, NORMAL = "image", "reference", "normal"
ROLES = {IMAGE: "image", REFERENCE: "reference look", NORMAL: "normal"}
_TIPS = (
    "The layers that take part; the thumbnail is napari's",
    "Images of one batch were prepared and taken alike, and share a look. "
    "Double-click to write the name of a batch; empty: the image is its own",
    "What an image is for: to get a result, to give the look, or to show what is "
    "normal",
)
_ICON, _ROWS = 22, 6
# In a table the margins that napari gives a box would leave no room for its text.
_SLIM = """
QComboBox {padding: 0px 0px 0px 4px;}
QComboBox::drop-down {width: 12px;}
QComboBox::down-arrow {width: 8px; height: 8px;}
"""
_OUTER = 8


@dataclass(eq=False)
class _Row:
    """What is known of a layer: what a person said of it, or what was proposed."""

    layer: Any
    checked: bool = True
    batch: str = ""
    said: bool = False
    roles: dict[str, str] = field(default_factory=dict)


class ImageTable(QTableWidget):  # type: ignore[misc]
    """Image layers with check box, thumbnail, name, batch and role.

    ``changed`` tells of every change that a person or a program makes.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__(0, 3)
        self._rows: list[_Row] = []
        self._task = ""
        self._offered: tuple[str, ...] = (IMAGE,)
        self._by_hand = False
        named(self, "Images", "Check what takes part")
        self.setHorizontalHeaderLabels(["image", "batch", "role"])
        for place, tip in enumerate(_TIPS):
            self.horizontalHeaderItem(place).setToolTip(tip)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self._set_widths()
        self.verticalHeader().hide()
        self.setIconSize(QSize(_ICON, _ICON))
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(self._item_changed)
        self._fit_height()

    def _set_widths(self) -> None:
        """Leave the name what the others do not need."""
        text = self.fontMetrics().horizontalAdvance
        self.setColumnWidth(BATCH, text("batch") + 2 * _OUTER)
        self.setColumnWidth(ROLE, text("reference look") + 3 * _OUTER)

    def changeEvent(self, event: Any) -> None:
        """Follow the size of letters."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._set_widths()
            self._fit_height()

    # --- which layers -------------------------------------------------------------
    def show_layers(self, layers: Iterable[Any]) -> None:
        """List these layers; what was said of those that stay is kept."""
        known = {row.layer.unique_id: row for row in self._rows}
        self._rows = [
            known.get(layer.unique_id) or _Row(layer, not self._by_hand)
            for layer in layers
        ]
        if not self._rows:
            self._by_hand = False
        self._propose_batches()
        self._fill()

    def propose_again(self) -> None:
        """Fill in batches as if nobody had written any."""
        for row in self._rows:
            row.said = False
        self._propose_batches()
        self._fill()
        self.changed.emit()

    def _propose_batches(self) -> None:
        """Fill in batches, unless a person has written one."""
        if any(row.said for row in self._rows):
            return
        layers = [row.layer for row in self._rows]
        paths = [getattr(layer.source, "path", None) for layer in layers]
        found = proposed(
            [layer.name for layer in layers],
            [str(PurePath(path).parent) if path else None for path in paths],
            [layer.metadata.get("batch") for layer in layers],
        )
        for row, batch in zip(self._rows, found, strict=True):
            row.batch = batch

    def layers(self) -> list[Any]:
        """All that are listed."""
        return [row.layer for row in self._rows]

    def checked(self) -> list[Any]:
        """The checked layers, in the order of the table."""
        return [row.layer for row in self._rows if row.checked]

    def selected(self) -> list[Any]:
        """Layers of the selected rows."""
        rows = {index.row() for index in self.selectedIndexes()}
        return [self._rows[i].layer for i in sorted(rows)]

    def check(self, layers: Sequence[Any]) -> None:
        """Check these layers and no others."""
        for row in self._rows:
            row.checked = any(same(row.layer, one) for one in layers)
        self._by_hand = True
        self._fill()
        self.changed.emit()

    def check_shown(self, on: bool) -> None:
        """Check or uncheck all that the filter leaves."""
        for place, row in enumerate(self._rows):
            if not self.isRowHidden(place):
                row.checked = on
        self._by_hand = True
        self._fill()
        self.changed.emit()

    def filter(self, text: str) -> None:
        """Show only rows whose name or batch has this text."""
        for place, row in enumerate(self._rows):
            whole = f"{row.layer.name} {row.batch}".lower()
            self.setRowHidden(place, text.lower() not in whole)

    # --- batches and roles --------------------------------------------------------
    def batch(self, layer: Any) -> str:
        """Name of the batch of a layer; empty if it is its own."""
        return self._row(layer).batch

    def role(self, layer: Any) -> str:
        """What a layer is for, in the job at hand."""
        return self._row(layer).roles.get(self._task, IMAGE)

    def set_batch(self, layers: Iterable[Any], batch: str) -> None:
        """Say that layers are of a batch."""
        for layer in layers:
            row = self._row(layer)
            row.batch, row.said = batch.strip(), True
        self._fill()
        self.changed.emit()

    def set_role(self, layers: Iterable[Any], role: str) -> None:
        """Say what layers are for."""
        for layer in layers:
            self._row(layer).roles[self._task] = role
        self._fill()
        self.changed.emit()

    def show_task(self, task: str, roles: tuple[str, ...]) -> None:
        """Offer the roles of a job; each job has its own."""
        self._task, self._offered = task, roles
        self._fill()
        self.changed.emit()

    def roles_said(self) -> bool:
        """Whether any image has been given a role in the job at hand."""
        return any(self._task in row.roles for row in self._rows)

    def _row(self, layer: Any) -> _Row:
        return next(row for row in self._rows if same(row.layer, layer))

    # --- what is shown ------------------------------------------------------------
    def _fill(self) -> None:
        with QSignalBlocker(self):
            self.setRowCount(len(self._rows))
            batches = [row.batch for row in self._rows]
            for place, row in enumerate(self._rows):
                self.setItem(place, NAME, _name_item(row))
                self.setItem(place, BATCH, _batch_item(row, batches))
                self._put_role(place, row)
        self._fit_height()

    def _put_role(self, place: int, row: _Row) -> None:
        box = self.cellWidget(place, ROLE)
        if box is None:
            box = _RoleBox()
            box.activated.connect(lambda _, box=box: self._role_said(box))
            self.setCellWidget(place, ROLE, box)
        role = row.roles.get(self._task, IMAGE)
        box.show_roles(self._offered, role, row.layer.name)

    def _role_said(self, box: QComboBox) -> None:
        place = next(
            i for i in range(self.rowCount()) if self.cellWidget(i, ROLE) is box
        )
        self._rows[place].roles[self._task] = box.currentData()
        self.changed.emit()

    def _item_changed(self, item: QTableWidgetItem) -> None:
        row = self._rows[item.row()]
        if item.column() == NAME:
            row.checked = item.checkState() == Qt.CheckState.Checked
            self._by_hand = True
        elif item.column() == BATCH:
            row.batch, row.said = item.text().strip(), True
            self._fill()
        self.changed.emit()

    def _fit_height(self) -> None:
        rows = min(max(self.rowCount(), 1), _ROWS)
        height = max(self.fontMetrics().height() + _OUTER, _ICON + 4)
        self.verticalHeader().setDefaultSectionSize(height)
        self.setFixedHeight(rows * height + self.horizontalHeader().height() + _OUTER)


class _RoleBox(QComboBox):  # type: ignore[misc]
    """What one image is for."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setStyleSheet(_SLIM)

    def show_roles(self, roles: Sequence[str], role: str, name: str) -> None:
        """Offer these roles for an image of this name."""
        with QSignalBlocker(self):
            self.clear()
            for one in roles:
                self.addItem(ROLES[one], one)
            self.setCurrentIndex(list(roles).index(role))
        named(self, f"role of {name}", _TIPS[ROLE])

    def wheelEvent(self, event: Any) -> None:
        """Let the table scroll."""
        event.ignore()


def _name_item(row: _Row) -> QTableWidgetItem:
    item = QTableWidgetItem(_thumbnail(row.layer), row.layer.name)
    item.setFlags(
        Qt.ItemFlag.ItemIsEnabled
        | Qt.ItemFlag.ItemIsSelectable
        | Qt.ItemFlag.ItemIsUserCheckable
    )
    on, off = Qt.CheckState.Checked, Qt.CheckState.Unchecked
    item.setCheckState(on if row.checked else off)
    item.setToolTip(row.layer.name)
    return item


def _batch_item(row: _Row, batches: Sequence[str]) -> QTableWidgetItem:
    item = QTableWidgetItem(row.batch)
    item.setToolTip(_TIPS[BATCH])
    if row.batch:
        chip = QPixmap(_OUTER, _OUTER)
        chip.fill(QColor(colour(row.batch, batches)))
        item.setIcon(QIcon(chip))
    return item


def _thumbnail(layer: Any) -> QIcon:
    pixels = layer.thumbnail
    height, width, _ = pixels.shape
    kind = QImage.Format.Format_RGBA8888
    image = QImage(pixels.tobytes(), width, height, 4 * width, kind)
    return QIcon(QPixmap.fromImage(image.copy()))
