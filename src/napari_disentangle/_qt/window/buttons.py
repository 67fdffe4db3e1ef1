"""The small buttons: copies, looks, models and recipes in files, saving, the report."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication

from napari_disentangle._qt.images.table import IMAGE
from napari_disentangle._qt.runs.files import (
    LOOKS,
    MODELS,
    RECIPES,
    ask_to_open,
    ask_to_save,
    copy_model,
    read_look,
    read_model,
    write_look,
)
from napari_disentangle._qt.runs.job import described, recipe_hint
from napari_disentangle._qt.runs.saving import Saved, SaveDialog, Saving
from napari_disentangle._qt.runs.script import python_code
from napari_disentangle._qt.training.job import folder, kept
from napari_disentangle._qt.window.plan import said
from napari_disentangle._qt.window.recall import recall
from napari_disentangle._qt.window.sight import PLUGIN
from napari_disentangle._qt.window.tasks import GUIDE, TASKS
from napari_disentangle.errors import DataError
from napari_disentangle.layers.opened import reader
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.pipeline.recipe import Recipe


class Buttons:
    """What the small buttons of a widget do.

    Parameters
    ----------
    widget
        The widget of the plugin: it imports this module, not the other way.

    Attributes
    ----------
    look
        The look that was loaded from a file, if any.
    """

    def __init__(self, widget: Any) -> None:
        self.widget, self.panel = widget, widget.panel
        self.look: Attribute | None = None
        self.dialog: Any = None
        panel = widget.panel
        panel.check_devices.clicked.connect(self._check_devices)
        panel.copy_python.clicked.connect(self._copy_python)
        panel.copy_recipe.clicked.connect(self._copy_recipe)
        panel.load_recipe.clicked.connect(self._load_recipe)
        panel.load_look.clicked.connect(self._load_look)
        panel.save_look.clicked.connect(self._save_look)
        panel.save.clicked.connect(self._save)
        panel.open_again.clicked.connect(self._open_again)
        panel.help.clicked.connect(self._help)
        panel.try_it.clicked.connect(self.try_it)
        panel.report.clicked.connect(self._report)
        panel.fitting.load.clicked.connect(self._load_model)
        panel.fitting.save.clicked.connect(self._save_model)

        self._listed = False
        for section in (panel.method, panel.fitting):
            section.toggled.connect(self._list_models)

    def _list_models(self, opened: bool) -> None:
        """Offer the models that were trained in earlier sessions, once."""
        if not opened or self._listed:
            return
        self._listed = True
        for one in kept():
            if isinstance(one, str):
                self.widget.add_words(one)
            else:
                self.panel.model.offer(one)
        self.panel.fitting.name.setPlaceholderText(self.panel.model.next_label())

    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard, and say what to do with it."""
        QApplication.clipboard().setText(text)
        self.widget.say(f"Copied: {what}.")

    def _check_devices(self) -> None:
        from napari_disentangle.compute.device import list_devices, why_no_gpu

        self.panel.show_devices(list_devices())
        self.widget.say(why_no_gpu() or "A GPU is there and will be used.")

    # --- script and recipe --------------------------------------------------------
    def _copy_python(self) -> None:
        with said(self.widget.say):
            plan = self.widget.plan()
            code = python_code(plan.job, plan.names)
            self.copy(code, "paste it into napari's console")

    def _copy_recipe(self) -> None:
        with said(self.widget.say):
            job = self.widget.plan().job
            self.copy(json.dumps(described(job), indent=1), recipe_hint(job))

    def _load_recipe(self) -> None:
        ask_to_open(self.widget, "Recipe", RECIPES, self.use_recipe)

    def use_recipe(self, path: str) -> None:
        """Choose what a recipe says."""
        with said(self.widget.say):
            name = Path(path).name
            look, told = recall(self.panel, Recipe.load(path))
            if look is not None:
                self._take(look, name)
            self.panel.message.say([f"The panel shows what {name} says.", *told])

    # --- looks --------------------------------------------------------------------
    def _load_look(self) -> None:
        ask_to_open(self.widget, "Saved look", LOOKS, self.use_look)

    def use_look(self, path: str) -> None:
        """Take a saved look as that which images get."""
        with said(self.widget.say):
            self._take(read_look(path), Path(path).name)

    def _take(self, look: Attribute, name: str) -> None:
        self.look = look
        self.panel.show_look(f"saved look {name}")
        table = self.panel.images.table
        table.set_role(table.layers(), IMAGE)

    def _save_look(self) -> None:
        look = self.widget.slider.given_look()
        if look is None:
            self.widget.say("Run a swap first: then the look that it gave is kept.")
            return
        ask_to_save(self.widget, "Save look", LOOKS, partial(self.save_look, look))

    def save_look(self, look: Attribute, path: str) -> None:
        """Write a look to a file; the name gets the ending that looks have."""
        with said(self.widget.say):
            self.widget.say(f"Saved: {write_look(look, path).name}")

    # --- models -------------------------------------------------------------------
    def _load_model(self) -> None:
        ask_to_open(self.widget, "Saved model", MODELS, self.use_model, folder())

    def use_model(self, path: str) -> None:
        """Choose a model from a file."""
        with said(self.widget.say):
            self.panel.model.add(read_model(path, self.panel.model.modality))

    def _save_model(self) -> None:
        ask_to_save(self.widget, "Save model", MODELS, self.save_model)

    def save_model(self, path: str) -> None:
        """Copy the file of the chosen model, if it has one."""
        file = self.panel.model.file
        if file is not None:
            with said(self.widget.say):
                copy_model(file, path)

    # --- the first minute ---------------------------------------------------------
    def try_it(self) -> None:
        """Open a sample, and do on it what is chosen."""
        self.widget.viewer.open_sample(PLUGIN, "brightfield")
        self.widget.start()

    def _help(self) -> None:
        QDesktopServices.openUrl(QUrl(f"{GUIDE}#{TASKS[self.panel.task].anchor}"))

    # --- results ------------------------------------------------------------------
    def _save(self) -> None:
        layers = [one for pair in self.widget.last.pairs() for one in pair.layers]
        self.dialog = SaveDialog(self.widget, layers)
        self.dialog.accepted.connect(lambda: self.save_results(*self.dialog.chosen()))
        self.dialog.open()

    def _open_again(self) -> None:
        pattern = "*.tif *.png zarr.json"  # Zarr is a folder, which is not chosen
        ask_to_open(self.widget, "Results", pattern, self.open_results)

    def open_results(self, path: str) -> None:
        """Open a file that was saved here as the layer that it was, however named."""
        place = Path(path).parent if Path(path).name == "zarr.json" else Path(path)
        with said(self.widget.say):
            read = reader(str(place))
            if read is None:
                raise DataError(
                    f"{place.name!r} is no result of this plugin: open it with File > "
                    "Open"
                )
            for one in read(str(place)):
                self.widget.viewer.add_layer(Layer.create(*one))

    def save_results(
        self, layers: list[Any], place: Path, suffix: str, replace: bool = False
    ) -> None:
        """Write layers of a run into a folder."""
        with said(self.widget.say):
            self.widget.slider.flush()  # what is saved is not written to any more
            self.widget.launch(Saving.of(layers, place, suffix, replace).steps)

    def _report(self) -> None:
        with said(self.widget.say):
            job = self.widget.plan().job

            def steps() -> Any:
                from napari_disentangle._qt.numbers.report import report_steps

                return report_steps(job)

            self.widget.launch(steps)

    def took(self, step: Any) -> bool:
        """Show a step of saving or of the report; whether it was one."""
        if isinstance(step, Saved):
            self.widget.add_words(f"Saved {step.path}")
            return True
        if type(step).__name__ != "Reported":
            return False
        from napari_disentangle._qt.numbers.report import ReportDialog

        self.dialog = ReportDialog(self.widget, step.report)
        self.dialog.show()
        return True
