"""Anomaly detectors: which finds what, under which look, and does p keep its word.

``python benchmarks/anomaly.py`` fits every detector on the normal images of every study
(anomaly_studies.py) and scores the odd ones; it writes its section of
``docs/studies.md``, which says what was left out if only some were asked for. Every
seed draws normal images of its own; what is slow is done with the first one only.
``--quick`` prints a small study on synthetic tissue.
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

import anomaly_report
import looks
import numpy as np
import page
import torch
from anomaly_metrics import au_pro, auroc, pixel_ap, recall_at_false_regions
from anomaly_report import Found, Job, Row
from anomaly_studies import STUDIES, Case, Study
from scipy.ndimage import gaussian_filter
from sharing import Sharing
from swap import field_of

import napari_disentangle as nd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from looks import Array

    from napari_disentangle.detector.detector import Detector

COMMAND = "python benchmarks/anomaly.py"
SEEDS = (0, 1, 2)
STEPS, QUICK_STEPS = 700, 5
# Published forms: with the first seed alone, and on content alone.
ONCE = ("autopaint", "fader")
# How many seeds a trained detector has; where it has the first alone, and where it is
# also fitted on images as they are.
TRAINED_SEEDS = 2
TRAINED_ONCE = ("white cells", "artefacts")
TRAINED_RAW = ("nuclei", "small nuclei")
ALPHA = 0.05
# Of the map whose maximum is the score of an image, in pixels.
SMOOTH = 2.0
# What content is rendered by, by kind of image.
ON = {"brightfield": "affine-brightfield", "fluorescence": "affine"}
FULL = [name for name in STUDIES if name != "synthetic"]
QUICK, QUICK_DETECTORS = "synthetic", ("mahalanobis", "context")
SHARING = Sharing()


@dataclass(frozen=True, eq=False)
class Maps:
    """Score and p of an image."""

    z: Array
    p: Array

    @property
    def top(self) -> float:
        """Score of the image."""
        return float(np.max(gaussian_filter(self.z, SMOOTH)))


def look(detector: Detector, image: Array) -> Maps:
    """Score an image."""
    score = detector.score(field_of(image))
    return Maps(np.abs(score.z), score.p)


@cache
def study_of(name: str, seed: int) -> Study:
    """A study by name, made once per process."""
    return STUDIES[name](seed)


def fitted(study: Study, job: Job, on: str) -> tuple[Detector, float]:
    """The detector of a job, on content or on raw images, and minutes of a core."""
    normals = [field_of(image, str(i)) for i, image in enumerate(study.normals)]
    config = nd.detectors()[job.detector].config
    steps = {"steps": job.steps} if hasattr(config, "steps") else {}
    model = nd.load(ON[study.modality]) if on == "content" else None
    began = time.process_time()
    with SHARING:
        made = nd.fit_detector(normals, job.detector, model, job.seed, **steps)
    return made, (time.process_time() - began + SHARING.saved) / 60


def run(job: Job) -> Row:
    """Fit a detector and score everything of its study."""
    torch.set_num_threads(1)
    study = study_of(job.study, job.seed)
    detector, minutes = fitted(study, job, "content")
    began = time.process_time()
    cases = [look(detector, case.image) for case in study.cases]
    seconds = (time.process_time() - began) / sum(m.z.size for m in cases) * 1e6
    clean = [look(detector, image) for image in study.clean]
    under = [look(detector, moved(image, study, i)) for i, image in _numbered(study)]
    return Row(
        job,
        tuple(_found(study, job, detector, cases)),
        tuple(float((maps.p < ALPHA).mean()) for maps in clean),
        tuple(float((maps.p < ALPHA).mean()) for maps in under),
        _image_auroc(cases, clean),
        *_of_regions(study, cases),
        minutes,
        seconds,
    )


def _numbered(study: Study) -> list[tuple[int, Array]]:
    return list(enumerate(study.clean))


def _found(
    study: Study, job: Job, detector: Detector, cases: Sequence[Maps]
) -> list[Found]:
    """Scores of the pixels of every case, and what a new look does to them."""
    raw = fitted(study, job, "raw")[0] if job.raw else None
    found = []
    for i, (case, maps) in enumerate(zip(study.cases, cases, strict=True)):
        use = case.use
        odd, other = case.odd[use], moved(case.image, study, i)
        now = auroc(maps.z[use], odd)
        change = auroc(look(detector, other).z[use], odd) - now
        raw_change = _change(raw, case, other) if raw else float("nan")
        caught = float((maps.p[use][odd] < ALPHA).mean())
        what = (case.group, case.kind, case.size)
        values = (pixel_ap(maps.z[use], odd), now, change, raw_change, caught)
        found.append(Found(*what, *values))
    return found


def _change(detector: Detector, case: Case, other: Array) -> float:
    """Change of the AUROC from the image of a case to another one."""
    pair = (look(detector, image).z[case.use] for image in (case.image, other))
    before, after = (auroc(z, case.odd[case.use]) for z in pair)
    return after - before


def _image_auroc(odd: Sequence[Maps], clean: Sequence[Maps]) -> float:
    tops = np.array([maps.top for maps in (*odd, *clean)])
    return auroc(tops, np.arange(len(tops)) < len(odd)) if clean else float("nan")


def _of_regions(study: Study, cases: Sequence[Maps]) -> tuple[float, float]:
    uses = [case.use for case in study.cases]
    maps = [np.where(use, m.z, np.nan) for use, m in zip(uses, cases, strict=True)]
    odds = [case.odd & use for case, use in zip(study.cases, uses, strict=True)]
    return au_pro(maps, odds), recall_at_false_regions(maps, odds)


def moved(image: Array, study: Study, number: int) -> Array:
    """The image under a new look."""
    rng = np.random.default_rng((7, number))
    if study.modality == "brightfield":
        draw = looks.camera if number % 2 else looks.hed
        return draw(rng).photograph(image, rng)
    top = max(float(np.percentile(image, 99.9)), 1.0)
    found = looks.fluorescence(rng, len(image))
    changed = found.photograph((image / top).astype(np.float32), rng)
    return looks.as_type(changed * top, image.dtype)


def section(
    names: Sequence[str],
    detectors: Sequence[str],
    seeds: Sequence[int],
    steps: int,
    processes: int | None = None,
) -> str:
    """The section as Markdown."""
    groups = [
        _jobs(name, detectors, number, seed, steps)
        for (number, seed), name in product(enumerate(seeds), names)
    ]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        found = list(pool.map(_all, groups))
    rows = [row for own in sorted(found, key=_place) for row in own]
    return page.section(
        COMMAND,
        anomaly_report.introduction(steps, len(seeds)),
        _left_out("studies", FULL, names),
        _left_out("detectors", nd.detectors(), detectors),
        *anomaly_report.tables(rows),
    )


def _jobs(
    name: str, detectors: Sequence[str], number: int, seed: int, steps: int
) -> list[Job]:
    """All detectors on one study with one of its seeds."""
    study = study_of(name, seed)
    taken = [d for d in detectors if number < _seeds(name, d)]
    raw = [d for d in taken if number == 0 and _also_raw(name, d)]
    return [Job(name, study.name, study.words, d, seed, steps, d in raw) for d in taken]


def _trained(detector: str) -> bool:
    return nd.detectors()[detector].expects


def _seeds(name: str, detector: str) -> int:
    """How many seeds a detector has on a study."""
    if detector in ONCE or (_trained(detector) and name in TRAINED_ONCE):
        return 1
    return TRAINED_SEEDS if _trained(detector) else len(SEEDS)


def _also_raw(name: str, detector: str) -> bool:
    return detector not in ONCE and (not _trained(detector) or name in TRAINED_RAW)


def _all(jobs: Sequence[Job]) -> list[Row]:
    """Rows of one study and seed, in one process."""
    return [run(job) for job in jobs]


def _place(rows: Sequence[Row]) -> int:
    return list(STUDIES).index(rows[0].job.study)


def _left_out(what: str, every: Iterable[str], taken: Sequence[str]) -> str:
    """What was not asked for."""
    without = [f"`{name}`" for name in every if name not in taken]
    return f"Left out, {what}: {', '.join(without)}." if without else ""


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps, printed")
    parser.add_argument("--processes", type=int, help="all cores if not given")
    parser.add_argument("--studies", nargs="+", default=FULL, choices=FULL)
    every = list(nd.detectors())
    parser.add_argument("--detectors", nargs="+", default=every, choices=every)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    given = parser.parse_args()
    if given.quick:
        sys.stdout.write(section([QUICK], QUICK_DETECTORS, (0,), QUICK_STEPS, 1))
        return
    seeds = range(given.seeds)
    how = (given.studies, given.detectors, seeds, STEPS, given.processes)
    page.put(section(*how))


if __name__ == "__main__":
    main()
