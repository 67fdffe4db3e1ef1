"""What is read of a slide to be seen: what is on the canvas, once, never a plane."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.samples.data import load

EDGE, LEVELS = 16_384, 6


class Level:
    """A level (Y, X, 3) of a slide that is nowhere, and notes the regions read."""

    def __init__(self, size: int, number: int, read: list[Any]) -> None:
        self.shape, self.dtype, self.ndim = (size, size, 3), np.dtype(np.uint8), 3
        self.size = 3 * size**2
        self._number, self._read, self._tile = number, read, load("blood_1")

    def __getitem__(self, key: Any) -> Any:
        y, x = (
            np.arange(*part.indices(n))
            for part, n in zip(key[:2], self.shape, strict=False)
        )
        self._read.append((self._number, y[0], y[-1] + 1, x[0], x[-1] + 1))
        h, w = self._tile.shape[:2]
        return self._tile[np.ix_(y % h, x % w)][:, :, *key[2:]]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        assert self._number == LEVELS - 1, f"level {self._number} is read as a whole"
        return self[:, :, :]


@pytest.fixture
def slide(desk: Any) -> tuple[Any, list[Any]]:
    read: list[Any] = []
    levels = [Level(EDGE >> i, i, read) for i in range(LEVELS)]
    layer = desk.viewer.add_image(levels, rgb=True, name="slide")
    return layer, read


def pixels(region: tuple[int, ...]) -> int:
    _, top, bottom, left, right = region
    return (bottom - top) * (right - left)


def by_panel(desk: Any, donor: Any) -> Any:
    desk.reference(donor)
    desk.run()
    return desk.layer("[swapped]")


def by_console(desk: Any, donor: Any) -> Any:
    model = nd.fit(nd.Field.from_layer(donor), "mk")
    slide = desk.viewer.layers["slide"]
    return nd.add_layers(desk.viewer, model, slide, ["swap"], donor)[0]


@pytest.mark.parametrize(
    "way", [by_panel, pytest.param(by_console, marks=pytest.mark.slow)]
)
def test_what_is_read_is_what_is_seen(desk: Any, slide: Any, way: Any) -> None:
    layer, read = slide
    donor = desk.viewer.add_image(load("blood_2"), rgb=True, name="donor")
    donor.visible = False
    desk.panel.model.setCurrentText("mk")
    desk.settle()
    read.clear()
    assert "swapped" in way(desk, donor).name
    layer.visible = False
    desk.settle()
    canvas = 1600 * 1000  # of the screen: the window is smaller
    assert read
    assert max(map(pixels, read)) <= canvas
    half = EDGE // 2
    middle = (0, half - 256, half + 256, half - 256, half + 256)  # for its kind
    measured = Counter(one for one in read if one[0] == 0 and one != middle)
    assert measured
    assert {*measured.values()} == {1}
    views = (1.0, (4000, 5000)), (0.2, (6000, 7000)), (1.0, (12000, 9000))
    for zoom, centre in views:
        desk.viewer.scene.camera.zoom = zoom
        read.clear()
        desk.viewer.scene.camera.center = (0, *centre)
        desk.settle()
        assert read
        assert max(map(pixels, read)) <= canvas
        assert max(Counter(read).values()) == 1
