"""Models of the learned-attribute benchmark: which sources each one never saw.

``python benchmarks/trained.py`` trains all of them, on all cores, and keeps them in
``.benchmarks`` so that the tables can be made again without training.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import learning
import torch
import train_zoo
from safetensors.numpy import load_file, save_file
from sources import (
    BLOOD,
    CHANNELS,
    NUCLEI,
    SCANNERS,
    SLIDES,
    SOURCES,
    VIOLET,
    Source,
    learned,
)
from swap import field_of

from napari_disentangle.model.base import Weights
from napari_disentangle.model.contrimix.published.lesson import Mixing
from napari_disentangle.model.contrimix.settings import Config
from napari_disentangle.model.measure import sample
from napari_disentangle.model.registry import MODELS
from napari_disentangle.model.statistics import statistics
from napari_disentangle.model.train import train as fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from looks import Array

    from napari_disentangle.image.field import Modality
    from napari_disentangle.model.lesson import Lesson
    from napari_disentangle.model.train import Progress

KEPT = Path(__file__).resolve().parents[1] / ".benchmarks"
SEEDS = (0, 1, 2)
EVERY = 20
OWN_STEPS = 500

UNSEEN = (SCANNERS, VIOLET, BLOOD, SLIDES, NUCLEI, CHANNELS)


@dataclass(frozen=True)
class Task:
    """One model to be trained.

    Attributes
    ----------
    name
        Source that it never saw, or was fitted on.
    own
        Whether it was fitted on that source alone.
    seed
        Of everything.
    kind
        ``"affine"``, ``"contrimix"``, or ``"published"``, which is the latter as its
        authors have it.
    """

    name: str
    own: bool
    seed: int
    kind: str = "affine"

    @property
    def path(self) -> Path:
        """Where it is kept."""
        how = "on" if self.own else "without"
        letters = "".join(c for c in self.name if c.isalnum())
        known = "" if self.kind == "affine" else f"{self.kind}_"
        return KEPT / f"{known}{how}_{letters}_{self.seed}.safetensors"

    @property
    def sources(self) -> list[Source]:
        """What it learns from."""
        source = next(s for s in SOURCES if s.name == self.name)
        if self.own:
            return [source]
        others = train_zoo.shippable(source.modality, without=self.name)
        return [s for s in others if not (self.name == NUCLEI and "DSB" in s.name)]


TASKS = [
    task
    for seed in SEEDS
    for task in (
        Task(SCANNERS, own=True, seed=seed),
        *(Task(name, own=False, seed=seed) for name in UNSEEN),
    )
]


def weights(task: Task) -> Weights:
    """What a model learned; trained now if that has not been done."""
    if not task.path.exists():
        train(task)
    card: Mapping[str, Any] = json.loads(task.path.with_suffix(".json").read_text())
    return Weights(load_file(task.path), card)


def train(task: Task) -> None:
    """Train a model and keep it, with its curve."""
    torch.set_num_threads(1)
    if task.own:
        steps = _fit_on_one(task)
    else:
        steps = train_zoo.fit_on(task.sources, task.seed, task.kind)
    curve = []
    for progress in steps:
        if progress.index and progress.index % EVERY == 0:
            curve.append(_point(progress))
    learned = progress.weights()
    assert learned is not None
    KEPT.mkdir(exist_ok=True)
    save_file(dict(learned.tensors), task.path)
    text = json.dumps({**learned.card, "curve": curve}, indent=1)
    task.path.with_suffix(".json").write_text(text)


def _fit_on_one(task: Task) -> Iterator[Progress]:
    """Fit on one kind of image, as a user would: all of the correction is used."""
    (source,) = task.sources
    groups, modality = learned(source), source.modality
    bank = learning.bank([groups], modality, task.seed, enlarged=0)
    if task.kind == "published":
        lesson: Lesson = Mixing(modality, Config(preset="published"))
    else:
        reads = [read for group in groups for read in group.images]
        images = [_content(read(), modality) for read in reads]
        lesson = train_zoo.LESSONS[task.kind](modality, images=images)
    yield from fit(bank, lesson, task.seed, OWN_STEPS)


def _content(image: Array, modality: Modality) -> Array:
    """Statistics of an image that is fitted on."""
    field = field_of(image)
    pixels = sample(MODELS["balanced"], field, range(len(field.channel_names)))
    return statistics(pixels.signal, pixels.foreground, modality)


def _point(progress: Progress) -> list[float]:
    return [progress.index, round(progress.losses["held out"], 2)]


def train_missing(tasks: Sequence[Task], processes: int | None = None) -> None:
    """Train all that are not kept yet."""
    missing = [task for task in tasks if not task.path.exists()]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        list(pool.map(train, missing))


if __name__ == "__main__":
    train_missing(TASKS)
