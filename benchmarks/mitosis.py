"""Typical or atypical mitosis on a scanner that was never trained on.

For each of three scanners a small network learns from patches of the two others and is
asked about its patches: as they came, content-only, or trained on images under each
other's looks (``nd.augment``). No slide is on both sides. ``python
benchmarks/mitosis.py`` writes its section of ``docs/benchmarks.md`` (all cores, or
``--processes``); ``--quick`` prints a short run on synthetic tissue, and ``--choose``
how the training was chosen, on slides of the training scanners alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, product
from typing import TYPE_CHECKING

import imageio.v3 as iio
import mitosis_report
import numpy as np
import page
import report
import torch
from mitosis_net import EDGE, Training, predict, seen, train
from mitosis_report import JITTER, RAW, Answers, auroc
from sources import DATA, manifest
from swap import field_of

import napari_disentangle as nd
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from looks import Array
    from torch import Tensor

    from napari_disentangle.model.attribute import Attribute

    # The scanner that is held out, and a model.
    Task = tuple[str, str | None]

FOLDER = DATA / "histo_midog_3scanners"
SEED = 0
# Models whose looks are taken away or mixed; those that are not there are left out.
MODELS = ("meanstd", "affine", "contrimix")
# Of these, models that learn here, from the patches of the training scanners.
LEARNING = ("contrimix",)


@dataclass(frozen=True)
class Budget:
    """What every arm may use.

    Attributes
    ----------
    training, seeds
        How networks are trained, one per seed.
    copies
        Looks of others that every training patch is shown under.
    fit_steps
        Steps of models that learn here.
    """

    training: Training
    seeds: tuple[int, ...]
    copies: int
    fit_steps: int


FULL = Budget(Training(800, 3e-3), (0, 1, 2), 3, 500)
QUICK = Budget(Training(2, 3e-3), (0, 1), 1, 1)
# What a quick run holds out.
QUICK_SCANNER = "pale"
# What ``--choose`` compares, and how many networks each is tried with.
CHOICES = tuple(product((300, 800), (1e-3, 3e-3), ("centre", "whole")))
TRIES = (10, 11)


# --- patches --------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Patch:
    """A mitosis (2 EDGE, 2 EDGE, 3) and whether most experts called it atypical."""

    picture: Array
    scanner: str
    slide: str
    atypical: bool

    @property
    def field(self) -> nd.Field:
        """It as an image that is named after its slide."""
        return field_of(self.picture, self.slide)


@cache
def histology() -> list[Patch]:
    """All patches of the three scanners, in the order of their table."""
    return [
        Patch(
            np.asarray(iio.imread(FOLDER / row["file"]))[..., :3],
            row["scanner"],
            f"{row['dataset']} {row['slide']}",
            row["majority_atypical"] == "True",
        )
        for row in manifest(FOLDER)
    ]


@cache
def drawings() -> list[Patch]:
    """Synthetic tissue in three looks with one bar in the middle, or with two."""
    pale = replace(synthetic.ROSE, amounts=(0.4, 0.15), white=(0.1, 0.15, 0.2))
    looks = {"violet": synthetic.VIOLET, "rose": synthetic.ROSE, "pale": pale}
    every = enumerate(product(looks.items(), range(2), (False, True)))
    return [
        Patch(_drawing(seed, look, two), name, f"{name} {slide}", two)
        for seed, ((name, look), slide, two) in every
    ]


def _drawing(seed: int, look: synthetic.Look, two: bool) -> Array:
    content = synthetic.tissue(seed, 2 * EDGE)
    y, x = np.indices(content.shape[1:]) - EDGE
    content[0] += 2 * (np.hypot((np.abs(y) - 8 if two else y) / 3, x / 10) < 1)
    return synthetic.render(content, look, noise=2, seed=seed)


def scanners(patches: Sequence[Patch]) -> list[str]:
    """Names of all scanners, in order."""
    return list(dict.fromkeys(patch.scanner for patch in patches))


def labels(patches: Sequence[Patch]) -> Array:
    """Which are atypical (n,)."""
    return np.array([patch.atypical for patch in patches])


# --- arms -----------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Arm:
    """What a network is trained on, in one or several versions, and asked about."""

    name: str
    versions: Sequence[Tensor]
    asked: Tensor
    jitter: bool = False


def models() -> list[str | None]:
    """No model at all, and all that are there."""
    return [None, *(name for name in MODELS if name in nd.models())]


def arms(
    model: str | None, known: Sequence[Patch], new: Sequence[Patch], budget: Budget
) -> Iterator[Arm]:
    """All arms of a model: content-only and mixing, or without one raw and jitter."""
    look = partial(seen, view=budget.training.view)
    came, asked = (look([patch.picture for patch in part]) for part in (known, new))
    if model is None:
        yield Arm(RAW, [came], asked)
        yield Arm(JITTER, [came], asked, jitter=True)
        return
    fitted = fit(model, known, budget)
    own, others = slide_looks(fitted, known), slide_looks(fitted, new)
    content = partial(content_only, fitted, mean_look(fitted, own))
    yield Arm(
        f"{model} content", [look(content(known, own))], look(content(new, others))
    )
    shown = mixed(fitted, known, own, budget.copies)
    yield Arm(f"mixing by {model}", [came, *map(look, shown)], asked)


def fit(model: str, known: Sequence[Patch], budget: Budget) -> nd.Model:
    """A model that knows nothing of the held-out scanner; slides share a look."""
    groups = [[patch.field for patch in g] for g in by_slide(known).values()]
    if model in LEARNING:
        return nd.fit(groups, model, steps=budget.fit_steps, seed=SEED)
    return nd.fit(groups[0], model)


def by_slide(patches: Sequence[Patch]) -> dict[str, list[Patch]]:
    """Patches of every slide."""
    slides: dict[str, list[Patch]] = {}
    for patch in patches:
        slides.setdefault(patch.slide, []).append(patch)
    return slides


def slide_looks(model: nd.Model, patches: Sequence[Patch]) -> dict[str, Attribute]:
    """Look of every slide, pooled over its patches."""
    return {
        slide: model.attribute([patch.field for patch in group], pool="batch")
        for slide, group in by_slide(patches).items()
    }


def mean_look(model: nd.Model, looks: dict[str, Attribute]) -> Attribute:
    """The mean look of slides."""
    return model.attribute(list(looks.values()), pool="batch")


def content_only(
    model: nd.Model,
    reference: Attribute,
    patches: Sequence[Patch],
    looks: dict[str, Attribute],
) -> list[Array]:
    """Patches under one look, each freed from that of its slide."""
    return [
        model.render(patch.field, reference, looks[patch.slide]) for patch in patches
    ]


def mixed(
    model: nd.Model, known: Sequence[Patch], looks: dict[str, Attribute], copies: int
) -> list[list[Array]]:
    """Patches under the looks of the slides of others, once per copy."""
    fields = [patch.field for patch in known]
    own = [looks[patch.slide] for patch in known]
    shown = nd.augment(model, fields, labels(known), copies, own, SEED)
    pictures = [picture for picture, _ in shown]
    return [pictures[copy::copies] for copy in range(copies)]


# --- measuring ------------------------------------------------------------------------
def parts(patches: Sequence[Patch], held_out: str) -> tuple[list[Patch], list[Patch]]:
    """Patches to train on, and those of the held-out scanner."""
    known = [patch for patch in patches if patch.scanner != held_out]
    return known, [patch for patch in patches if patch.scanner == held_out]


def ask(patches: Sequence[Patch], budget: Budget, task: Task) -> list[Answers]:
    """Train all arms of a model without a scanner, and ask about its patches."""
    held_out, model = task
    known, new = parts(patches, held_out)
    slides, truths = [patch.slide for patch in new], labels(new)
    found = []
    for arm in arms(model, known, new, budget):
        nets = (
            train(arm.versions, labels(known), budget.training, seed, arm.jitter)
            for seed in budget.seeds
        )
        chances = np.stack([predict(net, arm.asked) for net in nets])
        found.append(Answers(held_out, arm.name, slides, truths, chances))
    return found


def _ask(budget: Budget, task: Task) -> list[Answers]:
    torch.set_num_threads(1)
    return ask(histology(), budget, task)


def _validate(training: Training) -> list[float]:
    """AUROC of raw patches on every fourth slide of the training scanners."""
    torch.set_num_threads(1)
    found = []
    for held_out in scanners(histology()):
        known, _ = parts(histology(), held_out)
        shown = set(list(by_slide(known))[::4])
        tried = [patch for patch in known if patch.slide in shown]
        kept = [patch for patch in known if patch.slide not in shown]
        inside, outside = (
            seen([patch.picture for patch in part], training.view)
            for part in (kept, tried)
        )
        for seed in TRIES:
            net = train([inside], labels(kept), training, seed)
            found.append(auroc(predict(net, outside), labels(tried)))
    return found


def choose() -> str:
    """What every choice reaches on slides of the training scanners, as a table."""
    head = ["steps", "rate", "view", "AUROC", "± over turns and tries"]
    rows = []
    for choice in CHOICES:
        found = _validate(Training(*choice))
        rows.append(
            [*map(str, choice), f"{np.mean(found):.3f}", f"{np.std(found):.3f}"]
        )
    return report.table(head, rows) + "\n"


def tasks(patches: Sequence[Patch]) -> list[Task]:
    """Every model without every scanner."""
    return list(product(scanners(patches), models()))


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="synthetic, printed")
    parser.add_argument("--choose", action="store_true", help="training, printed")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.quick:
        turns = [(QUICK_SCANNER, model) for model in models()]
        found = [ask(drawings(), QUICK, turn) for turn in turns]
        sys.stdout.write(mitosis_report.section(list(chain(*found)), QUICK))
    elif not FOLDER.is_dir():
        sys.stdout.write(f"skipped: {FOLDER.name} is not beside the project\n")
    elif asked.choose:
        sys.stdout.write(choose())
    else:
        with ProcessPoolExecutor(asked.processes) as pool:
            found = list(pool.map(partial(_ask, FULL), tasks(histology())))
        page.put(mitosis_report.section(list(chain(*found)), FULL))


if __name__ == "__main__":
    main()
