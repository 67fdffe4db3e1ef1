"""Anomaly detectors: which finds what, under which look, and does p keep its word.

``python benchmarks/anomaly.py`` fits every detector on the normal images of every study
(anomaly_studies.py) and scores the odd ones; it writes its section of
``docs/benchmarks.md``. ``--quick`` prints a small study on synthetic tissue.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import looks
import numpy as np
import page
import report
import torch
from anomaly_metrics import au_pro, auroc, pixel_ap, recall_at_false_regions
from anomaly_studies import QUICK, STUDIES, Study
from results import bootstrap, interval
from swap import field_of

import napari_disentangle as nd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from looks import Array

    from napari_disentangle.detection.detector import Detector

COMMAND = "python benchmarks/anomaly.py"
SEEDS = (0, 1, 2)
ALPHA = 0.05
# What content is rendered by, by kind of image.
ON = {"brightfield": "affine-brightfield", "fluorescence": "affine-fluorescence"}
LOOKS = {"brightfield": looks.hed, "fluorescence": looks.fluorescence}


@dataclass(frozen=True)
class Job:
    """One detector to be fitted on one study."""

    study: str
    detector: str
    seed: int
    steps: int


@dataclass(frozen=True)
class Found:
    """How one case was scored.

    Attributes
    ----------
    group, kind, size
        Of the case.
    ap, auroc
        Of its pixels.
    moved
        The same AUROC when the image has a new look.
    raw_moved
        What a detector that was fitted on raw images loses to the new look.
    recalled
        Share of the odd pixels with p below ``ALPHA``.
    """

    group: str
    kind: str
    size: float
    ap: float
    auroc: float
    moved: float
    recalled: float


@dataclass(frozen=True)
class Row:
    """A detector on a study.

    Attributes
    ----------
    found
        One for every case.
    false
        Share of the normal pixels with p below ``ALPHA``, by clean image.
    false_moved
        The same under new looks.
    pro, recall
        AU-PRO up to a false-positive rate of 0.3, and recall at one false region per
        field.
    minutes, seconds
        To fit, and to score a megapixel.
    """

    job: Job
    found: tuple[Found, ...]
    false: tuple[float, ...]
    false_moved: tuple[float, ...]
    pro: float
    recall: float
    minutes: float
    seconds: float


@cache
def study_of(name: str) -> Study:
    """A study by name, made once per process."""
    return QUICK() if name == "quick" else STUDIES[name]()


def run(job: Job) -> Row:
    """Fit a detector and score everything of its study."""
    torch.set_num_threads(1)
    study = study_of(job.study)
    began = time.process_time()
    detector = fitted(study, job)
    minutes = (time.process_time() - began) / 60
    began = time.process_time()
    scored = [_z(detector, case.image) for case in study.cases]
    pixels = sum(z.size for z, _ in scored)
    seconds = (time.process_time() - began) / pixels * 1e6
    found, maps, odds = [], [], []
    for i, (case, (z, p)) in enumerate(zip(study.cases, scored, strict=True)):
        use = np.ones(z.shape, bool) if case.ignore is None else ~case.ignore
        maps.append(np.where(use, z, np.nan))
        odds.append(case.odd & use)
        moved, _ = _z(detector, _moved(case.image, study, i))
        own, odd = z[use], case.odd[use]
        caught = float((p[use][odd] < ALPHA).mean())
        values = (pixel_ap(own, odd), auroc(own, odd), auroc(moved[use], odd), caught)
        found.append(Found(case.group, case.kind, case.size, *values))
    clean = [_z(detector, image)[1] for image in study.clean]
    under = [_moved(image, study, i) for i, image in enumerate(study.clean)]
    return Row(
        job,
        tuple(found),
        tuple(float((p < ALPHA).mean()) for p in clean),
        tuple(float((_z(detector, image)[1] < ALPHA).mean()) for image in under),
        au_pro(maps, odds),
        recall_at_false_regions(maps, odds),
        minutes,
        seconds,
    )


def fitted(study: Study, job: Job) -> Detector:
    """The detector of a job."""
    normals = [field_of(image) for image in study.normals]
    config = nd.detectors()[job.detector].config
    steps = {"steps": job.steps} if hasattr(config, "steps") else {}
    model = nd.load(ON[study.modality])
    return nd.fit_detector(normals, job.detector, on=model, seed=job.seed, **steps)


def _z(detector: Detector, image: Array) -> tuple[Array, Array]:
    score = detector.score(field_of(image))
    return np.abs(score.z), score.p


def _moved(image: Array, study: Study, number: int) -> Array:
    """The image under a new look."""
    rng = np.random.default_rng((7, number))
    if study.modality == "brightfield":
        return looks.hed(rng).photograph(image, rng)
    top = max(1.0, float(np.percentile(image, 99.9)))
    return looks.fluorescence(rng, len(image)).photograph(
        (image / top).astype(np.float32), rng
    )
