"""What richer maps could give if the look were known exactly.

``python benchmarks/forms.py`` fits maps of several forms on the truth itself, on swaps
of reported slides and fields, and writes its section of ``docs/benchmarks.md``;
``--quick`` prints a short run on what is always there.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import looks
import numpy as np
import page
import report
import swap
import torch
from numpy.linalg import lstsq
from results import bootstrap
from sources import SOURCES, Source, pairs
from trained import BLOOD, CHANNELS, NUCLEI, SCANNERS, VIOLET

import napari_disentangle as nd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from looks import Array

COMMAND = "python benchmarks/forms.py"
SEED, PAIRS, QUICK_PAIRS = 5, 24, 2

INTRODUCTION = """\
## Whether the form of the map is what limits

Swaps as above. *Ours* is `balanced`. The other columns are maps of several forms that
were fitted on the truth itself, which no model sees: per channel a gain and an offset
(the form of `balanced`, and of `affine` in fluorescence); the same and a tone curve
(cubic, per channel); the same and a sloping background; a matrix that mixes channels
and an offset (the form of `affine` in brightfield); and all of it. Mean PSNR in
decibels, one vote per slide or field. As long as ours lies far below the plainest form,
a richer one cannot help: the look is not known well enough to fill it.
"""


def _own(x: Array, c: int) -> list[Array]:
    return [x[c]]


def _curve(x: Array, c: int) -> list[Array]:
    return [x[c], x[c] ** 2, x[c] ** 3]


def _slope(x: Array, c: int) -> list[Array]:
    y, z = np.indices(x.shape[1:]) / x.shape[1]
    return [x[c], y, z]


def mixed(x: Array, c: int) -> list[Array]:
    """All channels."""
    return list(x)


def _all(x: Array, c: int) -> list[Array]:
    return [*x, *_curve(x, c)[1:], *_slope(x, c)[1:]]


FORMS = {
    "gain and offset": _own,
    "with a tone curve": _curve,
    "with a sloping background": _slope,
    "matrix and offset": mixed,
    "all of it": _all,
}


def best(case: swap.Case, terms: Callable[[Array, int], list[Array]]) -> Array:
    """The picture after the map of a form that comes nearest to the truth.

    Least squares in absorbance, where errors count as much as they are seen, or in
    intensity.
    """
    x, y = _signal(case.picture), _signal(case.truth)
    seen = 10.0**-y if case.picture.dtype == np.uint8 else np.ones_like(y)
    mapped = np.empty_like(y)
    for c in range(len(x)):
        given = np.stack([*terms(x, c), np.ones_like(x[c])], axis=-1)
        weighted = given * seen[c][..., None]
        flat = weighted.reshape(-1, given.shape[-1])
        mapped[c] = given @ lstsq(flat, (y * seen)[c].ravel(), rcond=None)[0]
    return _shown(mapped, case.truth)


def _signal(picture: Array) -> Array:
    if picture.dtype != np.uint8:
        return picture.astype(np.float64)
    return -np.log10((picture.transpose(2, 0, 1) + 1.0) / 256)


def _shown(signal: Array, like: Array) -> Array:
    if like.dtype != np.uint8:
        return signal
    return looks.as_type((256 * 10**-signal - 1).transpose(1, 2, 0), like.dtype)


def rows(source: Source, limit: int) -> Iterator[list[str]]:
    """One row per family of looks."""
    for generator in swap.GENERATORS[source.modality]:
        scores = defaultdict(list)
        for number, pair in enumerate(pairs(source, limit, SEED)):
            case = swap.case_of(pair, generator, np.random.default_rng((SEED, number)))
            model = nd.fit(swap.field_of(case.picture), "balanced")
            ours, _ = swap.swapped(model, case.picture, case.donor)
            made = {"ours": ours} | {n: best(case, f) for n, f in FORMS.items()}
            for name, image in made.items():
                scores[name].append((pair.group, swap.psnr(image, case.truth)))
        told = [f"{bootstrap(own).mean:.1f}" for own in scores.values()]
        n_groups = len({group for group, _ in scores["ours"]})
        yield [source.name, generator.__name__, str(n_groups), *told]


def section(sources: Sequence[Source], limit: int) -> str:
    """The section as Markdown."""
    head = ["images", "looks", "groups", "ours", *FORMS]
    table = report.table(head, [row for s in sources for row in rows(s, limit)])
    return page.section(COMMAND, INTRODUCTION, table)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="bundled images, printed")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    if quick:
        chosen = [s for s in SOURCES if s.name == "cells and nuclei (bundled)"]
        sys.stdout.write(section(chosen, QUICK_PAIRS))
        return
    names = (SCANNERS, VIOLET, BLOOD, NUCLEI, CHANNELS)
    page.put(section([s for s in SOURCES if s.name in names and s.present], PAIRS))


if __name__ == "__main__":
    main()
