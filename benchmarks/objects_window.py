"""The pictures of the window "Objects" in docs/objects.md and docs/questions.md.

python benchmarks/objects_window.py docs/images/objects.jpg docs/images/ask.jpg
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import imageio.v3 as iio
import napari
from qtpy.QtWidgets import QApplication

_SIZE, _SETTLED = (1400, 900), 1.0


def main() -> None:
    viewer = napari.Viewer()
    viewer.window.resize(*_SIZE)
    viewer.open_sample("napari-disentangle", "fields")
    _, widget = viewer.window.add_plugin_dock_widget("napari-disentangle", "Objects")
    for button in (widget.panel.find, widget.panel.code):
        button.click()
        _until(lambda: not widget.running)
    viewer.fit_to_view()
    _picture(viewer, sys.argv[1])
    widget.panel.tabs.setCurrentIndex(1)
    _teach(viewer, widget.ask)
    _picture(viewer, sys.argv[2])


def _teach(viewer: napari.Viewer, ask: Any) -> None:
    """Name the smallest and the largest nuclei of a field, and ask for others."""
    ask.panel.question.setCurrentText("teach")
    layer = viewer.layers["nuclei 3 [objects]"]
    known = layer.features.sort_values("area")["index"]
    for name, labels in (("small", known[:6]), ("large", known[-6:])):
        ask.panel.name.setText(name)
        for label in labels:
            layer.selected_label = int(label)
            ask.panel.name_it.click()
    for button in (ask.panel.ask, ask.panel.keep):
        button.click()
        _until(lambda: not ask.running)


def _picture(viewer: napari.Viewer, path: str) -> None:
    end = time.monotonic() + _SETTLED
    _until(lambda: time.monotonic() > end)
    shown = viewer.window.screenshot(canvas_only=False, flash=False)
    iio.imwrite(path, shown[..., :3])


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        QApplication.processEvents()


if __name__ == "__main__":
    main()
