"""What detectors are tried on: normal images to fit on, and odd ones to find.

Whoever fits on a study sees its normals only. What is odd in the others is known, by
planting it or from boxes and masks that come with the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING
from zlib import crc32

import anomaly_data
import imageio.v3 as iio
import numpy as np
from planted import KINDS, SIZES, Planted, Scene, plant
from scipy.ndimage import label
from sources import DATA, manifest

from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anomaly_data import Cases
    from looks import Array

    from napari_disentangle.image.field import Modality

SEED = 11
# Planted cases of a study, and its normal images.
CASES, NORMALS = 40, 30
# Crops of smears.
CROPS = 60
# Edge of the parts of large fields in pixels.
PART = 320
# Nuclei that a field needs, so that their typical size is known.
_NUCLEI = 8


@dataclass(frozen=True, eq=False)
class Case:
    """An image with something odd in it.

    Attributes
    ----------
    image
        (Y, X, 3) uint8 or (C, Y, X).
    odd
        (Y, X) where.
    group
        Field or slide that it is of.
    kind, size
        What it is, and its size in typical diameters, if it was planted.
    ignore
        (Y, X) pixels that say nothing.
    """

    image: Array
    odd: Array
    group: str
    kind: str = ""
    size: float = 0.0
    ignore: Array | None = None

    @property
    def use(self) -> Array:
        """(Y, X) pixels that are scored."""
        whole = np.ones(self.odd.shape, bool)
        return whole if self.ignore is None else ~self.ignore


@dataclass(frozen=True, eq=False)
class Study:
    """Normals to fit on, odd cases, and normal images of other groups.

    Attributes
    ----------
    name, modality, words
        What it is, and how it was made.
    normals
        Images to fit on.
    cases
        Images with something odd, of other groups.
    clean
        Normal images of these other groups.
    """

    name: str
    modality: Modality
    words: str
    normals: Sequence[Array]
    cases: Sequence[Case]
    clean: Sequence[Array]


@dataclass(frozen=True, eq=False)
class _Known:
    """A field with its nuclei."""

    name: str
    image: Array
    labels: Array


def planted_nuclei(seed: int = 0) -> Study:
    """Nuclei in fluorescence, parts of large fields."""
    return _planted("planted, nuclei", "fluorescence", FIELDS["nuclei"](), seed)


def planted_small(seed: int = 0) -> Study:
    """Nuclei in fluorescence, many kinds of experiment."""
    known = FIELDS["small nuclei"]()
    return _planted("planted, small nuclei", "fluorescence", known, seed)


def planted_violet(seed: int = 0) -> Study:
    """Nuclei in violet histology."""
    known = FIELDS["violet"]()
    return _planted("planted, violet histology", "brightfield", known, seed)


def white_cells(seed: int = 0) -> Study:
    """White cells among red ones."""
    found = anomaly_data.white_cells(CROPS, CASES, seed)
    words = (
        f"{len(found.normals)} crops of smears without a white cell, "
        f"{len(found.tested)} fields of other smears; odd is the ellipse in the box of "
        "a white cell, platelets are normal. No field is free of white cells, so that "
        "p and image AUROC are of crops without one."
    )
    rng = np.random.default_rng(SEED)
    crops = (anomaly_data.clean_crops(c, anomaly_data.CROP, rng) for c in found.tested)
    clean = [first.image for own in crops for first in islice(own, 1)]
    return _marked("white cells in smears", words, found, clean)


def artefacts(seed: int = 0) -> Study:
    """Pen marks and edges of coverslips."""
    found = anomaly_data.artefacts(seed=seed)
    words = (
        f"{len(found.normals)} crops of the right halves of {len(found.tested)} "
        "slides, whose left halves are scored: an illustration, as slides are fitted "
        "on and scored, and the bundled models learned looks from them."
    )
    return _marked("pen and coverslip edges", words, found, ())


def _marked(name: str, words: str, found: Cases, clean: Sequence[Array]) -> Study:
    cases = [Case(c.image, c.odd, c.group, ignore=c.ignore) for c in found.tested]
    normals = [case.image for case in found.normals]
    return Study(name, "brightfield", words, normals, cases, clean)


def planted_synthetic(seed: int = 0) -> Study:
    """Synthetic tissue, which needs no file."""
    known = FIELDS["synthetic"]()
    return _planted("planted, synthetic tissue", "brightfield", known, seed, 3)


def everywhere(study: str, kind: str, size: float) -> list[tuple[Case, Array]]:
    """One thing planted into each field of a study that is not fitted on.

    Every case comes with its field as it was before.
    """
    known = FIELDS[study]()
    others = [one for one in known if not _is_fitted(one.name)][:CASES]
    pool = tuple((_signal(one.image), one.labels) for one in others)
    seeds = [(SEED, crc32(f"{one.name} {kind} {size}".encode())) for one in others]
    made = [
        (_case(one, pool, kind, size, np.random.default_rng(seed)), one.image)
        for one, seed in zip(others, seeds, strict=True)
    ]
    return [(case, before) for case, before in made if case.odd.any()]


def _tissue(seed: int) -> _Known:
    content = synthetic.tissue(seed, 128)
    image = synthetic.render(content, synthetic.VIOLET, 2.0, seed)
    nuclei, _ = label(content[0] > 0.5 * content[0].max())
    return _Known(f"tissue {seed}", image, nuclei)


def _nuclei(group: str) -> list[_Known]:
    folder = DATA / "nuclei_dsb2018"
    rows = [r for r in manifest(folder) if r["group"] == group]
    enough = [r for r in rows if int(r["n_nuclei"]) >= _NUCLEI]
    return [
        _Known(
            r["image"],
            _picture(np.asarray(iio.imread(folder / r["image"]))),
            np.asarray(iio.imread(folder / r["label"])).astype(int),
        )
        for r in enough
    ]


def _middle(known: _Known) -> _Known:
    """The middle of a field; of a small one all."""
    y, x = (slice(max(0, n - PART) // 2, (n + PART) // 2) for n in known.labels.shape)
    return _Known(known.name, known.image[..., y, x], known.labels[y, x])


def _picture(image: Array) -> Array:
    return image[None] if image.ndim == 2 else image[..., :3]


def _planted(
    name: str,
    modality: Modality,
    known: Sequence[_Known],
    seed: int,
    cases: int = CASES,
) -> Study:
    """Half of the fields are normal, in the others something is planted.

    The seed draws the normal ones; what is planted is the same for all seeds.
    """
    fitted = [one for one in known if _is_fitted(one.name)]
    others = [one for one in known if not _is_fitted(one.name)]
    drawn = np.random.default_rng((SEED, seed)).permutation(len(fitted))
    normals = [fitted[i].image for i in drawn[:NORMALS]]
    rng = np.random.default_rng(SEED)
    order = [others[i] for i in rng.permutation(len(others))]
    pool = tuple((_signal(one.image), one.labels) for one in order)
    kinds = [(kind, size) for size, kind in product(SIZES, KINDS)]
    made = [
        _case(order[i % len(order)], pool, *kinds[i % len(kinds)], rng)
        for i in range(cases)
    ]
    clean = [one.image for one in order[:cases]]
    found = [case for case in made if case.odd.any()]
    words = f"{len(normals)} normal fields, {len(found)} with something odd."
    return Study(name, modality, words, normals, found, clean)


def _is_fitted(name: str) -> bool:
    return crc32(f"normal {name}".encode()) % 2 == 0


def _case(
    known: _Known,
    others: Sequence[tuple[Array, Array]],
    kind: str,
    size: float,
    rng: np.random.Generator,
) -> Case:
    chosen = tuple(others[i] for i in rng.permutation(len(others))[:5])
    scene = Scene(_signal(known.image), known.labels, chosen)
    found: Planted = plant(scene, kind, size, rng)
    return Case(_image(found.signal, known.image), found.odd, known.name, kind, size)


def _signal(image: Array) -> Array:
    """What fluoresces, or absorbance; channels first."""
    if image.shape[-1] != 3:
        return image.astype(np.float32)
    return -np.log10((image.transpose(2, 0, 1) + 1.0) / 256).astype(np.float32)


def _image(signal: Array, like: Array) -> Array:
    """The image of a signal, 8 bits as they all are."""
    if like.shape[-1] == 3:
        signal = (256 * 10**-signal - 1).transpose(1, 2, 0)
    return np.clip(np.rint(signal), 0, 255).astype(like.dtype)


FIELDS: dict[str, Callable[[], list[_Known]]] = {
    "nuclei": lambda: [_middle(one) for one in _nuclei("fluo_520x696")],
    "small nuclei": lambda: _nuclei("fluo_256x256"),
    "violet": lambda: _nuclei("histo_violet_bg"),
    "synthetic": lambda: [_tissue(number) for number in range(10)],
}

STUDIES: dict[str, Callable[[int], Study]] = {
    "nuclei": planted_nuclei,
    "small nuclei": planted_small,
    "violet": planted_violet,
    "white cells": white_cells,
    "artefacts": artefacts,
    "synthetic": planted_synthetic,
}
