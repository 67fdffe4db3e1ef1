"""`affine` fitted on slides of one kind, and tried on other slides of that kind.

``python benchmarks/own.py`` goes on from the bundled weights as a user would, 300 steps
on the slides of three scanners that are not reported, and writes its section of
``docs/studies.md`` (ten minutes, one core). ``--quick`` fits two steps on synthetic
tissue and prints.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import defaultdict
from dataclasses import replace

import looks
import numpy as np
import page
import torch
from report import table
from results import bootstrap, interval
from sources import SCANNERS, Source, learned, named, pairs
from swap import case_of, field_of, psnr, swapped
from unseen import NONE, PUBLISHED

import napari_disentangle as nd
from napari_disentangle.model.fit import learned as model_of

COMMAND = "python benchmarks/own.py"
STEPS, QUICK_STEPS = 300, 2
PAIRS, SEEDS = 32, (0, 1, 2)
FITTED, BUNDLED = "affine, fitted", "affine, bundled"
METHOD = """\
## `affine`, fitted on slides of the same kind

Fitted on the slides of three scanners that are not reported, all patches of a slide
under one look, from the bundled weights; tried on swaps with a known truth of the
others. Decibels over the best published closed form of the row; means give every slide
one vote, intervals are 95 %, over slides; every seed fits anew.
"""


def fit(source: Source, seed: int, steps: int) -> tuple[nd.Model, float, str]:
    """The model, seconds of one core, and its verdict."""
    groups = [[field_of(read()) for read in g.images] for g in learned(source)]
    began = time.process_time()
    for step in nd.fit_steps(groups, "affine", seed, steps):
        last = step
    seconds = time.process_time() - began
    return model_of(last), seconds, last.progress.verdict


def rows(source: Source, limit: int, seeds: tuple[int, ...], steps: int) -> list[str]:
    """Lines of the table, with every seed in its own."""
    fits = {f"{FITTED}, seed {seed}": fit(source, seed, steps) for seed in seeds}
    scores = defaultdict(lambda: defaultdict(list))
    for number, pair in enumerate(pairs(source, limit, 0)):
        for family in (looks.hed, looks.camera):
            rng = np.random.default_rng((0, zlib.crc32(source.name.encode()), number))
            case = case_of(pair, family, rng)
            field = field_of(case.picture)
            models = {name: nd.fit(field, name) for name in PUBLISHED}
            models[BUNDLED] = nd.fit(field, "affine")
            for name, (model, _, _) in fits.items():
                models[name] = replace(model, reference=model.look(field))
            own = scores[family.__name__]
            own[NONE].append((pair.group, psnr(case.picture, case.truth)))
            for name, model in models.items():
                made, _ = swapped(model, case.picture, case.donor)
                own[name].append((pair.group, psnr(made, case.truth)))
    found = []
    for family, own in scores.items():
        best = max(PUBLISHED, key=lambda name: bootstrap(own[name]).mean)
        for name in (BUNDLED, *fits):
            apart = [
                (group, a - b)
                for (group, a), (_, b) in zip(own[name], own[best], strict=True)
            ]
            seconds, verdict = fits[name][1:] if name in fits else (0.0, "")
            found.append(
                [
                    *(source.name, family, name, best),
                    interval(bootstrap(apart), "+.2f"),
                    f"{seconds:.0f}",
                    verdict,
                ]
            )
    return found


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps, printed")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    if quick:
        lines = rows(named("synthetic tissue"), 1, SEEDS[:1], QUICK_STEPS)
    else:
        lines = rows(named(SCANNERS), PAIRS, SEEDS, STEPS)
    head = ["images", "looks", "model", "best published", "dB over it", "s", "verdict"]
    text = page.section(COMMAND, METHOD, table(head, lines))
    page.give(text, quick)


if __name__ == "__main__":
    main()
