"""Seconds until 100,000 objects in 50 layers have the colours of a column.

python benchmarks/colouring.py [--layers 50] [--objects 2000]
"""

from __future__ import annotations

import argparse
import time

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_disentangle._qt.objects.colours import LABEL, show_all

_EDGE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=50)
    parser.add_argument("--objects", type=int, default=2000)
    args = parser.parse_args()
    viewer = napari.Viewer()
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(args.objects)))
    cells = np.arange(side * side).reshape(side, side) + 1
    labels = np.where(cells <= args.objects, cells, 0).repeat(_EDGE, 0).repeat(_EDGE, 1)
    numbers = np.arange(1, args.objects + 1)
    for number in range(args.layers):
        features = {"index": numbers, "area": rng.normal(size=args.objects),
                    "group": rng.integers(1, 9, args.objects)}  # fmt: skip
        viewer.add_labels(labels, name=f"field {number}", features=features)
    layers = list(viewer.layers)
    print("| column | calls, s | with the redraw, s |\n|---|---|---|")
    for name in ("area", "group", LABEL, "area"):
        begin = time.perf_counter()
        show_all(viewer, layers, name)
        called = time.perf_counter() - begin
        QApplication.processEvents()
        viewer.screenshot(flash=False)
        spent = time.perf_counter() - begin
        print(f"| {name} | {called:.2f} | {spent:.2f} |", flush=True)


if __name__ == "__main__":
    main()
