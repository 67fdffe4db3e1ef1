"""A result does not depend on how the image was cut: for every model and detector."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from strategies import MODELS, SCORERS, fitted, scene

import napari_disentangle as nd

if TYPE_CHECKING:
    from napari_disentangle.compute.lazy import LazyImage

WHOLE = 10**6
TILES = (19, 32, 64)
# Convolutions of tiles of different sizes differ in the last bit, and this map of a
# hardly trained network has little spread: measured up to 1.2e-5.
SHAPES = {
    "brightfield": [("YXC", (101, 75, 3)), ("ZYXC", (2, 45, 33, 3))],
    "fluorescence": [("YX", (101, 75)), ("TCZYX", (2, 2, 2, 45, 33))],
}
OUTPUTS = [(*case, kind) for case in MODELS for kind in ("swap", "content", "maps")]
OUTPUTS += [(name, "brightfield", "anomaly") for name in SCORERS]
OUTPUTS += [(name, "fluorescence", "anomaly") for name in SCORERS]


def assert_tiled_equals_whole(
    tiled: np.ndarray, whole: np.ndarray, share: float = 1e-5
) -> None:
    """Floats to 1e-5 standard deviations; integers one level on 0.01 % of values."""
    assert tiled.dtype == whole.dtype
    difference = np.abs(tiled.astype(float) - whole.astype(float))
    if whole.dtype.kind == "f":
        assert difference.max() <= share * whole.std()
    else:
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-4


def output(name: str, kind: str, image: nd.Field, other: nd.Field, pool) -> LazyImage:
    """The output of a model, or the map of a detector, with stored statistics."""
    model = nd.fit([image, other], "mk" if kind == "anomaly" else name)
    own = model.attribute(image, pool)
    detector = fitted(other, name, model) if kind == "anomaly" else None
    return nd.apply(model, image, kind, other, detector=detector, source=own)


@pytest.mark.parametrize("pool", ["image", "frame"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("name", "modality", "kind"), OUTPUTS)
def test_any_tiling_gives_the_whole(name, modality, kind, dtype, pool):
    for axes, shape in SHAPES[modality]:
        image, other = (
            nd.Field(scene(axes, shape, dtype, seed), axes) for seed in (0, 1)
        )
        lazy = output(name, kind, image, other, pool)
        whole = np.asarray(replace(lazy, tile=WHOLE))
        for tile in TILES:
            assert_tiled_equals_whole(np.asarray(replace(lazy, tile=tile)), whole)


@pytest.mark.parametrize(
    ("name", "axes", "shape"),
    [
        ("context", "YX", (40, 300)),
        ("autopaint", "CYX", (2, 101, 60)),
        pytest.param("autopaint", "YX", (40, 300), marks=pytest.mark.slow),
        pytest.param("fader", "YX", (40, 300), marks=pytest.mark.slow),
        pytest.param("context", "CYX", (3, 60, 101), marks=pytest.mark.slow),
    ],
)
def test_any_tiling_gives_the_whole_map_of_a_learner(name, axes, shape):
    """They see far, so that every tile costs much: one type and few tiles are enough.

    In the longest image there are tiles whose surroundings end inside the image on
    both sides.
    """
    image = nd.Field(scene(axes, shape, "float32"), axes)
    small = nd.Field(scene(axes, (*shape[:-2], 64, 64), "float32", 1), axes)
    lazy = output(name, "anomaly", image, small, "image")
    whole = np.asarray(replace(lazy, tile=WHOLE))
    tiled = np.asarray(replace(lazy, tile=40))
    share = 1e-5
    assert_tiled_equals_whole(tiled, whole, share)
    region = np.asarray(lazy[33:38, 11:53])
    assert np.abs(region - whole[33:38, 11:53]).max() <= share * whole.std()


@pytest.mark.parametrize(
    ("name", "cell"), [("mahalanobis", 28), ("knn", 42), ("context", 28)]
)
def test_any_tiling_gives_the_whole_where_cells_are_large(name, cell):
    """Squares of pixels are looked at then, and tiles may begin inside of them."""
    image = nd.Field(scene("YX", (101, 173), "float32"), "YX")
    normal = nd.Field(scene("YX", (192, 192), "float32", 1), "YX")
    detector = fitted(normal, name, None, cell=cell)
    assert detector.view.shrink == cell / 14
    lazy = detector.whole(image)
    whole = np.asarray(replace(lazy, tile=WHOLE))
    for tile in (19, 40):
        tiled = np.asarray(replace(lazy, tile=tile))
        assert_tiled_equals_whole(tiled, whole)
    region = np.asarray(lazy[..., 33:38, 11:53])
    assert np.abs(region - whole[..., 33:38, 11:53]).max() <= 1e-5 * whole.std()


@pytest.mark.parametrize("kind", ["swap", "content", "maps"])
@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_a_region_read_alone_is_that_of_the_whole(name, modality, kind):
    assert_a_region_is_that_of_the_whole(name, modality, kind)


@pytest.mark.parametrize("modality", SHAPES)
@pytest.mark.parametrize("name", SCORERS)
def test_a_region_scored_alone_is_that_of_the_whole(name, modality):
    assert_a_region_is_that_of_the_whole(name, modality, "anomaly")


def assert_a_region_is_that_of_the_whole(name, modality, kind):
    axes, shape = SHAPES[modality][0]
    image, other = (
        nd.Field(scene(axes, shape, "uint16", seed), axes) for seed in (0, 1)
    )
    lazy = output(name, kind, image, other, "image")
    whole = np.asarray(lazy)
    region = {"Y": slice(33, 90), "X": slice(11, 53)}
    key = tuple(region.get(axis, slice(None)) for axis in lazy.axes)
    assert_tiled_equals_whole(np.asarray(lazy[key]), whole[key])


def test_measuring_every_tile_by_itself_would_be_noticed():
    axes, shape = SHAPES["brightfield"][0]
    image, other = (
        nd.Field(scene(axes, shape, "uint8", seed), axes) for seed in (0, 1)
    )
    model = nd.fit([image, other], "meanstd")
    naive = np.empty_like(image.data)
    for y in range(0, shape[0], 64):
        part = np.s_[y : y + 64]
        naive[part] = model.swap(replace(image, data=image.data[part]), other)
    with pytest.raises(AssertionError):
        assert_tiled_equals_whole(naive, model.swap(image, other))
