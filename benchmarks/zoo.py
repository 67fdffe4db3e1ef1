"""Train the bundled models: ``python benchmarks/zoo.py``, four minutes on one core.

Only on images that may be redistributed and on none that a benchmark reports, but for
sources too small to be split, which are reported with models that never saw them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import learning
from sources import LEARNED_ONLY, SOURCES, Source, learned
from swap import field_of

from napari_disentangle.bundled import path_of
from napari_disentangle.fitting import no_look, unfitted
from napari_disentangle.lessons import Correction, Repetition
from napari_disentangle.train import Progress, train

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sources import Group

    from napari_disentangle.field import Modality
    from napari_disentangle.methods.base import Weights

SEED = 0
STEPS: dict[Modality, int] = {"brightfield": 400, "fluorescence": 400}
# Share of the correction that is used, and of training tiles that count as known:
# chosen for images that a model never saw, not for the best on those it knows.
USED: dict[Modality, float] = {"brightfield": 0.4, "fluorescence": 0.25}
REACH = 0.5
LESSONS = {"affine": Correction, "contrimix": Repetition}
# Share of looks that are seen at another magnification.
ENLARGED = 0.3
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
        "command": "python benchmarks/zoo.py",
        "not for": NOT_FOR[modality],
    }
    lesson = LESSONS[kind](modality, used=USED[modality], reach=REACH)
    yield from train(bank, lesson, seed, STEPS[modality], card=card)


def groups_of(source: Source) -> list[Group]:
    """Groups to learn from: all of a source that is too small to be split."""
    return learned(source) or list(source.groups())


def _save(modality: Modality, weights: Weights) -> None:
    """Write the model, with a mean training image as its reference, and its card."""
    source = shippable(modality)[0]
    groups = groups_of(source)[:8]
    images = [field_of(group.images[0]()) for group in groups]
    blank = unfitted(images[0], "affine")
    model = no_look(replace(blank, weights=weights))
    path = path_of(f"affine-{modality}")
    replace(model, reference=model.attribute(images, pool="batch")).save(path)
    text = json.dumps(dict(weights.card), indent=1)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Train and write both models."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few steps, not written")
    quick = parser.parse_args().quick
    for modality in STEPS:
        for progress in fit_on(shippable(modality), SEED):
            if progress.index and (progress.index % 100 == 0 or quick):
                sys.stdout.write(f"{modality} {progress.index}: {progress.verdict}\n")
            if quick and progress.index:
                break
        weights = progress.weights()
        if weights and not quick:
            _save(modality, weights)


if __name__ == "__main__":
    main()
