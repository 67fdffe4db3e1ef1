"""What content-only is worth to a segmentation that was tuned in one look.

Plain segmenters are tuned on the ``learned`` slides or fields of a source as they came,
and frozen. Every chosen image of the ``reported`` ones gets its own random look; the
segmenters see it raw, and content-only under the mean look of the tuning images.
``python benchmarks/downstream.py`` writes its section of ``docs/benchmarks.md`` (all
cores); ``--quick`` prints a short run on synthetic images.
"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import downstream_report
import imageio.v3 as iio
import looks
import numpy as np
import page
import torch
from affine import bundled, closed_forms
from downstream_report import CAME, RAW, Overlap
from looks import Array, Look
from scipy.ndimage import gaussian_filter
from skimage.draw import ellipse
from sources import EDGE, SOURCES, Group, Read, Source, learned, reported
from swap import field_of

import napari_disentangle as nd
from napari_disentangle.audit import logistic
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    # Calls a function on every item: here, or on all cores.
    Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

SEED = 4
# Images at most that are tuned on, and that are reported: one per group in turn.
SIZES, QUICK_SIZES = (24, 36), (2, 2)
# Pixels per image that weights are fitted on, and shares of pixels below a threshold.
PIXELS, SHARES = 2000, np.linspace(0, 1, 201)
# Gaussian scales in pixels whose channels a segmenter sees; 0 is the pixel itself.
SEGMENTERS = {"threshold": (0,), "classifier": (0, 2, 4, 8)}


def as_they_came(rng: np.random.Generator, channels: int = 3) -> Look:
    """No change at all: what content-only costs where nobody needs it."""
    return Look(lambda image: image)


GENERATORS: dict[str, tuple[looks.Generator, ...]] = {
    "brightfield": (as_they_came, looks.hed, looks.camera),
    "fluorescence": (as_they_came, looks.fluorescence),
}


# --- images and truths --------------------------------------------------------------
def _labels(path: Path) -> Array:
    """Nuclei: pixels that have a label."""
    folder = path.parents[2] / "labels"
    return np.asarray(iio.imread(folder / path.parent.name / path.name)) > 0


def _white_cells(path: Path) -> Array:
    """Ellipses in the boxes of white cells."""
    page = ElementTree.parse(path.parents[1] / "Annotations" / f"{path.stem}.xml")
    mask = np.zeros(_numbers(page.find("size"), "height", "width"), bool)
    for box in page.iterfind("object[name='WBC']/bndbox"):
        low, high = (_numbers(box, f"y{end}", f"x{end}") for end in ("min", "max"))
        mask[ellipse(*(low + high) / 2, *(high - low) / 2, mask.shape)] = True
    return mask


def _numbers(item: Any, *tags: str) -> Array:
    return np.array([int(item.findtext(tag)) for tag in tags])


def _synthetic_nuclei(seed: int) -> Array:
    """Pixels with much of the nuclear stain."""
    return synthetic.tissue(seed, EDGE)[0] > 0.35


def _glow(seed: int) -> Array:
    """Synthetic nuclei that shine (1, Y, X)."""
    noise = np.random.default_rng(seed).normal(0, 2, (1, EDGE, EDGE))
    return 10 + 90 * synthetic.tissue(seed, EDGE)[:1] + noise


def _glowing() -> Iterator[Group]:
    for seed in range(24):
        yield Group(f"nuclei {seed}", (partial(_glow, seed),))


GLOWING = Source(
    "synthetic nuclei", "fluorescence", _glowing, split=lambda name, place: place % 2
)
# What is there, from the path or seed that an image is read from.
TRUTHS: dict[str, Callable[[Any], Array]] = {
    "synthetic tissue": _synthetic_nuclei,
    "synthetic nuclei": _synthetic_nuclei,
    "blood smears (BCCD)": _white_cells,
    "violet histology (DSB)": _labels,
    "nuclei (DSB)": _labels,
}
QUICK, FULL = list(TRUTHS)[:2], list(TRUTHS)[2:]


@dataclass(frozen=True)
class Case:
    """One image of a source and what is in it."""

    source: str
    group: str
    read: Read
    number: int

    @property
    def truth(self) -> Array:
        """Mask (Y, X) of what a segmenter should find."""
        assert isinstance(self.read, partial)
        return TRUTHS[self.source](self.read.args[0])


def cases(source: Source, groups: Sequence[Group], limit: int) -> list[Case]:
    """Images with something to find: one of every group in random order, then again."""
    rng = np.random.default_rng((SEED, zlib.crc32(source.name.encode())))
    order = [groups[i] for i in rng.permutation(len(groups))]
    rounds = zip_longest(*([(g.name, read) for read in g.images] for g in order))
    drawn = (one for several in rounds for one in several if one)
    every = (Case(source.name, *one, number) for number, one in enumerate(drawn))
    return list(islice((case for case in every if case.truth.any()), limit))


# --- segmenters ---------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Segmenter:
    """A linear function of a picture's absorbance or intensity, and a threshold.

    Nothing in it is measured on the picture: a change of look changes what it finds.
    """

    scales: tuple[int, ...]
    weights: logistic.Logistic
    threshold: float = 0.0

    def logits(self, picture: Array) -> Array:
        """How sure it is (Y, X)."""
        logits = logistic.scores(self.weights, features(picture, self.scales))
        return logits[..., 1] - logits[..., 0]

    def __call__(self, picture: Array) -> Array:
        """Mask (Y, X)."""
        return self.logits(picture) > self.threshold


def features(picture: Array, scales: Sequence[int]) -> Array:
    """Channels of absorbance or intensity at several scales (Y, X, F)."""
    if picture.dtype == np.uint8:
        signal = -np.log10((picture + 1.0) / 256)
    else:
        signal = np.moveaxis(picture, 0, -1)
    smooth = [gaussian_filter(signal, (s, s, 0), output=float) for s in scales]
    return np.concatenate(smooth, axis=-1)


def tune(
    pictures: Sequence[Array], truths: Sequence[Array], scales: tuple[int, ...]
) -> Segmenter:
    """Fit the weights by logistic regression, then the threshold to the mean Dice."""
    pixels, labels = _drawn(pictures, truths, scales)
    free = Segmenter(scales, logistic.fit(pixels, labels.astype(np.intp)))
    logits = [free.logits(picture) for picture in pictures]
    tried = np.quantile([np.quantile(v, SHARES) for v in logits], SHARES)
    reached = [
        np.mean([dice(v > one, t) for v, t in zip(logits, truths, strict=True)])
        for one in tried
    ]
    return replace(free, threshold=float(tried[np.argmax(reached)]))


def _drawn(
    pictures: Sequence[Array], truths: Sequence[Array], scales: Sequence[int]
) -> tuple[Array, Array]:
    """Features (n, F) and labels (n,) of the same number of pixels of every picture."""
    rng = np.random.default_rng(SEED)
    pixels, labels = [], []
    for picture, truth in zip(pictures, truths, strict=True):
        chosen = rng.integers(truth.size, size=PIXELS)
        pixels.append(features(picture, scales).reshape(truth.size, -1)[chosen])
        labels.append(truth.ravel()[chosen])
    return np.concatenate(pixels), np.concatenate(labels)


def dice(found: Array, truth: Array) -> float:
    """Overlap of two masks, of which the second is not empty."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


# --- measuring ----------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Setup:
    """What was tuned on one source; ``unit`` is the grey value that is 1, if any is."""

    unit: float | None
    segmenters: Mapping[str, Segmenter]
    models: Mapping[str, nd.Model]


def _picture(case: Case, unit: float | None) -> Array:
    image = case.read()
    return image if unit is None else (image / unit).astype(np.float32)


def prepare(tuning: Sequence[Case]) -> Setup:
    """Tune segmenters on images as they came, and measure the mean look of these."""
    source = _source(tuning[0].source)
    tops = [np.percentile(case.read(), 99.9) for case in tuning]
    unit = float(np.median(tops)) if source.modality == "fluorescence" else None
    pictures = [_picture(case, unit) for case in tuning]
    truths = [case.truth for case in tuning]
    fields = [field_of(picture) for picture in pictures]
    contenders = (*bundled(source), *closed_forms(source))
    return Setup(
        unit,
        {name: tune(pictures, truths, s) for name, s in SEGMENTERS.items()},
        {one.name: nd.fit(fields, one.model) for one in contenders},
    )


def overlaps(setup: Setup, case: Case) -> list[Overlap]:
    """Dice of one image under every look, with every arm and segmenter."""
    image, truth, found = _picture(case, setup.unit), case.truth, []
    for generator in GENERATORS[_source(case.source).modality]:
        key = (SEED, zlib.crc32(case.source.encode()), case.number)
        rng = np.random.default_rng(key)
        look = generator(rng, 3 if setup.unit is None else len(image))
        known = (case.source, generator.__name__.replace("_", " "))
        for arm, picture in _arms(setup, image, look.photograph(image, rng)):
            for name, segmenter in setup.segmenters.items():
                own = (name, case.group, case.number, arm)
                found.append(Overlap(*known, *own, dice(segmenter(picture), truth)))
    return found


def _arms(setup: Setup, image: Array, seen: Array) -> Iterator[tuple[str, Array]]:
    """The image as it came, raw, and content-only."""
    yield from ((CAME, image), (RAW, seen))
    for name, model in setup.models.items():
        yield name, model.content(field_of(seen))


def measure(names: Sequence[str], sizes: tuple[int, int], run: Run) -> list[Overlap]:
    """Tune and score on sources; ``run`` calls a function on every item."""
    chosen = [_source(name) for name in names]
    tuning = [cases(source, learned(source), sizes[0]) for source in chosen]
    tested = [cases(source, reported(source), sizes[1]) for source in chosen]
    return [
        score
        for setup, images in zip(run(prepare, tuning), tested, strict=True)
        for scores in run(partial(overlaps, setup), images)
        for score in scores
    ]


def _source(name: str) -> Source:
    return next(s for s in (*SOURCES, GLOWING) if s.name == name)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="synthetic, printed")
    if parser.parse_args().quick:
        torch.set_num_threads(1)
        found = measure(QUICK, QUICK_SIZES, map)
        sys.stdout.write(downstream_report.section(found, SEED, QUICK_SIZES))
        return
    with ProcessPoolExecutor(
        os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        found = measure(FULL, SIZES, pool.map)
    page.put(downstream_report.section(found, SEED, SIZES))


if __name__ == "__main__":
    main()
