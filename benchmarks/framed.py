"""ContriMix in the frame of a closed form, and what content adds to `affine`.

``python benchmarks/framed.py`` fits the networks with three seeds on slides of three
scanners that no benchmark reports, scores them on others of these, and writes its
section of ``docs/benchmarks.md``. ``--quick`` prints a few steps on synthetic tissue.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import contrimix
import numpy as np
import page
import report
import torch
from swap import GENERATORS
from torch import nn
from trained import SCANNERS

from napari_disentangle.audit import (
    colour_features,
    convolution_features,
    gradient_correlation,
    probe,
)
from napari_disentangle.model.affine.looks import see, show
from napari_disentangle.model.affine.net import AffineNet, frame
from napari_disentangle.model.affine.swaps import View, make, rows, view
from napari_disentangle.model.base import Sample
from napari_disentangle.model.statistics import middle_frame, share, weight
from napari_disentangle.model.train import closed_forms, exam_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contrimix import Given
    from looks import Array
    from looks import Look as Seen

    from napari_disentangle.model.affine.swaps import Swaps

COMMAND = "python benchmarks/framed.py"
SEEDS = (0, 1, 2)
STEPS, BATCH, LOOKS, TILES = 500, 12, 120, 3
QUICK = (8, 1)
EXAM, FIRST = 96, 4
RATE, DECAY = 1.5e-3, 1e-2
# Weight of the size of corrections, and of swaps with a donor of the same content.
SIZE, ALIKE = 0.05, 0.2
MAPS, WIDTH = 6, 16
KINDS = {"frame only": False, "frame and content": True}

INTRODUCTION = """\
## ContriMix in the frame of a closed form

The first study of ContriMix starts from nothing and stays below closed forms. Here an
image is first brought into the frame of `balanced`, corrected by the network of
`affine`, here without the moving average of its parameters (*frame only*); *frame and
content* then adds {maps} content maps of four convolutions (the
first three maps are the framed image and a correction) and a 3 x {maps} attribute that
begins at the identity, so that fitting begins at the closed form. Nothing is normalised
inside, so nothing depends on tiles. {steps} micro-batches of {batch} swaps with a known
truth, {seeds} seeds (mean ± standard deviation over seeds), fitted on {fitted} slides
of the three scanners and scored on {scored} others, none of which is reported anywhere
else. *Swap* and *same content* are mean PSNR of {exam} swaps of single tiles; *leak* is
the excess over chance of a probe on content-only tiles under four known looks, from
colours and from random convolutions; *edges* is the median gradient correlation. These
are single tiles on tuning slides: they choose what to build, they are not its figures.
"""


class Content(nn.Module):
    """Content maps (B, n, h, w) of framed images: themselves, corrected, and more."""

    def __init__(self, channels: int, maps: int) -> None:
        super().__init__()
        widths = (channels, WIDTH, WIDTH, WIDTH)
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            layers += [nn.Conv2d(i, o, 3, padding=1), nn.LeakyReLU()]
        last = nn.Conv2d(WIDTH, maps, 3, padding=1)
        with torch.no_grad():
            assert last.bias is not None
            last.weight[:channels].zero_()
            last.bias.zero_()
        self.layers = nn.Sequential(*layers, last)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Maps of framed images (B, C, h, w)."""
        maps: torch.Tensor = self.layers(z.clamp(-6, 6))
        n = z.shape[1]
        return torch.cat([z + maps[:, :n], maps[:, n:]], dim=1)


@dataclass(frozen=True, eq=False)
class Look:
    """Attribute of images: frame W (B, C, C) and b (B, C), and matrix (B, C, n)."""

    w: torch.Tensor
    b: torch.Tensor
    matrix: torch.Tensor
    correction: torch.Tensor

    def mean(self) -> Look:
        """One look for all: the mean of the ways back from content."""
        back = torch.linalg.inv(self.w)
        middle = (back @ -self.b[..., None])[..., 0].mean(0)
        w = torch.linalg.inv(back.mean(0)).expand_as(self.w)
        b = -(w @ middle[:, None])[..., 0]
        return Look(w, b, self.matrix.mean(0).expand_as(self.matrix), self.correction)


class Framed(nn.Module):
    """The networks together; without ``content`` it is that of `affine`."""

    def __init__(self, affine: AffineNet, *, content: bool) -> None:
        super().__init__()
        n, seen = affine.channels, affine.n_features + len(affine.centre)
        self.affine = affine
        self.content = Content(n, MAPS) if content else nn.Identity()
        self.maps = MAPS if content else n
        last = nn.Linear(128, n * self.maps)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(nn.Linear(seen, 128), nn.ReLU(), last)

    def look(self, view: View) -> Look:
        """Attribute of every tile."""
        anchor, scale = (v[..., None, None] for v in middle_frame(view.moments))
        features = self.affine.see((view.signal - anchor) / scale)
        correction = self.affine(features, view.statistics)
        w, b = frame(view.moments, correction, weight(share(view.moments)))
        n = self.affine.channels
        matrix = torch.eye(n, self.maps).expand(len(w), n, self.maps)
        if self.maps > n:
            seen = torch.cat([features, self.affine.standard(view.statistics)], dim=1)
            matrix = matrix + 0.1 * self.head(seen).reshape(matrix.shape)
        return Look(w, b, matrix, correction)

    def encode(self, signal: torch.Tensor, look: Look) -> torch.Tensor:
        """Content maps."""
        framed = look.w @ signal.flatten(2) + look.b[..., None]
        maps: torch.Tensor = self.content(framed.reshape(signal.shape))
        return maps

    def render(self, maps: torch.Tensor, look: Look) -> torch.Tensor:
        """Signal (B, C, h, w) of content under a look: one matrix per image."""
        framed = look.matrix @ maps.flatten(2) - look.b[..., None]
        signal = torch.linalg.solve(look.w, framed)
        return signal.reshape(len(maps), -1, *maps.shape[2:])


# --- fitting --------------------------------------------------------------------------
def fit(tiles: Given, seed: int, steps: int, *, content: bool) -> Framed:
    """Train on swaps with a known truth."""
    torch.manual_seed(seed)
    first = [_swaps(tiles, (seed, 0, i)).statistics for i in range(FIRST)]
    affine = AffineNet(3, first[0].shape[1])
    affine.begin(torch.cat(first))
    net = Framed(affine, content=content)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=max(steps + 1, 11), pct_start=0.1
    )
    for index in range(1, steps + 1):
        optimiser.zero_grad()
        _loss(net, _swaps(tiles, (seed, 2, index))).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        rate.step()
    return net.eval()


def _swaps(tiles: Given, seed: tuple[int, ...]) -> Swaps:
    return make(tiles.learn, "brightfield", BATCH, seed)


def _loss(net: Framed, swaps: Swaps) -> torch.Tensor:
    source, donor, alike = (
        net.look(view) for view in (swaps.source, swaps.donor, swaps.alike)
    )
    maps = net.encode(swaps.source.signal, source)
    swapped, same = (
        _decibels(net.render(maps, look), swaps.truth).mean() for look in (donor, alike)
    )
    size = torch.stack([source.correction, donor.correction]).square().mean()
    return SIZE * size - (swapped + ALIKE * same) * float(np.log(10) / 10)


def _decibels(signal: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    error = show(signal.clamp(-0.5, 4.0), "brightfield") - truth
    return -10 * torch.log10(error.square().mean((1, 2, 3)) + 3e-5)


# --- scores ---------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Dealt:
    """Tiles (N, C, h, w) under four known looks: which look, and whose slide."""

    signal: torch.Tensor
    look: Array
    group: Array


def deal(tiles: Given, groups: int) -> Dealt:
    """Deal the benchmarks' looks at random over scored tiles."""
    rng = np.random.default_rng(4)
    families = GENERATORS["brightfield"]
    four = [families[i % len(families)](rng, 3) for i in range(4)]
    few = [tile for own in tiles.scored[:LOOKS] for tile in own[:TILES]]
    # looks go round the slides
    group = [
        i % groups for i, own in enumerate(tiles.scored[:LOOKS]) for _ in own[:TILES]
    ]
    label = rng.integers(4, size=len(few))
    seen = [_under(four[k], t, rng) for k, t in zip(label, few, strict=True)]
    return Dealt(torch.stack(seen), label, np.array(group))


def _under(look: Seen, tile: Array, rng: np.random.Generator) -> torch.Tensor:
    grey = _grey(torch.from_numpy(tile)).astype(np.uint8).transpose(1, 2, 0)
    seen = torch.from_numpy(look.photograph(grey, rng).astype(np.float32) / 255)
    return see(seen.permute(2, 0, 1), "brightfield")


def _grey(signal: torch.Tensor) -> Array:
    shown: Array = (255 * show(signal, "brightfield")).round().numpy()
    return shown


def leaks(dealt: Dealt, made: torch.Tensor) -> list[float]:
    """Excess from colours and from convolutions, and gradient correlation."""
    before, after = _grey(dealt.signal), _grey(made)
    excess = [
        _excess(np.stack([read(p) for p in after]), dealt)
        for read in (colour_features, convolution_features)
    ]
    pairs = zip(before, after, strict=True)
    edges = [gradient_correlation(a, b).correlation for a, b in pairs]
    return [*excess, float(np.median(edges))]


def _excess(features: Array, dealt: Dealt) -> float:
    folds = min(5, len(np.unique(dealt.group)))
    return probe(features, dealt.look, dealt.group, folds=folds).excess


@torch.no_grad()
def scores(net: Framed, swaps: Swaps, dealt: Dealt) -> list[float]:
    """Swap, same content, leaks and edges of a network."""
    maps = net.encode(swaps.source.signal, net.look(swaps.source))
    decibels = [
        float(_decibels(net.render(maps, net.look(seen)), swaps.truth).mean())
        for seen in (swaps.donor, swaps.alike)
    ]
    look = net.look(view(dealt.signal, "brightfield"))
    made = net.render(net.encode(dealt.signal, look), look.mean())
    return [*decibels, *leaks(dealt, made)]


def rival(name: str, swaps: Swaps, dealt: Dealt) -> list[str]:
    """A closed form on the same swaps and tiles."""
    form = closed_forms("brightfield")[name]
    pixels = (rows(tile.numpy(), "brightfield") for tile in dealt.signal)
    white = np.zeros(3)
    own = [
        form.estimate(Sample(*one, white, "brightfield"), form.config())
        for one in pixels
    ]
    look = np.mean(own, axis=0)
    made = [form.transfer(t, v, look) for t, v in zip(dealt.signal, own, strict=True)]
    decibels = f"{exam_of(form, swaps).mean():.2f}"
    numbers = leaks(dealt, torch.stack(made))
    return [f"`{name}`", decibels, "", *told(np.array([numbers]), (2, 2, 3)), ""]


def _one(job: tuple[str, int, int, str, int]) -> tuple[str, list[float], float]:
    kind, seed, steps, source, looks_each = job
    torch.set_num_threads(1)
    tiles = contrimix.given(source, looks_each)
    began = time.process_time()
    net = fit(tiles, seed, steps, content=KINDS[kind])
    took = (time.process_time() - began) / steps
    _, swaps, dealt = shared(source, looks_each)
    return kind, scores(net, swaps, dealt), took


def shared(source: str, looks_each: int) -> tuple[Given, Swaps, Dealt]:
    """Tiles of tuning slides, swaps of those that are scored, and these under looks."""
    tiles = contrimix.given(source, looks_each)
    _, scored = contrimix.parts(source_of(source))
    if len(tiles.scored) != looks_each:
        raise ValueError("a slide gave too few tiles to tell whose tile is whose")
    groups = contrimix.learning.n_kept(len(scored))
    swaps = make(tiles.scored, "brightfield", EXAM, (0, 99))
    return tiles, swaps, deal(tiles, groups)


def source_of(name: str) -> contrimix.Source:
    """A source by its name."""
    return next(s for s in contrimix.SOURCES if s.name == name)


def told(values: Array, digits: Sequence[int]) -> list[str]:
    """Mean over rows of each column, and their standard deviation if there are any."""
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else None
    means = [f"{m:.{d}f}" for m, d in zip(values.mean(axis=0), digits, strict=True)]
    if spread is None:
        return means
    return [f"{t} ± {s:.{d}f}" for t, s, d in zip(means, spread, digits, strict=True)]


def section(source: str, looks_each: int, steps: int, seeds: Sequence[int]) -> str:
    """The section as Markdown."""
    _, swaps, dealt = shared(source, looks_each)
    jobs = [(kind, seed, steps, source, looks_each) for seed in seeds for kind in KINDS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(_one, jobs))
    table = []
    for kind in KINDS:
        own = [(numbers, took) for name, numbers, took in done if name == kind]
        numbers = told(np.array([numbers for numbers, _ in own]), (2, 2, 2, 2, 3))
        table.append([kind, *numbers, f"{np.mean([took for _, took in own]):.2f}"])
    table += [rival(name, swaps, dealt) for name in closed_forms("brightfield")]
    fitted, scored = contrimix.parts(source_of(source))
    known = {"maps": MAPS, "steps": steps, "batch": BATCH, "seeds": len(seeds)}
    kept = contrimix.learning.n_kept
    known |= {"fitted": kept(len(fitted)), "scored": kept(len(scored)), "exam": EXAM}
    head = ["network", "swap dB", "same content dB", "leak: colours"]
    head += ["leak: convolutions", "edges", "s per step"]
    return page.section(
        COMMAND, INTRODUCTION.format(**known), report.table(head, table)
    )


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
