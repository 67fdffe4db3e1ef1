"""Small parts that the window is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QSlider,
    QTableWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from napari_disentangle._qt.window.wording import in_the_window

_MARGIN = 4
# After the last change of a layout.
_CALM_MS = 80
# That a box shows at least.
_LETTERS = 6


def words(text: str = "") -> QLabel:
    """A text of several lines, which can be selected."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setMinimumWidth(1)
    return label


def named(widget: Any, name: str, tip: str = "") -> Any:
    """Give a control a name that is read out, and a tooltip."""
    widget.setAccessibleName(name)
    widget.setToolTip(tip or name)
    return widget


def row(*widgets: QWidget) -> QHBoxLayout:
    """Widgets side by side."""
    line = QHBoxLayout()
    line.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        line.addWidget(widget)
    return line


def flow(*widgets: QWidget) -> QWidget:
    """Widgets side by side as far as there is room, the others below."""
    group = QWidget()
    places = QFlowLayout(group)
    places.setContentsMargins(0, 0, 0, 0)
    places.setSpacing(_MARGIN)
    for widget in widgets:
        places.addWidget(widget)
    return group


def column(parent: QWidget, *parts: Any) -> QFormLayout:
    """Stack widgets and layouts in a widget; pairs become a labelled row.

    A row that is too narrow for both goes below its label.
    """
    form = QFormLayout(parent)
    form.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    for part in parts:
        form.addRow(*part) if isinstance(part, tuple) else form.addRow(part)
    return form


def together(*parts: Any) -> QWidget:
    """Widgets and layouts below each other, as one widget."""
    group = QWidget()
    column(group, *parts).setContentsMargins(0, 0, 0, 0)
    return group


def read_only_table(rows: int) -> QTableWidget:
    """A table of whole rows that are chosen, one at a time; so many are seen."""
    table = QTableWidget()
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.verticalHeader().hide()
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    height = table.fontMetrics().height() + 6
    table.verticalHeader().setDefaultSectionSize(height)
    table.setMinimumHeight((rows + 1) * height)
    return table


class Settling(QObject):  # type: ignore[misc]
    """Lays a widget out once more where texts in it are cut.

    Qt keeps heights that texts had before a bar for scrolling took room, or before
    they changed.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget, self._tried = widget, (0, 0)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._settle)
        widget.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Look once all is in its place."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._later.start(_CALM_MS)
        return False

    def _settle(self) -> None:
        texts = [one for one in self._widget.findChildren(QLabel) if one.isVisible()]
        cut = [one for one in texts if one.height() < one.heightForWidth(one.width())]
        seen = (self._widget.width(), self._widget.height())
        if cut and seen != self._tried:
            self._tried = seen
            for one in cut:
                lay_out(one.parentWidget(), self._widget)
        elif not cut:
            self._tried = (0, 0)


def lay_out(widget: QWidget, around: QWidget) -> None:
    """Lay a widget and what it is in out anew."""
    while widget is not None and widget is not around.parentWidget():
        if widget.layout() is not None:
            widget.layout().invalidate()
            widget.layout().activate()
        widget = widget.parentWidget()


class Section(QWidget):  # type: ignore[misc]
    """A titled part that opens and closes; nothing in a closed one takes focus."""

    toggled = Signal(bool)

    def __init__(self, title: str, tip: str, *parts: Any) -> None:
        super().__init__()
        self.button = named(QToolButton(), title, tip)
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setAutoRaise(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed
        )
        self.content = QWidget()
        column(self.content, *parts)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(0)
        rows.addWidget(self.button)
        rows.addWidget(self.content)
        self.button.toggled.connect(self._show)
        self._show(False)

    def open(self) -> None:
        """Show what is inside."""
        self.button.setChecked(True)

    def _show(self, on: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow
        self.button.setArrowType(arrow)
        self.content.setVisible(on)
        self.toggled.emit(on)


class QuietWheel(QObject):  # type: ignore[misc]
    """Lets the wheel scroll the panel, unless an input has the focus."""

    def watch(self, parent: QWidget) -> None:
        """Watch all inputs inside of a widget."""
        for kind in (QComboBox, QAbstractSpinBox, QSlider):
            for widget in parent.findChildren(kind):
                if isinstance(widget, QComboBox):
                    _may_shrink(widget)
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                widget.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Ignore a wheel that nobody aimed."""
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def _may_shrink(box: QComboBox) -> None:
    """Let a box be narrower than its longest text."""
    fixed = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    box.setSizeAdjustPolicy(fixed)
    box.setMinimumContentsLength(_LETTERS)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class Message(QWidget):  # type: ignore[misc]
    """The one place of messages: a short line, and the rest for who asks why."""

    def __init__(self) -> None:
        super().__init__()
        self.short, self.rest = words(), words()
        self.why = named(QToolButton(), "Why?", "Show or hide the rest of the message")
        self.why.setText("Why?")
        self.why.setCheckable(True)
        self.why.setAutoRaise(True)
        self.why.toggled.connect(self.rest.setVisible)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        first = row(self.short, self.why)
        first.setStretch(0, 1)
        rows.addLayout(first)
        rows.addWidget(self.rest)
        self.clear()

    @property
    def lines(self) -> list[str]:
        """All that is said."""
        return [line for line in (self.short.text(), *self._more()) if line]

    def text(self) -> str:
        """All that is said, as one text."""
        return "\n".join(self.lines)

    def clear(self) -> None:
        """Say nothing."""
        self.say([])

    def say(self, lines: Iterable[str]) -> None:
        """Say this: the first line at once, the others on demand."""
        fresh = list(dict.fromkeys(map(in_the_window, lines)))
        self.short.setText(fresh[0] if fresh else "")
        self.rest.setText("\n".join(fresh[1:]))
        self.why.setVisible(len(fresh) > 1)
        self.why.setChecked(False)
        self.rest.setVisible(False)
        self.setVisible(bool(fresh))

    def add(self, lines: Iterable[str]) -> None:
        """Say this as well."""
        self.say([*self.lines, *lines])

    def _more(self) -> list[str]:
        return list(self.rest.text().splitlines())
