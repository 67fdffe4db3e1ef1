"""A control: texture that nobody can predict, but that is normal.

``python benchmarks/texture.py`` puts a disc of rough texture, every pixel drawn for
itself from the values of the image, into every normal field of small nuclei, fits, and
scores other fields that have one too. Their odd things come without texture: those of
half a nucleus and of four nuclei. It writes its section of ``docs/benchmarks.md``;
``--quick`` prints a few steps on synthetic tissue.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anomaly
import numpy as np
import page
import report
from anomaly_studies import STUDIES
from results import bootstrap, interval
from sharing import Sharing
from skimage.draw import disk
from swap import field_of

import napari_disentangle as nd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anomaly_studies import Case, Study
    from looks import Array

    from napari_disentangle.detection.detector import Detector

COMMAND = "python benchmarks/texture.py"
DETECTORS = ("mahalanobis", "knn", "riad", "context")
QUICK_DETECTORS = ("mahalanobis",)
STEPS, QUICK_STEPS = 700, 5
# Radius of the disc in pixels: about five nuclei across.
RADIUS = 36
ALPHA = 0.05
# For regions, as the widget has it to begin with.
STRICT = 0.01
SIZES = (0.5, 4.0)
# Kinds that hardly anything finds, whatever their size: not about texture or size.
FAINT = ("blur", "missing")

METHOD = """\
## Texture that is normal

Rough texture cannot be predicted from its surroundings: a detector that is surprised by
every error lights up on it. Here a disc of it ({across} pixels across, each pixel drawn
for itself from the values of the image) is in every normal field of small nuclei, and
in fields of others. *Texture* and *elsewhere*: share of their pixels that is called odd
at p < 0.05. *Found*: share of the odd things (foreign nuclei, debris, mixed texture) of
that size that a region at p <= 0.01 meets, in fields without the disc. {steps} training
steps, one seed; intervals are over fields.
"""


@dataclass(frozen=True)
class Row:
    """A detector: its shares of false alarms by field, and what it found by size."""

    name: str
    texture: tuple[float, ...]
    elsewhere: tuple[float, ...]
    found: tuple[tuple[bool, ...], ...]


def textured(image: Array, seed: tuple[int, int]) -> tuple[Array, Array]:
    """An image (C, Y, X) or (Y, X, 3) with a disc of rough texture, and the disc."""
    rng = np.random.default_rng(seed)
    colours = image.shape[-1] == 3
    planes = np.moveaxis(image, -1, 0) if colours else image
    size = planes.shape[1:]
    radius = min(RADIUS, min(size) // 3)
    centre = tuple(int(rng.integers(radius, n - radius)) for n in size)
    inside = np.zeros(size, bool)
    inside[disk(centre, radius, shape=size)] = True
    rough = planes.reshape(len(planes), -1)
    drawn = planes.copy()
    drawn[:, inside] = rng.choice(rough, int(inside.sum()), axis=1)
    return (np.moveaxis(drawn, 0, -1) if colours else drawn), inside


def row(study: Study, name: str, steps: int, sharing: Sharing) -> Row:
    """Fit on textured normals, score textured fields and odd ones."""
    normals = [field_of(textured(x, (3, i))[0]) for i, x in enumerate(study.normals)]
    trained = hasattr(nd.detectors()[name].config, "steps")
    known = {"steps": steps} if trained else {}
    model = nd.load(anomaly.ON[study.modality])
    with sharing:
        detector = nd.fit_detector(normals, name, on=model, **known)
    pairs = [textured(x, (4, i)) for i, x in enumerate(study.clean)]
    shares = [_shares(detector, image, inside) for image, inside in pairs]
    texture, elsewhere = zip(*shares, strict=True)
    found = tuple(_found(detector, study, size) for size in SIZES)
    return Row(name, texture, elsewhere, found)


def _shares(detector: Detector, image: Array, inside: Array) -> tuple[float, float]:
    odd = anomaly.look(detector, image).p < ALPHA
    return float(odd[inside].mean()), float(odd[~inside].mean())


def _found(detector: Detector, study: Study, size: float) -> tuple[bool, ...]:
    cases = (c for c in study.cases if c.size == size and c.kind not in FAINT)
    return tuple(_meets(detector, case) for case in cases)


def _meets(detector: Detector, case: Case) -> bool:
    regions, _ = detector.score(field_of(case.image)).regions(STRICT)
    return bool((regions[case.odd] > 0).any())


def section(study: Study, names: Sequence[str], steps: int) -> str:
    """The section as Markdown."""
    sharing = Sharing()
    rows = [row(study, name, steps, sharing) for name in names]
    head = ["detector", "texture", "elsewhere"]
    head += [f"found, {size:g} nuclei" for size in SIZES]
    lines = [_cells(own) for own in rows]
    words = METHOD.format(across=2 * RADIUS, steps=f"{steps:,}")
    return page.section(COMMAND, words, report.table(head, lines))


def _cells(row: Row) -> list[str]:
    hits = [f"{sum(found)} of {len(found)}" for found in row.found]
    return [f"`{row.name}`", _share(row.texture), _share(row.elsewhere), *hits]


def _share(shares: Sequence[float]) -> str:
    return interval(bootstrap([(str(i), s) for i, s in enumerate(shares)]), ".3f")


def main() -> None:
    """Run the control from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps, printed")
    if parser.parse_args().quick:
        study = STUDIES["synthetic"](0)
        sys.stdout.write(section(study, QUICK_DETECTORS, QUICK_STEPS))
        return
    page.put(section(STUDIES["small nuclei"](0), DETECTORS, STEPS))


if __name__ == "__main__":
    main()
