"""How alike the content-only images of one picture under two looks are.

``python benchmarks/consistency.py`` writes its section of ``docs/studies.md`` (two
minutes, one thread); ``--quick`` prints a pair of synthetic tissue.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import TYPE_CHECKING

import looks
import numpy as np
import page
import torch
from report import table
from results import bootstrap, interval
from sources import BLOOD, SCANNERS, VIOLET, Source, named, pairs
from swap import field_of, psnr
from unseen import PUBLISHED

import napari_disentangle as nd

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = "python benchmarks/consistency.py"
SEED, PAIRS = 7, 16
MODELS = ("affine", "balanced", "levels", *PUBLISHED)
METHOD = """\
## One picture under two looks

A picture gets two random looks of one family, and both are shown under the look of a
third picture. PSNR between the two content-only images, dB: what differs is what is
left of the looks, and what blur and noise took. `affine` is the bundled model. Means
give every slide or field one vote, intervals are 95 %, over slides or fields.
"""


def rows(source: Source, limit: int) -> Iterator[list[str]]:
    """Lines of the table: one for each family of looks."""
    known = list(pairs(source, limit, 0))
    found = defaultdict(lambda: defaultdict(list))
    for number, pair in enumerate(known):
        rng = np.random.default_rng((SEED, number))
        reference = field_of(known[(number + 1) % len(known)].second)
        for family in (looks.hed, looks.camera):
            shots = [family(rng, 3).photograph(pair.first, rng) for _ in range(2)]
            for name in MODELS:
                model = nd.fit(reference, name)
                shown = [model.content(field_of(shot)) for shot in shots]
                found[family.__name__][name].append((pair.group, psnr(*shown)))
    for family, own in found.items():
        each = [interval(bootstrap(own[name]), ".1f") for name in MODELS]
        yield [source.name, family, str(len({g for g, _ in own["affine"]})), *each]


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one pair, printed")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    names = ("synthetic tissue",) if quick else (SCANNERS, BLOOD, VIOLET)
    lines = [line for n in names for line in rows(named(n), 2 if quick else PAIRS)]
    head = ["images", "looks", "groups", *MODELS]
    text = page.section(COMMAND, METHOD, table(head, lines))
    page.give(text, quick)


if __name__ == "__main__":
    main()
