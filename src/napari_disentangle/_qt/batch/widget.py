"""The widget "Batch": choose a folder or a plate, press Run, look at the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QSizePolicy, QVBoxLayout, QWidget

from napari_disentangle._qt.batch.opened import Opened
from napari_disentangle._qt.batch.panel import BatchPanel
from napari_disentangle._qt.runs.worker import Steps, StepWorker
from napari_disentangle.errors import DisentangleError
from napari_disentangle.files.registry import read
from napari_disentangle.image.field import Field
from napari_disentangle.study.check import Foreseen, foresee
from napari_disentangle.study.draft import first
from napari_disentangle.study.looks import opened
from napari_disentangle.study.plan import states
from napari_disentangle.study.preview import Preview, preview
from napari_disentangle.study.report import REPORT
from napari_disentangle.study.run import KEPT, RECIPE, Event, run_study
from napari_disentangle.study.scan import Item, regrouped, scan
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import DONE, FAILED, place_of
from napari_disentangle.study.verdict import warnings_of

if TYPE_CHECKING:
    import napari

_RECIPES = {".yaml", ".yml"}
_PHASES = {"measure": "measuring", "render": "writing", "report": "report"}


class BatchWidget(QWidget):  # type: ignore[misc]
    """Normalise the images of a folder or a plate, and look at what became of them.

    Parameters
    ----------
    viewer
        Where images are opened.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.panel = BatchPanel()
        self.study: Study | None = None
        self.items: Sequence[Item] = ()
        self.opened = Opened(viewer)
        self._previews = self._stopped = False
        self._last: Path | None = None
        self._worker: StepWorker | None = None
        self._foreseen: Foreseen | None = None
        self._failed: dict[str, str] = {}
        self._remarks: set[str] = set()
        self._begun: dict[str, tuple[float, int]] = {}
        # else napari fills the dock below the widget instead of letting it grow
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._connect()

    def _connect(self) -> None:
        panel = self.panel
        panel.path.returnPressed.connect(self._go)
        panel.choose.clicked.connect(self._ask_folder)
        panel.recipe.clicked.connect(self._ask_recipe)
        for box in (panel.group, panel.control, panel.biology, panel.format):
            box.currentTextChanged.connect(self._chosen)
        for line in (panel.pattern, panel.values):
            line.textChanged.connect(self._chosen)
        panel.target.editingFinished.connect(self._chosen)
        panel.singly.toggled.connect(self._chosen)
        panel.selected.clicked.connect(self._take_selected)
        panel.preview.clicked.connect(self.show_preview)
        panel.run.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.report.clicked.connect(self.open_report)
        panel.overview.opened.connect(self.open_images)

    @property
    def running(self) -> bool:
        """Whether something is being worked on."""
        return self._worker is not None

    # --- what is chosen -----------------------------------------------------------
    def _ask_folder(self) -> None:
        files_too = QFileDialog.Option.DontResolveSymlinks  # and not ShowDirsOnly
        begin = str(self._last or Path.home())
        folder = QFileDialog.getExistingDirectory(
            self, "Folder of images, or a plate", begin, files_too
        )
        if folder:
            self._last = Path(folder).parent
            self.open_path(folder)

    def _ask_recipe(self) -> None:
        begin = str(self._last or Path.home())
        kinds = "Recipes and tables (*.yaml *.yml *.csv)"
        name, _ = QFileDialog.getOpenFileName(self, "Recipe or table", begin, kinds)
        if name:
            self._last = Path(name).parent
            self.open_path(name)

    def _go(self) -> None:
        if said := self.panel.said_path():
            self.open_path(said)

    def open_path(self, path: str | Path) -> None:
        """Take a folder of images, a plate, a table or a recipe."""
        if Path(path).suffix.lower() in _RECIPES:
            self.open_recipe(path)
        else:
            self.open_folder(path)

    def open_folder(self, folder: str | Path) -> None:
        """Take the images of a folder, plate or table, or go on with an earlier run."""
        source = Path(folder)
        try:
            study, _ = first(source, source.absolute().parent)
            beside = study.moved(study.target)
            items = scan(beside)
        except (DisentangleError, OSError) as error:
            self.panel.message.say([str(error)])
            return
        earlier = study.target / RECIPE
        if earlier.exists():
            self.open_recipe(earlier)
        else:
            self._take(beside, items)
        self.panel.path.setText(str(source))

    def open_recipe(self, path: str | Path) -> None:
        """Take the study of a recipe."""
        try:
            study = Study.load(path)
            self._take(study, scan(study))
        except (DisentangleError, OSError) as error:
            self.panel.message.say([str(error)])
            return
        self.panel.path.setText(str(path))

    def _mark(self) -> None:
        """Show what became of images in earlier runs, whatever is chosen now."""
        assert self.study is not None
        known = states(self.study)
        done = {image for (image, _), one in known.items() if one["state"] == DONE}
        n = len(self.items)
        left = "" if len(done) >= n else "; Run does the rest if nothing is changed"
        found = f"{len(done)} of {n} images are done{left}."
        self.panel.source.setText(found if known else f"{n} images were found.")
        for (image, _), record in known.items():
            state, reason = record["state"], record.get("reason", "")
            self.panel.overview.mark(image, state, reason)

    def _take(self, study: Study, items: Sequence[Item]) -> None:
        self.study, self.items = study, items
        self.panel.show_study(study, items)
        self._mark()
        self._say_warnings()

    def _chosen(self, *_: Any) -> bool:
        """Show groups and controls as they are chosen now, if that can be done."""
        if self.study is None or self.running:
            return False
        try:
            study = self.panel.said(self.study)
            items = regrouped(study, self.items)
        except DisentangleError as error:
            self.panel.message.say([str(error)])
            return False
        self.study, self.items = study, items
        self.panel.show_items(items)
        self.panel.target.setText(str(study.target))
        self._mark()
        self._say_warnings()
        return True

    def _say_warnings(self) -> None:
        assert self.study is not None
        self.panel.message.say(warnings_of(self.study, self.items))
        there = (self.study.target / REPORT).exists()
        self.panel.report.setVisible(there)
        self.panel.replace.setVisible(there)

    def _take_selected(self) -> None:
        """Make the selected wells or images the controls."""
        paths = {*self.panel.overview.chosen()}
        chosen = [item for item in self.items if item.path in paths]
        if not chosen:
            self.panel.message.say(["Select wells or images in the table first."])
            return
        column = "well" if all("well" in item.labels for item in chosen) else "name"
        values = dict.fromkeys(item.labels[column] for item in chosen)
        self.panel.control.setCurrentText(column)
        self.panel.values.setText(", ".join(values))

    # --- what is done -------------------------------------------------------------
    def show_preview(self) -> None:
        """Open images of three groups, before and after."""
        study = self._ready()
        if study is not None:
            items = self.items
            self.opened.clear()
            self._start(lambda: _previewed(study, items), previews=True)

    def start(self) -> None:
        """Run the study, or go on with it."""
        study = self._ready()
        if study is not None:
            replace = self.panel.replace.isChecked()
            self._start(lambda: run_study(study, overwrite=replace))

    def _ready(self) -> Study | None:
        """The study as it is chosen here; none if that cannot be run, which is said."""
        if self.running or not self._chosen():
            return None
        return self.study

    def _start(self, steps: Callable[[], Steps], previews: bool = False) -> None:
        self._previews, self._stopped = previews, False
        self._failed, self._remarks, self._begun = {}, set(), {}
        self._foreseen = None
        self.panel.message.clear()
        self.panel.show_running(True)
        self.panel.show_progress(0, 0, "starting")
        self._worker = StepWorker(steps)
        self._worker.yielded.connect(self._told)
        self._worker.errored.connect(self._broken)
        self._worker.finished.connect(self._ended)
        self._worker.start()

    def cancel(self) -> None:
        """Stop; what is done is kept."""
        if self._worker is not None:
            self._stopped = True
            self.panel.left.setText("stopping")
            self._worker.quit()

    def _told(self, step: Event | Preview | Foreseen) -> None:
        if isinstance(step, Foreseen):
            self._foreseen = step
            return
        if isinstance(step, Preview):
            self.opened.add(step.item, step.before, False)
            self.opened.add(step.item, step.after, True)
            return
        if step.state == FAILED:
            self._failed[step.image] = step.reason
        if step.remarks:
            self._remarks.add(step.image)
        if not self._previews and (step.phase == "render" or step.state == FAILED):
            self.panel.overview.mark(step.image, step.state, step.reason)
        left = f"{_PHASES[step.phase]}, {step.done} of {step.total}{self._left(step)}"
        self.panel.show_progress(step.done, step.total, left)

    def _left(self, step: Event) -> str:
        """How long this phase still takes."""
        if step.state == KEPT:
            return ""
        began, before = self._begun.setdefault(step.phase, (monotonic(), step.done))
        done = step.done - before
        if done < 3:
            return ""
        seconds = (monotonic() - began) / done * (step.total - step.done)
        return (
            f", {seconds / 60:.0f} min left"
            if seconds > 90
            else f", {seconds:.0f} s left"
        )

    def _broken(self, error: Exception) -> None:
        self._failed[""] = " ".join(str(error).split())

    def _ended(self) -> None:
        self._worker = None
        self.panel.replace.setChecked(False)  # to be said for every run
        self.panel.show_running(False)
        whole = self._failed.pop("", None)
        lines = [whole] if whole else []
        if self._failed:
            reasons = [f"{image}: {why}" for image, why in self._failed.items()]
            what = "1 image is" if len(reasons) == 1 else f"{len(reasons)} images are"
            rest = "" if whole else ", the others are"
            lines += [f"{what} not done{rest}", *reasons]
        else:
            lines = lines or [self._end()]
        if self._remarks and not self._previews:
            lines += [
                f"There are remarks on {len(self._remarks)} images in the report."
            ]
        self._mark()
        self._say_warnings()
        self.panel.message.add(lines)

    def _end(self) -> str:
        """What is said where nothing is wrong."""
        if self._stopped:
            return "Stopped: what is done is kept; press Run to go on."
        if self._foreseen is not None:
            return (
                "Left as it is, right as it would come out; nothing is written yet. "
                f"All take {self._foreseen.cost}."
            )
        assert self.study is not None
        return (
            f"All {len(self.items)} images are done, in {self.study.target}: open the "
            "report, or an image."
        )

    # --- what is looked at --------------------------------------------------------
    def open_images(self, paths: Sequence[str]) -> None:
        """Open images with what was made of them, in the place of earlier ones."""
        assert self.study is not None
        found: list[tuple[Item, Field, bool]] = []
        for item in [item for item in self.items if item.path in paths]:
            places = (place_of(self.study, item, kind) for kind in self.study.outputs)
            for place in [None, *(place for place in places if place.exists())]:
                found += self._read(item, place)
        if found:
            self.opened.clear()
        for one in found:
            self.opened.add(*one)

    def _read(self, item: Item, made: Path | None) -> list[tuple[Item, Field, bool]]:
        """An image, or what was made of it; nothing if it cannot be read."""
        assert self.study is not None
        try:
            if made is not None:
                return [(item, read(made), True)]
            return [
                (item, opened(str(self.study.place(item.file)), item.reading), False)
            ]
        except DisentangleError as error:
            self.panel.message.add([str(error)])
            return []

    def open_report(self) -> None:
        """Open the report in the browser."""
        assert self.study is not None
        page = self.study.target / REPORT
        opened = QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))
        missing = "" if opened else "There is no browser to open it with. "
        self.panel.message.say([f"{missing}The report is {page}."])

    def closeEvent(self, event: Any) -> None:
        """Stop what runs."""
        self.cancel()
        super().closeEvent(event)


def _previewed(study: Study, items: Sequence[Item]) -> Steps:
    """Some images before and after, then what all of them will take."""
    yield from preview(study, items)
    yield foresee(study)
