"""The widgets of the plugin: one panel, opened at one of its three questions."""

from __future__ import annotations

import sys
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_disentangle._qt.images.picking import marking_layers, sources
from napari_disentangle._qt.images.table import REFERENCE
from napari_disentangle._qt.numbers.data import Figures
from napari_disentangle._qt.runs.growing import Growing
from napari_disentangle._qt.runs.job import Filled, Job, Result
from napari_disentangle._qt.runs.results import RESULT, LastRun, Pair
from napari_disentangle._qt.runs.worker import Idle, StepWorker, Turns
from napari_disentangle._qt.training.job import FitJob, Kept, Preview, run_fit
from napari_disentangle._qt.window.account import Account
from napari_disentangle._qt.window.buttons import Buttons
from napari_disentangle._qt.window.panel import Panel
from napari_disentangle._qt.window.plan import (
    Plan,
    fit_of,
    obstacle,
    plan_of,
    preferred_device,
    said,
    words_for,
)
from napari_disentangle._qt.window.regions import Regions
from napari_disentangle._qt.window.sight import WholeSample
from napari_disentangle._qt.window.slider import Slider
from napari_disentangle._qt.window.tasks import COMPARABLE, ODD, SWAP
from napari_disentangle.model.train import Progress
from napari_disentangle.pipeline.follow import Failed, Step

if TYPE_CHECKING:
    import napari


class DisentangleWidget(QWidget):  # type: ignore[misc]
    """Say what is wanted, choose images, press Run, see the results.

    Parameters
    ----------
    viewer
        The viewer whose layers are used.
    """

    task = COMPARABLE

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.panel = Panel()
        self.last = LastRun(viewer)
        self.regions = Regions(viewer, self.panel, self.add_words)
        self._worker: StepWorker | None = None
        self._turns = Turns(self)
        self._started, self._told = 0.0, ""
        self._sources: dict[Any, tuple[Any, ...]] = {}
        self._account = Account(self.panel.message)
        self.buttons = Buttons(self)
        self.slider = Slider(self)
        self._growing = Growing(viewer)
        self._fit: FitJob | None = None
        # else napari fills the dock below the widget instead of letting it grow
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._idle = Idle(self)
        self._whole = WholeSample(viewer, self)
        self.panel.choose_device(preferred_device())
        self.panel.choose_task(self.task)
        self._connect()
        self._layers_changed()

    def _connect(self) -> None:
        panel, layers = self.panel, self.viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self._layers_changed)
        layers.renamed.connect(self._layers_changed)
        self.viewer.layers.selection.events.active.connect(self.last.follow_selection)
        panel.images.changed.connect(self._choices_changed)
        panel.normal.kind_box.currentIndexChanged.connect(self._normal_changed)
        panel.detector.cell.valueChanged.connect(self._choices_changed)
        panel.model.currentTextChanged.connect(self._choices_changed)
        panel.strength.valueChanged.connect(self.slider.moved)
        panel.run.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.fitting.fit.clicked.connect(self.fit)
        panel.fitting.stop.clicked.connect(self.stop_and_use)
        panel.fitting.anyway.clicked.connect(self.use_anyway)
        panel.undo.clicked.connect(self.undo)
        panel.keep.clicked.connect(self.keep)
        for mode, button in panel.modes.items():
            button.clicked.connect(partial(self.show_mode, mode))

    # --- what is chosen -----------------------------------------------------------
    def _layers_changed(self, event: Any = None) -> None:
        marks = marking_layers(self.viewer.layers)
        self.panel.measured.show_layers(marks)
        self.panel.normal.show_marks(marks)
        self.panel.images.show_layers(sources(self.viewer.layers))
        if self.panel.images.table.layers() and "torch" not in sys.modules:
            self._idle.start()
        self._show_after()

    def _normal_changed(self, index: int = 0) -> None:
        self.panel.detector.propose(self.panel.normal.alone)
        self._choices_changed()

    def _choices_changed(self, change: Any = None) -> None:
        """Say how images are read, what Run would do, and what keeps it from that."""
        if self.running:  # looked at when it has ended
            return
        panel = self.panel
        chosen = panel.images.chosen()
        if self._proposes_reference(len(chosen.images)):
            last = chosen.images[-1].layers
            panel.images.table.set_role(last, REFERENCE)  # and back here again
            return
        if self.buttons.look is not None and chosen.of(REFERENCE):
            self.buttons.look = None
            panel.show_look("")
        panel.try_it.setVisible(not panel.images.table.layers())
        there = bool(panel.images.table.layers())
        panel.images.say([chosen.in_words(), *chosen.left_out] if there else [])
        panel.show_reportable(len(chosen.images))
        fields = [one.field for one in chosen.images]
        panel.model.show_for(fields[0].modality if fields else None)
        panel.show_plan([field.name for field in fields])
        panel.normal.say(words_for(panel.task, chosen, panel.normal.kind))
        self.regions.show_cell(fields)
        reason = obstacle(panel, chosen, self.buttons.look)
        panel.run.setEnabled(not reason)
        panel.run.setToolTip(reason or "Make the layers (Ctrl+Enter)")
        self._show_reason(reason)

    def _proposes_reference(self, images: int) -> bool:
        """Whether the last image is to be the one that gives its look."""
        if self.panel.task != SWAP or images < 2 or self.buttons.look is not None:
            return False
        return not self.panel.images.table.roles_said()

    def _show_reason(self, reason: str) -> None:
        """Say why Run cannot be pressed, in place of what was said of that before."""
        lines = [line for line in self.panel.message.lines if line != self._told]
        self._told = reason
        self.panel.message.say([reason] * bool(reason) + lines)

    # --- running ------------------------------------------------------------------
    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def say(self, line: str) -> None:
        """Say something in the place of messages."""
        self.panel.message.say([line])

    def add_words(self, line: str) -> None:
        """Say something beside what is said already."""
        self._account.add(line)

    def plan(self) -> Plan:
        """What Run would do now.

        Raises
        ------
        DisentangleError
            If something is missing or does not fit.
        """
        return plan_of(self.panel, self.viewer.layers, self.buttons.look)

    def start(self) -> None:
        """Run (the button)."""
        with said(self.say):
            plan = self.plan()
            self.slider.flush()
            pairs = zip(plan.job.picked, plan.sources, strict=True)
            self._sources = dict(pairs)
            self.slider.forget()
            self.last.begin()
            self.regions.begin(plan.names.marks)
            self.panel.looks.clear()
            self.launch(lambda: _run(plan.job))

    def fit(self) -> None:
        """Fit (the button)."""
        with said(self.say):
            self._fit = job = fit_of(self.panel, self.viewer)
            self.panel.fitting.begin()
            self.panel.open_fitting()
            self.launch(lambda: run_fit(job))

    def use_anyway(self) -> None:
        """Use anyway (the button): choose a model that did not help."""
        known = self.panel.fitting.kept
        if known is not None:
            self.panel.model.add(known.file)

    def stop_and_use(self) -> None:
        """Stop and use (the button): keep the model as it is after this step."""
        if self._fit is not None:
            self._fit.enough.set()

    def launch(self, steps: Any) -> None:
        """Start a worker."""
        self._idle.stop()
        if not self.slider.running:
            self.panel.message.clear()
            self._account.begin(len(self._sources))
        worker = StepWorker(steps)
        worker.yielded.connect(self._step_soon)
        worker.errored.connect(self._step_soon)
        worker.aborted.connect(self._cancelled_soon)
        worker.finished.connect(self._finished_soon)
        self.destroyed.connect(worker.quit)
        self._worker, self._started = worker, monotonic()
        self.panel.set_running(True, fitting=self._fit is not None)
        worker.start()

    def cancel(self) -> None:
        """Cancel (the button)."""
        if self._worker is not None:
            self._worker.quit()
            self.panel.progress.setFormat("cancelling ...")

    # Bound methods: anything else would be called in the worker's thread.
    def _step_soon(self, step: Any) -> None:
        self._turns.add(self._step, step)

    def _cancelled_soon(self) -> None:
        self._turns.add(self._cancelled)

    def _finished_soon(self) -> None:
        self._turns.add(self._finished)

    def _step(self, step: Any) -> None:
        if isinstance(step, Exception):
            self._failed(step)
        elif isinstance(step, Result) and self.slider.running:
            self.slider.show(step, self._growing)
        elif isinstance(step, Result):
            self._add(step)
        elif isinstance(step, Failed):
            self._account.add(f"{step.image} was not done: {step.reason}")
        elif isinstance(step, Filled):
            self.slider.filled(self._growing.end())
        elif isinstance(step, Step):
            self._growing.follow()
            self.panel.show_progress(step, monotonic() - self._started)
        elif isinstance(step, Figures):
            self.panel.show_figures(step)
        elif self.buttons.took(step):
            return
        elif self._fit is not None:
            self._show_fit(step)

    def _show_fit(self, step: Progress | Preview | Kept) -> None:
        """Show where training is; in the end choose the model."""
        if isinstance(step, Kept):
            self._fit = None
            if step.helped:
                self.panel.model.add(step.file)
        self.panel.fitting.show_step(step)

    def _add(self, result: Result, known: Pair | None = None) -> None:
        """Put one layer after the other: the window draws in between."""
        name, sources = result.output.image.name, self._sources[result.picked]
        there = {layer.unique_id for layer in self.viewer.layers}
        if not known and not all(layer.unique_id in there for layer in sources):
            self._account.add(f"{name}: removed, so nothing was added")
            if result.focus is not None:
                result.focus.wanted = False
            return
        done = len(known.before) if known else 0
        pair = self.last.add(result.layers[done], sources, known)
        if done + 1 < len(result.layers):
            self._turns.then(self._add, result, pair)
            return
        if result.focus is not None:
            self._growing.begin(result, pair.layers)
        else:
            self.slider.add(result)
        self.regions.add(result, pair.layers)
        self._account.remark(name, result.remarks)

    def _take_back(self) -> None:
        """Leave no result that is not computed to its end."""
        if self._growing.unfinished and self.slider.running:
            self.slider.put_back()
        elif self._growing.unfinished:
            self.last.take_back(self._growing.layers)
        self._growing.end()

    def _failed(self, error: Exception) -> None:
        self._take_back()
        self._account.fail(error)

    def _cancelled(self) -> None:
        self._take_back()
        if self.slider.running:
            self.slider.say_cancelled(self._account)
            return
        done = len({pair.sources for pair in self.last.pairs()})
        if self._fit is None:
            stay = f": {done} finished image{'s' * (done != 1)} stay" if done else ""
            self._account.put_first(f"Cancelled{stay}.")

    def _finished(self) -> None:
        thrown_away, self._fit = self._fit is not None, None
        self._worker, self._sources = None, {}
        self.panel.set_running(False)
        if thrown_away:
            self.panel.fitting.show_thrown_away()
        if not self.slider.running:
            self.last.finish()
            self.regions.finish()
        self._choices_changed()
        self._show_after()
        self.slider.ended()

    def event(self, event: Any) -> bool:
        """Stop and go when the dock is closed: napari then takes its widget out."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.cancel()
            self._take_back()
            self.deleteLater()
        return bool(super().event(event))

    # --- results ------------------------------------------------------------------
    def _show_after(self) -> None:
        if not self.last.pairs():  # nothing is left to be compared
            self.last.show(RESULT)
        if self.last.gone and not self.running:
            self.last.forget()
            self.panel.looks.clear()
            self.panel.message.say([self._told] * bool(self._told))
            self.regions.begin("")
            self.regions.forget()
        there, differs = bool(self.last.pairs()), self.last.differs
        self.panel.show_after(there, self.last.mode, differs)

    def undo(self) -> None:
        """Undo last run (the button)."""
        self.last.undo()
        self.slider.forget()
        self.panel.looks.clear()
        self.regions.begin("")
        self._show_after()

    def keep(self) -> None:
        """Keep this result (the button)."""
        self.slider.flush()
        self.last.keep()
        self.slider.forget()
        self._show_after()

    def show_mode(self, mode: str, on: bool = True) -> None:
        """See originals, results, both side by side, or the difference."""
        self.last.show(mode)
        self._show_after()


class AnomalyWidget(DisentangleWidget):
    """The same panel, opened where what is odd is looked for."""

    task = ODD


def _run(job: Job) -> Any:
    """Import what needs torch where nobody waits for it."""
    from napari_disentangle._qt.numbers.figures import run_and_look

    return run_and_look(job)
