"""What the window shows: the question, the images, what the job needs, and buttons."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.images.box import ImagesBox
from napari_disentangle._qt.images.picking import MarkBox
from napari_disentangle._qt.numbers.box import LooksBox
from napari_disentangle._qt.numbers.data import Figures
from napari_disentangle._qt.runs.results import DIFFERENCE, MODES
from napari_disentangle._qt.training.section import FitSection
from napari_disentangle._qt.window.form import form_of, settings_of
from napari_disentangle._qt.window.model_box import ModelBox
from napari_disentangle._qt.window.normal import DetectorBox, NormalBox
from napari_disentangle._qt.window.parts import (
    Message,
    QuietWheel,
    Section,
    Settling,
    flow,
    named,
    row,
    together,
    words,
)
from napari_disentangle._qt.window.regions_box import RegionsBox
from napari_disentangle._qt.window.tasks import COMPARABLE, LOOK, ODD, SWAP, TASKS
from napari_disentangle.model.registry import models
from napari_disentangle.pipeline.follow import Step
from napari_disentangle.pipeline.kinds import ANOMALY, CLASSES, EXPECTED, MAPS, Kind

# Of the panel in pixels: the least, and what it asks for.
_NARROW, _WIDE, _HIGH = 270, 380, 700
_MARGINS = (3, 3, 3, 3)
_POOLS = {"image": "image or batch", "stack": "time point", "frame": "plane"}
_SHOWN_AS = {
    "original": "Original",
    "result": "Result",
    "side by side": "Side by side",
    "difference": "Difference",
}

_TWO = "A report compares images: check two at least"


class Panel(QWidget):  # type: ignore[misc]
    """Inputs that scroll, and the buttons that stay in sight below."""

    def __init__(self) -> None:
        super().__init__()
        self.images = ImagesBox()
        self._figures_at = 0
        self.fitting = FitSection()
        self.regions = RegionsBox()
        self.looks = LooksBox()
        self.line = words()
        self.line.hide()
        self.message = Message()
        self.wheel = QuietWheel(self)
        self._build()
        self.model_chosen(self.model.currentText())
        self.choose_task(COMPARABLE)
        self.set_running(False)
        self.show_strength()
        self.wheel.watch(self)

    def sizeHint(self) -> QSize:
        """As wide as names of images need."""
        return QSize(_WIDE, _HIGH)

    def _build(self) -> None:
        inside = QWidget()
        inner = QVBoxLayout(inside)
        inner.setContentsMargins(*_MARGINS)
        parts = [self._tasks(), self.images, self._look(), self._odd(), self.regions]
        more = [self._method(), self.fitting, self._computer()]
        for part in (*parts, self.looks, *more):
            inner.addWidget(part)
        inner.addStretch()
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll.setWidget(inside)
        Settling(inside)
        self.scroll.setMinimumWidth(_NARROW)
        below = QVBoxLayout(self)
        below.setContentsMargins(*_MARGINS)
        below.addWidget(self.scroll, 1)
        for one in self._below():
            add = below.addWidget if isinstance(one, QWidget) else below.addLayout
            add(one)

    # --- parts --------------------------------------------------------------------
    def _tasks(self) -> QWidget:
        self.task_buttons = {name: QRadioButton(t.title) for name, t in TASKS.items()}
        self._group = QButtonGroup(self)
        for name, button in self.task_buttons.items():
            named(button, TASKS[name].title.replace("&", ""), TASKS[name].tip)
            button.toggled.connect(self._task_toggled)
            self._group.addButton(button)
        self.try_it = _button(
            "&Try it", "Open two blood smears, and do on them what is chosen"
        )
        self.help = _button("?", "Open the guide at what is chosen, in a browser")
        self.help.setAccessibleName("Guide")
        self.help.setMaximumWidth(2 * self.help.fontMetrics().height())
        last = row(self.try_it, self.help)
        last.setAlignment(self.help, Qt.AlignmentFlag.AlignRight)
        question = words("What do you want?")
        return together(question, *self.task_buttons.values(), last)

    def _look(self) -> QWidget:
        self.look_file = words()
        self.look_file.hide()
        self.load_look = _button("Load look ...", "A look saved before, from a file")
        self.save_look = _button(
            "Save look ...", "The look that the results have, for other images"
        )
        self.strength = named(
            QSlider(Qt.Orientation.Horizontal), "strength", "How far the swap goes"
        )
        self.strength.setRange(0, 100)
        self.strength.setValue(100)
        self.strength_text = QLabel()
        self._strength_row = together(
            ("strength", row(self.strength, self.strength_text))
        )
        files = flow(self.load_look, self.save_look)
        self.look_part = together(self.look_file, files, self._strength_row)
        self.look_part.setToolTip(LOOK)
        return self.look_part

    def _odd(self) -> NormalBox:
        self.normal = NormalBox()
        return self.normal

    def _method(self) -> Section:
        self.model = ModelBox()
        named(self.model, "model", "What reads and gives a look")
        self.model.currentTextChanged.connect(self.model_chosen)
        self.description = words()
        self._forms = {name: form_of(e.config) for name, e in models().items()}
        self._pool_part = self._measuring()
        self.detector = DetectorBox()
        self.method = Section(
            "Method",
            "The model, its settings, and how looks are measured",
            ("model", self.model),
            self.description,
            *(form.native for form in self._forms.values()),
            self._pool_part,
            self.detector,
        )
        return self.method

    def _measuring(self) -> QWidget:
        """How looks are measured, and what else is shown of them."""
        self.pool = named(QComboBox(), "one look per", LOOK)
        for value, text in _POOLS.items():
            self.pool.addItem(text, value)
        self.measured = named(
            MarkBox(none="the whole image"),
            "look measured on",
            "The whole image, or only where a Shapes or Labels layer is painted",
        )
        self.maps = named(
            QCheckBox("content maps too"),
            "content maps",
            "The maps that the model works with, as grey layers for other programs",
        )
        self.classes = named(
            QCheckBox("class map too"),
            "class map",
            "What affine takes pixels for, as labels in the colours of their classes",
        )
        return together(
            ("one look per", self.pool),
            ("look measured on", self.measured),
            self.maps,
            self.classes,
        )

    def _computer(self) -> Section:
        self.device = named(QComboBox(), "device", "Where to compute")
        self.device.addItem("auto", "auto")
        self.device.addItem("CPU", "cpu")
        self.check_devices = _button("Check my GPU", "Say which devices there are")
        self.copy_python = _button(
            "Copy as Python", "What Run does, for napari's console"
        )
        self.copy_recipe = _button("Copy recipe", "What Run does, for the command line")
        self.load_recipe = _button("Load recipe ...", "Choose what a recipe says")
        tip = "Open results saved before; of OME-Zarr choose zarr.json in the folder"
        self.open_again = _button("Open results ...", tip)
        return Section(
            "Computer",
            "Device, script, recipe and files",
            ("device", self.device),
            self.check_devices,
            flow(self.copy_python, self.copy_recipe, self.load_recipe),
            self.open_again,
        )

    def _below(self) -> list[Any]:
        self.run = _button("&Run", "Make the layers (Ctrl+Enter)")
        for keys in ("Ctrl+Return", "Ctrl+Enter"):
            QShortcut(QKeySequence(keys), self, self.run.click)
        self.cancel = _button("&Cancel", "Stop; images that are finished stay")
        self.progress = QProgressBar()
        self.undo = _button("&Undo run", "Undo last run: take its layers away")
        tip = "Keep this result: no later run changes its layers"
        self.keep = _button("&Keep", tip)
        self.save = _button(
            "&Save ...", "Save results: the layers of the last run as files"
        )
        self.report = _button("R&eport ...", "What the look still tells, as a table")
        self.modes = {mode: self._mode(mode) for mode in MODES}
        files = (self.undo, self.keep, self.save, self.report)
        self.after = together(flow(*self.modes.values()), flow(*files))
        buttons = row(self.run, self.cancel)
        # Run keeps its place whatever appears above it
        return [self.message, self.line, self.after, self.progress, buttons]

    def _mode(self, mode: str) -> QPushButton:
        button = _button(_SHOWN_AS[mode], f"Show: {mode}")
        button.setCheckable(True)
        button.setAutoExclusive(True)
        return button

    # --- what is chosen -----------------------------------------------------------
    @property
    def task(self) -> str:
        """What a person wants."""
        return next(n for n, one in self.task_buttons.items() if one.isChecked())

    def choose_task(self, task: str) -> None:
        """Choose what is wanted."""
        self.task_buttons[task].setChecked(True)

    def outputs(self) -> tuple[Kind, ...]:
        """What is made; an anomaly map comes last, to lie above."""
        if self.task == ODD:
            expected = (EXPECTED,) if self.detector.wants_expected() else ()
            return (*expected, ANOMALY)
        more = {MAPS: self.maps, CLASSES: self.classes}
        wanted = (kind for kind, box in more.items() if box.isChecked())
        return (*TASKS[self.task].outputs, *wanted)

    @property
    def form(self) -> Any:
        """Form of the chosen model, if it is not a file that has its own settings."""
        return self._forms[self.model.chosen]

    def settings(self) -> dict[str, Any]:
        """Settings of the chosen model."""
        return {} if self.model.file else settings_of(self.form)

    # --- what is shown ------------------------------------------------------------
    def _task_toggled(self, on: bool) -> None:
        if not on:
            return
        task = self.task
        self.images.table.show_task(task, TASKS[task].roles)
        self.look_part.setVisible(task != ODD)
        self._strength_row.setVisible(task == SWAP)
        for part in (self.normal, self.regions, self.detector):
            part.setVisible(task == ODD)
        self._pool_part.setVisible(task != ODD)

    def model_chosen(self, label: str) -> None:
        """Describe the chosen model, show its settings, and let it be saved."""
        if not label:
            return
        self.description.setText(self.model.description)
        for name, form in self._forms.items():
            form.native.setVisible(name == self.model.chosen and len(form) > 0)
        self.fitting.save.setEnabled(self.model.file is not None)

    def show_plan(self, names: list[str]) -> None:
        """Say what would be learned from, and what the model would be called."""
        self.fitting.show_plan(names, self.model.start)
        self.fitting.name.setPlaceholderText(self.model.next_label())

    def open_fitting(self, link: str = "") -> None:
        """Bring the section for training into sight."""
        self.fitting.open()
        QTimer.singleShot(0, self._scroll_to_fitting)  # once it has its height

    def _scroll_to_fitting(self) -> None:
        self.scroll.verticalScrollBar().setValue(self.fitting.y())

    def show_look(self, text: str) -> None:
        """Say which look was loaded."""
        self.look_file.setText(text)
        self.look_file.setVisible(bool(text))

    def show_strength(self) -> None:
        """Show the slider's value, and that figures are of another one."""
        value = self.strength.value()
        self.strength_text.setText(f"{value} %")
        if self.looks.figures is not None:
            at = f"At {self._figures_at} %: " if value != self._figures_at else ""
            self.line.setText(at + self.looks.figures.in_words())
            self.looks.setEnabled(not at)

    def choose_device(self, name: str) -> None:
        """Choose a device; one that is not listed yet is added."""
        if self.device.findData(name) < 0:
            self.device.addItem(name, name)
        self.device.setCurrentIndex(self.device.findData(name))

    def show_devices(self, devices: dict[str, str]) -> None:
        """Offer the devices that were found."""
        chosen = self.device.currentData()
        self.device.clear()
        self.device.addItem("auto", "auto")
        for name, text in devices.items():
            self.device.addItem(f"{name}: {text}", name)
        self.choose_device(chosen)

    def set_running(self, running: bool, fitting: bool = False) -> None:
        """Enable what makes sense now."""
        self.fitting.set_running(running, fitting)
        self.run.setEnabled(not running)
        self.cancel.setEnabled(running)
        self.after.setEnabled(not running)
        self.progress.setVisible(running)
        self.progress.setValue(0)
        self.progress.setFormat("starting ...")

    def show_after(self, there: bool, mode: str, differs: bool) -> None:
        """Show what can be done with results, if there are any."""
        button = self.modes[DIFFERENCE]
        button.setEnabled(differs)
        none = "A map of what is odd has no difference to its image"
        button.setToolTip(f"Show: {DIFFERENCE}" if differs else none)
        self.after.setVisible(there)
        self.line.setVisible(there and self.looks.figures is not None)
        self.modes[mode].setChecked(True)

    def show_reportable(self, images: int) -> None:
        """Offer the report where there are enough images."""
        tip = "What the look still tells, as a table" if images > 1 else _TWO
        self.report.setEnabled(images > 1)
        self.report.setToolTip(tip)

    def show_figures(self, figures: Figures) -> None:
        """Say in a line what a run did, and show the rest in its section."""
        self.looks.show_figures(figures)
        self.looks.setEnabled(True)
        self._figures_at = self.strength.value()
        self.line.setText(figures.in_words())

    def show_progress(self, step: Step, elapsed: float) -> None:
        """Show a step and the time that is left, estimated from the share done."""
        self.progress.setValue(round(100 * step.done))
        left = elapsed * (1 - step.done) / step.done if 0.05 < step.done < 1 else None
        about = f", about {left:.0f} s left" if left is not None else ""
        self.progress.setFormat(f"{step.text}{about}")


def _button(text: str, tip: str) -> QPushButton:
    button: QPushButton = named(
        QPushButton(text), text.strip("& .").replace("&", ""), tip
    )
    button.setMinimumWidth(1)
    return button
