"""One Ki67 slide on two scanners: brown area and positive nuclei, before and after.

``python benchmarks/ki67.py`` writes its section of ``docs/studies.md`` and the picture
``docs/images/ki67.png`` (a minute). ``--quick`` prints the table of a corner.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import page
import torch
from report import table
from scipy.ndimage import gaussian_filter, label, shift
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu
from skimage.registration import phase_cross_correlation
from skimage.transform import resize
from sources import DATA
from swap import field_of, psnr

import napari_disentangle as nd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looks import Array

COMMAND = "python benchmarks/ki67.py"
PICTURE = page.PAGE.parent / "images" / "ki67.png"
SCANNERS = {"Hamamatsu": "OS-2-ndpi.ome.tif", "Olympus": "OS-2-vsi.ome.tif"}
MODELS = ("affine", "balanced", "mk", "percentile", "macenko", "reinhard")
# Pixels at a border that registering may have brought in.
BORDER = 16
# Square micrometres of the smallest nucleus that is counted, and edge of a pixel.
LEAST_UM2, PIXEL_UM = 8.0, 0.346
# Widths of a blur that are tried to make the sharper picture as sharp as the other.
SIGMAS = np.arange(0, 3.01, 0.1)

METHOD = """\
## One Ki67 slide on two scanners

Slide OS-2 of the OpenSlide test data, the same 0.5 x 0.5 mm on a Hamamatsu and on an
Olympus scanner, brought to the pixels of the latter and registered. Brown is where the
DAB of Ruifrok and Johnston 2001 is above the threshold of Otsu in the reference;
positive nuclei are its connected parts of at least 8 square micrometres. One picture is
given the look of the other, and measured at the reference's threshold: as it is, and
after the sharper one was blurred to the other's sharpness (*equally sharp*). PSNR is to
the reference itself, so that it is limited by sharpness and registration too.
"""


@dataclass(frozen=True)
class Brown:
    """What is counted in a picture."""

    area: float
    nuclei: int


def both(folder: Path) -> tuple[Array, Array]:
    """The two pictures (Y, X, 3), registered to a tenth of a pixel."""
    one, other = (np.asarray(nd.read(folder / n).levels[0]) for n in SCANNERS.values())
    shape = other.shape
    same = resize(one, shape, anti_aliasing=True, preserve_range=True)
    dark = [-np.log10((p.mean(axis=2) + 1) / 256) for p in (other, same)]
    moved, _, _ = phase_cross_correlation(*dark, upsample_factor=10, normalization=None)
    same = shift(same, (*moved, 0), order=1, mode="nearest")
    inner = (slice(BORDER, -BORDER),) * 2
    return np.rint(same).astype(np.uint8)[inner], other[inner]


def sharpness(picture: Array) -> float:
    """Mean gradient, as a share of the spread."""
    light = picture.mean(axis=2)
    return float(np.hypot(*np.gradient(light)).mean() / light.std())


def equally_sharp(one: Array, other: Array) -> tuple[Array, Array]:
    """The sharper of two pictures blurred until it is as sharp as the other."""
    if sharpness(one) < sharpness(other):
        return equally_sharp(other, one)[::-1]
    target = sharpness(other)
    blurred = [gaussian_filter(one.astype(float), (s, s, 0)) for s in SIGMAS]
    best = min(blurred, key=lambda p: abs(sharpness(p) - target))
    return np.rint(best).astype(np.uint8), other


def amount(picture: Array) -> Array:
    """DAB (Y, X), without what is smaller than a pixel or two."""
    return gaussian_filter(rgb2hed(picture)[..., 2], 1)


def threshold(picture: Array) -> float:
    """Amount of DAB from which on the reference is brown."""
    return float(threshold_otsu(amount(picture)))


def brown(picture: Array, limit: float) -> Brown:
    """Share of a picture that is brown, and the number of positive nuclei."""
    mask = amount(picture) > limit
    parts, _ = label(mask)
    sizes = np.bincount(parts.ravel())[1:] * PIXEL_UM**2
    return Brown(float(mask.mean()), int((sizes >= LEAST_UM2).sum()))


def swapped(model: str, picture: Array, donor: Array) -> Array:
    """A picture in the look of another."""
    fields = field_of(picture), field_of(donor)
    return nd.fit([*fields], model).swap(*fields)


def lines(one: Array, other: Array) -> Iterator[list[str]]:
    """Rows of the table: both directions, with every model."""
    names = list(SCANNERS)
    for name, picture, reference in (
        (f"{names[1]} as {names[0]}", other, one),
        (f"{names[0]} as {names[1]}", one, other),
    ):
        for model in ("as it is", *MODELS):
            made = (
                picture if model == "as it is" else swapped(model, picture, reference)
            )
            sharp = equally_sharp(made, reference)
            cells = []
            for shown, known in ((made, reference), sharp):
                limit = threshold(known)
                found, true = brown(shown, limit), brown(known, limit)
                cells += [
                    f"{found.area:.2%} of {true.area:.2%}",
                    f"{found.nuclei} of {true.nuclei}",
                ]
            yield [name, model, *cells, f"{psnr(made, reference):.1f}"]


def draw(one: Array, other: Array) -> None:
    """The picture: one scanner, the other, and the other in the look of the first."""
    made = swapped("affine", other, one)
    middle = (slice(400, 1000), slice(100, 700))
    gap = np.full((600, 12, 3), 255, np.uint8)
    parts = (one[middle], gap, other[middle], gap, made[middle])
    PICTURE.parent.mkdir(exist_ok=True)
    iio.imwrite(PICTURE, np.concatenate(parts, axis=1))


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a corner, printed")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    pair = both(DATA / "ihc_two_scanners")
    if quick:
        pair = tuple(p[:256, :256] for p in pair)
    head = [
        *("swap", "model", "brown area", "positive nuclei"),
        *("equally sharp: brown area", "equally sharp: nuclei", "PSNR dB"),
    ]
    text = page.section(COMMAND, METHOD, table(head, list(lines(*pair))))
    page.give(text, quick)
    if not quick:
        draw(*pair)


if __name__ == "__main__":
    main()
