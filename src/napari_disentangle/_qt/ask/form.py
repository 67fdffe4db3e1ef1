"""What a question takes: a control for every option, with what is proposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from qtpy.QtWidgets import QComboBox, QFormLayout, QSpinBox, QWidget

from napari_disentangle._qt.ask.tables import NAMES, proposed, roles
from napari_disentangle._qt.window.form import explained
from napari_disentangle._qt.window.parts import column, named
from napari_disentangle.asking.ask import questions
from napari_disentangle.asking.columns import text_of
from napari_disentangle.image.arrays import Array

NONE = "–"
_MOST_POPULATIONS = 8


class QuestionForm(QWidget):  # type: ignore[misc]
    """The options of one question."""

    def __init__(self) -> None:
        super().__init__()
        self.controls: dict[str, Any] = {}
        self._columns: Mapping[str, Array] = {}
        # What was proposed, which a better proposal replaces.
        self._proposed: dict[str, str] = {}
        self._form: QFormLayout = column(self)
        self._form.setContentsMargins(0, 0, 0, 0)

    def show_question(self, question: str, columns: Mapping[str, Array]) -> None:
        """Offer what this question takes, of these columns; keep what was chosen."""
        kept = {name: self._value(one) for name, one in self.controls.items()}
        while self._form.rowCount():
            self._form.removeRow(0)
        self._columns, self.controls = columns, {}
        config = questions()[question].config
        said, names = explained(config), roles(columns)
        for option in fields(config):
            if option.name == "labels":
                continue
            control = self._control(option.name, names, kept.get(option.name))
            tip = said.get(option.name, option.name)
            self.controls[option.name] = named(control, option.name, tip)
            self._form.addRow(option.name, control)
        self._show_values()
        normal = kept.get("normal")
        if "normal" in self.controls and normal:
            self.controls["normal"].setCurrentText(normal)

    def options(self, question: str) -> dict[str, Any]:
        """What was chosen."""
        chosen = {name: self._value(one) for name, one in self.controls.items()}
        given = {
            name: value for name, value in chosen.items() if value not in (NONE, "")
        }
        if question == "teach":
            given["labels"] = NAMES
        return given

    def _control(self, name: str, names: Sequence[str], before: Any) -> QWidget:
        if name == "k":
            number = QSpinBox()
            number.setRange(2, _MOST_POPULATIONS)
            number.setValue(int(before or 2))
            return number
        box = QComboBox()
        if name != "normal":
            box.addItems([NONE, *names])
            known = self._proposed.get(name, NONE)
            self._proposed[name] = proposed(name, names) or NONE
            chosen = before in (NONE, *names) and before != known
            box.setCurrentText(before if chosen else self._proposed[name])
            box.currentTextChanged.connect(self._show_values)
        return box

    def _show_values(self, *_: Any) -> None:
        """Offer the values of the column ``by`` as the normal one."""
        box, by = self.controls.get("normal"), self.controls.get("by")
        if box is not None and by is not None:
            column = self._columns.get(by.currentText())
            values = (
                []
                if column is None
                else sorted({text_of(v) for v in column.tolist()} - {""})
            )
            before = box.currentText()
            box.clear()
            box.addItems([NONE, *values])
            box.setCurrentText(before if before in values else NONE)

    @staticmethod
    def _value(control: Any) -> Any:
        if isinstance(control, QSpinBox):
            return control.value()
        return control.currentText()
