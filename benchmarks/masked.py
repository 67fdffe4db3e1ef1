"""The decisive experiment: what a masked predictor is good for, and what it is not.

``python benchmarks/masked.py`` trains one predictor per kind of input on normal fields
of small nuclei, plants anomalies into other fields, and compares what can be scored by
with filters alone, fitted on the same fields and on the very image; it writes its
section of ``docs/benchmarks.md``. ``--quick`` prints a few steps on synthetic tissue.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anomaly
import numpy as np
import page
import report
import torch
from anomaly_metrics import auroc, pixel_ap
from results import bootstrap, interval
from swap import field_of

from napari_disentangle.detector import knn, mahalanobis
from napari_disentangle.detector.autopaint import divergence, estimate
from napari_disentangle.detector.masked.holes import grid
from napari_disentangle.detector.masked.prediction import predict
from napari_disentangle.detector.score import content_rendering
from napari_disentangle.image.filters import filtered, smooth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from anomaly_studies import Case, Study
    from looks import Array

    from napari_disentangle.detector.detector import Detector

COMMAND = "python benchmarks/masked.py"
STUDY, QUICK = "small nuclei", "synthetic"
STEPS, QUICK_STEPS = 2500, 1
INPUTS = ("content", "raw")
# Edges of holes in pixels at the resolution where a nucleus is about 14, and places of
# the grid along each axis.
HOLES = {"3": (3, 1), "6": (6, 1), "12": (12, 1), "12, four places": (12, 2)}
# Scale of what is smoothed, and pixels of a normal field that are learned from.
SMOOTH, PIXELS = 2.0, 1500

INTRODUCTION = """\
## The decisive experiment: predicting what is hidden

One predictor per input, {steps} steps on {normals} normal fields of small nuclei (one
seed), and {cases} other fields with one planted anomaly each. *Content*: under the
bundled `affine`; *raw*: the image as it is. Holes are in pixels at the resolution where
a nucleus is about 14. Every row is a map of how odd each pixel is:

- *residual*: what is left after prediction, its size smoothed; *foreseen*: the same in
  units of the error that the predictor foresaw; *gradients*: multi-scale gradient
  magnitude distance; *divergence*: Kullback-Leibler divergence of bias and uncertainty
  over the places of the grid.
- *filters*: Gaussian, gradient and Laplacian at three scales, and how far they are from
  normal by one Gaussian (*Gaussian*) or by the nearest of 1,000 normal pixels
  (*nearest*): of the signal, of the foreseen residual, or of both. *Itself*: normal is
  the very image, anomaly included.

Pixel AP and AUROC are means over images, with 95 % intervals over fields.
"""


@dataclass(frozen=True, eq=False)
class Seen:
    """An image as the detectors see it: its signal and what is left of it by holes."""

    signal: Array
    residuals: Mapping[str, Array]
    simple: Mapping[str, Array]


def see(detector: Detector, image: Array) -> Seen:
    """Predict an image with all holes."""
    field = field_of(image)
    plane = field.plane((), slice(None), slice(None))
    signal = content_rendering(detector.on, field).signal(plane, ()).numpy()
    small = detector.sight.small(signal.astype(np.float32))
    scale = detector.sight.learned["scale"]
    residuals, simple = {}, {}
    for name, hole in HOLES.items():
        found = predict(small, detector.sight.learned, grid(*hole))
        left = np.abs((small - found.expected) / scale).mean(axis=(0, 1))
        residuals[name] = np.clip(found.residual.mean(axis=0), -30, 30)
        simple[f"residual, holes {name}"] = smooth(left, SMOOTH)
        sure = np.abs(found.residual).mean(axis=(0, 1))
        simple[f"foreseen, holes {name}"] = smooth(sure, SMOOTH)
        if len(found.expected) > 1:
            kl = divergence(estimate(found), 1.0)
            simple[f"divergence, holes {name}"] = smooth(kl, SMOOTH)
    return Seen(small, residuals, simple)


def features(seen: Seen) -> dict[str, Array]:
    """What is compared with normal, by name."""
    signal = filtered(seen.signal, 1.0)
    known = {"the signal": signal}
    for name, residual in seen.residuals.items():
        size = np.abs(residual).mean(axis=0)
        sizes = np.stack([smooth(size, s) for s in (1.0, 2.0, 4.0)])
        left = np.concatenate([filtered(residual, 1.0), sizes])
        known[f"the residual, holes {name}"] = left
        known[f"both, holes {name}"] = np.concatenate([signal, left])
    return known


def fitted(seen: Sequence[Seen]) -> dict[str, tuple[object, object]]:
    """One Gaussian and one bank per kind of features."""
    rng = np.random.default_rng(0)
    banks: dict[str, list[Array]] = {}
    for one in seen:
        for name, maps in features(one).items():
            flat = maps.reshape(len(maps), -1)
            chosen = flat[:, rng.permutation(flat.shape[1])[:PIXELS]]
            banks.setdefault(name, []).append(chosen)
    whole = {name: np.concatenate(bank, axis=1) for name, bank in banks.items()}
    return {
        name: (
            mahalanobis.SCORER.fit(bank, mahalanobis.Config()),
            knn.SCORER.fit(bank, knn.Config(bank=1000)),
        )
        for name, bank in whole.items()
    }


def maps(seen: Seen, normal: Mapping[str, tuple]) -> Iterator[tuple[str, Array]]:
    """All maps of an image, by name."""
    yield from seen.simple.items()
    known = features(seen)
    for name, (gaussian, nearest) in normal.items():
        yield (
            f"filters of {name}, Gaussian",
            mahalanobis.SCORER.score(known[name], gaussian),
        )
        yield f"filters of {name}, nearest", knn.SCORER.score(known[name], nearest)
    signal = known["the signal"]
    itself = mahalanobis.SCORER.fit(
        signal.reshape(len(signal), -1), mahalanobis.Config()
    )
    yield (
        "filters of the signal, Gaussian, itself",
        mahalanobis.SCORER.score(signal, itself),
    )


def scores(study: Study, given: str, steps: int) -> dict[str, list[tuple]]:
    """Group, AP and AUROC of every case, by the name of the map."""
    job = anomaly.Job(study.name, "", "", "context", 0, steps, raw=False)
    detector, _ = anomaly.fitted(study, job, given)
    normal = fitted([see(detector, image) for image in study.normals])
    found: dict[str, list[tuple]] = {}
    for case in study.cases:
        for name, small in maps(see(detector, case.image), normal):
            every = [np.s_[0:h, 0:w] for h, w in (small.shape, case.odd.shape)]
            large = detector.sight.large(small[None], *every)[0]
            values = (case.group, *_scored(case, large))
            found.setdefault(name, []).append(values)
    return found


def _scored(case: Case, scores: Array) -> tuple[float, float]:
    return pixel_ap(scores, case.odd), auroc(scores, case.odd)


def section(study: Study, steps: int, inputs: Sequence[str]) -> str:
    """The section as Markdown."""
    columns = {given: scores(study, given, steps) for given in inputs}
    order = sorted(
        columns["content"],
        key=lambda row: -np.mean([ap for _, ap, _ in columns["content"][row]]),
    )
    head = ["map"]
    head += [f"{what}, {given}" for given in inputs for what in ("pixel AP", "AUROC")]
    lines = []
    for row in order:
        cells = []
        for given in inputs:
            for place in (1, 2):
                values = [(one[0], one[place]) for one in columns[given][row]]
                cells.append(interval(bootstrap(values), ".3f"))
        lines.append([row, *cells])
    counts = {"normals": len(study.normals), "cases": len(study.cases)}
    words = INTRODUCTION.format(steps=f"{steps:,}", **counts)
    return page.section(COMMAND, words, report.table(head, lines))


def main() -> None:
    """Run the experiment from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps, printed")
    torch.set_num_threads(1)
    if parser.parse_args().quick:
        study = anomaly.study_of(QUICK, 0)
        few = replace(study, normals=study.normals[:1], cases=study.cases[:1])
        sys.stdout.write(section(few, QUICK_STEPS, INPUTS[:1]))
        return
    page.put(section(anomaly.study_of(STUDY, 0), STEPS, INPUTS))


if __name__ == "__main__":
    main()
