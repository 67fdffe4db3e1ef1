"""Whether the class of a cell can still be read from the picture of it.

Boxes around cells of known class, in fields of which each has one of four known looks;
a probe reads the class from the pixels of a box, and never saw the field.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import leak
import numpy as np
from arms import arms
from results import Estimate
from skimage.measure import regionprops
from skimage.transform import resize
from sources import BLOOD, EDGE, named, reported

from napari_disentangle.audit import (
    Recognised,
    colour_features,
    convolution_features,
    recognise,
)
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from looks import Array

SEED = 4
FIELDS = 80
# Boxes of a field at most, of classes that would else outnumber all others.
MOST = {"RBC": 6}
# Pixels: the edge that every box is brought to for what depends on size, and the edge
# of a box that still shows something.
SIDE, SMALLEST = 48, 8
# Planted objects of a synthetic field: every other one is ringed, the others striped;
# and by how much the logarithms of its concentrations vary.
OBJECTS, PLANTED = 4, ("striped", "ringed")
VARIED = 0.4
# The field before its look.
CAME = "as it came"


@dataclass(frozen=True)
class Cell:
    """A box around a cell of known class."""

    label: str
    y: slice
    x: slice


@dataclass(frozen=True, eq=False)
class Annotated:
    """One brightfield image as it came, and cells in it."""

    name: str
    picture: Array
    cells: Sequence[Cell]


# --- fields -------------------------------------------------------------------------
def smears() -> list[Annotated]:
    """Reported blood smears, with all white cells and platelets and some red cells."""
    groups = reported(named(BLOOD))
    order = np.random.default_rng(SEED).permutation(len(groups))
    drawn = (groups[i] for i in order)
    fields = (_smear(group.name, group.images[0]) for group in drawn)
    return list(islice((field for field in fields if field.cells), FIELDS))


def _smear(name: str, read: Any) -> Annotated:
    (path,) = read.args
    annotation = path.parents[1] / "Annotations" / f"{path.stem}.xml"
    return Annotated(name, read(), list(_few(boxes(annotation))))


def boxes(path: Path) -> Iterator[Cell]:
    """Boxes of a Pascal VOC file that are large enough to show something."""
    for item in ElementTree.parse(path).iterfind("object"):
        y, x = (_side(item, axis) for axis in "yx")
        if min(y.stop - y.start, x.stop - x.start) >= SMALLEST:
            yield Cell(str(item.findtext("name")), y, x)


def _side(item: Any, axis: str) -> slice:
    low, high = (item.findtext(f"bndbox/{axis}{end}") for end in ("min", "max"))
    return slice(int(low), int(high))


def _few(cells: Iterator[Cell]) -> Iterator[Cell]:
    """No more of a class than is asked for, in the order of the file."""
    left = Counter(MOST)
    for cell in cells:
        if left[cell.label] > 0 or cell.label not in MOST:
            yield cell
        left[cell.label] -= 1


def planted(number: int) -> list[Annotated]:
    """Synthetic tissue with two kinds of objects that differ in arrangement alone.

    Fields differ in how much they have of what takes either stain, as biology does.
    """
    return [_planted(seed) for seed in range(number)]


def _planted(seed: int) -> Annotated:
    rng = np.random.default_rng((SEED, seed))
    tissue = synthetic.tissue(seed, EDGE) * np.exp(rng.normal(0, VARIED, (2, 1, 1)))
    content, labels = synthetic.plant(tissue, seed, OBJECTS)
    picture = synthetic.render(content, synthetic.VIOLET, 2.0, seed)
    found = regionprops(labels)
    cells = [Cell(PLANTED[one.label % 2], *one.slice) for one in found]
    return Annotated(f"tissue {seed}", picture, cells)


def under_looks(fields: Sequence[Annotated]) -> list[Array]:
    """Every field under one of the known looks, dealt at random."""
    rng = np.random.default_rng(leak.SEED)
    looks = leak.known_looks("brightfield", 3, rng)
    return [looks[rng.integers(len(looks))].photograph(f.picture, rng) for f in fields]


# --- classes ------------------------------------------------------------------------
def read(fields: Sequence[Annotated], shown: Iterable[Array]) -> Recognised:
    """What a probe recognises of the cells of fields, shown in the same order."""
    rows, labels, groups = [], [], []
    for field, picture in zip(fields, shown, strict=True):
        for cell in field.cells:
            rows.append(features(picture[cell.y, cell.x]))
            labels.append(cell.label)
            groups.append(field.name)
    return recognise(np.stack(rows), labels, groups)


def features(box: Array) -> Array:
    """Colours and textures of a box (Y, X, 3), without how large it is."""
    values = box.transpose(2, 0, 1).astype(float)
    side = resize(values, (len(values), SIDE, SIDE), anti_aliasing=True)
    return np.concatenate([colour_features(values), convolution_features(side)])


def classes(fields: Sequence[Annotated]) -> dict[str, Recognised]:
    """What is recognised of the fields as they came, and under looks in every arm."""
    seen = under_looks(fields)
    found = {CAME: read(fields, (field.picture for field in fields))}
    for name, show in arms(seen).shows.items():
        found[name] = read(fields, (show(picture).picture for picture in seen))
    return found


def accuracy(found: Recognised) -> Estimate:
    """Balanced accuracy with its interval over fields."""
    low, high = np.percentile(found.resampled(), (2.5, 97.5))
    return Estimate(found.accuracy, float(low), float(high))


def against(found: Recognised, other: Recognised) -> Estimate:
    """Difference of two accuracies on the same boxes with its interval, paired."""
    apart = found.resampled() - other.resampled()
    low, high = np.percentile(apart, (2.5, 97.5))
    return Estimate(found.accuracy - other.accuracy, float(low), float(high))
