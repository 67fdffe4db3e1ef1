"""The widget "Objects": find them, say what kinds there are, look at each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import qthrottled

from napari_disentangle._qt.ask.widget import AskWidget
from napari_disentangle._qt.images.chosen import One
from napari_disentangle._qt.images.picking import sources
from napari_disentangle._qt.objects import colours
from napari_disentangle._qt.objects.job import Job, Shown, code, find, python_code
from napari_disentangle._qt.objects.matching import (
    ends,
    found_by,
    labels_on,
    of_ours,
    print_of,
    recipe_of,
    stale,
    why_none,
)
from napari_disentangle._qt.objects.panel import GROUP, ObjectsPanel
from napari_disentangle._qt.runs.files import ask_to_save, with_suffix
from napari_disentangle._qt.runs.worker import Steps, StepWorker
from napari_disentangle._qt.window.plan import said
from napari_disentangle._qt.window.sight import (
    WholeSample,
    follow_clicks,
    look_at,
    zoom_to,
)
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.arrays import Array
from napari_disentangle.layers.objects import add_objects, attach
from napari_disentangle.objects.objects import Objects
from napari_disentangle.objects.table import write_objects
from napari_disentangle.objects.telling import Told

if TYPE_CHECKING:
    import napari

_SLIDER_MS = 60


class ObjectsWidget(QWidget):  # type: ignore[misc]
    """Find objects, code and group them, and look at every group.

    Parameters
    ----------
    viewer
        The viewer whose layers are used.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer, self.panel = viewer, ObjectsPanel()
        self.shown: Shown | None = None
        # Labels layers that are coded now, and names of the images' layers.
        self._coding: list[Any] = []
        self._names: list[list[str]] = []
        self._checked: list[Any] = []
        self._job: Job | None = None
        # By which job layers were found, and what they were then.
        self._found: dict[Any, tuple[Job, int]] = {}
        self._sources: list[Any] = []
        self._worker: StepWorker | None = None
        self._undo: list[Callable[[], None]] = []
        self._whole = WholeSample(viewer, self)
        self._regroup = qthrottled(self.regroup, timeout=_SLIDER_MS)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self.ask = AskWidget(viewer)
        self.panel.add_tab("Ask", self.ask)
        self._connect()
        self._layers_changed()

    def _connect(self) -> None:
        panel, events = self.panel, self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._layers_changed)
        panel.images.changed.connect(self._choices_changed)
        panel.find.clicked.connect(self.start_finding)
        panel.code.clicked.connect(self.start_coding)
        panel.cancel.clicked.connect(self.cancel)
        panel.undo.clicked.connect(self.undo)
        panel.level.valueChanged.connect(self._regroup)
        panel.colour.currentTextChanged.connect(self._colour)
        panel.grouped.connect(self.show_group)
        panel.gallery.chosen.connect(self.go_to)
        panel.export.clicked.connect(self._ask_export)
        panel.copy.clicked.connect(self.copy_python)
        panel.tabs.currentChanged.connect(self.ask.refresh)

    # --- what is chosen -----------------------------------------------------------
    @property
    def told(self) -> Told | None:
        """The groups that are shown."""
        return self.shown.told if self.shown else None

    @property
    def layers(self) -> Sequence[Any]:
        """Labels layers of the groups that are shown."""
        return self.shown.layers if self.shown else ()

    @property
    def running(self) -> bool:
        """Whether something is being worked on."""
        return self._worker is not None

    def _layers_changed(self, event: Any = None) -> None:
        self.panel.images.show_layers(sources(self.viewer.layers))
        if self.told and not any(one in self.viewer.layers for one in self.layers):
            self._put(None)

    def _choices_changed(self) -> None:
        """Say how images are read, and which objects are of them."""
        checked = self.panel.images.table.checked()
        if checked != self._checked and not self.running:
            self._checked = checked
            self.panel.message.clear()
        chosen = self.panel.images.chosen()
        there = bool(self.panel.images.table.layers())
        lines = [chosen.in_words(), *chosen.left_out] if there else ["Open an image."]
        self.panel.images.say(lines)
        found = labels_on(self.viewer.layers, chosen.images)
        named = [layer.name for layer in found if layer is not None]
        listed = ", ".join(named[:3]) + f" and {len(named) - 3} more" * (len(named) > 3)
        self.panel.there.setText(f"Objects: {listed}" if named else "")
        self.panel.undo.setEnabled(bool(self._undo) and not self.running)

    def _taken(self) -> Sequence[One]:
        chosen = self.panel.images.chosen()
        if not chosen.images:
            raise DataError(" ".join(chosen.left_out) or "Check at least one image.")
        return chosen.images

    # --- finding and coding -------------------------------------------------------
    def start_finding(self) -> None:
        """Find objects (the button)."""
        with said(self._say):
            taken = self._taken()
            self._start(taken, self._made(taken), find)

    def start_coding(self) -> None:
        """Code and group (the button)."""
        with said(self._say):
            taken = self._taken()
            layers = labels_on(self.viewer.layers, taken)
            for one, layer in zip(taken, layers, strict=True):
                if layer is None:
                    raise DataError(why_none(one, self.viewer.layers, taken))
            labels = [np.array(layer.data) for layer in layers if layer is not None]
            self._coding = layers
            job = self._made(taken, labels, recipe_of(layers))
            self._start(taken, job, code)

    def _made(
        self,
        taken: Sequence[One],
        labels: Sequence[Array] = (),
        recipe: Mapping[str, Any] | None = None,
    ) -> Job:
        panel = self.panel
        return Job(
            [one.field for one in taken],
            panel.alike.isChecked(),
            panel.diameter.value() or None,
            panel.finder.currentText(),
            panel.coder.currentText(),
            labels,
            panel.level.value(),
            recipe,
        )

    def _start(
        self, taken: Sequence[One], job: Job, steps: Callable[[Job], Steps]
    ) -> None:
        self._sources, self._job = [one.layers[0] for one in taken], job
        self._names = [one.names for one in taken]
        self.panel.message.clear()
        self.panel.show_running(True)
        self._worker = StepWorker(partial(steps, job))
        self._worker.yielded.connect(self._step)
        self._worker.errored.connect(self._broken)
        self._worker.aborted.connect(self._cancelled)
        self._worker.finished.connect(self._ended)
        self.destroyed.connect(self._worker.quit)
        self._worker.start()

    def cancel(self) -> None:
        """Cancel (the button)."""
        if self._worker:
            self._worker.quit()

    def _step(self, step: Any) -> None:
        if isinstance(step, float):
            self.panel.show_share(step)
        elif isinstance(step, Objects):
            self._add(step)
        elif isinstance(step, Told):
            self._coded(step)

    def _broken(self, error: Exception) -> None:
        known = isinstance(error, (DisentangleError, ValueError))
        self._say(str(error) if known else f"{type(error).__name__}: {error}")

    def _cancelled(self) -> None:
        self._say("Cancelled: nothing was added.")

    def _ended(self) -> None:
        self._worker = None
        self.panel.show_running(False)
        self._choices_changed()

    def _say(self, *lines: str) -> None:
        self.panel.message.say(lines)

    # --- what was found -----------------------------------------------------------
    def _add(self, objects: Objects) -> None:
        """Add layers of objects, unless there are none."""
        if not len(objects):
            self._say("No object was found.", *objects.said)
            return
        images = self.panel.images.chosen().images
        before, there = self.shown, labels_on(self.viewer.layers, images)
        old = [one for one in there if one is not None and of_ours(one)]
        for layer in old:
            layer.visible = False
        made = add_objects(self.viewer, objects, layers=self._sources)
        assert self._job is not None
        self._found |= {k: (self._job, n) for k, n in map(print_of, made)}
        self._undo.append(partial(self._remove, made, old, before))
        self._put(None)
        n, many = len(objects), len(objects.images)
        where = f" in {many} images" if many > 1 else ""
        told = f"{n} object{'s' * (n != 1)}{where}. Code and group tells their kinds."
        self._say(told, *objects.said)

    def _put(self, shown: Shown | None) -> None:
        """Show these groups, or none."""
        self.shown = shown
        self.panel.show_groups(shown.told.groups if shown else None)

    def _remove(
        self, made: Sequence[Any], old: Sequence[Any], before: Shown | None
    ) -> None:
        for layer in made:
            if layer in self.viewer.layers:
                colours.forget(self.viewer, layer)
                self.viewer.layers.remove(layer)
        for layer in old:
            layer.visible = True
        self._put(before)

    def _coded(self, told: Told) -> None:
        self._undo.append(self._restoring())
        assert self._job is not None
        self.shown = Shown(told, self._coding, self._job, self._names)
        names = [name for part in told.parts for name in part.columns()]
        self.panel.show_columns(names, GROUP)
        for layer in self.layers:
            follow_clicks(layer, self._label_selected)
        lines = self._show()
        n, codes = len(told.objects), told.groups.codes
        level = told.groups.level
        many = f"{n} objects in {level} group{'s' * (level != 1)}."
        self._say(many, *codes.said, *lines)

    def _restoring(self) -> Callable[[], None]:
        """What brings back the tables as they are now."""
        before, every = self.shown, self._coding
        # napari empties and fills the metadata that a layer has
        kept = [(one, one.features.copy(), dict(one.metadata)) for one in every]
        maps = [(one, one.colormap) for one in every]

        def restore() -> None:
            for layer, features, metadata in kept:
                layer.features, layer.metadata = features, metadata
            colours.restore(self.viewer, maps)
            self._put(before)

        return restore

    def undo(self) -> None:
        """Undo (the button)."""
        self.panel.message.clear()
        self._undo.pop()()
        self._choices_changed()

    # --- groups -------------------------------------------------------------------
    def regroup(self, level: int) -> None:
        """Group more coarsely or finely: nothing is coded again."""
        if self.shown is not None:
            self.shown = replace(self.shown, told=self.shown.told.at(level))
            self._say(*self._show(), *stale(self.layers, self.shown.told.objects))

    def _show(self) -> list[str]:
        """Put groups into the tables, the window and the colours."""
        told, lines = self.told, []
        assert told is not None
        for number, layer in enumerate(self.layers):
            if layer in self.viewer.layers:
                lines += attach(layer, told.objects, number, told.parts)
        self.panel.show_groups(told.groups)
        self._colour(self.panel.colour.currentText())
        self.panel.select(1)
        return lines

    def _colour(self, name: str) -> None:
        there = [layer for layer in self.layers if layer in self.viewer.layers]
        colours.show_all(self.viewer, there, name)

    def show_group(self, number: int) -> None:
        """Show the most typical members of a group."""
        if self.told is not None:
            rows = self.told.groups.typical(number)
            self.panel.gallery.show_rows(self.told.objects, rows)
            n = int((self.told.groups.numbers == number).sum())
            told = f"Most typical of the {n} objects of group {number}:"
            self.panel.one.setText(told)

    def go_to(self, row: int) -> None:
        """Select an object, and move the view there."""
        assert self.told is not None
        objects = self.told.objects
        number = int(objects.columns["image number"][row])
        layer, axes = self.layers[number], objects.images[number].axes
        if layer not in self.viewer.layers:
            self._say(f"{layer.name!r} was removed.")
            return
        known = np.array([ends(objects, row, axis) for axis in axes if axis != "C"])
        middle, edges = known.mean(axis=1), np.ptp(known, axis=1)
        layer.selected_label = int(objects.columns["label"][row])
        self.viewer.layers.selection.active = layer
        look_at(self.viewer, np.asarray(layer.data_to_world(middle)))
        zoom_to(self.viewer, layer, edges)

    def _label_selected(self, event: Any) -> None:
        """Tell which group an object is in that was selected in its image."""
        layer = event.source
        if self.told is None or layer not in self.layers:
            return
        columns = self.told.objects.columns
        number, label = self.layers.index(layer), int(layer.selected_label)
        own = (columns["image number"] == number) & (columns["label"] == label)
        if own.any():
            found = int(self.told.groups.numbers[np.flatnonzero(own)[0]])
            self.panel.select(found)
            self.panel.one.setText(
                f"Object {label} of {layer.name} is in group {found}; most typical:"
            )

    # --- files and scripts --------------------------------------------------------
    def _ask_export(self) -> None:
        ask_to_save(self, "Export objects", "*.csv", self.export)

    def export(self, path: str) -> None:
        """Write the table of all objects (CSV), and how it came about (JSON)."""
        assert self.told is not None
        with said(self._say):
            told = self.told
            place, known = with_suffix(path, ".csv")
            write_objects(place, told.objects, *told.parts, overwrite=known)
            lines = stale(self.layers, told.objects)
            self._say(f"Written: {place.name} and its .json", *lines)

    def copy_python(self) -> None:
        """Copy as Python (the button)."""
        with said(self._say):
            if self.shown is None:
                raise DataError("Code objects first: the script does the same.")
            job, layers = self.shown.job, self.shown.layers
            found = found_by(layers, self._found, job.images)
            labels = [] if found else [layer.name for layer in layers]
            level = self.shown.told.groups.level
            whole = replace(found or job, coder=job.coder, level=level)
            QApplication.clipboard().setText(
                python_code(whole, self.shown.names, labels)
            )
            self._say("Copied: paste it into napari's console.")

    def event(self, event: Any) -> bool:
        """Stop and go when the dock is closed: napari then takes its widget out."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.cancel()
            self.deleteLater()
        return bool(super().event(event))
