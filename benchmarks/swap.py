"""Known-truth swap: how well each model gives one image the look of another.

Two pictures A and B of one slide or field get the same random look. The model sees A
and look(B), and renders A as if it had been photographed like look(B); the truth is
look(A). ``python benchmarks/swap.py`` writes the tables of ``docs/studies.md``
(minutes, one thread); ``--quick`` prints a short run on what is always there.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import looks
import numpy as np
import page
import report
import torch
from looks import Array, Generator
from results import Result
from skimage.color import deltaE_ciede2000, rgb2lab
from sources import SOURCES, Pair, Source, pairs

import napari_disentangle as nd
from napari_disentangle import audit
from napari_disentangle.model.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEED = 0
PAIRS, QUICK_PAIRS = 32, 1
# Decibels of images that are the same but for rounding.
MOST = 100.0
GENERATORS: dict[str, tuple[Generator, ...]] = {
    "brightfield": (looks.hed, looks.camera),
    "fluorescence": (looks.fluorescence,),
}


@dataclass(frozen=True)
class Case:
    """One swap to be made: the picture, two donors, and what should come out."""

    picture: Array
    donor: Array
    same_content: Array
    truth: Array


def measure(chosen: Sequence[Source], limit: int, seed: int) -> Iterator[Result]:
    """Swap every pair of every source with every model that fits."""
    for source in chosen:
        for number, pair in enumerate(pairs(source, limit, seed)):
            for generator in GENERATORS[source.modality]:
                key = (seed, zlib.crc32(source.name.encode()), number)
                case = case_of(pair, generator, np.random.default_rng(key))
                yield from _all_models(source, pair.group, generator, case)


def case_of(pair: Pair, generator: Generator, rng: np.random.Generator) -> Case:
    """One swap of a pair under a random look."""
    channels = 3 if pair.first.dtype == np.uint8 else len(pair.first)
    look = generator(rng, channels)
    return Case(
        picture=pair.first,
        donor=look.photograph(pair.second, rng),
        same_content=look.photograph(pair.first, rng),
        truth=look.change(pair.first),
    )


def _all_models(
    source: Source, group: str, generator: Generator, case: Case
) -> Iterator[Result]:
    for model, entry in nd.models().items():
        known = MODELS[model]
        if source.modality not in entry.modalities or known.needs_fit:
            continue
        if source.seen and source.modality in known.learns:
            continue
        fitted = nd.fit(field_of(case.picture), model)
        result, refused = swapped(fitted, case.picture, case.donor)
        alike, _ = swapped(fitted, case.picture, case.same_content)
        yield Result(
            source=source.name,
            modality=source.modality,
            looks=generator.__name__,
            model=model,
            group=group,
            psnr=psnr(result, case.truth),
            unchanged=psnr(case.picture, case.truth),
            difference=difference(result, case.truth),
            same_content=psnr(alike, case.truth),
            refused=refused,
        )


def swapped(model: nd.Model, picture: Array, donor: Array) -> tuple[Array, bool]:
    """The picture in the donor's look, and whether the model refused to.

    The model was fitted on the picture, so that its reference is the picture's look.
    """
    look = model.attribute(field_of(donor))
    if not (look.found and model.reference.found):
        return picture, True
    return model.render(field_of(picture), look, model.reference), False


def field_of(picture: Array, name: str = "") -> nd.Field:
    """A picture as a Field."""
    axes = "YXC" if picture.dtype == np.uint8 and picture.shape[-1] == 3 else "CYX"
    return nd.Field(picture, axes, name=name)


# --- scores -------------------------------------------------------------------------
def psnr(image: Array, truth: Array) -> float:
    """Peak signal to noise ratio in decibels, at most 100.

    The peak is 255 for 8 bits; else, for each channel, the truth's range without its
    lowest and highest thousandth.
    """
    if truth.dtype == np.uint8:
        pictures = image.transpose(2, 0, 1), truth.transpose(2, 0, 1)
        return min(MOST, audit.psnr(*pictures, peak=255))
    return min(MOST, audit.psnr(image, truth))


def difference(image: Array, truth: Array) -> float:
    """Mean colour difference CIEDE2000; NaN if the images are not 8-bit colour."""
    if truth.dtype != np.uint8:
        return float("nan")
    return float(deltaE_ciede2000(rgb2lab(image), rgb2lab(truth)).mean())


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="bundled images, printed")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    chosen = [s for s in SOURCES if s.present and not (quick and s.folder)]
    left_out = [s.name for s in SOURCES if s not in chosen]
    found = list(measure(chosen, QUICK_PAIRS if quick else PAIRS, SEED))
    text = report.section(found, SEED, left_out)
    page.give(text, quick)


if __name__ == "__main__":
    main()
