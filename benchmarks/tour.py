"""The short animation of README: the three jobs on the sample, pressed in the window.

``python benchmarks/tour.py`` needs a display (``xvfb-run``) and writes
``docs/images/tour.webp``. With ``--quick`` it stops after the first job and writes
nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from walks import wait

TOUR = Path(__file__).resolve().parents[1] / "docs" / "images" / "tour.webp"
SIZE, SHOWN = (1200, 760), (900, 570)
SHORT, LONG = 350, 1600
QUALITY = 55

Frames = list[tuple[np.ndarray, int]]


def tour(quick: bool) -> Frames:
    """Windows, and for how many milliseconds each is seen."""
    import napari
    from napari.qt.threading import WorkerBase

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    frames: Frames = []

    def see(milliseconds: int) -> None:
        wait(lambda: False, 0.4)
        window = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        frames.append((window, milliseconds))

    see(SHORT)
    _click(widget, widget.panel.try_it)
    see(LONG)
    for mode in () if quick else ("original", "result", "original", "result"):
        widget.panel.modes[mode].click()
        see(2 * SHORT)
    if not quick:
        _swap(widget, see)
        widget.panel.task_buttons["odd"].click()
        _click(widget, widget.panel.run)
        see(LONG)
    viewer.close()
    WorkerBase.await_workers(10_000)
    return frames


def _swap(widget: Any, see: Any) -> None:
    panel = widget.panel
    panel.task_buttons["swap"].click()
    see(2 * SHORT)
    _click(widget, panel.run)
    panel.modes["side by side"].click()
    see(LONG)
    panel.modes["result"].click()
    for strength in (100, 66, 33, 0, 33, 66, 100):
        panel.strength.setValue(strength)
        see(SHORT)
    panel.modes["difference"].click()
    see(LONG)
    panel.modes["result"].click()


def _click(widget: Any, button: Any) -> None:
    button.click()
    wait(lambda: not widget.running, 60)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one job, not written")
    quick = parser.parse_args().quick
    frames = tour(quick)
    if quick:
        sys.stdout.write(f"{len(frames)} windows\n")
        return
    pictures = [Image.fromarray(one).resize(SHOWN, Image.LANCZOS) for one, _ in frames]
    pictures[0].save(
        TOUR,
        save_all=True,
        append_images=pictures[1:],
        duration=[milliseconds for _, milliseconds in frames],
        loop=0,
        quality=QUALITY,
    )
    sys.stdout.write(f"{len(frames)} windows, {TOUR.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
