"""How far a few odd pixels move a look: pen, pigment, folds, dead and saturated ones.

``python benchmarks/outliers.py [--quick]`` prints two tables: mean colour difference
(dE) of a swap beside the odd pixels when they are in the image, and everywhere when
they are in the donor; for fluorescence, the change of gain. Tissue is synthetic, cells
are bundled; pairs of real slides and fields that nothing was settled on are used where
``../shared/data`` is there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
from skimage.color import rgb2lab
from sources import BLOOD, NUCLEI, SOURCES, pairs
from sources import VIOLET as HISTOLOGY

import napari_disentangle as nd
from napari_disentangle.samples.data import load
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue

MODELS = ("balanced", "affine")
SEEDS = 5
# Pairs of each real source.
PAIRS = 12
SIZE = 192
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


def shown(modality: str, quick: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pairs of pictures, by source."""
    for seed in range(1 if quick else SEEDS):
        if modality == "brightfield":
            picture, other = (tissue(2 * seed + i, SIZE) for i in range(2))
            yield "synthetic", render(picture, VIOLET, 2.0), render(other, ROSE, 2.0)
        else:
            y, x = np.random.default_rng(seed).integers(0, 256 - SIZE, 2)
            cut = slice(y, y + SIZE), slice(x, x + SIZE)
            yield "cells (bundled)", *(load(f"cells_{i}")[0][cut] for i in "ab")
    for source in SOURCES:
        wanted = source.present and source.name in (BLOOD, HISTOLOGY, NUCLEI)
        if wanted and source.modality == modality and not quick:
            for pair in pairs(source, PAIRS, seed=0):
                yield source.name, *map(_picture, (pair.first, pair.second))


def _picture(pixels: np.ndarray) -> np.ndarray:
    """Eight bits, as large as the places of the odd pixels."""
    if pixels.dtype == np.uint8:
        return pixels[:SIZE, :SIZE]
    plane = pixels[0, :SIZE, :SIZE]
    return (plane * 120 / np.percentile(plane, 99.5)).clip(0, 255).astype(np.uint8)


def colours(
    name: str, spoil: Callable, pixels: np.ndarray, second: np.ndarray, seed: int
) -> tuple[float, float]:
    """DE with the odd pixels in the image, and in the donor."""
    odd, where = spoil(pixels, np.random.default_rng(seed))
    image, spoiled, other = (nd.Field(p, "YXC") for p in (pixels, odd, second))
    model = nd.fit([image, other], name)
    source = _apart(model.swap(image, other), model.swap(spoiled, other))[~where]
    donor = _apart(model.swap(other, image), model.swap(other, spoiled))
    return float(source.mean()), float(donor.mean())


def gain(
    name: str, spoil: Callable, cells: np.ndarray, second: np.ndarray, seed: int
) -> tuple[float]:
    """Change of the gain of a swap with the odd pixels in the donor."""
    odd, _ = spoil(cells, np.random.default_rng(seed))
    image = nd.Field(second, "YX")
    model = nd.fit([image, nd.Field(cells, "YX")], name)
    before, after = (
        np.polyfit(second.ravel().astype(float), model.swap(image, d).ravel(), 1)[0]
        for d in (nd.Field(cells, "YX"), nd.Field(odd, "YX"))
    )
    return (abs(float(after / before - 1)),)


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rgb2lab(one) - rgb2lab(other), axis=-1)


def table(measure: Callable, spoilers: tuple, modality: str, quick: bool) -> None:
    cases = [*shown(modality, quick)]
    for spoil in spoilers:
        for source in dict.fromkeys(case[0] for case in cases):
            for name in MODELS[-1:] if quick else MODELS:
                chosen = [pair for where, *pair in cases if where == source]
                found = np.array(
                    [measure(name, spoil, *p, seed) for seed, p in enumerate(chosen)]
                )
                few = 1.0 if modality == "brightfield" else 0.02
                each = " | ".join(
                    f"{np.median(v):.3f} ({np.mean(v < few):.0%})" for v in found.T
                )
                row = f"{spoil.__name__} | {source} | {len(chosen)} | {name}"
                print(f"| {row} | {each} |", flush=True)


def main(quick: bool) -> None:
    print("Median over pairs, and how many are below 1 dE or 2 % of gain.\n")
    print("| odd pixels | source | n | model | dE, in the image | dE, in the donor |")
    print("|---|---|---:|---|---:|---:|")
    table(colours, (pen, pigment, fold, dead, saturated), "brightfield", quick)
    print("\n| odd pixels in the donor | source | n | model | change of gain |")
    print("|---|---|---:|---|---:|")
    table(gain, (disc, dead, saturated), "fluorescence", quick)


if __name__ == "__main__":
    main("--quick" in sys.argv)
