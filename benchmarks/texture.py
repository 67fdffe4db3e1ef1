"""A control: texture that nobody can predict, but that is normal.

``python benchmarks/texture.py`` puts a disc of rough texture, every pixel drawn for
itself, into every normal field of small nuclei, fits, and scores other fields that have
one too: drawn from the values of the field itself, and so that it is as rough in every
field. Odd things come without texture: those of half a nucleus and of four nuclei. It
writes its section of ``docs/benchmarks.md``; ``--quick`` prints a few steps on
synthetic tissue.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anomaly
import looks
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

    from napari_disentangle.detector.detector import Detector

COMMAND = "python benchmarks/texture.py"
# Nothing trimmed, because all that is given as normal is, and more of it kept.
MORE = {"trim": 0.0, "bank": 8000}
USUAL: dict[str, float] = {}
DETECTORS = (
    ("mahalanobis", USUAL),
    ("knn", USUAL),
    ("knn", MORE),
    ("context", USUAL),
)
QUICK_DETECTORS = (("mahalanobis", USUAL),)
STEPS, QUICK_STEPS = 700, 5
# Radius of the disc in pixels: about five nuclei across.
RADIUS = 36
# Of pixels, and of regions.
ALPHA = 0.05
# At which regions are cut out, as the widget has it to begin with.
STRICT = 0.01
# Percentiles of a field that count as its darkest and brightest values.
RANGE = (1, 99.5)
SIZES = (0.5, 4.0)
OBJECTS = ("foreign nucleus", "debris")
MIXED = ("mixed texture",)
OWN, SAME = "own values", "as rough everywhere"

METHOD = """\
## Texture that is normal

Rough texture cannot be predicted from its surroundings: a detector that is surprised by
every error lights up on it. Here a disc of it ({across} pixels across, each pixel drawn
for itself) is in every normal field of small nuclei, and in {fields} others. *Own
values*: drawn from the values of the field, so that a field that is more crowded than
nearly all others has a texture of its own. *As rough everywhere*: drawn from all normal
fields, each between its darkest and brightest values. *In the disc* and *elsewhere*:
share of the pixels that is called odd. *Discs with a region*: fields where a region at
p <= {strict:g} that reaches into the disc is itself odd at p <= {alpha:g}. {steps}
training steps, one seed; intervals are over fields.
"""
FOUND = """\
What the same detectors find in fields without the disc (fitted with discs that are as
rough everywhere): odd things that a region at p <= {strict:g} meets. Mixed texture has
the values of a nucleus in another order.
"""


@dataclass(frozen=True)
class Field:
    """Shares of a field that are false alarms, in the disc and elsewhere.

    ``region`` tells whether a region that is odd as a whole reaches into the disc.
    """

    loose: tuple[float, float]
    strict: tuple[float, float]
    region: bool


@dataclass(frozen=True)
class Known:
    """Training steps, and what was trained before."""

    steps: int
    sharing: Sharing


@dataclass(frozen=True)
class Row:
    """A detector with a texture, by field, and what it found by kind and size."""

    label: str
    texture: str
    fields: tuple[Field, ...]
    found: tuple[tuple[bool, ...], ...]


def disc(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A disc somewhere in a field."""
    radius = min(RADIUS, min(shape) // 3)
    centre = tuple(int(rng.integers(radius, n - radius)) for n in shape)
    inside = np.zeros(shape, bool)
    inside[disk(centre, radius, shape=shape)] = True
    return inside


def textured(
    image: Array, seed: tuple[int, int], pool: Array | None = None
) -> tuple[Array, Array]:
    """An image (C, Y, X) or (Y, X, 3) with a disc of rough texture, and the disc.

    Its values are those of the image, or relative ones of a ``pool`` (C, N).
    """
    rng = np.random.default_rng(seed)
    planes = _planes(image)
    inside = disc(planes.shape[1:], rng)
    known = planes.reshape(len(planes), -1) if pool is None else pool
    values = rng.choice(known, int(inside.sum()), axis=1)
    if pool is not None:
        low, high = _range(planes)
        values = low + values * (high - low)
    drawn = planes.copy()
    drawn[:, inside] = looks.as_type(values, image.dtype)
    return (np.moveaxis(drawn, 0, -1) if image.shape[-1] == 3 else drawn), inside


def relative(images: Sequence[Array]) -> Array:
    """Values (C, N) of all images, each between its darkest (0) and brightest (1)."""
    every = [_planes(image) for image in images]
    parts = [(x - _range(x)[0][..., None]) / _span(x)[..., None] for x in every]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _planes(image: Array) -> Array:
    return np.moveaxis(image, -1, 0) if image.shape[-1] == 3 else image


def _range(planes: Array) -> tuple[Array, Array]:
    """Darkest and brightest values (C, 1) of planes (C, Y, X)."""
    low, high = np.percentile(planes, RANGE, axis=(1, 2))
    return low[:, None], high[:, None]


def _span(planes: Array) -> Array:
    low, high = _range(planes)
    return np.maximum(high - low, 1)


def row(
    study: Study, how: tuple[str, dict[str, float]], kind: str, known: Known
) -> Row:
    """Fit on textured normals, score textured fields and odd ones."""
    name, settings = how
    pool = relative(study.normals) if kind == SAME else None
    every = [textured(x, (3, i), pool)[0] for i, x in enumerate(study.normals)]
    trained = hasattr(nd.detectors()[name].config, "steps")
    config = settings | ({"steps": known.steps} if trained else {})
    model = nd.load(anomaly.ON[study.modality])
    with known.sharing:
        fields = [field_of(image) for image in every]
        detector = nd.fit_detector(fields, name, on=model, **config)
    pairs = [textured(x, (4, i), pool) for i, x in enumerate(study.clean)]
    seen = tuple(_seen(detector, *pair) for pair in pairs)
    groups = [(kinds, size) for kinds in (OBJECTS, MIXED) for size in SIZES]
    label = ", ".join([f"`{name}`", *(f"{k} {v:g}" for k, v in settings.items())])
    return Row(label, kind, seen, tuple(_found(detector, study, *g) for g in groups))


def _seen(detector: Detector, image: Array, inside: Array) -> Field:
    score = detector.score(field_of(image))
    regions, table = score.regions(STRICT)
    odd = np.array(table["label"])[np.asarray(table["p"]) <= ALPHA]
    loose, strict = (_shares(score.p <= alpha, inside) for alpha in (ALPHA, STRICT))
    return Field(loose, strict, bool(np.isin(regions[inside], odd).any()))


def _shares(odd: Array, inside: Array) -> tuple[float, float]:
    return float(odd[inside].mean()), float(odd[~inside].mean())


def _found(
    detector: Detector, study: Study, kinds: Sequence[str], size: float
) -> tuple[bool, ...]:
    cases = (c for c in study.cases if c.size == size and c.kind in kinds)
    return tuple(_meets(detector, case) for case in cases)


def _meets(detector: Detector, case: Case) -> bool:
    regions, _ = detector.score(field_of(case.image)).regions(STRICT)
    return bool((regions[case.odd] > 0).any())


def section(
    study: Study, detectors: Sequence[tuple[str, dict[str, float]]], steps: int
) -> str:
    """The section as Markdown."""
    known = Known(steps, Sharing())
    rows = [row(study, how, kind, known) for how in detectors for kind in (OWN, SAME)]
    limits = {"alpha": ALPHA, "strict": STRICT}
    words = METHOD.format(
        across=2 * RADIUS, steps=f"{steps:,}", fields=len(study.clean), **limits
    )
    return page.section(
        COMMAND, words, _alarms(rows), FOUND.format(**limits), _finds(rows)
    )


def _alarms(rows: Sequence[Row]) -> str:
    places = ("in the disc", "elsewhere")
    head = ["detector", "texture"]
    head += [f"{place}, p <= {a:g}" for a in (ALPHA, STRICT) for place in places]
    return report.table([*head, "discs with a region"], [_cells(own) for own in rows])


def _cells(row: Row) -> list[str]:
    shares = [(*field.loose, *field.strict) for field in row.fields]
    columns = [_share(column) for column in zip(*shares, strict=True)]
    regions = sum(field.region for field in row.fields)
    hits = f"{regions} of {len(row.fields)}"
    return [row.label, row.texture, *columns, hits]


def _finds(rows: Sequence[Row]) -> str:
    things = ("foreign nuclei and debris", "mixed texture")
    head = ["detector", *(f"{what}, {s:g} nuclei" for what in things for s in SIZES)]
    lines = [
        [own.label, *(f"{sum(f)} of {len(f)}" for f in own.found)]
        for own in rows
        if own.texture == SAME
    ]
    return report.table(head, lines)


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
