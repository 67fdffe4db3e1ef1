"""How far a few odd pixels move a look: pen, pigment, folds, dead and saturated ones.

``python benchmarks/outliers.py [--quick]`` prints a table over five seeds: mean colour
difference (dE) of a swap beside the odd pixels when they are in the image, and
everywhere when they are in the donor; for fluorescence, the change of gain. Tissue is
synthetic, cells are bundled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from skimage.color import rgb2lab

import napari_disentangle as nd
from napari_disentangle.samples.data import load
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue

MODELS = ("balanced", "affine")
SIZE = 256
Y, X = np.mgrid[:SIZE, :SIZE]


def pen(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    where = np.abs(Y - 0.3 * X - rng.uniform(40, 160)) < SIZE / 40
    return _with(pixels, where, (20, 60, 160)), where


def pigment(
    pixels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    spots = rng.integers(0, SIZE, (30, 2))
    where = np.any([np.hypot(Y - y, X - x) < 5 for y, x in spots], axis=0)
    return _with(pixels, where, (60, 40, 20)), where


def fold(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    where = np.abs(0.2 * Y + X - rng.uniform(60, 200)) < SIZE / 40
    darker = (0.6 * pixels.astype(float) ** 2 / 255).astype(np.uint8)
    return np.where(where[..., None], darker, pixels), where


def dead(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    where = rng.random(pixels.shape[:2]) < 0.05
    return _with(pixels, where, 0), where


def saturated(
    pixels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    where = rng.random(pixels.shape[:2]) < 0.05
    return _with(pixels, where, 255), where


def disc(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y, x = rng.uniform(40, SIZE - 40, 2)
    where = np.hypot(Y - y, X - x) < 20
    return _with(pixels, where, 200), where


def _with(pixels: np.ndarray, where: np.ndarray, value: object) -> np.ndarray:
    spoiled = pixels.copy()
    spoiled[where] = value
    return spoiled


def colours(name: str, spoil: Callable, seed: int) -> tuple[float, float]:
    """DE with the odd pixels in the image, and in the donor."""
    rng = np.random.default_rng(seed)
    pixels = render(tissue(2 * seed, SIZE), VIOLET, 2.0)
    odd, where = spoil(pixels, rng)
    other = nd.Field(render(tissue(2 * seed + 1, SIZE), ROSE, 2.0), "YXC")
    image, spoiled = nd.Field(pixels, "YXC"), nd.Field(odd, "YXC")
    model = nd.fit([image, other], name)
    source = _apart(model.swap(image, other), model.swap(spoiled, other))[~where]
    donor = _apart(model.swap(other, image), model.swap(other, spoiled))
    return float(source.mean()), float(donor.mean())


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rgb2lab(one) - rgb2lab(other), axis=-1)


def gain(name: str, spoil: Callable, seed: int) -> float:
    """Change of the gain of a swap with the odd pixels in the donor."""
    cells, other = (load(f"cells_{i}")[0][:SIZE, :SIZE] for i in "ab")
    odd, _ = spoil(cells, np.random.default_rng(seed))
    image = nd.Field(other, "YX")
    model = nd.fit([image, nd.Field(cells, "YX")], name)
    before, after = (
        np.polyfit(other.ravel().astype(float), model.swap(image, d).ravel(), 1)[0]
        for d in (nd.Field(cells, "YX"), nd.Field(odd, "YX"))
    )
    return float(after / before - 1)


def main(quick: bool) -> None:
    seeds = range(1 if quick else 5)
    print("| odd pixels | model | dE, in the image | dE, in the donor |")
    print("|---|---|---:|---:|")
    for spoil in (pen, pigment, fold, dead, saturated):
        for name in MODELS:
            found = np.array([colours(name, spoil, seed) for seed in seeds])
            source, donor = (f"{v.mean():.2f} (most {v.max():.2f})" for v in found.T)
            print(f"| {spoil.__name__} | {name} | {source} | {donor} |")
    print("\n| odd pixels in the donor | model | change of gain |\n|---|---|---:|")
    for spoil in (disc, dead, saturated):
        for name in MODELS:
            each = np.abs([gain(name, spoil, seed) for seed in seeds])
            change = f"{each.mean():.1%} (most {each.max():.1%})"
            print(f"| {spoil.__name__} | {name} | {change} |")


if __name__ == "__main__":
    main("--quick" in sys.argv)
