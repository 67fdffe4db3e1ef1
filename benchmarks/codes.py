"""Codes of objects: which tell kinds of cells from few examples, and not the look.

python benchmarks/codes.py [--quick] [--seeds 0 1 2 3 4] [--sources smears nuclei]
python benchmarks/codes.py --backgrounds
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import coding
import numpy as np
import torch
from coding import Array, Known
from torch import nn
from torch.nn import functional

import napari_disentangle as nd
from napari_disentangle.audit import colour_features, convolution_features
from napari_disentangle.compute.device import one_thread
from napari_disentangle.objects.coders.views.learn import Choice, learning
from napari_disentangle.objects.coders.views.net import Encoder
from napari_disentangle.objects.coders.views.use import Learned, Seen
from napari_disentangle.objects.crops import crops
from napari_disentangle.objects.finder import tensors_of

RAW, CONTENT = "raw", "content-only"
SHOTS = (2, 5, 20)
SOURCES = {
    "smears": coding.smears,
    "synthetic": coding.synthetic,
    "nuclei": coding.nuclei,
}
_STEPS, _QUICK, _MAIN = 400, 5, 32
_BOTH = Choice()
_Row = tuple[tuple[str, str], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sources", nargs="+", default=[*SOURCES], choices=SOURCES)
    parser.add_argument("--codes", nargs="+", default=[*CODES], choices=CODES)
    parser.add_argument("--backgrounds", action="store_true")
    args = parser.parse_args()
    if args.backgrounds:
        _backgrounds(args.seeds)
        return
    for source in args.sources:
        rows: dict[tuple[str, str], list[list[float]]] = {}
        for seed in args.seeds:
            for key, found in _one(source, seed, args.quick, args.codes):
                rows.setdefault(key, []).append(found)
        _print(source, rows, len(args.seeds))


def _one(source: str, seed: int, quick: bool, names: Sequence[str]) -> Iterator[_Row]:
    few = (
        {"smears": (20, 12), "synthetic": (16,), "nuclei": (6,)}[source]
        if quick
        else ()
    )
    learn, score = SOURCES[source](seed, *few)
    model = nd.fit(list(learn.objects.images))
    for sight, on in ((RAW, None), (CONTENT, model)):
        seen, asked = (seen_of(known.objects, on) for known in (learn, score))
        measured = nd.code(score.objects, "measured", on).values
        steps = _QUICK if quick else _STEPS
        every = {name: CODES[name](seen, asked, seed, steps) for name in names}
        for name, codes in {"measured": measured, **every}.items():
            yield (name, sight), _scores(codes, score, seed)


def _scores(codes: Array, score: Known, seed: int) -> list[float]:
    if (score.kinds == score.kinds[0]).all():
        return [np.nan, np.nan, np.nan, coding.look_read(codes, score), np.nan, np.nan]
    told = [coding.told(codes, score, shots, seed) for shots in SHOTS]
    return [*told, coding.look_read(codes, score), *coding.grouped(codes, score)]


def seen_of(objects: nd.Objects, on: nd.Model | None) -> Seen:
    parts = [Seen.of(part, objects) for part in crops(objects, on=on)]
    names = ("values", "masks", "sizes")
    return Seen(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


# --- codes ----------------------------------------------------------------------------
def colours(seen: Seen, asked: Seen, seed: int, steps: int) -> Array:
    return np.stack([
        np.concatenate([colour_features(one), convolution_features(one)])
        for one in asked.values.astype(float)
    ])  # fmt: skip


def _components(seen: Seen, asked: Seen, seed: int, steps: int) -> Array:
    flat = seen.values.reshape(len(seen.values), -1)
    main = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:_MAIN]
    return np.asarray(asked.values.reshape(len(asked.values), -1) @ main.T)


def _untrained(seen: Seen, asked: Seen, seed: int, steps: int) -> Array:
    return viewed(seen, asked, seed, 1)


def viewed(
    seen: Seen, asked: Seen, seed: int, steps: int, choice: Choice = _BOTH
) -> Array:
    """Codes of an encoder that learned from other objects."""
    begin = time.process_time()
    for step in learning([seen], seed, steps, choice):
        last = step
    spent = time.process_time() - begin
    print(f"seed {seed}: {choice}, {spent:.0f} CPU-seconds", file=sys.stderr)
    weights = last.weights()
    assert weights is not None
    return Learned(weights.tensors)(asked)


# --- encoders that learn from other tasks, as rivals ----------------------------------
class Rival(nn.Module):
    """The same encoder, with what it learns with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = Encoder(channels)
        self.turn = nn.Linear(32, 4)
        self.paint = nn.Linear(32, channels * 256)


Task = Callable[[Rival, torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def _rotation(
    rival: Rival, x: torch.Tensor, size: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """By how many quarters a picture is turned (Gidaris et al. 2018)."""
    turns = torch.randint(0, 4, (len(x),), generator=generator)
    turned = [torch.rot90(x, int(turn), (2, 3)) for turn in range(4)]
    seen = torch.stack(turned)[turns, torch.arange(len(x))]
    return functional.cross_entropy(rival.turn(rival.net(seen, size)), turns)


def _denoiser(
    rival: Rival, x: torch.Tensor, size: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The picture at half its resolution, from a noisy one."""
    noisy = x + torch.randn(x.shape, generator=generator)
    painted = rival.paint(rival.net(noisy, size))
    truth = functional.avg_pool2d(x[:, :-1], 2)
    return functional.mse_loss(painted.reshape(truth.shape), truth)


def _tasked(seen: Seen, asked: Seen, seed: int, steps: int, *, task: Task) -> Array:
    begin = learning([seen], seed, 1)
    *_, first = begin
    assert first.standard is not None
    values, masks, sizes = first.standard.apply(seen)
    x = torch.cat([values, masks[:, None]], 1)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    rival = Rival(values.shape[1])
    optimiser = torch.optim.AdamW(rival.parameters(), 3e-3)
    with one_thread():
        for _ in range(2 * steps):  # of one view each, where "views" sees two
            drawn = torch.randperm(len(x), generator=generator)[:128]
            loss = task(rival, x[drawn], sizes[drawn], generator)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    known = {name: getattr(first.standard, name) for name in ("mean", "std", "size")}
    return Learned({**known, **tensors_of(rival.net)})(asked)


COLOURS = "colours and random convolutions"
CODES: dict[str, Callable[[Seen, Seen, int, int], Array]] = {
    COLOURS: colours,
    "principal components": _components,
    "views": viewed,
    "views without backgrounds": partial(viewed, choice=Choice(backgrounds=False)),
    "views without looks": partial(viewed, choice=Choice(looks=False)),
    "views that differ only in turn": partial(viewed, choice=Choice(False, False)),
    "untrained": _untrained,
    "rotation": partial(_tasked, task=_rotation),
    "denoiser": partial(_tasked, task=_denoiser),
}


# --- the same objects on other backgrounds -------------------------------------------
def _backgrounds(seeds: Sequence[int]) -> None:
    """How alike codes of one object on two backgrounds are, with that view or not."""
    print(
        "\n| views | cosine of codes on two backgrounds, less their mean |\n|---|---|"
    )
    for name, swapped in (("on other backgrounds", True), ("on their own", False)):
        alike = [_alike(seed, swapped) for seed in seeds]
        print(f"| {name} | {np.mean(alike):.3f} ± {np.std(alike):.3f} |", flush=True)


def _alike(seed: int, swapped: bool) -> float:
    learn = coding.on_backgrounds(600, seed, 0)
    *_, last = learning([learn], seed, _STEPS, Choice(backgrounds=swapped))
    weights = last.weights()
    assert weights is not None
    coder = Learned(weights.tensors)
    middle = coder(learn).mean(0)
    one, other = (
        coder(coding.on_backgrounds(200, 1000 + seed, i)) - middle for i in (0, 1)
    )
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(1) / norms).mean())


# --- table ----------------------------------------------------------------------------
def _print(
    source: str, rows: dict[tuple[str, str], Sequence[list[float]]], seeds: int
) -> None:
    print(f"\n{source}: {seeds} seeds; mean and spread over seeds\n")
    columns = " | ".join(f"{shots} cells per kind" for shots in SHOTS)
    print(f"| codes | of | {columns} | look read | groups: kinds | groups: look |")
    print(f"|---|---|{'---|' * (len(SHOTS) + 3)}")
    for (name, sight), found in rows.items():
        both = zip(np.mean(found, 0), np.std(found, 0), strict=True)
        cells = " | ".join(f"{mean:.3f} ± {std:.3f}" for mean, std in both)
        print(f"| {name} | {sight} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
