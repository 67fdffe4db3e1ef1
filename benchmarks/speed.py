"""Speed per CPU-second: ``python benchmarks/speed.py`` prints three tables.

Swaps of 2048 x 2048 pixels beside numpy's table look-up on the same array, reading a
look beside closed forms, and the engine beside a bare loop. Every figure is the median
of runs in turn, in CPU-seconds of the whole process, so that other programs count
little. ``torchstain`` and ``cv2`` are compared if they are installed. ``--quick`` takes
small images and one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import napari_disentangle as nd
from napari_disentangle.samples import data, synthetic

EDGE, QUICK_EDGE = 2048, 256
RUNS = 7
FORMS = ("meanstd", "mk", "macenko", "percentile", "levels", "balanced")
Timed = Mapping[str, Callable[[], object]]


def seconds(tasks: Timed, runs: int) -> dict[str, list[float]]:
    """CPU-seconds of every task, run in turn after one run of each that is left out."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(runs):
        for name, task in tasks.items():
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


def engine(edge: int, folder: Path) -> Timed:
    """A slow network through the engine, and the bare loop of its forwards."""
    import torch

    image = nd.Field(smear("blood_1", edge), "YXC", name="smear")
    model = nd.load("contrimix", preset="published")
    look = model.attribute(image)
    other = model.attribute(nd.Field(smear("blood_2", edge), "YXC", name="other"))
    lazy = model.lazy(image, other, look)
    number = iter(range(10**6))

    def bare() -> None:
        with torch.inference_mode():
            for tile in lazy.tiles():
                lazy.operation(tile)

    return {
        "bare loop": bare,
        "engine": lambda: np.asarray(lazy),
        "engine, to Zarr": lambda: nd.write(folder / f"{next(number)}.ome.zarr", lazy),
    }
