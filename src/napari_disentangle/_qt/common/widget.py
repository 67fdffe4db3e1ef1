"""What the widgets have in common: following layers, and running things in a worker."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QSizePolicy, QVBoxLayout, QWidget

from napari_disentangle._qt.common.choices import picked
from napari_disentangle._qt.common.job import Result
from napari_disentangle._qt.common.panel import BasePanel
from napari_disentangle._qt.common.picking import (
    in_doubt,
    in_words,
    proposed_axes,
    proposes_channels,
)
from napari_disentangle._qt.common.worker import StepWorker
from napari_disentangle.errors import DisentangleError
from napari_disentangle.pipeline.follow import Failed

if TYPE_CHECKING:
    import napari


class BaseWidget(QWidget):  # type: ignore[misc]
    """A panel in a viewer, and at most one worker.

    Parameters
    ----------
    viewer
        The viewer whose layers are used.
    panel
        What is shown.
    """

    def __init__(self, viewer: napari.viewer.Viewer, panel: BasePanel) -> None:
        super().__init__()
        self.viewer = viewer
        self._worker: StepWorker | None = None
        self._started = 0.0
        # Layers by the name that they had when the run began: it may change meanwhile.
        self._ran_on: dict[str, Any] = {}
        # else napari fills the dock below the widget instead of letting it grow
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(panel)
        self._base = panel
        self._connect_base()

    def _connect_base(self) -> None:
        panel, layers = self._base, self.viewer.layers.events
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
        panel.full_scale.valueChanged.connect(self._reading_changed)
        panel.run.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.check_devices.clicked.connect(self._check_devices)

    # --- what is chosen -----------------------------------------------------------
    def _layers_changed(self, event: Any = None) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Run (the button)."""
        raise NotImplementedError

    def _step(self, step: Any) -> None:
        raise NotImplementedError

    def _images_changed(self, item: Any = None) -> None:
        """Propose a reading for the newly chosen layers."""
        chosen = self._base.images.checked()
        self._base.as_channels.setChecked(proposes_channels(chosen))
        self._base.axes.setText(proposed_axes(chosen))
        self._base.ask_first_axis(in_doubt(chosen))
        self._reading_changed()

    def _reading_changed(self, change: Any = None) -> None:
        """Say in words how the chosen layers are read."""
        try:
            images = picked(self._base, self._base.images)
        except (DisentangleError, ValueError) as error:
            self._base.summary.setText(f"Cannot be used: {error}.")
            return
        self._base.summary.setText(in_words([one.field for one in images]))
        self._base.model.show_for(images[0].field.modality if images else None)
        self._choices_changed()

    def _choices_changed(self, change: Any = None) -> None:
        """Nothing more to say."""

    # --- running ------------------------------------------------------------------
    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def launch(self, steps: Any) -> None:
        """Start a worker."""
        self._base.notes.clear()
        self._ran_on = {layer.name: layer for layer in self.viewer.layers}
        worker = StepWorker(steps)
        worker.yielded.connect(self._step)
        worker.errored.connect(self._failed)
        worker.finished.connect(self._finished)
        self.destroyed.connect(worker.quit)
        self._worker, self._started = worker, monotonic()
        self._show_running(True)
        worker.start()

    def _show_running(self, running: bool) -> None:
        self._base.set_running(running)

    def cancel(self) -> None:
        """Cancel (the button)."""
        if self._worker is not None:
            self._worker.quit()
            self._base.progress.setFormat("cancelling ...")

    def shows(self, result: Result) -> bool:
        """Whether the layers of a result are still there; said if not."""
        layers = [self._ran_on[style.name] for style in result.picked.styles]
        if all(layer in self.viewer.layers for layer in layers):
            return True
        self._say([f"{result.output.image.name}: removed, so nothing was added"])
        return False

    def _note(self, result: Result) -> None:
        """Say what is odd about an image, once as a notification too."""
        name = result.output.image.name
        lines = [f"{name}: {status}" for status in result.output.status]
        for line in self._say(lines):
            show_warning(line)

    def _note_failed(self, failed: Failed) -> None:
        """Say that an image could not be used, while the others are done."""
        for line in self._say([f"{failed.image} was not done: {failed.reason}"]):
            show_error(line)

    def _say(self, lines: list[str]) -> list[str]:
        """Keep lines in sight until the next run; returns those that are new."""
        known = self._base.notes.text().splitlines()
        fresh = [line for line in lines if line not in known]
        self._base.notes.setText("\n".join([*known, *fresh]))
        return fresh

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, (DisentangleError, ValueError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        show_error(f"The run stopped: {text}")

    def _finished(self) -> None:
        self._worker, self._ran_on = None, {}
        self._show_running(False)
        self._choices_changed()

    def event(self, event: Any) -> bool:
        """Stop and go when the dock is closed: napari then takes its widget out."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._leave()
            self.deleteLater()
        return bool(super().event(event))

    def _leave(self) -> None:
        self.cancel()

    # --- the small buttons --------------------------------------------------------
    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard, and say what to do with it."""
        QApplication.clipboard().setText(text)
        show_info(f"Copied: {what}.")

    def _check_devices(self) -> None:
        from napari_disentangle.compute.device import list_devices, why_no_gpu

        self._base.show_devices(list_devices())
        show_info(why_no_gpu() or "A GPU is there and will be used.")
