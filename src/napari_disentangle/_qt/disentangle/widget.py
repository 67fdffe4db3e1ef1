"""The widget "Disentangle": from chosen layers to content, swap and anomaly layers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QSignalBlocker
from superqt.utils import qdebounced, qthrottled

from napari_disentangle._qt.common.choices import errors_said, preferred_device
from napari_disentangle._qt.common.files import (
    LOOKS,
    MODELS,
    ask_to_open,
    ask_to_save,
    copy_model,
    read_look,
    read_model,
    write_look,
)
from napari_disentangle._qt.common.job import (
    Result,
    described,
    python_code,
    recipe_hint,
    recomputed,
    run_job,
)
from napari_disentangle._qt.common.picking import groups, marking_layers, sources
from napari_disentangle._qt.common.widget import BaseWidget
from napari_disentangle._qt.disentangle.choices import fit_of, names_of, run_of
from napari_disentangle._qt.disentangle.fit_job import (
    FitJob,
    Kept,
    Preview,
    folder,
    run_fit,
)
from napari_disentangle._qt.disentangle.panel import Panel
from napari_disentangle.layers.add import identity, put_layer
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.train import Progress
from napari_disentangle.pipeline.follow import Failed, Step

if TYPE_CHECKING:
    import napari

# A swap with more values than this follows the slider only when it rests.
LIVE = 2**21
_SLIDER_MS = 30
_REST_MS = 200


class DisentangleWidget(BaseWidget):
    """Choose layers, press Run, see content-only, swapped and anomaly layers.

    Parameters
    ----------
    viewer
        The viewer whose layers are used.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.panel = Panel()
        super().__init__(viewer, self.panel)
        self._donor: Attribute | None = None
        self._swaps: list[Result] = []
        self._fit: FitJob | None = None
        self._follow_slider = qthrottled(self._show_strength, timeout=_SLIDER_MS)
        self._rest_slider = qdebounced(self._show_strength, timeout=_REST_MS)
        self.panel.choose_device(preferred_device())
        self._connect()
        self._layers_changed()

    def _connect(self) -> None:
        panel = self.panel
        panel.images.itemChanged.connect(self._choices_changed)
        panel.donors.itemChanged.connect(self._choices_changed)
        panel.model.currentTextChanged.connect(self._choices_changed)
        panel.strength.valueChanged.connect(self._strength_changed)
        panel.copy_python.clicked.connect(self._copy_python)
        panel.copy_recipe.clicked.connect(self._copy_recipe)
        panel.load_donor.clicked.connect(self._load_donor)
        panel.save_donor.clicked.connect(self._save_donor)
        panel.fitting.fit.clicked.connect(self.fit)
        panel.fitting.stop.clicked.connect(self.stop_and_use)
        panel.fitting.load.clicked.connect(self._load_model)
        panel.fitting.save.clicked.connect(self._save_model)

    # --- what is chosen -----------------------------------------------------------
    def _layers_changed(self, event: Any = None) -> None:
        found = sources(self.viewer.layers)
        before = self.panel.images.checked()
        for choice in (self.panel.images, self.panel.donors, self.panel.normals):
            choice.show_layers(found)
        self.panel.measured.show_layers(marking_layers(self.viewer.layers))
        if not before:
            with QSignalBlocker(self.panel.images):  # nobody chose this by hand
                self.panel.images.check(found[:1])
        if self.panel.images.checked() != before or not found:
            self._images_changed()

    def _images_changed(self, item: Any = None) -> None:
        """Propose a reading and a pool for the newly chosen layers."""
        super()._images_changed()
        self._propose_pool(self.panel.images.checked())

    def _propose_pool(self, chosen: list[Any]) -> None:
        """Several fluorescence images share a look: treatments must stay visible."""
        many = len(groups(chosen, self.panel.as_channels.isChecked())) > 1
        shared = many and not any(layer.rgb for layer in chosen)
        self.panel.pool.setCurrentText("batch" if shared else "image")

    def _choices_changed(self, change: Any = None) -> None:
        """Say what a fit would do."""
        names = names_of(self.panel, self.viewer.layers)
        self.panel.fitting.show_plan(names, self.panel.model.start)

    # --- running ------------------------------------------------------------------
    def start(self) -> None:
        """Run (the button)."""
        with errors_said():
            job, _ = run_of(self.panel, self.viewer.layers, self._donor)
            self._swaps = []
            self.launch(lambda: run_job(job))
            if not (job.donors or job.recipe.donor):
                self._say(self.panel.without_donor())

    def fit(self) -> None:
        """Fit (the button)."""
        with errors_said():
            self._fit = job = fit_of(self.panel, self.viewer)
            self.panel.fitting.begin()
            self.panel.open_fitting()
            self.launch(lambda: run_fit(job))

    def stop_and_use(self) -> None:
        """Stop and use (the button): keep the model as it is after this step."""
        if self._fit is not None:
            self._fit.enough.set()

    def _show_running(self, running: bool) -> None:
        self.panel.set_running(running, fitting=self._fit is not None)

    def _step(self, step: Any) -> None:
        if isinstance(step, Result):
            self._add(step)
        elif isinstance(step, Failed):
            self._note_failed(step)
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
        if not self.shows(result):
            return
        for data in result.layers:
            put_layer(self.viewer, data)
        if result.output.donor is not None:
            self._swaps.append(result)
        self._note(result)

    def _finished(self) -> None:
        thrown_away, self._fit = self._fit is not None, None
        super()._finished()
        if thrown_away:
            self.panel.fitting.show_thrown_away()

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
            code = python_code(*run_of(self.panel, self.viewer.layers, self._donor))
            self.copy(code, "paste it into napari's console")

    def _copy_recipe(self) -> None:
        with errors_said():
            job, _ = run_of(self.panel, self.viewer.layers, self._donor)
            text = json.dumps(described(job), indent=1)
            self.copy(text, recipe_hint(job))

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
            self.panel.model.add(file)

    def _save_model(self) -> None:
        ask_to_save(self, "Save model", MODELS, self.save_model)

    def save_model(self, path: str) -> None:
        """Copy the file of the chosen model, if it has one."""
        file = self.panel.model.file
        if file is not None:
            with errors_said():
                copy_model(file, path)
