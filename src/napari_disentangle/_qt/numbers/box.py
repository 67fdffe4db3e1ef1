"""The section that shows looks before and after: three figures, a palette, a plot."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel

from napari_disentangle._qt.images.batches import COLOURS
from napari_disentangle._qt.numbers.data import REFERENCE, SHARES, Curve, Figures
from napari_disentangle._qt.window.parts import Section, named, words
from napari_disentangle.image.arrays import Array

_GREY, _HIGH = "#8a8f98", 150
_ROWS = "Before, reference, after: classes as wide as they fill the image"
_PLOT = "Grey value (mean of channels) below which a share of the pixels lies"


class LooksBox(Section):
    """Shows :class:`Figures`."""

    def __init__(self) -> None:
        self.picture = named(QLabel(), "palette", _ROWS)
        self.rows = words(_ROWS)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.plot = named(pg.PlotWidget(background=None, enableMenu=False), _PLOT)
        menu = self.plot.getPlotItem().ctrlMenu
        # it is made all the same, and without a parent would outlive the window
        menu.setParent(self.plot, menu.windowFlags())
        self.plot.setFixedHeight(_HIGH)
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.hideButtons()
        self.plot.setCacheMode(pg.PlotWidget.CacheModeFlag.CacheNone)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setPen(_GREY)
            self.plot.getAxis(side).setTextPen(_GREY)
        super().__init__(
            "Looks before and after",
            "What the last run did to the looks of batches",
            self.rows,
            self.picture,
            self.legend,
            self.plot,
        )
        self.figures: Figures | None = None
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self.figures = None
        self.setVisible(False)

    def show_figures(self, figures: Figures) -> None:
        """Show these."""
        self.figures = figures
        self.setVisible(True)
        self.plot.clear()
        for curve, colour in zip(figures.curves, _colours(figures.curves), strict=True):
            self._draw(curve, colour)
        marks = zip(figures.curves, _colours(figures.curves), strict=True)
        named_by = " &nbsp; ".join(_dot(c, curve.name) for curve, c in marks)
        self.legend.setText(f"{named_by} &nbsp; dashed: before")
        known = figures.palette is not None
        for part in (self.rows, self.picture):
            part.setVisible(known)
        if figures.palette is not None:
            self.picture.setPixmap(_pixmap(figures.palette, self.width()))

    def _draw(self, curve: Curve, colour: str) -> None:
        dashed = pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine)
        if curve.name != REFERENCE:
            self.plot.plot(SHARES, curve.before, pen=dashed)
        self.plot.plot(SHARES, curve.after, pen=pg.mkPen(colour, width=2))


def _colours(curves: tuple[Curve, ...]) -> list[str]:
    """As the chips of the table; the reference is grey."""
    batches = sorted(curve.name for curve in curves if curve.name != REFERENCE)
    places = {name: i % len(COLOURS) for i, name in enumerate(batches)}
    return [
        COLOURS[places[curve.name]] if curve.name in places else _GREY
        for curve in curves
    ]


def _dot(colour: str, text: str) -> str:
    return f'<span style="color: {colour}">&#9632;</span> {text}'


def _pixmap(picture: Array, width: int) -> QPixmap:
    height, wide, _ = picture.shape
    kind = QImage.Format.Format_RGB888
    image = QImage(picture.tobytes(), wide, height, 3 * wide, kind).copy()
    return QPixmap.fromImage(image).scaledToWidth(max(100, min(width - 40, wide)))
