"""The widget "Disentangle": from chosen layers to content, swap and anomaly layers."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import qdebounced, qthrottled

from napari_disentangle._qt.job import (
    Job,
    Names,
    Result,
    python_code,
    recomputed,
    run_job,
)
from napari_disentangle._qt.panel import Panel
from napari_disentangle._qt.picking import (
    groups,
    in_words,
    pick,
    proposed_axes,
    proposes_channels,
    sources,
)
from napari_disentangle._qt.worker import StepWorker
from napari_disentangle.attribute import Attribute
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.layers import identity, put_layer
from napari_disentangle.recipe import Recipe

if TYPE_CHECKING:
    import napari

    from napari_disentangle._qt.picking import LayerList
    from napari_disentangle.layers import Picked

# A swap with more values than this follows the slider only when it rests.
LIVE = 2**21
_SLIDER_MS = 30
_REST_MS = 200


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
        # else napari fills the dock below the widget instead of letting it grow
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._follow_slider = qthrottled(self._show_strength, timeout=_SLIDER_MS)
        self._rest_slider = qdebounced(self._show_strength, timeout=_REST_MS)
        self.panel.choose_device(_preferred_device())
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

    # --- what is chosen -----------------------------------------------------------
    def _layers_changed(self, event: Any = None) -> None:
        found = sources(self.viewer.layers)
        before = self.panel.images.checked()
        for choice in (self.panel.images, self.panel.donors, self.panel.normals):
            choice.show_layers(found)
        if not before:
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
            picked = self._pick(self.panel.images)
        except (DisentangleError, ValueError) as error:
            self.panel.summary.setText(f"Cannot be used: {error}.")
            return
        self.panel.summary.setText(in_words([one.field for one in picked]))
        self.panel.show_models(picked[0].field.modality if picked else None)

    def _pick(self, choice: LayerList) -> list[Picked]:
        """Snapshot of a list; layers with other axes than the images keep their own."""
        panel, layers = self.panel, choice.checked()
        images = panel.images.checked()
        alike = choice is panel.images or all(a.ndim == images[0].ndim for a in layers)
        axes = panel.axes.text().strip().upper() if alike else ""
        return pick(
            layers, panel.as_channels.isChecked(), axes, panel.chosen_modality()
        )

    def _names(self, choice: LayerList) -> list[list[str]]:
        grouped = groups(choice.checked(), self.panel.as_channels.isChecked())
        return [[layer.name for layer in group] for group in grouped]

    def job(self) -> tuple[Job, Names]:
        """What Run would do now.

        Raises
        ------
        DisentangleError
            If something is missing or does not fit.
        """
        panel = self.panel
        if not panel.images.checked():
            raise DataError("no image is checked: check at least one image layer")
        chosen = (panel.images, panel.donors, panel.normals)
        picked, donors, normals = (self._pick(choice) for choice in chosen)
        saved = None if donors else self._donor
        recipe = Recipe(
            model=panel.model.currentText(),
            config=panel.settings(),
            pool=panel.pool.currentText(),
            outputs=panel.outputs(),
            donor=saved.to_json() if saved else None,
            strength=panel.strength.value() / 100,
            device=panel.device.currentData() or "auto",
        )
        job = Job(
            recipe,
            picked,
            [one.field for one in donors],
            [one.field for one in normals],
        )
        return job, Names(*(self._names(choice) for choice in chosen))

    # --- running ------------------------------------------------------------------
    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def start(self) -> None:
        """Run (the button)."""
        try:
            job, _ = self.job()
        except (DisentangleError, ValueError) as error:
            show_error(str(error))
            return
        self._swaps = []
        self.panel.notes.clear()
        self._launch(lambda: run_job(job))

    def _launch(self, steps: Any) -> None:
        worker = StepWorker(steps)
        worker.yielded.connect(self._step)
        worker.errored.connect(self._failed)
        worker.finished.connect(self._finished)
        self.destroyed.connect(worker.quit)
        self._worker, self._started = worker, monotonic()
        self.panel.set_running(True)
        worker.start()

    def cancel(self) -> None:
        """Cancel (the button)."""
        if self._worker is not None:
            self._worker.quit()
            self.panel.progress.setFormat("cancelling ...")

    def _step(self, step: Any) -> None:
        if isinstance(step, Result):
            self._add(step)
        else:
            self.panel.show_progress(step, monotonic() - self._started)

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

    def event(self, event: Any) -> bool:
        """Stop and go when the dock is closed: napari then takes its widget out."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.cancel()
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
    def _current(self) -> tuple[Job, Names] | None:
        try:
            return self.job()
        except (DisentangleError, ValueError) as error:
            show_error(str(error))
            return None

    def _copy_python(self) -> None:
        current = self._current()
        if current:
            QApplication.clipboard().setText(python_code(*current))
            show_info("Copied: paste it into napari's console.")

    def _copy_recipe(self) -> None:
        current = self._current()
        if current:
            text = json.dumps(self._described(current[0]), indent=1)
            QApplication.clipboard().setText(text)
            show_info("Copied: save it as recipe.json for the command line.")

    @staticmethod
    def _described(job: Job) -> dict[str, Any]:
        from napari_disentangle.recipe import Source

        update = {
            "images": tuple(Source.of(one.field) for one in job.picked),
            "donors": tuple(Source.of(field) for field in job.donors),
            "normals": tuple(Source.of(field) for field in job.normals),
        }
        return job.recipe.model_copy(update=update).to_json()

    def _load_donor(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Saved attribute", "", "*.json")
        if path:
            self.use_donor(path)

    def use_donor(self, path: str) -> None:
        """Take a saved attribute as the donor."""
        try:
            self._donor = Attribute.from_json(json.loads(Path(path).read_text()))
        except (OSError, ValueError, DisentangleError) as error:
            show_error(f"{Path(path).name} cannot be used as a donor: {error}")
            return
        self.panel.donors.check([])
        self.panel.donor_file.setText(f"saved attribute {Path(path).name}")

    def _save_donor(self) -> None:
        looks = [swap.output.donor for swap in self._swaps if swap.output.donor]
        if not looks:
            show_error("Run a swap first: then the donor's attribute can be saved")
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save attribute", "", "*.json")
        if path:
            Path(path).write_text(json.dumps(looks[0].to_json(), indent=1))

    def _check_devices(self) -> None:
        from napari_disentangle.device import list_devices, why_no_gpu

        self.panel.show_devices(list_devices())
        show_info(why_no_gpu() or "A GPU is there and will be used.")


def _preferred_device() -> str:
    """The device of napari's preferences (Plugins > Disentangle)."""
    from napari.settings import get_plugin_settings

    return str(get_plugin_settings("napari-disentangle").processing.device)


class AnomalyWidget(DisentangleWidget):
    """The same widget with only the anomaly map checked (Layers > Measure)."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.panel.choose_outputs(("anomaly",))
