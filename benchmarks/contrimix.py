"""A study of ContriMix: which of its choices pay, on patches of three scanners.

``python benchmarks/contrimix.py`` fits networks of several seeds per named run on
slides that no benchmark reports, scores them on others of these, and writes its
section of ``docs/benchmarks.md``. ``--quick`` prints one run of a few steps on
synthetic tissue.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import product, repeat
from typing import TYPE_CHECKING

import learning
import numpy as np
import page
import report
import torch
from sources import SOURCES, Group, Source, learned
from trained import SCANNERS

from napari_disentangle.audit import colour_features, convolution_features, probe
from napari_disentangle.model.affine.looks import Looks, draw, see, show
from napari_disentangle.model.affine.swaps import Swaps, make
from napari_disentangle.model.contrimix.published import losses as losses
from napari_disentangle.model.contrimix.published.architecture import (
    PUBLISHED,
    Architecture,
)
from napari_disentangle.model.contrimix.published.net import ContriMix
from napari_disentangle.model.train import closed_forms, exam_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from looks import Array

COMMAND = "python benchmarks/contrimix.py"
SEED, SEEDS = 0, (0, 1, 2)
STEPS = 800
# Looks and steps of a quick run.
QUICK = (8, 1)
BATCH, EDGE, RATE = 8, 64, 2e-3
EXAM, LOOKS = 64, 4
# Absorbance beyond this is black in any case.
SANE = (-0.2, 4.0)
# The cheapest form of what is published: no LayerNorm, small attribute encoder, zeros
# for padding. Every run changes one thing.
BASE = Architecture(
    attributes=6, layer_norm=False, attribute_encoder="small", padding="zero"
)

INTRODUCTION = """\
## ContriMix: a study

Networks of {steps} micro-batches of {batch} tiles of {edge} pixels, {seeds} seeds each
(mean ± standard deviation), fitted on {fitted} slides of the three scanners under
random looks, and scored on {scored} others; none of them is reported anywhere else.
*published* is the paper's architecture and losses (n = 4, k = 1, M = 3); *base* the
cheapest form of it: per-image normalisation, 6 attribute vectors, 2 mixings, no
LayerNorm on the attribute, a small attribute encoder, zeros for padding. Every other
run changes one thing in *base*. *Swap* is the mean PSNR of {exam} known-truth swaps of
single tiles, *same content* that with a donor of the same content, *itself* that of
self-reconstruction; for closed forms only the first. *Leak* is the excess over chance
of a probe, four known looks dealt at random: of the content maps (colours), and of
content-only tiles (colours, random convolutions). The run of three times the steps
shows how far from its plateau such a fit is.
"""


@dataclass(frozen=True)
class Run:
    """One thing to be tried.

    Attributes
    ----------
    architecture
        What is trained.
    mixed
        Images made of each image (M).
    weights
        Of the published losses, and of the leak penalty.
    truth
        Weight of the error of swaps with a known truth, OUR CHOICE; 0 is without.
    longer
        How many times the usual number of steps.
    """

    architecture: Architecture = BASE
    mixed: int = 2
    weights: losses.LossWeights = field(default_factory=losses.LossWeights)
    truth: float = 0.0
    longer: int = 1


def _changed(**changes: object) -> Architecture:
    return Architecture(**(vars(BASE) | changes))


RUNS = {
    "base": Run(),
    "published": Run(PUBLISHED, mixed=3, weights=losses.TCGA),
    "frozen statistics": Run(_changed(norm="frozen")),
    "no normalisation": Run(_changed(norm="none")),
    "LayerNorm on the attribute": Run(_changed(layer_norm=True)),
    "12 attribute vectors": Run(_changed(attributes=12)),
    "1 mixing": Run(mixed=1),
    "leak penalty 0.1": Run(weights=losses.LossWeights(leak=0.1)),
    "known truth": Run(truth=0.3),
    "known truth, no normalisation": Run(_changed(norm="none"), truth=0.3),
    "half-resolution stem": Run(_changed(stem="unshuffle")),
    "base, 3 times the steps": Run(longer=3),
}


@dataclass(frozen=True, eq=False)
class Given:
    """Tiles to learn from and tiles to be scored on, by look."""

    learn: Sequence[Sequence[Array]]
    scored: Sequence[Sequence[Array]]

    def exam(self) -> Swaps:
        """Swaps with a known truth, the same for all."""
        return make(self.scored, "brightfield", EXAM, (SEED, 99))


@cache
def given(name: str, looks: int) -> Given:
    """Tiles of a source's unreported groups, a quarter of which are for scoring."""
    fitted, scored = parts(next(s for s in SOURCES if s.name == name))
    both = (fitted, scored)
    banks = (learning.bank([own], "brightfield", SEED, 0, looks) for own in both)
    return Given(*(bank.learn for bank in banks))


def parts(source: Source) -> tuple[list[Group], list[Group]]:
    """Groups to fit on and groups to be scored on; none of them is reported."""
    groups = learned(source)
    mixed = [groups[i] for i in np.random.default_rng(7).permutation(len(groups))]
    return mixed[len(mixed) // 4 :], mixed[: len(mixed) // 4]


# --- fitting --------------------------------------------------------------------------
def fit(run: Run, tiles: Given, steps: int, seed: int) -> ContriMix:
    """Train one network."""
    torch.manual_seed(seed)
    net = ContriMix(run.architecture).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps + 1, pct_start=0.1
    )
    for index in range(1, steps + 1):
        swaps = make(tiles.learn, "brightfield", BATCH, (seed, 2, index))
        optimiser.zero_grad()
        _loss(run, net, swaps, index).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimiser.step()
        rate.step()
    return net.eval()


def _loss(run: Run, net: ContriMix, swaps: Swaps, index: int) -> torch.Tensor:
    half = BATCH // 2
    source, donor = _crop(swaps.source.signal), _crop(swaps.donor.signal)
    images = torch.cat([source[:half], donor[half:]])
    generator = torch.Generator().manual_seed(index)
    targets = losses.draw_targets(len(images), run.mixed, generator)
    value, _ = losses.total(losses.mix(net, images, targets), run.weights)
    if run.truth:
        swapped = net(source, net.attribute(donor))
        value = value - run.truth * _decibels(swapped, _crop(swaps.truth)).mean() / 10
    return value


def _crop(tiles: torch.Tensor) -> torch.Tensor:
    part = tiles[..., :EDGE, :EDGE]
    return part.contiguous(memory_format=torch.channels_last)


def _decibels(signal: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    error = show(signal.clamp(*SANE), "brightfield") - truth
    return -10 * torch.log10(error.square().mean((1, 2, 3)) + 3e-5)


# --- scores ---------------------------------------------------------------------------
@torch.no_grad()
def swap_scores(net: ContriMix, swaps: Swaps) -> list[float]:
    """Decibels of swaps, of swaps with the same content, and of the images itself."""
    content = net.content(swaps.source.signal)
    shown = show(swaps.source.signal, "brightfield")
    asked = (
        (swaps.donor, swaps.truth),
        (swaps.alike, swaps.truth),
        (swaps.source, shown),
    )
    made = (
        (net.generator(content, net.attribute(view.signal)), truth)
        for view, truth in asked
    )
    return [float(_decibels(*pair).mean()) for pair in made]


@torch.no_grad()
def leaks(net: ContriMix, tiles: Given) -> list[float]:
    """What a probe reads of the look, from content maps and from content-only tiles."""
    flat = [tile for look in tiles.scored for tile in look[:2]]
    group = [number for number, look in enumerate(tiles.scored) for _ in look[:2]]
    label = np.random.default_rng(3).integers(LOOKS, size=len(flat))
    generator = torch.Generator().manual_seed(5)
    four = draw("brightfield", LOOKS, 3, generator)
    dealt = _dealt(four, torch.from_numpy(label))
    signal = torch.from_numpy(np.stack(flat))
    seen = see(dealt.photograph(dealt.change(signal), generator), "brightfield")
    content = net.content(seen)
    mean = net.attribute(seen).mean(0, keepdim=True).expand(len(seen), -1, -1)
    rendered = show(net.generator(content, mean).clamp(*SANE), "brightfield")
    grey = (255 * rendered).round()
    read = ((content, colour_features), (grey, colour_features))
    read = (*read, (grey, convolution_features))
    found = (np.stack([features(t.numpy()) for t in maps]) for maps, features in read)
    return [probe(features, label, group).excess for features in found]


def _dealt(looks: Looks, which: torch.Tensor) -> Looks:
    """One look for every tile."""
    names = ("matrix", "offset", "curve", "slope", "blur", "noise")
    return Looks(looks.modality, *(getattr(looks, name)[which] for name in names))


def scores(job: tuple[str, int], source: str, looks: int, steps: int) -> list[float]:
    """Fit and score one network: its numbers, and seconds per step."""
    torch.set_num_threads(1)
    (name, seed), tiles = job, given(source, looks)
    own = steps * RUNS[name].longer
    began = time.process_time()
    net = fit(RUNS[name], tiles, own, seed)
    took = (time.process_time() - began) / own
    return [*swap_scores(net, tiles.exam()), *leaks(net, tiles), took]


def row(name: str, found: Sequence[Sequence[float]]) -> list[str]:
    """Mean and spread over seeds."""
    values = np.array(found)
    means, spread = values.mean(axis=0), values.std(axis=0, ddof=len(values) > 1)
    digits = (1, 1, 1, 2, 2, 2)
    cells = zip(means, spread, digits, strict=False)
    return [name, *(f"{m:.{d}f} ± {s:.{d}f}" for m, s, d in cells), f"{means[-1]:.2f}"]


def rivals(tiles: Given) -> Iterator[list[str]]:
    """Closed forms on the same swaps."""
    swaps = tiles.exam()
    for name, form in closed_forms("brightfield").items():
        yield [f"`{name}`", f"{exam_of(form, swaps).mean():.1f}", *[""] * 6]


def section(
    names: Sequence[str],
    source: str,
    looks: int,
    steps: int,
    seeds: Sequence[int],
    processes: int | None = None,
) -> str:
    """The section as Markdown."""
    jobs = list(product(names, seeds))
    how = (repeat(source), repeat(looks), repeat(steps))
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        done = dict(zip(jobs, pool.map(scores, jobs, *how), strict=True))
    rows = [row(name, [done[name, seed] for seed in seeds]) for name in names]
    fitted, scored = parts(next(s for s in SOURCES if s.name == source))
    counts = {"fitted": learning.n_kept(len(fitted))}
    counts["scored"] = learning.n_kept(len(scored))
    known = {"steps": steps, "batch": BATCH, "exam": EXAM, **counts}
    known |= {"edge": EDGE, "seeds": len(seeds)}
    head = ["run", "swap dB", "same content dB", "itself dB", "leak: content"]
    head += ["leak: colours", "leak: convolutions", "s per step"]
    table = report.table(head, [*rows, *rivals(given(source, looks))])
    return page.section(COMMAND, INTRODUCTION.format(**known), table)


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few steps, printed")
    parser.add_argument("--processes", type=int, help="all cores if not given")
    torch.set_num_threads(1)
    given_ = parser.parse_args()
    if given_.quick:
        sys.stdout.write(section(["known truth"], "synthetic tissue", *QUICK, (0,)))
        return
    how = (learning.LOOKS, STEPS, SEEDS, given_.processes)
    page.put(section(list(RUNS), SCANNERS, *how))


if __name__ == "__main__":
    main()
