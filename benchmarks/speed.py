"""Speed per CPU-second: ``python benchmarks/speed.py`` prints tables.

Swaps of 2048 x 2048 pixels beside numpy's table look-up on the same array, reading a
look beside closed forms, and the engine beside a bare loop. Every figure is the median
of runs in turn, in CPU-seconds of the whole process, so that other programs count
little. ``torchstain`` and ``cv2`` are compared if they are installed. ``--quick`` takes
small images and one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from itertools import chain, count, product
from pathlib import Path

import numpy as np

import napari_disentangle as nd
from napari_disentangle.image.tiling import Span, tiles
from napari_disentangle.model.measure import KNOWN
from napari_disentangle.samples import data, synthetic

SMEARS = ("blood_1", "blood_2")
TILE = 512
FORMS = ("meanstd", "mk", "macenko", "percentile", "levels", "balanced")
Timed = Mapping[str, Callable[[], object]]


def seconds(tasks: Timed, runs: int) -> dict[str, list[float]]:
    """CPU-seconds of every task, run in turn after one run of each that is left out."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(runs):
        for name, task in tasks.items():
            KNOWN.clear()
            start = time.process_time()
            task()
            taken[name].append(time.process_time() - start)
    return taken


def smear(name: str, edge: int) -> np.ndarray:
    """A bundled smear, repeated to a square of so many pixels."""
    image = data.load(name)
    times = [-(-edge // n) for n in image.shape[:2]]
    return np.ascontiguousarray(np.tile(image, (*times, 1))[:edge, :edge])


def swaps(edge: int) -> Timed:
    """Swaps of a colour image of 8 bits, and what they are compared with."""
    pixels, other = smear("blood_1", edge), smear("blood_2", edge)
    image, donor = (
        nd.Field(a, "YXC", name=n) for a, n in ((pixels, "a"), (other, "b"))
    )
    model = nd.fit([image], "affine")
    own, look = model.attribute(image), model.attribute(donor)
    table = np.random.default_rng(0).permutation(256).astype(np.uint8)
    return {
        "numpy `lut[A]`": lambda: table[pixels],
        "memcpy": pixels.copy,
        "swap, looks given": lambda: model.render(image, look, own),
        "swap, own look read": lambda: model.render(image, look),
        "swap, both looks read": lambda: model.swap(image, donor),
        **_opencv(pixels),
        **_torchstain(pixels, other),
    }


def _opencv(pixels: np.ndarray) -> Timed:
    """The same product of powers by opencv: logarithms, a matrix, powers."""
    if find_spec("cv2") is None:
        return {}
    import cv2

    logs = np.log((np.arange(256) + 1) / 256).astype(np.float32)
    matrix = np.eye(3, dtype=np.float32) * 0.9 + 0.03

    def run() -> object:
        moved = cv2.transform(cv2.LUT(pixels, logs), matrix)
        return cv2.convertScaleAbs(cv2.exp(moved), alpha=256, beta=-1)

    return {"opencv LUT, transform, exp": run}


def _torchstain(pixels: np.ndarray, other: np.ndarray) -> Timed:
    """Macenko's method by torchstain, which reads the image's look."""
    if find_spec("torchstain") is None:
        return {}
    import torch
    import torchstain

    torch.set_num_threads(1)
    normalizer = torchstain.normalizers.MacenkoNormalizer(backend="torch")
    source, donor = (torch.from_numpy(a).permute(2, 0, 1) for a in (pixels, other))
    normalizer.fit(donor)
    return {
        "torchstain Macenko (torch)": lambda: normalizer.normalize(source, stains=False)
    }


def channels(edge: int) -> Timed:
    """Swaps of five channels of 16 bits, and the formula in plain numpy."""
    maps = [synthetic.tissue(seed, edge)[0] for seed in range(5)]
    tall = np.clip(np.stack(maps) * 9000 + 300, 0, 65535).astype(np.uint16)
    image = nd.Field(tall, "CYX", name="five")
    model = nd.fit([image], "mk")
    own = model.attribute(image)
    look = own.mix(model.attribute(nd.Field(tall // 2 + 30, "CYX", name="b")), 0.7)
    matrix, offset = model.method.map_between(own.values, look.values)

    def plain() -> np.ndarray:
        flat = matrix @ tall.reshape(5, -1).astype(np.float64) + offset[:, None]
        return np.clip(np.rint(flat), 0, 65535).astype(np.uint16).reshape(tall.shape)

    return {
        "plain numpy": plain,
        "five channels": lambda: model.render(image, look, own),
    }


def looks(edge: int) -> Timed:
    """Reading a look: closed forms and the default."""
    image = nd.Field(smear("blood_1", edge), "YXC", name="smear")
    models = {name: nd.fit([image], name) for name in FORMS}
    models["affine"] = nd.fit([image], "affine")
    return {name: partial(model.attribute, image) for name, model in models.items()}


def written(lazy: nd.LazyImage, path: Path) -> None:
    """Write a file."""
    for _ in nd.write(lazy, path):
        pass


def engine(edge: int, folder: Path) -> Timed:
    """A slow network through the engine, and the bare loop of its forwards."""
    import torch

    image = nd.Field(smear(SMEARS[0], edge), "YXC", name="smear")
    parts = [nd.Field(smear(n, 256), "YXC", name=n) for n in SMEARS]
    settings = {"attributes": 8, "statistics": "frozen"}
    model = nd.fit(parts, "contrimix", steps=1, **settings)
    look = model.attribute(parts[0])
    lazy = model.lazy(image, model.attribute(parts[1]), look)
    whole = Span(0, edge), Span(0, edge)
    grid = [*tiles(whole, image.plane_shape, lazy.tile, lazy.operation.halo)]
    planes = [
        np.moveaxis(image.data[t.outer[0].slice, t.outer[1].slice], -1, 0) for t in grid
    ]
    number = count()

    def bare() -> None:
        torch.set_num_threads(1)
        with torch.inference_mode():
            for plane in planes:
                lazy.operation(plane, ())

    return {
        "bare loop of forwards": bare,
        "engine": lambda: np.asarray(lazy),
        "engine, to Zarr": lambda: written(lazy, folder / f"n{next(number)}.ome.zarr"),
    }


def copies(edge: int, folder: Path) -> Timed:
    """A swap from Zarr to Zarr with its pyramid, and a bare copy of the pixels."""
    import zarr

    pixels = nd.Field(smear("blood_1", edge), "YXC", name="slide")
    model = nd.fit([pixels], "affine")
    own = model.attribute(pixels)
    look = model.attribute(nd.Field(smear("blood_2", 1024), "YXC", name="other"))
    source = folder / "slide.ome.zarr"
    alone = nd.fit([pixels], "identity")
    written(alone.lazy(pixels, alone.attribute(pixels)), source)
    image = nd.read(source)
    number = count()

    def bare() -> None:
        array = zarr.open_array(source / "0", mode="r")
        made = zarr.create_array(
            folder / f"c{next(number)}.zarr",
            shape=array.shape,
            dtype=array.dtype,
            chunks=array.chunks,
        )
        h, w = array.shape[-2:]
        for y, x in product(range(0, h, TILE), range(0, w, TILE)):
            at = (..., slice(y, y + TILE), slice(x, x + TILE))
            made[at] = array[at]

    return {
        "bare copy of Zarr": bare,
        "swap, Zarr to Zarr, with pyramid": lambda: written(
            model.lazy(image, look, own), folder / f"s{next(number)}.ome.zarr"
        ),
    }


def table(title: str, tasks: Timed, runs: int, pixels: int) -> Iterator[str]:
    """Lines of a table; the last column compares with the first task."""
    taken = seconds(tasks, runs)
    yield f"\n| {title} | CPU-seconds | MPix per CPU-second | times the first |"
    yield "|---|---|---|---|"
    middle = {name: float(np.median(times)) for name, times in taken.items()}
    first = next(iter(middle.values()))
    for name, times in taken.items():
        spread = f"{middle[name]:.3f} ({min(times):.3f} to {max(times):.3f})"
        speed = pixels / 1e6 / middle[name]
        yield f"| {name} | {spread} | {speed:.1f} | {middle[name] / first:.2f} |"


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small images, one run")
    quick = parser.parse_args().quick
    edge, large = (256, 256) if quick else (2048, 8192)
    runs, few = (1, 1) if quick else (7, 3)
    area = edge**2
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    say(f"{edge} x {edge} pixels, {machine}, load {os.getloadavg()[0]:.1f}")
    say(f"median of {runs} runs (least to most)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [
            table("8 bits, RGB", swaps(edge), runs, area),
            table("16 bits, five channels", channels(edge), runs, area),
            table("reading a look", looks(edge), runs, area),
            table(f"reading a look, {large} x {large}", looks(large), few, large**2),
            table("engine, `contrimix`", engine(edge, folder), few, area),
            table(f"{large} x {large} in Zarr", copies(large, folder), few, large**2),
        ]
        for line in chain.from_iterable(parts):
            say(line)


if __name__ == "__main__":
    main()
