"""ContriMix as a model, as published and by default: exact in tiles, sound, in words.

Nothing here depends on how good a fit is: models are fitted for a few steps.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import napari_disentangle as nd
from napari_disentangle import synthetic
from napari_disentangle.audit import seam_score
from napari_disentangle.batch import Inputs, follow
from napari_disentangle.cli import main
from napari_disentangle.device import one_thread
from napari_disentangle.errors import ChannelError, DataError, ModelFileError
from napari_disentangle.lessons import Mixing
from napari_disentangle.measure import NO_FOREGROUND
from napari_disentangle.methods.contrimix import Config
from napari_disentangle.nets.contrimix import ContriMix
from napari_disentangle.nets.contrimix_architecture import PUBLISHED, Architecture
from napari_disentangle.nets.contrimix_losses import LossWeights, mix, total
from napari_disentangle.output import make
from napari_disentangle.rendering import Contents
from napari_disentangle.tiles import Bank
from napari_disentangle.tiling import Span, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_disentangle.model import Model
    from napari_disentangle.rendering import Rendering

STEPS = 10
WHOLE = 10**6
# Largest difference in standard deviations: of float32, and where normalisation by the
# statistics of an image makes its rounding larger, as it does before much is learned.
EXACT = {"frozen": 2e-5, "image": 5e-5}
# Down-factor and statistics.
VARIANTS = [(k, s) for k in (1, 2, 4) for s in ("image", "frozen")]


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """As in a run: threads that wait for each other would slow down a busy machine."""
    with one_thread():
        yield


def picture(seed: int, look: synthetic.Look = synthetic.VIOLET, size: int = 200) -> Any:
    return synthetic.render(synthetic.tissue(seed, size), look, 1.0, seed)


@cache
def slide(seed: int, look: synthetic.Look = synthetic.VIOLET, size: int = 200) -> Any:
    return nd.Field(picture(seed, look, size), "YXC", name=f"slide {seed}")


@cache
def odd(dtype: str = "uint8") -> Any:
    """A slide whose sizes are no multiples of anything, darker to one side."""
    light = picture(5, size=301)[:, :277] * np.linspace(0.4, 1, 277)[:, None]
    kind = np.dtype(dtype)
    top = 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)
    return nd.Field((light / 255 * top).astype(kind), "YXC", name="odd")


def pair() -> list[Any]:
    return [slide(0), slide(1, synthetic.ROSE)]


@cache
def fitted(down: int = 1, statistics: str = "image") -> Model:
    settings = {"preset": "published", "down": down, "statistics": statistics}
    return nd.fit(pair(), "contrimix", steps=STEPS, **settings)


@cache
def by_default() -> Model:
    return nd.fit(pair(), "contrimix", steps=STEPS)


BOTH = [fitted, by_default]


def donor() -> Any:
    return slide(1, synthetic.ROSE)


def network(model: Model) -> ContriMix:
    """The networks that render on the CPU: the very ones, to be watched."""
    net: ContriMix = model.method._net
    return net


def one_sentence(text: str) -> bool:
    return "\n" not in text and 10 < len(text) < 300


# --- as published ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, PUBLISHED),
        ({"attributes": 16, "down": 2}, Architecture(attributes=16, down=2)),
        ({"statistics": "frozen"}, Architecture(norm="frozen")),
    ],
)
def test_the_networks_are_the_published_ones(settings: Any, expected: Any) -> None:
    steps = nd.fit_steps(pair(), "contrimix", steps=1, preset="published", **settings)
    *_, last = steps
    net: Any = last.progress.net
    assert net.architecture == expected
    known = ContriMix(expected)
    assert {k: v.shape for k, v in net.named_parameters()} == {
        k: v.shape for k, v in known.named_parameters()
    }


def test_by_default_they_have_as_many_parameters_as_published() -> None:
    net = network(fitted())
    parts = (net.content, net.attribute, net.generator)
    content, attribute, generator = (
        sum(p.numel() for p in part.parameters()) for part in parts
    )
    assert (content, generator) == (1_108, 0)
    assert 2.54e6 < attribute < 2.56e6


def test_by_default_there_are_the_papers_numbers() -> None:
    config = Config(preset="published")
    assert (config.attributes, config.down, config.mixings) == (4, 1, 3)
    assert config.statistics == "image"


def test_losses_are_weighed_as_published_over_three_mixings() -> None:
    rng = np.random.default_rng(0)
    quarter = rng.random((3, 64, 64)).astype("float32")
    turned = [np.rot90(quarter, i, (1, 2)) for i in range(4)]
    tile = np.mean(turned, axis=0)  # however it is cut and turned, it is the same
    bank = Bank([[[tile, tile]]], [[tile, tile]])
    lesson = Mixing("brightfield", Config(preset="published"))
    net = returned(lesson.begin(bank, 0))
    value, _ = lesson.loss(net, bank, (0, 1))
    images = torch.from_numpy(np.stack([tile] * 4))
    published = LossWeights(0.6, 0.1, 0.2, 0.05)
    expected = {
        mixings: total(mix(net, images, torch.zeros(4, mixings, dtype=int)), published)
        for mixings in (2, 3, 4)
    }
    found = {m: abs((v - value).item()) for m, (v, _) in expected.items()}
    assert found[3] < 1e-5
    assert min(found[2], found[4]) > 1e-3


def returned(steps: Any) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_frozen_statistics_are_those_of_training() -> None:
    """A normalisation that was never fitted would be none."""
    model = nd.fit(
        pair(), "contrimix", steps=20, preset="published", statistics="frozen"
    )
    tensors = model.weights.tensors
    assert model.weights.card["steps"] == 20
    means = [v for k, v in tensors.items() if k.endswith("running_mean")]
    spreads = [v for k, v in tensors.items() if k.endswith("running_var")]
    assert len(means) == len(spreads) == 5
    assert all(np.abs(mean).max() > 1e-3 for mean in means)
    assert all(np.abs(spread - 1).max() > 1e-2 for spread in spreads)


@pytest.mark.parametrize("down", [1, 2, 4])
def test_statistics_of_an_image_are_those_of_instance_normalisation(down: int) -> None:
    model, image = fitted(down), odd("float32")
    net = network(model)
    own, look = model.attribute(image), model.attribute(donor())
    size = net.architecture.n_values * net.architecture.attributes
    render: Any = model.lazy(image, look, own).operation
    found = render.signal(image.plane(()), ())
    absorbance = render._signal(image.plane(()))
    pad = [(-n) % down for n in absorbance.shape[1:]]
    full = torch.nn.functional.pad(absorbance, (0, pad[1], 0, pad[0]), "reflect")
    matrix = torch.from_numpy(look.values[:size]).float()
    matrix = matrix.reshape(1, net.architecture.n_values, -1)
    published = net(full[None], matrix)[0, :, : found.shape[1], : found.shape[2]]
    assert off(found, published) <= EXACT["image"]


# --- tiled equals whole ---------------------------------------------------------------
def off(found: Any, expected: Any) -> float:
    """Largest difference, in standard deviations."""
    return float((found - expected).abs().max() / expected.std())


def in_tiles(render: Rendering, size: int) -> torch.Tensor:
    """The signal (C, Y, X) of the first plane, computed tile by tile."""
    field = render.field
    shape = field.plane_shape
    made = torch.full((len(render.index), *shape), torch.nan)
    region = (Span(0, shape[0]), Span(0, shape[1]))
    lead = next(field.leads())
    for tile in tiles(region, shape, size, render.halo):
        plane = field.plane(lead, tile.outer[0].slice, tile.outer[1].slice)
        y, x = (span.slice for span in tile.inner)
        made[:, y, x] = render.signal(plane, lead)[:, *tile.local]
    return made


@pytest.mark.parametrize(("down", "statistics"), VARIANTS)
def test_any_tiling_gives_the_signal_of_the_whole(down: int, statistics: str) -> None:
    model, image = fitted(down, statistics), odd("float32")
    own, look = model.attribute(image), model.attribute(donor())
    for target in (look, own):
        render: Any = model.lazy(image, target, own).operation
        whole = render.signal(image.plane(()), ())
        assert whole.isfinite().all()
        for size in (37, 64, 200):
            found = in_tiles(render, size)
            assert off(found, whole) <= EXACT[statistics]
            assert float((found - whole).square().mean().sqrt() / whole.std()) < 2e-6


@pytest.mark.parametrize(("down", "statistics"), [*VARIANTS, (0, "default")])
def test_any_tiling_and_any_view_of_eight_bits(down: int, statistics: str) -> None:
    model = fitted(down, statistics) if down else by_default()
    image, own = odd(), None
    for kind in ("swap", "maps"):
        own = own or model.attribute(image)
        lazy = replace(nd.apply(model, image, kind, donor(), source=own), tile=WHOLE)
        whole = np.asarray(lazy)
        for tile in (45, 128):
            same(np.asarray(replace(lazy, tile=tile)), whole)
        y, x = np.s_[33:250:3], np.s_[11:]
        view = (y, x) if kind == "swap" else (slice(None), y, x)
        same(np.asarray(replace(lazy, tile=64)[view]), whole[view])


def same(found: Any, expected: Any) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    difference = np.abs(found.astype(float) - expected.astype(float))
    if expected.dtype.kind == "f":
        assert difference.max() <= EXACT["image"] * expected.std()
    else:
        assert difference.max() <= 1
        assert (difference > 0).mean() < 3e-4


@pytest.mark.parametrize("down", [1, 4])
def test_an_anomaly_map_of_it_does_not_depend_on_tiles(down: int) -> None:
    model, image = fitted(down), odd("float32")
    detector = nd.fit_detector(slide(0), on=model)
    lazy = detector.lazy(image, model.attribute(image))
    whole = np.asarray(replace(lazy, tile=WHOLE))
    assert np.isfinite(whole).all()
    for tile in (50, 128):
        found = np.asarray(replace(lazy, tile=tile))
        assert np.abs(found - whole).max() <= 1e-4 * whole.std()


# --- a slide --------------------------------------------------------------------------
SIDE, TILE = 2048, 256


@pytest.fixture(scope="module")
def large() -> Any:
    """A slide that is lit from one side, as far as a camera sees it."""
    block = picture(3, size=450)
    light = np.linspace(0.3, 1, SIDE)[:, None]
    data = np.tile(block, (5, 5, 1))[:SIDE, :SIDE] * light
    return nd.Field(data.astype("uint8"), "YXC", name="large")


def test_no_seams_on_a_slide_but_with_statistics_of_tiles(large: Any) -> None:
    """Only a row of tiles is computed."""
    model = fitted()
    own, look = model.attribute(large), model.attribute(donor())
    lazy = replace(model.lazy(large, look, own), tile=TILE)
    strip = np.s_[3 * TILE : 4 * TILE]
    render: Any = lazy.operation
    net, n = network(model), 12
    matrix = torch.from_numpy(look.values[:n]).float().reshape(1, 3, 4)
    naive = np.empty_like(large.data[strip])
    exact = np.asarray(lazy[strip])
    shape = large.plane_shape
    region = (Span(strip.start, strip.stop), Span(0, SIDE))
    for tile in tiles(region, shape, TILE, render.halo):
        y, x = (span.slice for span in tile.outer)
        signal = net(render._signal(large.plane((), y, x))[None], matrix)[0]
        shown = 255 * 10 ** -signal[:, *tile.local].clamp(0, 3)
        inner = tile.inner[1].slice
        naive[:, inner] = np.moveaxis(shown.numpy(), 0, -1).round().clip(0, 255)
    source, *both = (np.moveaxis(p, -1, 0) for p in (large.data[strip], exact, naive))
    seen, of_tiles = (seam_score(made, TILE, source) for made in both)
    assert abs(seen - 1) < 0.1
    assert of_tiles > 1.15
    whole = np.asarray(replace(lazy, tile=WHOLE)[strip])
    same(exact, whole)
    with pytest.raises(AssertionError):
        same(naive, whole)


def test_measuring_a_slide_can_be_closed_in_the_middle(large: Any) -> None:
    waits, model = [], fitted(4)
    with closing(model.measuring(large)) as steps:
        before = perf_counter()
        for step in steps:
            assert step is None
            waits.append(perf_counter() - before)
            if len(waits) == 100:
                break
            before = perf_counter()
        start = perf_counter()
    assert perf_counter() - start < 1
    # nothing takes so long that a person would have to wait for it
    assert max(waits) < 1


def test_the_network_of_the_default_does_not_keep_one_waiting(large: Any) -> None:
    waits, before = [], perf_counter()
    for step in by_default().measuring(large):
        waits.append(perf_counter() - before)
        before = perf_counter()
    assert step is not None
    assert len(waits) > 20
    assert max(waits) < 1
