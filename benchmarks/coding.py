"""Cells of known kind in fields of known look, and what codes of them tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import finding
import imageio.v3 as iio
import leak
import numpy as np
from cells import Cell, boxes
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.draw import ellipse
from skimage.segmentation import relabel_sequential
from sources import DATA

import napari_disentangle as nd
from napari_disentangle.audit import recognise
from napari_disentangle.audit.confounding import cramers_v
from napari_disentangle.objects.coders.views.use import Seen
from napari_disentangle.samples.cells import cells

Array = NDArray[Any]
# Cells of a class per field at most, and pixels of one that is still seen.
_MOST, _SMALLEST = {"RBC": 5}, 30
# Draws of known cells, and neighbours that decide.
_DRAWS, _NEIGHBOURS = 30, 3
# Synthetic cells of a field, and its looks: gain, offset, exponent and blur.
_EDGE = 6
_LOOKS = ((1.0, 0.0, 1.0, 0.0), (0.6, 0.2, 1.3, 0.6), (1.5, 0.1, 0.8, 0.0),
          (0.8, 0.4, 0.7, 0.9))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Known:
    """Objects, and of each its kind, its field and the look of that."""

    objects: nd.Objects
    kinds: Array
    fields: Array
    looks: Array


# --- cells ----------------------------------------------------------------------------
def smears(seed: int, learn: int = 180, score: int = 120) -> tuple[Known, Known]:
    """Blood cells of BCCD to learn from and to score, of other fields."""
    folder = DATA / "blood_bccd" / "BCCD"
    notes = {path.stem: path for path in (folder / "Annotations").glob("*.xml")}
    paths = [p for p in (folder / "JPEGImages").glob("*.jpg") if p.stem in notes]
    paths.sort(key=lambda path: crc32(f"{seed}{path.stem}".encode()))
    rng = np.random.default_rng(seed)
    parts = paths[:learn], paths[learn : learn + score]
    one, other = (_known(_smears(part, notes, rng)) for part in parts)
    return one, other


_Field = tuple[nd.Field, Array, Sequence[str], int]


def _smears(
    paths: Sequence[Path], notes: dict[str, Path], rng: np.random.Generator
) -> Iterator[_Field]:
    looks = leak.known_looks("brightfield", 3, np.random.default_rng(leak.SEED))
    for number, path in enumerate(paths):
        picture = np.asarray(iio.imread(path))[..., :3]
        shown = looks[number % len(looks)].photograph(picture, rng)
        drawn, kinds = _drawn(boxes(notes[path.stem]), picture.shape[:2], rng)
        if kinds:
            image = nd.Field(shown, "YXC", name=path.stem)
            yield image, drawn, kinds, number % len(looks)


def _drawn(
    found: Iterator[Cell], shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[Array, list[str]]:
    """Ellipses in boxes as labels (h, w), small ones on top, and their kinds."""
    every, left = list(found), dict(_MOST)
    chosen = []
    for cell in (every[i] for i in rng.permutation(len(every))):
        left[cell.label] = left.get(cell.label, len(every)) - 1
        chosen += [cell] if left[cell.label] >= 0 else []
    chosen.sort(key=lambda cell: -np.ptp([cell.y.start, cell.y.stop]))
    drawn, kinds = np.zeros(shape, np.int32), []
    for cell in chosen:
        middle, radius = (
            [(s.stop + sign * s.start) / 2 for s in (cell.y, cell.x)]
            for sign in (1, -1)
        )
        drawn[ellipse(*middle, *radius, shape)] = 1 + len(kinds)
        kinds.append(cell.label)
    sizes = np.bincount(drawn.ravel(), minlength=1 + len(kinds))
    seen = sizes >= _SMALLEST
    seen[0] = False
    numbers = np.where(seen, np.cumsum(seen), 0)
    return numbers[drawn], [k for k, ok in zip(kinds, seen[1:], strict=True) if ok]


def synthetic(seed: int, fields: int = 60) -> tuple[Known, Known]:
    """Synthetic cells whose middle is darker than, like, or brighter than their rim."""
    one, other = (
        _known(_synthetic(seed + 1000 * part, fields // (1 + part))) for part in (0, 1)
    )
    return one, other


def _synthetic(seed: int, fields: int) -> Iterator[_Field]:
    for number in range(fields):
        made = cells(_EDGE * _EDGE, 10_000 * seed + number)
        gain, offset, gamma, blur = _LOOKS[number % len(_LOOKS)]
        plane = gain * _mosaic(made.pictures).clip(0) ** gamma + offset
        numbers = np.arange(1, 1 + len(made.masks))[:, None, None]
        image = nd.Field(gaussian_filter(plane, blur), "YX", name=f"{number:03}")
        kinds = [str(level // 2) for level in made.levels["profile"]]
        yield image, _mosaic(made.masks * numbers), kinds, number % len(_LOOKS)


def nuclei(seed: int, most: int = 30) -> tuple[Known, Known]:
    """Nuclei of three sources, which are their looks; of what kind is not known."""
    one, other = (_known(_nuclei(seed, most, part)) for part in (0, 1))
    return one, other


def _nuclei(seed: int, most: int, part: int) -> Iterator[_Field]:
    for look, group in enumerate(finding.GROUPS):
        chosen = finding.paths(group, seed, most)[part]
        for one in finding.known(group, chosen):
            numbers = relabel_sequential(one.labels)[0]
            kinds = ["nucleus"] * int(numbers.max())
            if kinds:
                yield _grey(one.image), numbers, kinds, look


def _grey(image: nd.Field) -> nd.Field:
    """One channel in which nuclei are bright."""
    if not image.rgb:
        return image
    dark = 255 - np.asarray(image.data, np.float32).mean(axis=-1)
    return nd.Field(dark, "YX", name=image.name)


def on_backgrounds(n: int, seed: int, number: int) -> Seen:
    """Synthetic cells on textures of their own; the same cells for every number."""
    made = cells(n, seed, ("background", np.zeros(n, int)))
    rng = np.random.default_rng((seed, number))
    around = []
    for _ in range(n):
        noise = gaussian_filter(
            rng.normal(0, 1, made.masks.shape[1:]), rng.uniform(0.7, 3)
        )
        around.append(rng.uniform(0.1, 0.8) * noise / noise.std() + rng.uniform(0, 1.5))
    values = np.where(made.masks, made.pictures, np.stack(around))[:, None]
    sizes = np.log(made.masks.sum((1, 2))) / 2
    parts = (values, made.masks, sizes)
    return Seen(*(one.astype(np.float32) for one in parts))


def _mosaic(pictures: Array) -> Array:
    n, h, w = pictures.shape
    rows = pictures.reshape(_EDGE, n // _EDGE, h, w).transpose(0, 2, 1, 3)
    return rows.reshape(_EDGE * h, -1)


def _known(fields: Iterator[_Field]) -> Known:
    images, labels, kinds, looks = zip(*fields, strict=True)
    counts = [len(own) for own in kinds]
    objects = nd.Objects.of(images, list(labels))
    return Known(
        objects,
        np.concatenate([np.array(own) for own in kinds]),
        np.repeat(np.arange(len(images)), counts),
        np.repeat(looks, counts),
    )


# --- what codes tell ------------------------------------------------------------------
def told(codes: Array, known: Known, shots: int, seed: int) -> float:
    """Balanced accuracy of kinds from some cells per kind, in other fields."""
    z, rng = standard(codes), np.random.default_rng(seed)
    fields = np.unique(known.fields)
    return float(np.mean([_draw(z, known, fields, shots, rng) for _ in range(_DRAWS)]))


def _draw(
    z: Array, known: Known, fields: Array, shots: int, rng: np.random.Generator
) -> float:
    shown = np.isin(known.fields, rng.permutation(fields)[: len(fields) // 2])
    names, kinds = np.unique(known.kinds, return_inverse=True)
    own = [np.flatnonzero(shown & (kinds == k)) for k in range(len(names))]
    rows = np.concatenate([rng.permutation(one)[:shots] for one in own])
    asked = np.flatnonzero(~shown)
    apart = ((z[asked, None] - z[None, rows]) ** 2).sum(-1)
    near = kinds[rows][np.argsort(apart, axis=1, kind="stable")[:, :_NEIGHBOURS]]
    votes = np.eye(len(names))[near].sum(1)
    votes += 1e-3 * np.eye(len(names))[near[:, 0]]
    hit = votes.argmax(1) == kinds[asked]
    present = [k for k in range(len(names)) if (kinds[asked] == k).any()]
    return float(np.mean([hit[kinds[asked] == k].mean() for k in present]))


def look_read(codes: Array, known: Known) -> float:
    """Balanced accuracy of a probe of the look, in other fields."""
    looks, fields = ([str(v) for v in one] for one in (known.looks, known.fields))
    return float(recognise(standard(codes), looks, fields).accuracy)


def grouped(codes: Array, known: Known) -> tuple[float, float]:
    """As many groups as kinds: agreement with these, and Cramer's V with the look.

    Agreement is the adjusted Rand index (Hubert and Arabie 1985): 1 is the same, 0 is
    chance.
    """
    kinds = np.unique(known.kinds, return_inverse=True)[1]
    made = nd.Codes(known.objects, codes.astype(np.float32), (), "benchmark")
    numbers = nd.group(made, level=int(kinds.max()) + 1).numbers
    looks = known.looks.astype(str)
    return agreement(numbers - 1, kinds), cramers_v(numbers.astype(str), looks)


def agreement(one: Array, other: Array) -> float:
    """Adjusted Rand index of two groupings, numbered from 0 on."""
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1)
    both, rows, columns = (
        (counts * (counts - 1) / 2).sum()
        for counts in (table, table.sum(1), table.sum(0))
    )
    expected = rows * columns / (len(one) * (len(one) - 1) / 2)
    return float((both - expected) / ((rows + columns) / 2 - expected))


def standard(codes: Array) -> Array:
    """Columns of mean 0 and spread 1 (n, L); what is not known is the mean."""
    mean = np.nanmean(codes, 0)
    known = np.where(np.isfinite(codes), codes, mean).astype(float)
    return (known - mean) / (known.std(0) + 1e-9) / np.sqrt(codes.shape[1])
