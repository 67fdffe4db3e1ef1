"""How long detectors take, and how soon a person can stop them.

``python benchmarks/anomaly_speed.py`` fits every detector that may be the one to begin
with on bundled blood smears, with its usual settings, and scores 2048 x 2048 pixels of
colour, at the resolution at which cells are as large as detectors like them: the most
work that so many pixels can be. It writes its section of ``docs/studies.md``.
``--quick`` prints the first on few pixels.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import page
import report
import torch
from memory import resident

import napari_disentangle as nd
from napari_disentangle.compute.device import list_devices, pick
from napari_disentangle.samples import data as sample_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_disentangle.detector.detector import Detector

COMMAND = "python benchmarks/anomaly_speed.py"
DETECTORS = ("mahalanobis", "knn", "context")
EDGE, QUICK_EDGE = 2048, 256
# Of a cell, so that no pixels are put together; and of which two by two are.
DIAMETER = 14.0
TWICE = 2

METHOD = """\
## Anomaly detectors: speed

{edge} x {edge} pixels of colour, measured and scored, cells of {cell:g} pixels, so that
every pixel is looked at, with what was expected where a detector expects something;
then the same for cells twice as large, whose images are looked at at half the size.
*Pause*: the longest time between two signs of life, at each of which a person can
cancel. *Memory*: what the process held at most while scoring, above what it held
before, the result of {result:.0f} MB included, memory of a GPU not. {cores} cores of a
{machine}, {threads} threads; device: {device}.
"""


def tiled(name: str, edge: int) -> nd.Field:
    """A bundled picture, mirrored until it is large enough."""
    picture = sample_data.load(name)
    pad = [(0, max(0, edge - n)) for n in picture.shape[:2]]
    large = np.pad(picture, [*pad, (0, 0)], "symmetric")[:edge, :edge]
    return nd.Field(large, "YXC", name=name)


def pauses(steps: Iterator[object]) -> tuple[object, float, float]:
    """The last thing that steps give, all seconds, and the longest pause."""
    times, last = [time.perf_counter()], None
    for step in steps:
        last = step
        times.append(time.perf_counter())
    return last, times[-1] - times[0], float(np.max(np.diff(times)))


def scoring(
    detector: Detector, image: nd.Field, held: list[float], device: str
) -> Iterator[object]:
    """Measure and score an image, and note what memory is held after every step."""
    looks = []
    for part in detector.on.measuring(image):
        looks.append(part)
        yield part
    lazy = detector.whole(image, looks[-1], device)
    out = np.empty(lazy.shape, lazy.dtype)
    for done in lazy.fill(out):
        held.append(resident())
        yield done


def coarser(detector: Detector) -> Detector:
    """The detector as if cells were larger: as long at work, whatever it finds."""
    view = replace(detector.view, shrink=TWICE)
    return replace(detector, normal=replace(detector.normal, view=view))


def row(name: str, edge: int, device: str) -> list[str]:
    """Fit and score."""
    normal, image = tiled("blood_1", edge), tiled("blood_2", edge)
    model = nd.load("affine-brightfield")
    fit = nd.fit_detector_steps(normal, name, on=model, cell=DIAMETER)
    detector, fitting, fit_pause = pauses(fit)
    # What a GPU needs is loaded before it is timed.
    detector.score(tiled("blood_1", QUICK_EDGE), device=device)
    held = [resident()]
    _, seconds, pause = pauses(scoring(detector, image, held, device))
    memory = max(held) - held[0]
    _, half, half_pause = pauses(scoring(coarser(detector), image, held, device))
    figures = (fitting / 60, fit_pause, seconds, pause, half, half_pause)
    return [f"`{name}`", *(f"{x:.2f}" for x in figures), f"{memory:.0f}"]


def section(names: Sequence[str], edge: int) -> str:
    """The section as Markdown."""
    head = ["detector", "fit min", "pause s", "score s", "pause s"]
    head += [f"score s, cells of {TWICE * DIAMETER:g}", "pause s", "memory MB"]
    device = pick()
    rows = [row(name, edge, device) for name in names]
    words = METHOD.format(
        edge=edge,
        cell=DIAMETER,
        result=4 * 4 * edge**2 / 1e6,
        cores=os.cpu_count(),
        machine=platform.machine(),
        threads=torch.get_num_threads(),
        device=list_devices()[device].partition(",")[0],
    )
    return page.section(COMMAND, words, report.table(head, rows))


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps, printed")
    if parser.parse_args().quick:
        sys.stdout.write(section(DETECTORS[:1], QUICK_EDGE))
        return
    page.put(section(DETECTORS, EDGE))


if __name__ == "__main__":
    main()
