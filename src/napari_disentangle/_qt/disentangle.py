"""The widget "Disentangle": from chosen layers to content, swap and anomaly layers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QEvent, QSignalBlocker, QTimer
from qtpy.QtWidgets import QApplication, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import qdebounced, qthrottled

from napari_disentangle._qt.choices import (
    errors_said,
    fit_of,
    names_of,
    picked,
    preferred_device,
    questions_of,
    run_of,
)
from napari_disentangle._qt.files import (
    LOOKS,
    MODELS,
    ask_to_open,
    ask_to_save,
    copy_model,
    read_look,
    read_model,
    write_look,
)
from napari_disentangle._qt.fit_job import FitJob, Kept, folder, run_fit
from napari_disentangle._qt.job import (
    Result,
    described,
    python_code,
    recomputed,
    run_job,
)
from napari_disentangle._qt.panel import Panel
from napari_disentangle._qt.picking import (
    groups,
    in_words,
    proposed_axes,
    proposes_channels,
    sources,
)
from napari_disentangle._qt.unlike import UnlikeCheck
from napari_disentangle._qt.worker import StepWorker
from napari_disentangle.batch import Step
from napari_disentangle.errors import DisentangleError
from napari_disentangle.layers import identity, put_layer

if TYPE_CHECKING:
    import napari

    from napari_disentangle._qt.fit_job import Preview
    from napari_disentangle.attribute import Attribute
    from napari_disentangle.train import Progress

# A swap with more values than this follows the slider only when it rests.
LIVE = 2**21
_SLIDER_MS = 30
_REST_MS = 200
_ASK_MS = 400


class DisentangleWidget(QWidget):  # type: ignore[misc]
    """Choose layers, press Run, see content-only, swapped and anomaly layers.

    Parameters
    ----------
    viewer
        The viewer whose layers are used.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.panel = Panel()
        self._worker: StepWorker | None = None
        self._started = 0.0
        self._donor: Attribute | None = None
        self._swaps: list[Result] = []
        self._fit: FitJob | None = None
        self._unlike = UnlikeCheck(self)
        self._asks = False
        # else napari fills the dock below the widget instead of letting it grow
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._follow_slider = qthrottled(self._show_strength, timeout=_SLIDER_MS)
        self._rest_slider = qdebounced(self._show_strength, timeout=_REST_MS)
        self._ask_timer = QTimer(self, singleShot=True, interval=_ASK_MS)
        self._ask_timer.timeout.connect(self._ask)
        self.panel.choose_device(preferred_device())
        self._connect()
        self._layers_changed()

    def _connect(self) -> None:
        panel = self.panel
        layers = self.viewer.layers.events
        for event in (
            layers.inserted,
            layers.removed,
            layers.reordered,
            layers.renamed,
        ):
            event.connect(self._layers_changed)
        panel.images.itemChanged.connect(self._images_changed)
        for choice in (panel.images.itemChanged, panel.donors.itemChanged):
            choice.connect(self._chosen_by_hand)
        panel.model.activated.connect(self._chosen_by_hand)
        panel.model.currentTextChanged.connect(self._choices_changed)
        panel.as_channels.clicked.connect(self._reading_changed)
        panel.axes.editingFinished.connect(self._reading_changed)
        panel.modality.currentTextChanged.connect(self._reading_changed)
        panel.run.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.strength.valueChanged.connect(self._strength_changed)
        panel.copy_python.clicked.connect(self._copy_python)
        panel.copy_recipe.clicked.connect(self._copy_recipe)
        panel.load_donor.clicked.connect(self._load_donor)
        panel.save_donor.clicked.connect(self._save_donor)
        panel.check_devices.clicked.connect(self._check_devices)
        panel.fitting.fit.clicked.connect(self.fit)
        panel.fitting.stop.clicked.connect(self.stop_and_use)
        panel.fitting.load.clicked.connect(self._load_model)
        panel.fitting.save.clicked.connect(self._save_model)
        self._unlike.changed.connect(self._show_unlike)

    # --- what is chosen -----------------------------------------------------------
    def _layers_changed(self, event: Any = None) -> None:
        found = sources(self.viewer.layers)
        before = self.panel.images.checked()
        for choice in (self.panel.images, self.panel.donors, self.panel.normals):
            choice.show_layers(found)
        if not before:
            with QSignalBlocker(self.panel.images):  # nobody chose this by hand
                self.panel.images.check(found[:1])
        if self.panel.images.checked() != before or not found:
            self._images_changed()

    def _images_changed(self, item: Any = None) -> None:
        """Propose a reading for the newly chosen layers."""
        chosen = self.panel.images.checked()
        self.panel.as_channels.setChecked(proposes_channels(chosen))
        self.panel.axes.setText(proposed_axes(chosen))
        self._reading_changed()
        self._propose_pool(chosen)

    def _propose_pool(self, chosen: list[Any]) -> None:
        """Several fluorescence images share a look: treatments must stay visible."""
        many = len(groups(chosen, self.panel.as_channels.isChecked())) > 1
        shared = many and not any(layer.rgb for layer in chosen)
        self.panel.pool.setCurrentText("batch" if shared else "image")

    def _reading_changed(self, change: Any = None) -> None:
        """Say in words how the chosen layers are read."""
        try:
            images = picked(self.panel, self.panel.images)
        except (DisentangleError, ValueError) as error:
            self.panel.summary.setText(f"Cannot be used: {error}.")
            return
        self.panel.summary.setText(in_words([one.field for one in images]))
        self.panel.model.show_for(images[0].field.modality if images else None)
        self._choices_changed()

    def _chosen_by_hand(self, change: Any = None) -> None:
        """From now on ask what the model knows: that imports torch."""
        self._asks = True
        self._choices_changed()

    def _choices_changed(self, change: Any = None) -> None:
        """Say what a fit would do, and ask again whether the model knows the images."""
        self.panel.fitting.show_plan(names_of(self.panel), self.panel.model.start)
        self._unlike.quit()
        self.panel.show_warnings([])
        if self._asks:
            self._ask_timer.start()

    def _ask(self) -> None:
        """Ask whether the chosen model knows the images that take part."""
        if not self.running:
            self._unlike.ask(questions_of(self.panel, self.viewer.layers))

    def _show_unlike(self) -> None:
        self.panel.show_warnings(self._unlike.words())

    # --- running ------------------------------------------------------------------
    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def start(self) -> None:
        """Run (the button)."""
        with errors_said():
            job, _ = run_of(self.panel, self._donor)
            self._swaps = []
            self._asks = True
            self._launch(lambda: run_job(job))

    def fit(self) -> None:
        """Fit (the button)."""
        with errors_said():
            self._fit = job = fit_of(self.panel, self.viewer)
            self.panel.fitting.begin()
            self.panel.open_fitting()
            self._launch(lambda: run_fit(job))

    def stop_and_use(self) -> None:
        """Stop and use (the button): keep the model as it is after this step."""
        if self._fit is not None:
            self._fit.enough.set()

    def _launch(self, steps: Any) -> None:
        self.panel.notes.clear()
        worker = StepWorker(steps)
        worker.yielded.connect(self._step)
        worker.errored.connect(self._failed)
        worker.finished.connect(self._finished)
        self.destroyed.connect(worker.quit)
        self._worker, self._started = worker, monotonic()
        self.panel.set_running(True, fitting=self._fit is not None)
        self._unlike.quit()
        worker.start()

    def cancel(self) -> None:
        """Cancel (the button)."""
        if self._worker is not None:
            self._worker.quit()
            self.panel.progress.setFormat("cancelling ...")

    def _step(self, step: Any) -> None:
        if isinstance(step, Result):
            self._add(step)
        elif isinstance(step, Step):
            self.panel.show_progress(step, monotonic() - self._started)
        elif self._fit is not None:
            self._show_fit(step)

    def _show_fit(self, step: Progress | Preview | Kept) -> None:
        """Show where fitting is; in the end choose the model."""
        if isinstance(step, Kept):
            self._fit = None
            self.panel.model.add(step.file)
        self.panel.fitting.show_step(step)

    def _add(self, result: Result) -> None:
        names = {style.name for style in result.picked.styles}
        if not names <= {layer.name for layer in self.viewer.layers}:
            self._say([f"{result.output.image.name}: removed, so nothing was added"])
            return
        for data in result.layers:
            put_layer(self.viewer, data)
        if result.output.kind == "swap":
            self._swaps.append(result)
        self._note(result)

    def _note(self, result: Result) -> None:
        """Say what is odd about an image, once as a notification too."""
        name = result.output.image.name
        lines = [f"{name}: {status}" for status in result.output.status]
        for line in self._say(lines):
            show_warning(line)

    def _say(self, lines: list[str]) -> list[str]:
        """Keep lines in sight until the next run; returns those that are new."""
        known = self.panel.notes.text().splitlines()
        fresh = [line for line in lines if line not in known]
        self.panel.notes.setText("\n".join([*known, *fresh]))
        return fresh

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, (DisentangleError, ValueError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        show_error(f"The run stopped: {text}")

    def _finished(self) -> None:
        self._worker = None
        self.panel.set_running(False)
        if self._fit is not None:
            self._fit = None
            self.panel.fitting.show_thrown_away()
        self._choices_changed()

    def event(self, event: Any) -> bool:
        """Stop and go when the dock is closed: napari then takes its widget out."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.cancel()
            self._unlike.quit()
            self._ask_timer.stop()
            self.deleteLater()
        return bool(super().event(event))

    # --- the slider ---------------------------------------------------------------
    def _strength_changed(self, value: int) -> None:
        self.panel.show_strength()
        size = sum(swap.output.lazy.size for swap in self._swaps)
        (self._follow_slider if size <= LIVE else self._rest_slider)()

    def _show_strength(self) -> None:
        strength = self.panel.strength.value() / 100
        shown = {identity(layer.metadata): layer for layer in self.viewer.layers}
        for swap in self._swaps:
            for data, attributes, _ in recomputed(swap, strength):
                layer = shown.get(identity(attributes["metadata"]))
                if layer is not None:
                    layer.data = data
                    layer.metadata = attributes["metadata"]

    # --- the small buttons --------------------------------------------------------
    def _copy_python(self) -> None:
        with errors_said():
            code = python_code(*run_of(self.panel, self._donor))
            QApplication.clipboard().setText(code)
            show_info("Copied: paste it into napari's console.")

    def _copy_recipe(self) -> None:
        with errors_said():
            job, _ = run_of(self.panel, self._donor)
            QApplication.clipboard().setText(json.dumps(described(job), indent=1))
            show_info("Copied: save it as recipe.json for the command line.")

    def _load_donor(self) -> None:
        ask_to_open(self, "Saved attribute", LOOKS, self.use_donor)

    def use_donor(self, path: str) -> None:
        """Take a saved attribute as the donor."""
        with errors_said():
            self._donor = read_look(path)
            self.panel.donors.check([])
            self.panel.donor_file.setText(f"saved attribute {Path(path).name}")

    def _save_donor(self) -> None:
        looks = [swap.output.donor for swap in self._swaps if swap.output.donor]
        if not looks:
            show_error("Run a swap first: then the donor's attribute can be saved")
            return
        save = partial(write_look, looks[0])
        ask_to_save(self, "Save attribute", LOOKS, save)

    def _load_model(self) -> None:
        ask_to_open(self, "Saved model", MODELS, self.use_model, folder())

    def use_model(self, path: str) -> None:
        """Choose a model from a file."""
        with errors_said():
            file = read_model(path, self.panel.model.modality)
            self._asks = True
            self.panel.model.add(file)

    def _save_model(self) -> None:
        ask_to_save(self, "Save model", MODELS, self.save_model)

    def save_model(self, path: str) -> None:
        """Copy the file of the chosen model, if it has one."""
        file = self.panel.model.file
        if file is not None:
            with errors_said():
                copy_model(file, path)

    def _check_devices(self) -> None:
        from napari_disentangle.device import list_devices, why_no_gpu

        self.panel.show_devices(list_devices())
        show_info(why_no_gpu() or "A GPU is there and will be used.")


class AnomalyWidget(DisentangleWidget):
    """The same widget with only the anomaly map checked (Layers > Measure)."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.panel.choose_outputs(("anomaly",))
