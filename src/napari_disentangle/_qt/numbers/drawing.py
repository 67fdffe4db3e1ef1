"""What plots and pictures of the panel have in common."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap

from napari_disentangle._qt.window.parts import named
from napari_disentangle.image.arrays import Array

# Readable on light and on dark.
GREY = "#8a8f98"


def quiet_plot(name: str, height: int) -> pg.PlotWidget:
    """A plot that is only looked at."""
    plot = named(pg.PlotWidget(background=None, enableMenu=False), name)
    menu = plot.getPlotItem().ctrlMenu
    # it is made all the same, and without a parent would outlive the window
    menu.setParent(plot, menu.windowFlags())
    plot.setFixedHeight(height)
    plot.setMouseEnabled(x=False, y=False)
    plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    plot.hideButtons()
    plot.setCacheMode(pg.PlotWidget.CacheModeFlag.CacheNone)  # for themes
    for side in ("left", "bottom"):
        plot.getAxis(side).setPen(GREY)
        plot.getAxis(side).setTextPen(GREY)
    return plot


def dot(colour: str, text: str) -> str:
    """An entry of a legend."""
    return f'<span style="color: {colour}">&#9632;</span> {text}'


def pixmap(picture: Array) -> QPixmap:
    """A picture (h, w, 3) uint8 for a label."""
    height, width, _ = picture.shape
    kind = QImage.Format.Format_RGB888
    image = QImage(picture.tobytes(), width, height, 3 * width, kind)
    return QPixmap.fromImage(image.copy())
