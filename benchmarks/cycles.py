"""What thirty openings of the window leave: memory, threads, open files.

``python benchmarks/cycles.py`` needs a display (``xvfb-run``). In each of 30 cycles the
panel is docked, a sample opened, Run pressed, all layers removed and the panel closed;
in a process of its own napari alone adds and removes the same layers. ``--quick`` takes
three cycles.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from walks import wait

CYCLES, QUICK, SETTLED = 30, 3, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--of", choices=("panel", "napari"))
    args = parser.parse_args()
    cycles = QUICK if args.quick else CYCLES
    if args.of:
        cycle(args.of, cycles)
        return
    first = min(SETTLED, cycles - 1)
    print(f"| what | MB after {first} | MB after {cycles} | threads, files more |")
    print("|---|---|---|---|")
    for of in ("napari", "panel"):
        quick = ["--quick"] if args.quick else []
        command = [sys.executable, __file__, "--of", of, *quick]
        print(subprocess.run(command, check=True, capture_output=True, text=True)
              .stdout.splitlines()[-1], flush=True)  # fmt: skip


def cycle(of: str, cycles: int) -> None:
    """Print what the process holds at the beginning and at the end."""
    import napari

    viewer, held = napari.Viewer(show=True), []
    for number in range(cycles):
        (with_panel if of == "panel" else alone)(viewer)
        viewer.layers.clear()
        wait(lambda: False, 0.3)
        if number + 1 in (min(SETTLED, cycles - 1), cycles):
            held.append(_held())
    (before, *first), (after, *last) = held
    more = ", ".join(f"{b - a:+d}" for a, b in zip(first, last, strict=True))
    print(f"| {of} | {before:.0f} | {after:.0f} | {more} |")
    viewer.close()


def with_panel(viewer: Any) -> None:
    dock, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    viewer.open_sample("napari-disentangle", "brightfield")
    wait(lambda: False, 0.2)
    widget.panel.run.click()
    wait(lambda: not widget.running, 60)
    wait(lambda: False, 0.3)
    viewer.window.remove_dock_widget(dock)


def alone(viewer: Any) -> None:
    viewer.open_sample("napari-disentangle", "brightfield")
    for layer in list(viewer.layers):
        viewer.add_image(np.array(layer.data), rgb=True, translate=layer.translate)
    wait(lambda: False, 0.8)


def _held() -> tuple[float, int, int]:
    """Memory in MB without free blocks, threads, open files."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, threading.active_count(), files


if __name__ == "__main__":
    main()
