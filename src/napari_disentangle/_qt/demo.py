"""The demo: the main job on the bundled blood smears, in napari's own window."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

_SIZE = (1500, 1000)
_TITLE_SIZE = 7
# Milliseconds that threads get to end.
_PATIENCE = 10_000


def run(folder: Path | None = None) -> None:
    """Open napari with the original and the three result layers.

    Parameters
    ----------
    folder
        Without a display, or if given: a picture of the window and the result files
        are written there instead of waiting for a person.
    """
    unseen = folder is None and not _has_display()
    target = folder or (Path("demo-output") if unseen else None)
    if unseen:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import napari
    from napari.qt.threading import WorkerBase

    viewer = napari.Viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    disentangle(viewer, widget)
    if target is None:
        napari.run()
        return
    for path in save(viewer, target):
        print(path)
    viewer.close()
    # without napari.run nobody else waits for threads before Qt goes away
    WorkerBase.await_workers(_PATIENCE)


def disentangle(viewer: Any, widget: Any) -> None:
    """Do what a person does: open the sample, and run the three jobs with defaults."""
    from napari_disentangle._qt.window.tasks import ODD, TASKS

    viewer.window.resize(*_SIZE)
    viewer.open_sample("napari-disentangle", "brightfield")
    table = widget.panel.images.table
    for task in TASKS:
        widget.panel.choose_task(task)
        if task == ODD:
            table.check([viewer.layers[0]])
        _run(widget)
    arrange(viewer)


def _run(widget: Any) -> None:
    """Press Run, and wait."""
    from qtpy.QtWidgets import QApplication

    widget.panel.run.click()
    while widget.running:
        QApplication.processEvents()


def arrange(viewer: Any) -> None:
    """Put the images side by side, each with its name."""
    for layer in viewer.layers:
        layer.translate = np.zeros(layer.ndim)
        layer.visible = hasattr(layer, "rgb")
        layer.name_overlay.font_size = _TITLE_SIZE
        layer.name_overlay.gridded = True
        layer.name_overlay.visible = True
    viewer.canvas.grid.stride = 1
    viewer.canvas.grid.shape = (2, 3)
    viewer.canvas.grid.enabled = True
    viewer.fit_to_view()


def save(viewer: Any, folder: Path) -> list[Path]:
    """Write a picture of the window, and every layer with its provenance."""
    from qtpy.QtWidgets import QApplication

    folder.mkdir(parents=True, exist_ok=True)
    QApplication.processEvents()
    picture = folder / "window.png"
    viewer.screenshot(str(picture), canvas_only=False, flash=False)
    written = [picture]
    for layer in viewer.layers[2:]:
        place = folder / f"{layer.name}.ome.tif"
        written += [
            Path(p) for p in layer.save(str(place), plugin="napari-disentangle")
        ]
    return written


def _has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
