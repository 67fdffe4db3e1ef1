"""The picture of the window "Objects" in docs/objects.md.

python benchmarks/objects_window.py docs/images/objects.jpg
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

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
    end = time.monotonic() + _SETTLED
    _until(lambda: time.monotonic() > end)
    viewer.window.screenshot(sys.argv[1], canvas_only=False, flash=False)


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        QApplication.processEvents()


if __name__ == "__main__":
    main()
