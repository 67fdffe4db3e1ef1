"""Image sources: groups of images of one slide or field, and pairs drawn from them.

The bundled images and the synthetic ones are always there; the rest is read from
``../shared/data`` beside the project where that exists. Two pictures of a pair never
overlap and never come from different slides or fields.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import imageio.v3 as iio
import numpy as np
import open_sources
import tifffile
from looks import Array
from scipy.sparse.csgraph import connected_components

from napari_disentangle.samples import data as sample_data
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from napari_disentangle.image.field import Modality

# Names of the images that are reported.
SCANNERS = "H&E, three scanners"
VIOLET = "violet histology (DSB)"
BLOOD = "blood smears (BCCD)"
SLIDES = "slides (HistoQC, StarDist)"
NUCLEI = "nuclei (DSB)"
CHANNELS = "1 to 3 channels (NEUBIAS, CellProfiler)"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
# Largest edge of a picture in pixels.
EDGE = 192
# Correlation of touching borders above which two images are parts of one field. In the
# violet histology this finds 16 fields of four parts, one of three and one of two.
SAME_FIELD = 0.9

Read = Callable[[], Array]


@dataclass(frozen=True)
class Group:
    """Images of one slide or field: (Y, X, 3) uint8, or (C, Y, X) of any type."""

    name: str
    images: tuple[Read, ...]


@dataclass(frozen=True)
class Source:
    """Groups of one kind of image.

    Attributes
    ----------
    name, modality
        What it is.
    groups
        Lists the groups, without reading images where that can be avoided.
    folder
        Where in the shared data it is; ``None`` for what is bundled.
    split
        Whether a group, by its name and place, may be learned from or tuned on; such
        groups are never reported.
    seen
        Whether the bundled models learned from all of it, because it is too small to be
        split: they are not scored on it.
    """

    name: str
    modality: Modality
    groups: Callable[[], Iterable[Group]]
    folder: str | None = None
    split: Callable[[str, int], bool] = lambda name, place: False
    seen: bool = False

    @property
    def present(self) -> bool:
        """Whether its images are on this machine."""
        return self.folder is None or (DATA / self.folder).is_dir()


@dataclass(frozen=True)
class Pair:
    """Two pictures from one group; fluorescence is float32 and reaches about 1."""

    first: Array
    second: Array
    group: str


def learned(source: Source) -> list[Group]:
    """Groups that may be learned from or tuned on."""
    named = enumerate(source.groups())
    return [group for place, group in named if source.split(group.name, place)]


def reported(source: Source) -> list[Group]:
    """Groups that are reported."""
    named = enumerate(source.groups())
    return [group for place, group in named if not source.split(group.name, place)]


def pairs(source: Source, limit: int, seed: int) -> Iterator[Pair]:
    """Draw pairs: from ``limit`` groups at most, several from each if there are fewer.

    Parameters
    ----------
    source
        Where to draw from.
    limit
        Number of pairs, rounded up to whole rounds over the groups.
    seed
        Chooses groups, images and crops.
    """
    rng = np.random.default_rng(seed)
    groups = reported(source)
    chosen = [groups[i] for i in rng.permutation(len(groups))[:limit]]
    for _ in range(-(-limit // len(chosen))):
        for group in chosen:
            first, second = _draw(group, source.modality, rng)
            yield Pair(first, second, group.name)


def _draw(
    group: Group, modality: Modality, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Two different images of a group, or the two halves of its only one."""
    if len(group.images) > 1:
        one, other = rng.permutation(len(group.images))[:2]
        whole = [group.images[one](), group.images[other]()]
    else:
        whole = _halves(group.images[0](), modality)
    if modality == "fluorescence":
        top = np.max([np.percentile(p, 99.9, axis=(1, 2)) for p in whole], axis=0)
        whole = [(p / top[:, None, None]).astype(np.float32) for p in whole]
    first, second = (_crop(picture, modality, rng) for picture in whole)
    return first, second


def _halves(image: Array, modality: Modality) -> list[Array]:
    y, x = _plane_axes(modality)
    along = y if image.shape[y] > image.shape[x] else x
    return np.array_split(image, 2, axis=along)


def _crop(image: Array, modality: Modality, rng: np.random.Generator) -> Array:
    """A part of ``EDGE`` pixels that is not much emptier than the whole."""
    for _ in range(20):
        part = image
        for axis in _plane_axes(modality):
            start = int(rng.integers(max(1, image.shape[axis] - EDGE + 1)))
            part = part.take(
                range(start, min(start + EDGE, image.shape[axis])), axis=axis
            )
        if part.std() > 0.5 * image.std():
            break
    return part


def _plane_axes(modality: Modality) -> tuple[int, int]:
    return (0, 1) if modality == "brightfield" else (1, 2)


# --- always there -----------------------------------------------------------------
def _bundled_blood() -> Iterator[Group]:
    for name in ("blood_1", "blood_2"):
        yield Group(name, (partial(sample_data.load, name),))


def _bundled_cells() -> Iterator[Group]:
    both = (partial(sample_data.load, name) for name in ("cells_a", "cells_b"))
    yield Group("cells", tuple(both))
    yield Group("nuclei", (partial(_middle, lambda: sample_data.load("nuclei")),))


def _synthetic() -> Iterator[Group]:
    for seed in range(64):
        reads = (partial(_tissue, 2 * seed + part) for part in (0, 1))
        yield Group(f"tissue {seed}", tuple(reads))


def _tissue(seed: int) -> Array:
    return synthetic.render(synthetic.tissue(seed, EDGE), synthetic.VIOLET, 2.0, seed)


def _share(percent: int) -> Callable[[str, int], bool]:
    """A fixed share of the groups, by their names."""
    return lambda name, place: crc32(f"split {name}".encode()) % 100 < percent


def _half(name: str, place: int) -> bool:
    return place % 3 == 0 or place % 6 == 1


# --- beside the project -------------------------------------------------------------
def _scanners() -> Iterator[Group]:
    folder = DATA / "histo_midog_3scanners"
    slides = defaultdict(list)
    for row in manifest(folder):
        key = f"{row['dataset']} {row['slide']}"
        slides[key].append(partial(_rgb, folder / row["file"]))
    for slide, reads in slides.items():
        if len(reads) > 1:
            yield Group(slide, tuple(reads))


def _smears() -> Iterator[Group]:
    folder = DATA / "blood_bccd" / "BCCD" / "JPEGImages"
    for path in sorted(folder.glob("*.jpg")):
        yield Group(path.stem, (partial(_rgb, path),))


def _violet() -> Iterator[Group]:
    return nuclei_fields("histo_violet_bg", _rgb)


def _nuclei() -> Iterator[Group]:
    return nuclei_fields("fluo_520x696", _gray)


def _other_stained() -> Iterator[Group]:
    model = "artefacts_histoqc/histoqc/data"
    names = (
        f"{model}/models/coverslip_edge_he/coverslip_edge.png",
        f"{model}/models/coverslip_edge_ihc/coverslip_edge.png",
        f"{model}/pen/1k_version/pen_black.png",
        f"{model}/pen/1k_version/pen_green.png",
        f"{model}/pen/1k_version/pen_red.png",
        "stardist_samples/stardist/data/images/histo.jpg",
    )
    for name in names:
        yield Group(name, (partial(_rgb, DATA / name),))


def _other_fluorescence() -> Iterator[Group]:
    folder = DATA / "neubias_images" / "image_data"
    movie = sorted(folder.glob("mitocheck-movie/*T00000*.tif"))
    for path in [*sorted(folder.glob("*.tif")), *movie]:
        yield Group(path.stem, (partial(_middle, partial(_planes, path)),))
    human = DATA / "cellprofiler_examples" / "ExampleHuman" / "images"
    channels = sorted(human.glob("*.tif"))
    yield Group("ExampleHuman", (partial(_stack, tuple(channels)),))


SOURCES = (
    Source("blood smears (bundled)", "brightfield", _bundled_blood, seen=True),
    Source("synthetic tissue", "brightfield", _synthetic, split=_share(34)),
    Source(
        SCANNERS,
        "brightfield",
        _scanners,
        folder="histo_midog_3scanners",
        split=_share(65),
    ),
    Source(BLOOD, "brightfield", _smears, folder="blood_bccd", split=_share(34)),
    Source(VIOLET, "brightfield", _violet, folder="nuclei_dsb2018", split=_half),
    Source(
        SLIDES, "brightfield", _other_stained, folder="artefacts_histoqc", seen=True
    ),
    Source("cells and nuclei (bundled)", "fluorescence", _bundled_cells, seen=True),
    Source(NUCLEI, "fluorescence", _nuclei, folder="nuclei_dsb2018", split=_share(34)),
    Source(
        CHANNELS,
        "fluorescence",
        _other_fluorescence,
        folder="neubias_images",
        seen=True,
    ),
)


def _open(names: Sequence[str]) -> Iterator[Group]:
    for name in names:
        yield from (Group(*slide) for slide in open_sources.slides(name))


def _openly(called: str, *names: str) -> Source:
    """Openly licensed pictures of one laboratory or of several."""
    folder = f"brightfield_open/{names[0]}"
    return Source(called, "brightfield", partial(_open, names), folder=folder)


# What is learned from, laboratory by laboratory.
OPEN = tuple(_openly(name, name) for name in open_sources.LICENCES)


def _half(called: str, names: Sequence[str]) -> tuple[Source, ...]:
    small = [name for name in names if name in open_sources.SMALL]
    large = (_openly(name, name) for name in names if name not in small)
    return (*large, _openly(f"small sources, {called}", *small))


# What is reported, by the half that its models did not learn from.
HALVES = tuple(
    _half(called, names)
    for called, names in zip(("I", "II"), open_sources.HALVES, strict=True)
)


def named(name: str) -> Source:
    """The source of a name."""
    return next(source for source in SOURCES if source.name == name)


# --- reading ------------------------------------------------------------------------
def manifest(folder: Path) -> list[dict[str, str]]:
    """Rows of a folder's table of images."""
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _rgb(path: Path) -> Array:
    return np.asarray(iio.imread(path))[..., :3]


def _gray(path: Path) -> Array:
    return np.asarray(iio.imread(path))[None]


def _planes(path: Path) -> Array:
    """Z, C, Y, X of a TIFF whose axes say what they are; colours are channels."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        image, axes = series.asarray(), series.axes.replace("S", "C").replace("Q", "Z")
    order = [axes.index(axis) for axis in "ZCYX" if axis in axes]
    image = image.transpose(order)
    return image if "C" in axes or "Z" not in axes else image[:, None]


def _middle(read: Read) -> Array:
    """The middle slice (C, Y, X) of a stack (Z, C, Y, X), (Z, Y, X) or of none."""
    image = read()
    if image.ndim == 4 or (image.ndim == 3 and len(image) > 3):
        image = image[len(image) // 2]
    return image if image.ndim == 3 else image[None]


def _stack(paths: tuple[Path, ...]) -> Array:
    return np.stack([iio.imread(path) for path in paths])


def nuclei_fields(kind: str, read: Callable[[Path], Any]) -> Iterator[Group]:
    """Images that are parts of one field, by their touching borders."""
    folder = DATA / "nuclei_dsb2018"
    files = [row["image"] for row in manifest(folder) if row["group"] == kind]
    pixels = np.array([iio.imread(folder / f, mode="L").astype(float) for f in files])
    touching = np.zeros((len(files), len(files)), bool)
    for end, start in (
        (pixels[:, :, -1], pixels[:, :, 0]),
        (pixels[:, -1], pixels[:, 0]),
    ):
        alike = _standard(end) @ _standard(start).T
        np.fill_diagonal(alike, 0)
        touching |= alike > SAME_FIELD
    for label in range(connected_components(touching)[0]):
        members = np.flatnonzero(connected_components(touching)[1] == label)
        reads = (partial(read, folder / files[i]) for i in members)
        yield Group(files[members[0]], tuple(reads))


def _standard(rows: Array) -> Array:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-9)
