"""The learned attribute against closed forms, where it was trained and where not.

``python benchmarks/trained.py`` trains the models first; then ``python
benchmarks/affine.py`` scores them and writes its section of ``docs/benchmarks.md``.
``--quick`` prints a short run with the bundled model on what is always there.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import affine_report
import forms
import numpy as np
import page
import swap
import torch
import trained
from results import Score
from sources import SOURCES, Pair, Source, pairs, reported
from trained import SCANNERS, UNSEEN, Task

import napari_disentangle as nd
from napari_disentangle.model.fit import beginning, no_look
from napari_disentangle.model.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from looks import Array, Generator

    from napari_disentangle.model.base import Weights

PAIRS, POOLED, CONSISTENT = 48, 1, 12
POOL = 8
# Of crops and looks that nothing was settled on; fits have their own.
SEED = 3
FIT_SEED = 0
FITS, FIT_STEPS = 3, 300
GENERATORS = swap.GENERATORS
LEARNED = "affine"


@dataclass(frozen=True, eq=False)
class Contender:
    """A model by name, with the weights of each seed if it has learned."""

    name: str
    model: str
    weights: tuple[Weights | None, ...] = (None,)
    config: Mapping[str, object] = field(default_factory=dict)

    def models(self, picture: Array) -> Iterator[nd.Model]:
        """One model per seed, whose reference is the look of a picture."""
        for weights in self.weights:
            yield with_weights(picture, self.model, weights, **self.config)


def with_weights(
    picture: Array, name: str, weights: Weights | None, **config: object
) -> nd.Model:
    """A model whose reference is the look of a picture."""
    field = swap.field_of(picture)
    known = beginning(field, name, **config)
    model = no_look(replace(known, weights=weights)) if weights else known
    return replace(model, reference=model.attribute(field))


def closed_forms(source: Source) -> list[Contender]:
    """All models that learn nothing and can work on a source."""
    fitting = [n for n, e in nd.models().items() if source.modality in e.modalities]
    return [
        Contender(n, n) for n in fitting if n != "identity" and not MODELS[n].learns
    ]


def learned(name: str, task: str, *, own: bool) -> Contender:
    """The learned model of every seed."""
    tasks = (Task(task, own=own, seed=seed) for seed in trained.SEEDS)
    return Contender(name, LEARNED, tuple(trained.weights(t) for t in tasks))


def bundled(source: Source) -> list[Contender]:
    """The learned models for a source as they come with the package."""
    known = [f"{name}-{source.modality}" for name in (LEARNED, "contrimix")]
    names = [name.partition("-")[0] for name in known if name in nd.zoo()]
    return [Contender(f"{name} (bundled)", name) for name in names]


# --- swaps ------------------------------------------------------------------------
def swaps(
    source: Source, contenders: Sequence[Contender], limit: int
) -> Iterator[Score]:
    """Score known-truth swaps of pictures that no model has seen."""
    for number, pair in enumerate(pairs(source, limit, SEED)):
        for generator in GENERATORS[source.modality]:
            rng = np.random.default_rng(
                (SEED, zlib.crc32(source.name.encode()), number)
            )
            case = swap.case_of(pair, generator, rng)
            label = (source.name, generator.__name__, pair.group, number)
            for one in contenders:
                made = [_swap(model, case) for model in one.models(case.picture)]
                yield Score(*label, one.name, *np.mean(made, axis=0))
            best = forms.best(case, forms.mixed)
            yield Score(*label, affine_report.BEST, *_scores(best, case.truth))
            yield Score(*label, affine_report.NONE, *_scores(case.picture, case.truth))


def _swap(model: nd.Model, case: swap.Case) -> tuple[float, float]:
    swapped, _ = swap.swapped(model, case.picture, case.donor)
    return _scores(swapped, case.truth)


def _scores(image: Array, truth: Array) -> tuple[float, float]:
    return swap.psnr(image, truth), swap.difference(image, truth)


# --- pooling ------------------------------------------------------------------------
def pooled(contenders: Sequence[Contender]) -> Iterator[Score]:
    """Swaps whose attributes are measured on one patch or eight, of held-out slides."""
    source = _source(SCANNERS)
    slides = [g for g in reported(source) if len(g.images) >= 2 * POOL]
    for number, slide in enumerate(slide for slide in slides for _ in range(POOLED)):
        rng = np.random.default_rng((SEED, number))
        order = rng.permutation(len(slide.images))
        patches = [slide.images[i]() for i in order[: 2 * POOL]]
        own, others = patches[:POOL], patches[POOL:]
        for generator in GENERATORS["brightfield"]:
            look = generator(rng, 3)
            donors = [look.photograph(patch, rng) for patch in others]
            truth = look.change(own[0])
            label = (SCANNERS, generator.__name__, slide.name, number)
            for one in contenders:
                for name, made in _pooled(one, own, donors, truth):
                    yield Score(*label, name, *made)


def _pooled(
    one: Contender, own: Sequence[Array], donors: Sequence[Array], truth: Array
) -> Iterator[tuple[str, tuple[float, float]]]:
    for k_own, k_donor in ((1, 1), (POOL, 1), (1, POOL), (POOL, POOL)):
        made = []
        for model in one.models(own[0]):
            source, donor = (
                model.attribute([swap.field_of(p) for p in part], pool="batch")
                for part in (own[:k_own], donors[:k_donor])
            )
            image = model.render(swap.field_of(own[0]), donor, source)
            made.append(_scores(image, truth))
        mean = np.mean(made, axis=0)
        yield f"{one.name} | {k_own}, {k_donor}", (float(mean[0]), float(mean[1]))


# --- content ------------------------------------------------------------------------
def consistency(
    source: Source, contenders: Sequence[Contender], limit: int
) -> Iterator[Score]:
    """How alike content-only images are, in decibels.

    ``psnr`` is about two pictures of one slide or field under two looks: by how much
    the colour statistics of their content-only images differ otherwise than those of
    the pictures as they came, which have one look. ``difference`` is the signal to
    noise ratio between the content-only images of one picture under two looks.
    """
    for number, pair in enumerate(pairs(source, limit, SEED)):
        for generator in GENERATORS[source.modality]:
            rng = np.random.default_rng((SEED, 1, number))
            views = _views(pair, generator, rng)
            if not all(_shows(picture) for picture in (pair.first, *views)):
                continue  # no model can say anything about it
            label = (source.name, generator.__name__, pair.group, number)
            for one in contenders:
                models = one.models(pair.first)
                made = [_consistent(model, pair, views) for model in models]
                yield Score(*label, one.name, *np.mean(made, axis=0))


def _views(
    pair: Pair, generator: Generator, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """A picture under two looks, and another picture under the second."""
    channels = 3 if pair.first.dtype == np.uint8 else len(pair.first)
    one, other = (generator(rng, channels) for _ in "ab")
    first = one.photograph(pair.first, rng)
    return first, other.photograph(pair.first, rng), other.photograph(pair.second, rng)


def _shows(picture: Array) -> bool:
    """Whether there is anything to measure."""
    return nd.fit(swap.field_of(picture), "balanced").reference.found


def _consistent(
    model: nd.Model, pair: Pair, views: Sequence[Array]
) -> tuple[float, float]:
    first, same, crop = (
        model.content(swap.field_of(v)).astype(np.float64) for v in views
    )
    top = 255.0 if views[0].dtype == np.uint8 else 1.0
    truly = _colours(pair.first) - _colours(pair.second)
    apart = (_colours(first) - _colours(crop) - truly) / top
    noise = ((first - same) ** 2).mean()
    agree = -10 * np.log10((apart**2).mean() + 1e-10)
    return float(agree), float(10 * np.log10(first.var() / (noise + 1e-12)))


def _colours(image: Array) -> Array:
    """Mean and standard deviation of every channel (2C,)."""
    plane = (0, 1) if image.shape[-1] == 3 else (1, 2)
    return np.concatenate([image.mean(axis=plane), image.std(axis=plane)])


# --- fitting on opened images ---------------------------------------------------------
@dataclass(frozen=True)
class Fitted:
    """A fit on two images: what it took, and what it won on their held-out tiles."""

    source: str
    images: str
    seconds: float
    steps: int
    better: float
    verdict: str


def fits(
    source: Source, count: int, steps: int, model: str = LEARNED
) -> Iterator[Fitted]:
    """Fit on two whole images at a time, as the widget does."""
    groups = reported(source)[: 2 * count]
    for one, other in zip(groups[::2], groups[1::2], strict=False):
        fields = [swap.field_of(g.images[0](), g.name) for g in (one, other)]
        began = time.perf_counter()
        for step in nd.fit_steps(fields, model, seed=FIT_SEED, steps=steps):
            last = step
        last.model()
        took = time.perf_counter() - began
        progress = last.progress
        yield Fitted(
            source.name,
            f"{one.name}, {other.name}",
            took,
            progress.index,
            progress.better,
            progress.verdict,
        )


# --- speed ----------------------------------------------------------------------------
def speed(names: Sequence[str], edge: int = 1024) -> dict[str, tuple[float, float]]:
    """Seconds per megapixel, of one thread: measuring a look, and rendering."""
    rng = np.random.default_rng(0)
    picture = rng.integers(60, 250, (edge, edge, 3)).astype(np.uint8)
    picture[: edge // 2] //= 2
    field = swap.field_of(picture)
    found = {}
    for name in names:
        model = with_weights(picture, name, None)
        began = time.process_time()
        look = model.attribute(field)
        measured = time.process_time()
        target = replace(look, values=look.values * 1.01)
        model.render(field, target, look)
        megapixels = edge**2 / 1e6
        found[name] = (
            (measured - began) / megapixels,
            (time.process_time() - measured) / megapixels,
        )
    return found


def _source(name: str) -> Source:
    return next(s for s in SOURCES if s.name == name)


def held_out_whole(name: str) -> tuple[list[Score], list[Score]]:
    """Swaps and consistency on one source, by models that never saw it, and others."""
    torch.set_num_threads(1)
    source = _source(name)
    unknown = learned("affine (never saw it)", name, own=False)
    models = [*closed_forms(source), unknown]
    if name in affine_report.SPLIT:
        models.append(bundled(source)[0])
    scores = list(swaps(source, models, PAIRS))
    return scores, list(consistency(source, models, CONSISTENT))


def fitted_on_scanners(part: str) -> list[Score]:
    """Scores of models that were fitted on other slides of the three scanners."""
    torch.set_num_threads(1)
    source = _source(SCANNERS)
    own = [*closed_forms(source), learned("affine (fitted)", SCANNERS, own=True)]
    if part == "swaps":
        return list(swaps(source, own, PAIRS))
    if part == "pooled":
        return list(pooled(own))
    return list(consistency(source, own, CONSISTENT))


def full() -> str:
    """Everything, as Markdown."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        fitted = pool.map(fitted_on_scanners, ("pooled", "swaps", "alike"))
        found = list(pool.map(held_out_whole, UNSEEN))
        on_pools, on_swaps, on_alike = fitted
    scores = [score for swapped, _ in found for score in swapped]
    alike = [score for _, consistent in found for score in consistent]
    return affine_report.section(
        seeds=", ".join(map(str, trained.SEEDS)),
        unseen=[s for s in scores if s.model != "affine (bundled)"],
        known=[
            s
            for s in scores
            if s.model != "affine (never saw it)" and s.source in affine_report.SPLIT
        ],
        fitted=on_swaps,
        pooled=on_pools,
        alike=alike,
        alike_fitted=on_alike,
        fits=[
            fit
            for name in (trained.BLOOD, trained.VIOLET, trained.NUCLEI)
            for fit in fits(_source(name), FITS, FIT_STEPS)
        ],
        curves=_curves(),
        speed=speed([n for n, e in nd.models().items() if n != "identity"]),
    )


def _curves() -> Mapping[str, list[list[float]]]:
    tasks = [t for t in trained.TASKS if t.seed == 0]
    return {
        f"{'fitted on' if t.own else 'without'} {t.name}": trained.weights(t).card[
            "curve"
        ]
        for t in tasks
    }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="bundled images, printed")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    if quick:
        source = _source("blood smears (bundled)")
        found = list(swaps(source, [*closed_forms(source), *bundled(source)], 2))
        sys.stdout.write(affine_report.paired(found, "affine (bundled)"))
        return
    page.put(full())


if __name__ == "__main__":
    main()
