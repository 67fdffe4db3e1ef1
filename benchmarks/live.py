"""How live a swap of a slide is: ``python benchmarks/live.py`` needs a display.

A pyramid of 51,200 x 51,200 pixels is opened in napari, swapped by the panel, and moved
about. Printed are milliseconds until the window is drawn, medians of steps, beside
those of the original alone in the same run. ``--quick`` takes a small pyramid and few
steps.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from speed import SMEARS, smear
from walks import wait
from window import beating

EDGE, QUICK_EDGE, CHUNK = 51_200, 2048, 512
STEPS, QUICK_STEPS = 15, 3


def slide(folder: Path, edge: int) -> list[Any]:
    """A pyramid (Y, X, 3) in Zarr whose chunks are one, linked to all places."""
    levels = []
    for level in range(edge.bit_length()):
        size = edge >> level
        if size < CHUNK and levels:
            break
        path = folder / f"{level}.zarr"
        array = zarr.create_array(
            path, shape=(size, size, 3), chunks=(CHUNK, CHUNK, 3), dtype=np.uint8
        )
        array[:CHUNK, :CHUNK] = smear("blood_1", CHUNK)[:size, :size]
        for y, x in np.ndindex(-(-size // CHUNK), -(-size // CHUNK)):
            place = path / "c" / str(y) / str(x) / "0"
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(path / "c" / "0" / "0" / "0", place)
        levels.append(array)
    return levels


def drawn(viewer: Any, act: Callable[[], object]) -> float:
    """Milliseconds until what an action changes is drawn."""
    from qtpy.QtWidgets import QApplication

    start = time.monotonic()
    act()
    QApplication.processEvents()
    viewer.window._qt_viewer.canvas._scene_canvas.update()
    QApplication.processEvents()
    return 1000 * (time.monotonic() - start)


def panned(viewer: Any, zoom: float, steps: int) -> float:
    """Median of steps across the slide."""
    y = x = 6000.0 if steps == STEPS else 900.0
    viewer.scene.camera.zoom = zoom
    times = []
    for step in range(steps):
        at = (0, y + 311 * step / zoom, x + 173 * step / zoom)
        times.append(
            drawn(viewer, lambda at=at: setattr(viewer.scene.camera, "center", at))
        )
        wait(lambda: False, 0.02)
    return float(np.median(times))


def measured(edge: int, steps: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Milliseconds of the original, and of its swap beside it, for every action."""
    import napari

    viewer = napari.Viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    levels = slide(folder, edge)
    viewer.add_image(levels, rgb=True, name="slide")
    drawn(viewer, lambda: None)
    again = drawn(viewer, lambda: viewer.add_image(levels, rgb=True, name="again"))
    viewer.layers.remove("again")
    viewer.add_image(smear("blood_2", 480), rgb=True, name="donor", visible=False)
    widget.panel.choose_task("swap")
    wait(lambda: False, 3)
    alone = {zoom: panned(viewer, zoom, steps) for zoom in (1.0, 0.1)}
    added, longest = run(widget)
    swapped = next(one for one in viewer.layers if "[swapped]" in one.name)
    found = {
        "added and drawn: longest block": (again, longest),
        "Run to its end, looks read": (again, added),
    }
    viewer.layers["slide"].visible = False
    for zoom in alone:
        pair = alone[zoom], panned(viewer, zoom, steps)
        found[f"pan at {zoom:g}, swap alone"] = pair
    viewer.layers["slide"].visible, swapped.opacity = True, 0.5
    for zoom in alone:
        found[f"pan at {zoom:g}, both"] = alone[zoom], panned(viewer, zoom, steps)
    viewer.layers["slide"].visible, swapped.opacity = False, 1
    bare = [drawn(viewer, swapped.refresh) for _ in range(steps)]
    slid = [drawn(viewer, partial(slider, widget, i)) for i in range(steps)]
    found["slider, slide, beside a refresh"] = (
        float(np.median(bare)),
        float(np.median(slid)),
    )
    twice, _ = run(widget)
    found["Run again to its end"] = again, twice
    found["map: press Run to its layer, then to its first tile"] = mapped(
        viewer, widget
    )
    viewer.close()
    return found


def mapped(viewer: Any, widget: Any) -> tuple[float, float]:
    """Milliseconds until an anomaly map is there, then until what is seen of it is."""
    widget.panel.choose_task("odd")
    edge = viewer.layers["slide"].data[0].shape[0]
    viewer.scene.camera.center = (0, edge / 2, edge / 2)
    viewer.scene.camera.zoom = 1
    start = time.monotonic()
    widget.panel.run.click()
    wait(lambda: any("[anomaly]" in one.name for one in viewer.layers), 120)
    there = time.monotonic()
    made = next(one for one in viewer.layers if "[anomaly]" in one.name)
    middle = (slice(edge // 2, edge // 2 + 8),) * 2
    wait(lambda: bool(np.asarray(made.data[0][middle]).any()), 120)
    seen = time.monotonic()
    widget.panel.cancel.click()
    wait(lambda: not widget.running, 60)
    return 1000 * (there - start), 1000 * (seen - there)


def sliding(name: str, images: list[np.ndarray], steps: int) -> tuple[float, float]:
    """Milliseconds of a refresh of the swap that is seen, and of the slider."""
    import napari

    viewer = napari.Viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    for i, image in enumerate(images):
        viewer.add_image(image, name=f"{name} {i}")
    widget.panel.choose_task("swap")
    wait(lambda: False, 1)
    run(widget)
    seen = next(one for one in viewer.layers if "[swapped]" in one.name and one.visible)
    drawn(viewer, partial(slider, widget, 0))
    bare = [drawn(viewer, seen.refresh) for _ in range(steps)]
    slid = [drawn(viewer, partial(slider, widget, i)) for i in range(steps)]
    viewer.close()
    return float(np.median(bare)), float(np.median(slid))


def cases(quick: bool) -> dict[str, list[np.ndarray]]:
    """Images for the slider; the last gives its look."""
    one, other = (smear(name, 480) for name in SMEARS)
    rng = np.random.default_rng(0)
    size = (6, 64, 64) if quick else (60, 512, 512)
    stacks = [rng.gamma(2, at, size).astype(np.uint16) for at in (500, 900)]
    return {
        "one image": [one, other],
        "one of seven": [*(np.roll(one, 40 * i, 0) for i in range(7)), other],
        "one plane of a stack": stacks,
    }


def run(widget: Any) -> tuple[float, float]:
    """Press Run: milliseconds until it has ended, and the longest silence."""
    times = []

    def click() -> None:
        times.append(time.monotonic())
        widget.panel.run.click()

    longest = beating(click, lambda: not widget.running, 0)
    return 1000 * (time.monotonic() - times[0]), longest


def slider(widget: Any, step: int) -> None:
    """One step of the slider, at once."""
    widget.panel.strength.setValue(90 - step)
    widget.slider.follow()


def main() -> None:
    """Run from the command line."""
    from napari.qt.threading import WorkerBase

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, few steps")
    quick = parser.parse_args().quick
    given = (QUICK_EDGE, QUICK_STEPS) if quick else (EDGE, STEPS)
    with tempfile.TemporaryDirectory() as name:
        found = measured(*given, Path(name))
        for case, images in cases(quick).items():
            found[f"slider, {case}, beside a refresh"] = sliding(case, images, given[1])
        WorkerBase.await_workers(10_000)
    sys.stdout.write("| action | original, ms | with the swap, ms | times |\n")
    sys.stdout.write("|---|---|---|---|\n")
    for name, (before, after) in found.items():
        cells = f"{before:.0f} | {after:.0f} | {after / before:.2f}"
        sys.stdout.write(f"| {name} | {cells} |\n")


if __name__ == "__main__":
    main()
