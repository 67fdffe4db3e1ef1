"""Train the bundled models: ``python benchmarks/train_zoo.py``, 8 minutes, one core.

Only on images that may be redistributed and on none that a benchmark reports, but for
sources too small to be split, which are reported with models that never saw them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import learning
import numpy as np
from sources import LEARNED_ONLY, SOURCES, Source, learned, named
from swap import field_of

import napari_disentangle as nd
from napari_disentangle.model.affine.lesson import Correction
from napari_disentangle.model.contrimix.lesson import Repetition
from napari_disentangle.model.fit import no_look, unfitted
from napari_disentangle.model.model import configure
from napari_disentangle.model.train import Progress, train
from napari_disentangle.model.zoo import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sources import Group

    from napari_disentangle.image.field import Modality
    from napari_disentangle.model.base import Weights

SEED = 0
STEPS = 400
# Models by what they are called in the package.
BUNDLED: dict[str, tuple[str, Modality]] = {
    "affine-brightfield": ("affine", "brightfield"),
    "affine-fluorescence": ("affine", "fluorescence"),
    "contrimix-brightfield": ("contrimix", "brightfield"),
}
# Share of the correction that is used, and of training tiles that count as known:
# chosen for images that a model never saw, not for the best on those it knows.
USED = {
    ("affine", "brightfield"): 0.4,
    ("affine", "fluorescence"): 0.25,
    ("contrimix", "brightfield"): 1.0,
}
REACH = 0.5
LESSONS = {"affine": Correction, "contrimix": Repetition}
# Share of looks that are seen at another magnification.
ENLARGED = 0.3
# Known looks are dealt over pairs of these, for the audit in a card.
AUDITED: dict[Modality, tuple[str, ...]] = {
    "brightfield": ("violet histology (DSB)", "blood smears (BCCD)"),
    "fluorescence": ("nuclei (DSB)",),
}
AUDIT_PAIRS = 36
# Whose licence lets pixels, and weights learned from them, be redistributed.
LICENCES = {
    "violet histology (DSB)": "CC0",
    "blood smears (BCCD)": "MIT",
    "slides (HistoQC, StarDist)": "Clear BSD, BSD-3",
    "synthetic tissue": "ours",
    "nuclei (DSB)": "CC0",
    "small nuclei (DSB)": "CC0",
    "1 to 3 channels (NEUBIAS, CellProfiler)": "CC BY 4.0, BSD-3",
}
NOT_FOR = {
    "brightfield": "stains and tissues unlike the images above: there its closed form "
    "is used, and it can be fitted; diagnosis",
    "fluorescence": "bleed-through between channels, uneven illumination, comparing "
    "intensities between treatments when each image is matched by itself",
}


def shippable(modality: Modality, without: str = "") -> list[Source]:
    """Sources whose pixels may be learned from, but one."""
    return [
        s
        for s in (*SOURCES, *LEARNED_ONLY)
        if s.name in LICENCES and s.modality == modality and s.name != without
    ]


def fit_on(
    sources: Sequence[Source], seed: int, kind: str = "affine"
) -> Iterator[Progress]:
    """Train a model for many kinds of image on what may be learned from of them."""
    modality = sources[0].modality
    groups = [groups_of(s) for s in sources]
    bank = learning.bank(groups, modality, seed, ENLARGED)
    card = {
        "trained on": {s.name: LICENCES.get(s.name, "none stated") for s in sources},
        "seed": seed,
        "command": "python benchmarks/train_zoo.py",
        "not for": NOT_FOR[modality],
    }
    used = USED.get((kind, modality), 1.0)
    lesson = LESSONS[kind](modality, used=used, reach=REACH)
    yield from train(bank, lesson, seed, STEPS, card=card)


def groups_of(source: Source) -> list[Group]:
    """Groups to learn from: all of a source that is too small to be split."""
    return learned(source) or list(source.groups())


def _save(name: str, weights: Weights) -> None:
    """Write the model, with a mean training image as its reference, and its card."""
    kind, modality = BUNDLED[name]
    source = shippable(modality)[0]
    groups = groups_of(source)[:8]
    images = [field_of(group.images[0]()) for group in groups]
    blank = replace(unfitted(images[0], "balanced"), name=kind)
    model = no_look(replace(blank, config=configure(kind, {}), weights=weights))
    path = path_of(name)
    replace(model, reference=model.attribute(images, pool="batch")).save(path)
    _write_card(name, weights.card)


def audit(name: str) -> dict[str, dict[str, float]]:
    """What content-only of a bundled model tells of known looks, and keeps of edges.

    On slides and fields that it never saw, beside the pictures as they are.
    """
    import arms
    import leak
    import structure

    found = {}
    for source in AUDITED[BUNDLED[name][1]]:
        dealt = leak.deal(named(source), AUDIT_PAIRS)
        fields = [field_of(picture) for picture in dealt.pictures]
        shows = {
            "raw": arms.controls(0.0)[leak.RAW],
            "content-only": partial(arms.content, nd.fit(fields, name)),
        }
        for arm, show in shows.items():
            kept = structure.structure(dealt, arm, show)
            numbers = {f"leak: {p}": own.excess for p, own in kept.leaks.items()}
            numbers["edges"] = float(np.median(kept.edges))
            found[f"{source}, {arm}"] = {k: round(v, 3) for k, v in numbers.items()}
    return found


def _put_audit(name: str) -> None:
    """Add the audit to a bundled model's card."""
    model = nd.load(name)
    assert model.weights is not None
    card = {**model.weights.card, "audit": audit(name)}
    replace(model, weights=replace(model.weights, card=card)).save(path_of(name))
    _write_card(name, card)


def _write_card(name: str, card: Mapping[str, object]) -> None:
    text = json.dumps(dict(card), indent=1) + "\n"
    path_of(name).with_suffix(".json").write_text(text, encoding="utf-8")


def main() -> None:
    """Train and write models."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few steps, not written")
    parser.add_argument("names", nargs="*", help="some only", default=list(BUNDLED))
    parser.add_argument("--audit", action="store_true", help="only audit them again")
    given = parser.parse_args()
    for name in given.names if not given.audit else ():
        kind, modality = BUNDLED[name]
        for progress in fit_on(shippable(modality), SEED, kind):
            if progress.index and (progress.index % 100 == 0 or given.quick):
                sys.stdout.write(f"{name} {progress.index}: {progress.verdict}\n")
            if given.quick and progress.index:
                break
        weights = progress.weights()
        if weights and not given.quick:
            _save(name, weights)
    for name in given.names if not given.quick else ():
        _put_audit(name)


if __name__ == "__main__":
    main()
