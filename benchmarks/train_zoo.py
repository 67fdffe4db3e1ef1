"""Train the bundled model: ``python benchmarks/train_zoo.py``, 30 minutes, two cores.

Only on images that may be redistributed and on none that a benchmark reports, but for
sources too small to be split, which are reported with models that never saw them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import learning
import numpy as np
import open_sources
import torch
from sources import BLOOD, OPEN, SLIDES, SOURCES, VIOLET, Source, learned, named
from swap import field_of

import napari_disentangle as nd
from napari_disentangle.model.affine.lesson import Classes
from napari_disentangle.model.base import Weights
from napari_disentangle.model.fit import no_look, unfitted
from napari_disentangle.model.model import configure
from napari_disentangle.model.train import train
from napari_disentangle.model.zoo import path_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sources import Group

NAME = "affine-brightfield"
SEED = 0
STEPS, QUICK_STEPS = 6000, 1
# Networks of a model.
READERS = 2
# Known looks are dealt over pairs of these, for the audit in a card.
AUDITED = (VIOLET, BLOOD)
AUDIT_PAIRS = 36
# Whose licence lets pixels, and weights learned from them, be redistributed.
LICENCES = {
    VIOLET: "CC0",
    BLOOD: "MIT",
    SLIDES: "Clear BSD, BSD-3",
    "synthetic tissue": "ours",
    **open_sources.LICENCES,
}
NOT_FOR = "diagnosis; stains that no image above has, where readings differ: it is told"


def shippable(without: Collection[str] = ()) -> list[Source]:
    """Sources that may be learned from, but some."""
    return [
        s for s in (*SOURCES, *OPEN) if s.name in LICENCES and s.name not in without
    ]


def fit_on(sources: Sequence[str], seed: int, steps: int = STEPS) -> Weights:
    """Train a model for many kinds of image on what may be learned from of them.

    Its networks are trained apart, each with a seed of its own; one that got stuck, and
    is no better than the best closed form, is trained again with another.
    """
    found: list[Weights] = []
    seeds = itertools.count(READERS * seed)
    with ProcessPoolExecutor() as pool:
        while len(found) < READERS:
            more = itertools.islice(seeds, READERS - len(found))
            every = list(pool.map(partial(reader, sources, steps), more))
            found += [w for w in every if w.tensors["used"] or steps == QUICK_STEPS]
    return together(found)


def reader(sources: Sequence[str], steps: int, seed: int) -> Weights:
    """One network."""
    torch.set_num_threads(1)
    groups = [groups_of(s) for s in (*SOURCES, *OPEN) if s.name in sources]
    card = {
        "trained on": {name: LICENCES.get(name, "none stated") for name in sources},
        "seed": seed,
        "command": "python benchmarks/train_zoo.py",
        "not for": NOT_FOR,
    }
    curve: dict[int, float] = {}
    for progress in train(
        learning.bank(groups, seed), Classes(readers=1), seed, steps, card=card
    ):
        at = progress.index
        if at and at % (STEPS // 20) == 0:  # once more for what comes with a step
            if at not in curve:
                sys.stdout.write(f"seed {seed}, {at}: {progress.verdict}\n")
                sys.stdout.flush()
            curve[at] = round(progress.losses["held out"], 2)
    weights = progress.weights()
    assert weights is not None
    return replace(weights, card={**weights.card, "curve": list(curve.items())})


def together(found: Sequence[Weights]) -> Weights:
    """One model of several networks."""
    tensors = {
        name.replace("nets.0", f"nets.{i}"): value
        for i, weights in enumerate(found)
        for name, value in weights.tensors.items()
    }
    tensors["used"] = np.ones((), np.float32)
    own = ("seed", "steps", "losses", "verdict", "curve")
    shared = {k: v for k, v in found[0].card.items() if k not in own}
    networks = [{k: w.card[k] for k in own} for w in found]
    return Weights(tensors, {**shared, "networks": networks})


def groups_of(source: Source) -> list[Group]:
    """Groups to learn from: all of a source that is too small to be split."""
    return learned(source) or list(source.groups())


def _save(weights: Weights) -> None:
    """Write the model, with a mean training image as its reference, and its card."""
    groups = groups_of(named(VIOLET))[:8]
    images = [field_of(group.images[0]()) for group in groups]
    blank = replace(unfitted(images[0], "balanced"), name="affine")
    model = no_look(replace(blank, config=configure("affine", {}), weights=weights))
    reference = model.attribute(images, pool="batch")
    replace(model, reference=reference).save(path_of(NAME))
    _write_card(weights.card)


def audit() -> dict[str, dict[str, float]]:
    """What content-only of the bundled model tells of known looks, and keeps of edges.

    On slides and fields that it never saw, beside the pictures as they are.
    """
    import arms
    import leak
    import structure

    found = {}
    for source in AUDITED:
        dealt = leak.deal(named(source), AUDIT_PAIRS)
        fields = [field_of(picture) for picture in dealt.pictures]
        shows = {
            "raw": arms.controls(0.0)[leak.RAW],
            "content-only": partial(arms.content, nd.fit(fields, NAME)),
        }
        for arm, show in shows.items():
            kept = structure.structure(dealt, arm, show)
            numbers = {f"leak: {p}": own.excess for p, own in kept.leaks.items()}
            numbers["edges"] = float(np.median(kept.edges))
            found[f"{source}, {arm}"] = {k: round(v, 3) for k, v in numbers.items()}
    return found


def _put_audit() -> None:
    """Add the audit to the bundled model's card."""
    model = nd.load(NAME)
    assert model.weights is not None
    card = {**model.weights.card, "audit": audit()}
    replace(model, weights=replace(model.weights, card=card)).save(path_of(NAME))
    _write_card(card)


def _write_card(card: Mapping[str, object]) -> None:
    text = json.dumps(dict(card), indent=1) + "\n"
    path_of(NAME).with_suffix(".json").write_text(text, encoding="utf-8")


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one step, not written")
    parser.add_argument("--audit", action="store_true", help="only audit it again")
    given = parser.parse_args()
    if given.quick:
        fit_on(["synthetic tissue"], SEED, QUICK_STEPS)
        return
    if not given.audit:
        _save(fit_on([s.name for s in shippable()], SEED))
    _put_audit()


if __name__ == "__main__":
    main()
