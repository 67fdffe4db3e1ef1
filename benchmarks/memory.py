"""Memory: ``python benchmarks/memory.py`` prints that of fits in a row, and of files.

Thirty fits of two bundled images; what the process holds must not grow with them. Told
twice: with the free blocks that the C library keeps for later, which come and go, and
without them (glibc only).

With ``--files``: the most that the command line takes at once (the process and its
libraries together) for slides of 8,192 and 32,768 pixels, Zarr to TIFF and back.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio.v3 as imageio
import numpy as np
import zarr

import napari_disentangle as nd
from napari_disentangle.samples import data as sample_data

FITS, QUICK_FITS = 30, 1
STEPS = 20
CHUNK = 512
# Fits after which libraries have filled their caches.
WARM_UP = 3


def resident() -> float:
    """Megabytes that this process holds in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def in_use() -> float:
    """The same after free blocks were given back to the system."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return resident()


def told(held: list[float]) -> str:
    """The first reading after the warm-up, and the last."""
    before = held[min(WARM_UP, len(held)) - 1]
    return f"{before:.0f} MB to {held[-1]:.0f} MB ({held[-1] / before - 1:+.1%})"


def slide(path: Path, edge: int) -> None:
    """An OME-Zarr image (C, Y, X) with its pyramid, whose chunks are one, linked."""
    group = zarr.create_group(path)
    sizes = [
        edge >> level for level in range(edge.bit_length()) if edge >> level >= CHUNK
    ]
    tile = np.moveaxis(sample_data.load("blood_1"), -1, 0)
    for level, size in enumerate(sizes):
        array = group.create_array(
            str(level), shape=(3, size, size), chunks=(3, CHUNK, CHUNK), dtype=np.uint8
        )
        array[:, :CHUNK, :CHUNK] = np.tile(tile, (1, 2, 2))[:, :CHUNK, :CHUNK]
        first = path / str(level) / "c" / "0" / "0" / "0"
        for y, x in np.ndindex(size // CHUNK, size // CHUNK):
            place = path / str(level) / "c" / "0" / str(y) / str(x)
            if place != first:
                place.parent.mkdir(exist_ok=True)
                os.link(first, place)
    scales = [[1, 2**level, 2**level] for level in range(len(sizes))]
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": one}]}
        for i, one in enumerate(scales)
    ]
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space"} for name in "yx"]
    channels = [{"label": name, "color": "FFFFFF"} for name in "RGB"]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": datasets}],
        "omero": {"channels": channels},
    }


def applied(source: Path, out: Path, ending: str, donor: Path) -> float:
    """Megabytes that a swap by ``napari-disentangle apply`` takes at most."""
    command = (
        "import sys; from napari_disentangle.cli import begin; begin(sys.argv[1:])"
    )
    words = ["apply", str(source), "-o", str(out), "--format", ending]
    words += ["--output", "swap", "--donor", str(donor), "--model", "affine"]
    child = subprocess.Popen([sys.executable, "-c", command, *words])
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"apply failed on {source.name}")
    return used.ru_maxrss / 1000


def files(edges: Sequence[int]) -> None:
    """Print the peaks for slides of these sizes."""
    sys.stdout.write(
        "| pixels | Zarr to TIFF, MB | TIFF to Zarr, MB |\n|---|---|---|\n"
    )
    for edge in edges:
        with TemporaryDirectory() as name:
            folder = Path(name)
            slide(folder / "slide.ome.zarr", edge)
            donor = folder / "donor.png"
            imageio.imwrite(donor, sample_data.load("blood_2"))
            zarr_file = folder / "slide.ome.zarr"
            there = applied(zarr_file, folder / "t", ".ome.tif", donor)
            made = next((folder / "t").glob("*.tif"))
            back = applied(made, folder / "z", ".ome.zarr", donor)
        sys.stdout.write(f"| {edge} x {edge} | {there:.0f} | {back:.0f} |\n")
        sys.stdout.flush()


def main() -> None:
    """Fit again and again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one fit of two steps")
    parser.add_argument("--files", action="store_true", help="slides in files instead")
    given = parser.parse_args()
    quick = given.quick
    if given.files:
        files([CHUNK] if quick else [8192, 32768])
        return
    images = [
        nd.Field(sample_data.load(name), "YXC", name=name)
        for name in ("blood_1", "blood_2")
    ]
    held, used = [], []
    for seed in range(QUICK_FITS if quick else FITS):
        nd.fit(images, "affine", seed=seed, steps=2 if quick else STEPS)
        gc.collect()
        held.append(resident())
        used.append(in_use())
    sys.stdout.write(
        f"{len(held)} fits, from the third to the last: with free blocks "
        f"{told(held)}, in use {told(used)}\n"
    )


if __name__ == "__main__":
    main()
