"""The section that shows looks before and after: three figures, a palette, a plot."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_disentangle._qt.numbers.data import REFERENCE, SHARES, Curve, Figures
from napari_disentangle._qt.numbers.drawing import GREY, dot, pixmap, quiet_plot
from napari_disentangle._qt.window.parts import Section, named, words
from napari_disentangle.study.batches import COLOURS

_HIGH = 150
_ROWS = "Before, reference, after: classes as wide as they fill the image"
_PLOT = "Grey value (mean of channels) below which a share of the pixels lies"


class LooksBox(Section):
    """Shows :class:`Figures`."""

    def __init__(self) -> None:
        self.picture = named(QLabel(), "palette", _ROWS)
        self.rows = words(_ROWS)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.plot = quiet_plot(_PLOT, _HIGH)
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
        named_by = " &nbsp; ".join(dot(c, curve.name) for curve, c in marks)
        self.legend.setText(f"{named_by} &nbsp; dashed: before")
        known = figures.palette is not None
        for part in (self.rows, self.picture):
            part.setVisible(known)
        if figures.palette is not None:
            drawn = pixmap(figures.palette)
            width = max(100, min(self.width() - 40, drawn.width()))
            self.picture.setPixmap(drawn.scaledToWidth(width))

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
        COLOURS[places[curve.name]] if curve.name in places else GREY
        for curve in curves
    ]
