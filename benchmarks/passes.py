"""How often `contrimix` should read the attribute, on slides that nobody reports.

``python benchmarks/passes.py`` fits the preset ``default`` with several seeds on slides
of the three scanners that no benchmark reports, scores it on others of these after
every pass, and writes its section of ``docs/benchmarks.md``. ``--quick`` prints a few
steps on synthetic tissue.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import contrimix
import framed
import numpy as np
import page
import report
import torch
from trained import SCANNERS

from napari_disentangle.model.affine.swaps import view
from napari_disentangle.model.contrimix.lesson import Repetition
from napari_disentangle.model.contrimix.net import Look, RepeatedNet, looks
from napari_disentangle.model.tiles import Bank
from napari_disentangle.model.train import closed_forms, train

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from framed import Dealt

    from napari_disentangle.model.affine.swaps import Swaps

COMMAND = "python benchmarks/passes.py"
SEEDS, STEPS, PASSES = (0, 1, 2), 400, (1, 2, 3, 5)
QUICK = (8, 1)

INTRODUCTION = """\
## How often ContriMix reads the attribute

The preset `default` of `contrimix`, fitted for {steps} steps on {fitted} slides of the
three scanners, {seeds} seeds (mean ± standard deviation), and scored on {scored} others
after one, two, three and five passes; it is trained with three. *Swap* is the mean PSNR
of {exam} swaps of single tiles, *leak* the excess over chance of a probe on
content-only tiles under four known looks, *edges* the median gradient correlation.
None of these slides is reported anywhere else: this table is for choosing the number of
passes, and is not the model's figure.
"""


def fit(tiles: contrimix.Given, seed: int, steps: int) -> RepeatedNet:
    """Train one network, to the end of its budget."""
    bank = Bank([tiles.learn], tiles.scored)
    for progress in train(bank, Repetition("brightfield"), seed, steps):
        net = progress.net
    assert isinstance(net, RepeatedNet)
    return net


@torch.no_grad()
def scores(net: RepeatedNet, swaps: Swaps, dealt: Dealt) -> Iterator[list[float]]:
    """Swap, leaks and edges after each number of passes."""
    most = max(PASSES)
    source, donor, own = (
        looks(net, seen, "brightfield", most)
        for seen in (swaps.source, swaps.donor, view(dealt.signal, "brightfield"))
    )
    for number in (p - 1 for p in PASSES):
        swapped = swaps.decibels(*source[number].to(donor[number])).mean()
        yield [
            float(swapped),
            *framed.leaks(dealt, _content(own[number], dealt.signal)),
        ]


def _content(own: Look, signal: torch.Tensor) -> torch.Tensor:
    """Tiles under the mean of their looks."""
    back = torch.linalg.inv(own.matrix)
    offset = -(back @ own.offset[..., None])
    content = own.matrix @ signal.flatten(2) + own.offset[..., None]
    return (back.mean(0) @ content + offset.mean(0)).reshape(signal.shape)


def section(source: str, each: int, steps: int, seeds: Sequence[int]) -> str:
    """The section as Markdown."""
    tiles, swaps, dealt = framed.shared(source, each)
    found = [list(scores(fit(tiles, s, steps), swaps, dealt)) for s in seeds]
    table = []
    for i, passes in enumerate(PASSES):
        numbers = np.array([seed[i] for seed in found])
        table.append([str(passes), *framed.told(numbers, (2, 2, 2, 3))])
    for name in closed_forms("brightfield"):
        own = framed.rival(name, swaps, dealt)
        table.append([own[0], own[1], *own[3:6]])
    parts = contrimix.parts(framed.source_of(source))
    fitted, scored = (contrimix.learning.n_kept(len(groups)) for groups in parts)
    known = {"steps": steps, "seeds": len(seeds), "fitted": fitted, "scored": scored}
    head = ["passes", "swap dB", "leak: colours", "leak: convolutions", "edges"]
    text = INTRODUCTION.format(**known, exam=framed.EXAM)
    return page.section(COMMAND, text, report.table(head, table))


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few steps, printed")
    torch.set_num_threads(1)
    if parser.parse_args().quick:
        sys.stdout.write(section("synthetic tissue", *QUICK, seeds=(0,)))
        return
    page.put(section(SCANNERS, contrimix.learning.LOOKS, STEPS, SEEDS))


if __name__ == "__main__":
    main()
