"""Real images with something odd in them, and clean parts to learn the normal from.

White cells in fields of red ones, by their boxes (BCCD), and pen marks and coverslip
edges on slides, by their masks (HistoQC); both are read from beside the project.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
from anomaly_metrics import TOUCHING
from cells import boxes
from scipy.ndimage import label
from skimage.draw import ellipse
from skimage.morphology import isotropic_dilation
from sources import BLOOD, DATA, Group, learned, named, reported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cells import Cell
    from looks import Array

MARKED = DATA / "artefacts_histoqc" / "histoqc" / "data"
SEED = 6
# Pixels between the places where clean crops may be.
STRIDE = 16


@dataclass(frozen=True, eq=False)
class Case:
    """One brightfield image, or a part of one, and what is odd in it.

    Attributes
    ----------
    image
        (Y, X, 3) uint8.
    odd
        (Y, X) bool.
    ignore
        (Y, X) bool: neither odd nor normal; never overlaps ``odd``.
    group
        The field or slide that it is from.
    """

    image: Array
    odd: Array
    ignore: Array
    group: str

    def part(self, where: tuple[slice, slice]) -> Case:
        """A part of it."""
        return Case(self.image[where], self.odd[where], self.ignore[where], self.group)


@dataclass(frozen=True, eq=False)
class Cases:
    """Clean crops to fit on, and images to be tested on."""

    normals: Sequence[Case]
    tested: Sequence[Case]


def clean_crops(case: Case, edge: int, rng: np.random.Generator) -> Iterator[Case]:
    """Square crops that overlap neither each other nor what is odd or ignored."""
    taken = case.odd | case.ignore
    ends = (range(0, length - edge + 1, STRIDE) for length in taken.shape)
    for y, x in rng.permutation(np.stack(np.meshgrid(*ends), -1).reshape(-1, 2)):
        where = np.s_[y : y + edge, x : x + edge]
        if not taken[where].any():
            taken[where] = True
            yield case.part(where)


# --- white cells ----------------------------------------------------------------------
# Pixels: the edge of clean crops (a red cell is about 100 wide, a white one 200), and
# around boxes what may still be of the white cell.
CROP, AROUND = 160, 12
# Clean crops of a field at most.
EACH = 2
# Fields with white cells, most of them cut by the border, that have no box or that of a
# platelet. All fields without any box of a white cell are among them.
UNMARKED = (40, 41, 103, 133, 134, 135, 171, 178, 198, 228, 242, 290, 327)


def white_cells(crops: int = 200, fields: int = 80, seed: int = 0) -> Cases:
    """White cells among red ones.

    Crops are from the fields that may be learned from, the tested fields whole and from
    those that are reported. Odd is the ellipse in the box of a white cell: corners of
    the box show red cells or nothing, and are ignored as its surroundings are.
    Platelets are normal, as they are in every smear: they are neither ignored, which
    could not be done for the many that have no box, nor kept out of the crops.

    Parameters
    ----------
    crops, fields
        How many to draw at most.
    seed
        Which crops; the tested fields are the same.
    """
    rng = np.random.default_rng((SEED, seed))
    normals = chain.from_iterable(
        islice(clean_crops(field, CROP, rng), EACH)
        for field in _smears(learned(named(BLOOD)), (SEED, seed))
    )
    tested = islice(_smears(reported(named(BLOOD)), SEED), fields)
    return Cases(list(islice(normals, crops)), list(tested))


def _smears(groups: Sequence[Group], seed: int | tuple[int, int]) -> Iterator[Case]:
    """Fields in random order, without those whose boxes are not all there."""
    without = {f"BloodImage_{number:05d}" for number in UNMARKED}
    for i in np.random.default_rng(seed).permutation(len(groups)):
        if groups[i].name not in without:
            yield _smear(groups[i])


def _smear(group: Group) -> Case:
    (path,) = group.images[0].args
    image = group.images[0]()
    annotation = path.parents[1] / "Annotations" / f"{path.stem}.xml"
    odd, boxed = np.zeros((2, *image.shape[:2]), bool)
    for cell in boxes(annotation):
        if cell.label == "WBC":
            boxed[cell.y, cell.x] = True
            odd[_inside(cell, odd.shape)] = True
    return Case(image, odd, isotropic_dilation(boxed, AROUND) & ~odd, group.name)


def _inside(cell: Cell, shape: tuple[int, ...]) -> tuple[Array, Array]:
    sides = (cell.y, cell.x)
    centre = ((side.start + side.stop - 1) / 2 for side in sides)
    radii = ((side.stop - side.start) / 2 for side in sides)
    return ellipse(*centre, *radii, shape=shape)


# --- marks on slides ------------------------------------------------------------------
# Pixels of the thumbnails: the edge of clean crops, the surroundings of marks, which
# fade out, and the smallest region that is no slip of whoever drew the mask.
PATCH, FADING, SPECK = 96, 20, 40


@dataclass(frozen=True)
class Slide:
    """A thumbnail with marks that mostly lie in its left half.

    Attributes
    ----------
    name, path
        What it is called, and its image without the ending; the mask is beside it.
    unsure
        Where marks or ink on tissue were seen that the mask leaves out, and glass
        beyond the coverslip: there only what the mask has counts.
    """

    name: str
    path: str
    unsure: tuple[tuple[slice, slice], ...]


# The small images of pen marks show two of these slides again. The slide with black pen
# shows nothing but pen.
SLIDES = (
    Slide(
        "coverslip, H&E", "models/coverslip_edge_he/coverslip_edge", (np.s_[:, :210],)
    ),
    Slide(
        "coverslip, IHC", "models/coverslip_edge_ihc/coverslip_edge", (np.s_[:90, :],)
    ),
    Slide(
        "green pen",
        "pen/1k_version/pen_green",
        (
            np.s_[:140, :450],
            np.s_[:50, 450:],
            np.s_[:80, 930:],
            np.s_[430:490, 160:220],
            np.s_[570:820, 50:610],
            np.s_[:160, 860:960],
        ),
    ),
    Slide(
        "red pen",
        "pen/1k_version/pen_red",
        (
            np.s_[40:200, 110:360],
            np.s_[200:870, 55:180],
            np.s_[90:180, 430:670],
            np.s_[300:680, 740:860],
            np.s_[740:830, 530:660],
            np.s_[875:920, 230:430],
        ),
    ),
)


def artefacts(each: int = 16, seed: int = 0) -> Cases:
    """Pen marks and coverslip edges on four slides.

    The left half of every slide is tested; clean crops of tissue and of bare glass are
    from its right half, as no other slide here looks alike.

    Parameters
    ----------
    each
        Clean crops of a slide at most.
    seed
        Which crops.
    """
    rng = np.random.default_rng((SEED, seed))
    halves = [_halves(_slide(slide)) for slide in SLIDES]
    normals = (islice(clean_crops(right, PATCH, rng), each) for _, right in halves)
    return Cases(list(chain.from_iterable(normals)), [left for left, _ in halves])


def _halves(case: Case) -> tuple[Case, Case]:
    middle = case.odd.shape[1] // 2
    return case.part(np.s_[:, :middle]), case.part(np.s_[:, middle:])


def _slide(slide: Slide) -> Case:
    start = f"{MARKED / slide.path}"
    image, mask = (np.asarray(iio.imread(f"{start}{e}.png")) for e in ("", "_mask"))
    regions, _ = label(mask, TOUCHING)
    odd = (regions > 0) & (np.bincount(regions.ravel()) >= SPECK)[regions]
    ignore = isotropic_dilation(mask > 0, FADING)
    for part in slide.unsure:
        ignore[part] = True
    return Case(image[..., :3], odd, ignore & ~odd, slide.name)
