"""How long the window takes: from a click to a result, and how long it stands still.

``python benchmarks/window.py`` needs a display (``xvfb-run``) and prints, for the pair
of smears and in one process each: seconds from a click on Run to the first result that
is seen, the first time and again; the longest time without an event while it runs; and
that of napari alone when the same layers are added. ``--quick`` does it once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

import numpy as np
from walks import wait

TASKS = ("comparable", "swap", "odd")
BEAT_MS, TRIES = 2, 5
# Seconds in which a person reads the panel before they press Run.
READING = 5


def once(task: str) -> dict[str, float]:
    """One window: seconds to the first result and again, milliseconds of standing."""
    import napari
    from napari.qt.threading import WorkerBase

    viewer = napari.Viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    viewer.open_sample("napari-disentangle", "brightfield")
    widget.panel.choose_task(task)
    wait(lambda: False, READING)
    first, block = _run(viewer, widget)
    again, second = _run(viewer, widget)
    alone = _napari_alone(viewer)
    viewer.close()
    WorkerBase.await_workers(10_000)
    return {
        "first": first,
        "again": again,
        "block": block,
        "block again": second,
        "napari alone": alone,
    }


def _run(viewer: Any, widget: Any) -> tuple[float, float]:
    """Press Run: seconds to the first change of a result, longest silence in ms."""
    seen: list[float] = []
    start = time.monotonic()

    def note(event: Any = None) -> None:
        seen.append(time.monotonic() - start)

    viewer.layers.events.inserted.connect(note)
    for layer in viewer.layers:
        layer.events.data.connect(note)
    longest = beating(lambda: widget.panel.run.click(), lambda: not widget.running)
    viewer.layers.events.inserted.disconnect(note)
    for layer in viewer.layers:
        layer.events.data.disconnect(note)
    return seen[0], longest


def _napari_alone(viewer: Any) -> float:
    """Longest silence while napari adds and draws layers like the results."""
    results = [layer for layer in viewer.layers if "[" in layer.name]
    tuples = [layer.as_layer_data_tuple() for layer in results]
    longest = 0.0
    for data, attributes, kind in tuples:
        attributes.pop("metadata")
        add = getattr(viewer, f"add_{kind}")

        def act(add: Any = add, data: Any = data, known: Any = attributes) -> None:
            add(np.copy(data), **known)

        longest = max(longest, beating(act, lambda: True, 0.3))
    return longest


def beating(act: Any, ended: Any, after: float = 0.3) -> float:
    """The longest time between two beats of a timer, in milliseconds."""
    from qtpy.QtCore import QTimer

    beats: list[float] = []
    timer = QTimer()
    timer.setInterval(BEAT_MS)
    timer.timeout.connect(lambda: beats.append(time.monotonic()))
    timer.start()
    wait(lambda: False, 0.2)
    beats.append(time.monotonic())
    act()
    wait(ended, 60)
    wait(lambda: False, after)
    timer.stop()
    return float(1000 * np.diff(beats).max())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one task, once")
    parser.add_argument("--task", choices=TASKS, help="one window, printed as numbers")
    given = parser.parse_args()
    if given.task:
        sys.stdout.write(" ".join(f"{v:.3f}" for v in once(given.task).values()))
        return
    names = ("first s", "again s", "block ms", "block again ms", "napari alone ms")
    sys.stdout.write(f"| job | {' | '.join(names)} |\n|---|---|---|---|---|---|\n")
    for task in TASKS[:1] if given.quick else TASKS:
        rows = [_measured(task) for _ in range(1 if given.quick else TRIES)]
        cells = [
            f"{np.median(column):.2f} ({min(column):.2f} to {max(column):.2f})"
            for column in zip(*rows, strict=True)
        ]
        sys.stdout.write(f"| {task} | {' | '.join(cells)} |\n")


def _measured(task: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--task", task],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(x) for x in done.stdout.split()[-5:]]


if __name__ == "__main__":
    main()
