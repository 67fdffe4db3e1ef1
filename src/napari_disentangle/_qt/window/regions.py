"""Regions of the last anomaly maps: the slider, the table, and the way to the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker
from superqt.utils import qdebounced, qthrottled

from napari_disentangle._qt.runs.files import ask_to_save, with_suffix
from napari_disentangle._qt.runs.job import Result
from napari_disentangle._qt.window.panel import Panel
from napari_disentangle._qt.window.plan import marking_of, said
from napari_disentangle._qt.window.regions_box import LISTED
from napari_disentangle._qt.window.sight import follow_clicks, look_at, zoom_to
from napari_disentangle._qt.window.wording import in_the_window
from napari_disentangle.detector.detector import Detector, Score
from napari_disentangle.detector.export import write_csv, write_geojson
from napari_disentangle.image.field import Field
from napari_disentangle.image.units import PIXEL, plain_symbol
from napari_disentangle.layers.data import region_data
from napari_disentangle.layers.put import identity

# Regions of maps with more pixels follow the slider only when it rests.
LIVE = 2**21
_SLIDER_MS = 30
_REST_MS = 200
_UNLIKE = (
    "More than a fifth of the image is marked, so what it was compared with does not "
    "fit it: choose another normal."
)
_UNTOLD = "No region can be told from chance: the map shows what is rarest"
# A share of an image that cannot all be odd.
_MOST = 0.2

Found = tuple[Any, dict[str, Any]]


class Regions:
    """Shows the regions of the last run, one map at a time.

    Parameters
    ----------
    viewer
        Where the maps are.
    panel
        Its box of regions is used.
    say
        Tells a person what did not work.
    """

    def __init__(self, viewer: Any, panel: Panel, say: Callable[[str], None]) -> None:
        self.viewer, self.panel, self.say = viewer, panel, say
        self._results: list[Result] = []
        self._found: list[Found] = []
        # Layer that says what is normal: for what is shown, and for what is computed.
        self._marks, self._next_marks = "", ""
        self._outdated = False
        self._follow_slider = qthrottled(self._find_again, timeout=_SLIDER_MS)
        self._rest_slider = qdebounced(self._find_again, timeout=_REST_MS)
        box = panel.regions
        box.alpha.valueChanged.connect(self._slider_moved)
        box.min_size.valueChanged.connect(self._slider_moved)
        box.which.currentIndexChanged.connect(self._show_found)
        box.chosen.connect(self.go_to)
        box.only.toggled.connect(self._show_only)
        box.save_table.clicked.connect(self._save_table)
        box.save_outlines.clicked.connect(self._save_outlines)

    # --- while it runs ------------------------------------------------------------
    def begin(self, marks: str) -> None:
        """What is shown now is of the run before."""
        self._next_marks, self._outdated = marks, True

    def add(self, result: Result, layers: Sequence[Any]) -> None:
        """Take a result, if it has regions."""
        for layer in layers:
            if hasattr(layer, "selected_label"):
                follow_clicks(layer, self._label_selected)
        if result.score is None:
            return
        if self._outdated:
            self.forget()
        self._results.append(result)
        self._found.append(result.found or self._find(result))
        _, table = self._found[-1]
        for layer in layers:
            if hasattr(layer, "selected_label") and not tellable(table):
                layer.visible = False
        self._offer()

    def forget(self) -> None:
        """Show nothing of the run before: there is something of this one."""
        self._results, self._found, self._outdated = [], [], False
        self._marks = self._next_marks
        self.panel.regions.show_maps([])

    def finish(self) -> None:
        """Bring the table into sight, if there is a new one."""
        if self._results and not self._outdated:
            scroll, last = self.panel.scroll, self.panel.regions.save_table
            scroll.widget().adjustSize()  # else it ends where it did before the words
            scroll.ensureWidgetVisible(last)

    def show_cell(self, fields: Sequence[Field]) -> None:
        """Say how large the cell is in the world."""
        self.panel.detector.show_cell(*_pixel(fields[0]) if fields else (1, ""))

    # --- regions ------------------------------------------------------------------
    def _find(self, result: Result) -> Found:
        marking = marking_of(self.panel)
        assert result.score is not None
        return result.score.regions(marking.alpha, marking.min_size)

    def _offer(self) -> None:
        """Offer the maps, and show the regions of the chosen one."""
        at = max(0, self.panel.regions.which.currentIndex())
        names = [one.output.image.name for one in self._results]
        self.panel.regions.show_maps(names)
        with QSignalBlocker(self.panel.regions.which):
            self.panel.regions.which.setCurrentIndex(at)
        self._show_found()

    def _slider_moved(self, value: int) -> None:
        scores = [one.score for one in self._results if one.score]
        live = sum(score.z.size for score in scores) <= LIVE
        (self._follow_slider if live else self._rest_slider)()

    def _find_again(self) -> None:
        """Find the regions at another alpha: nothing is scored again."""
        self._found = [self._find(result) for result in self._results]
        marking = marking_of(self.panel)
        for result, found in zip(self._results, self._found, strict=True):
            layer = self._layer_of(result)
            if layer is None or result.score is None:
                continue
            style = result.picked.styles[0]
            args = (result.output, style, found, result.score.units, marking)
            data, attributes, _ = region_data(*args)
            layer.data = data
            layer.features = attributes["features"]
            layer.metadata = {**layer.metadata, **attributes["metadata"]}
        self._show_found()

    def _show_found(self, index: int = 0) -> None:
        """Show the regions of the chosen map, and what can be said of them."""
        at = self.panel.regions.which.currentIndex()
        if not 0 <= at < len(self._found):
            return
        result, (labels, table) = self._results[at], self._found[at]
        regions, score = self.panel.regions, result.score
        detector = result.output.detector
        if score is None or detector is None:
            return
        told = tellable(table)
        regions.show_table(table if told else {}, score.units)
        counted = _counted(len(table["label"])) if told else _UNTOLD
        cell = _cell(detector, result.output.image)
        normal = score.basis + f" (painted in {self._marks!r})" * bool(self._marks)
        text = f"{counted}. By {detector.name}; {cell}; normal: {normal}."
        marked = np.mean(np.asarray(labels) > 0) > _MOST
        regions.basis.setText(f"{_UNLIKE} {text}" if marked else text)
        limits = in_the_window(score.limits(table))
        regions.limits.setText(limits[:1].upper() + limits[1:] + "." * bool(limits))

    def _layer_of(self, result: Result) -> Any:
        """The layer of a result's regions, if it is still there."""
        tag = (result.picked.styles[0].layer, "regions", 0)
        layers = self.viewer.layers
        return next((one for one in layers if identity(one.metadata) == tag), None)

    def _shown(self) -> tuple[Any, Found] | None:
        """Layer and regions of the chosen map, if the layer is still there."""
        at = self.panel.regions.which.currentIndex()
        if not 0 <= at < len(self._found):
            return None
        layer = self._layer_of(self._results[at])
        return None if layer is None else (layer, self._found[at])

    # --- from the table to the picture, and back ----------------------------------
    def go_to(self, label: int) -> None:
        """Select a region, and move the view there."""
        shown = self._shown()
        if shown is None:
            return
        layer, (labels, _) = shown
        layer.selected_label = label
        self.viewer.layers.selection.active = layer
        places = np.argwhere(labels == label)
        if len(places):
            middle = places[
                np.square(places - places.mean(axis=0)).sum(axis=1).argmin()
            ]
            look_at(self.viewer, np.asarray(layer.data_to_world(middle)))
            zoom_to(self.viewer, layer, np.ptp(places, axis=0))

    def _label_selected(self, event: Any) -> None:
        shown = self._shown()
        if shown is not None and event.source is shown[0]:
            self.panel.regions.select(int(shown[0].selected_label))

    def _show_only(self, only: bool) -> None:
        for result in self._results:
            layer = self._layer_of(result)
            if layer is not None:
                layer.show_selected_label = only

    # --- files --------------------------------------------------------------------
    def _save_table(self) -> None:
        title = "Save table of regions"
        ask_to_save(self.panel, title, "*.csv", self.save_table)

    def save_table(self, path: str) -> None:
        """Write the table of the chosen map (CSV)."""
        score, (_, table) = self._chosen()
        place, known = with_suffix(path, ".csv")
        with said(self.say):
            write_csv(place, table, score.units, overwrite=known)

    def _save_outlines(self) -> None:
        ask_to_save(self.panel, "Save outlines", "*.geojson", self.save_outlines)

    def save_outlines(self, path: str) -> None:
        """Write the outlines of its regions (GeoJSON), as the layer shows them."""
        score, (labels, table) = self._chosen()
        shown = self._shown()
        labels = np.asarray(shown[0].data) if shown else labels
        place, known = with_suffix(path, ".geojson")
        with said(self.say):
            write_geojson(place, labels, table, score.axes, score.units, known)

    def _chosen(self) -> tuple[Score, Found]:
        """Score and regions of the chosen map; the buttons are off without one."""
        at = self.panel.regions.which.currentIndex()
        score = self._results[at].score
        assert score is not None
        return score, self._found[at]


def _pixel(image: Field) -> tuple[float, str]:
    """Width of a pixel in the world, and its unit; without a unit if it is a pixel."""
    at = image.grid_axes.index("X")
    unit = image.units[at]
    return abs(image.scale[at]), "" if unit == PIXEL else plain_symbol(unit)


def _cell(detector: Detector, image: Field) -> str:
    """How large cells were taken to be."""
    size, unit = _pixel(image)
    in_world = f" = {detector.diameter * size:.3g} {unit}" * bool(unit)
    how = "measured" if detector.cell is None else "as given"
    return f"cells {how}: {detector.diameter:.3g} px{in_world}"


def tellable(table: dict[str, Any]) -> bool:
    """Whether any region can be told from chance, or there is none."""
    return not len(table["p"]) or not bool(np.isnan(table["p"]).all())


def _counted(n: int) -> str:
    text = f"{n} region{'s' * (n != 1)}"
    return text + f" (the first {LISTED} are listed)" * (n > LISTED)
