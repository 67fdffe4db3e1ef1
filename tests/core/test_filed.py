"""Results too large for memory can be seen while they are computed."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Recording, scene

import napari_disentangle as nd
from napari_disentangle.errors import DataError
from napari_disentangle.layers.filed import Focus, filed, unfinished
from napari_disentangle.layers.save import write_layer
from napari_disentangle.pipeline.output import make

TILE = 32


@cache
def result(shape: tuple[int, ...], axes: str, kind: str = "anomaly") -> Any:
    """A result in small tiles."""
    field = nd.Field(scene(axes, shape), axes)
    model = nd.fit(field, "meanstd")
    detector = nd.fit_detector(field, "mahalanobis", on=model)
    return replace(make(model, field, kind, detector=detector).lazy, tile=TILE)


@pytest.mark.parametrize(
    ("axes", "shape"), [("YXC", (150, 120, 3)), ("ZYX", (3, 100, 70))]
)
def test_what_is_filled_is_the_result_and_its_means(axes: str, shape: Any) -> None:
    lazy = result(shape, axes)
    levels, steps = filed(lazy, "computing", Focus())
    assert not np.asarray(levels[0]).any()
    list(steps)
    whole = np.asarray(lazy)
    np.testing.assert_array_equal(levels[0], whole)
    for large, small in pairwise(levels):
        h, w = (n // 2 * 2 for n in large.shape[-2:])
        inner = np.asarray(large)[..., :h, :w]
        blocks = inner.reshape(*inner.shape[:-2], h // 2, 2, w // 2, 2)
        seen = np.asarray(small)[..., : h // 2, : w // 2]
        np.testing.assert_allclose(seen, blocks.mean(axis=(-3, -1)), atol=1e-5)


@given(y=st.integers(0, 159), x=st.integers(0, 127), t=st.integers(0, 1))
def test_the_tile_that_is_looked_at_comes_first(y: int, x: int, t: int) -> None:
    lazy = result((2, 160, 128), "TYX", "content")
    focus = Focus({"T": t, "Y": y, "X": x})
    levels, steps = filed(lazy, "computing", focus)
    rows, columns = (slice(n // TILE * TILE, (n // TILE + 1) * TILE) for n in (y, x))
    begun = 4 * TILE**2  # in other threads, at most
    next(step for step in steps if np.asarray(levels[0][t, rows, columns]).any())
    assert np.count_nonzero(levels[0]) <= begun
    focus.place = {"T": 1 - t, "Y": 0, "X": 0}  # a person moves on
    next(step for step in steps if np.asarray(levels[0][1 - t, :TILE, :TILE]).any())
    assert np.count_nonzero(levels[0]) <= 2 * begun
    steps.close()


def test_nobody_looks_any_more(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    focus = Focus()
    levels, steps = filed(result((160, 128), "YX"), "computing", focus)
    next(step for step in steps if step.done > 0)
    focus.wanted = False
    assert max([step.done for step in steps], default=0) < 0.5
    assert unfinished(levels)
    del levels, steps
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_layer_is_not_saved_before_it_is_computed(tmp_path: Any) -> None:
    levels, steps = filed(result((160, 128), "YX"), "computing", Focus())
    known = {"name": "map", "multiscale": True}
    next(steps)
    with pytest.raises(DataError, match="'map' is not computed to its end"):
        write_layer(str(tmp_path / "map.ome.tif"), levels, known)
    assert not list(tmp_path.iterdir())
    list(steps)
    write_layer(str(tmp_path / "map.ome.tif"), levels, known)
    np.testing.assert_array_equal(nd.read(tmp_path / "map.ome.tif").data, levels[0])


def test_no_room_is_one_sentence(tmp_path: Any, monkeypatch: Any) -> None:
    levels, steps = filed(result((160, 128), "YX"), "computing", Focus())

    def full(self: Any, key: Any, values: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(levels[0].array), "__setitem__", full)
    with pytest.raises(DataError, match=r"No space left on device.*make room"):
        list(steps)
    assert unfinished(levels)


def test_a_channel_is_not_read_to_be_chosen() -> None:
    from napari_disentangle.files.stored import Plane, Turned

    stored = Recording(np.arange(2 * 30 * 40).reshape(2, 30, 40))
    plane = Plane(Turned(stored, (1, 0, 2)), 1, 1)
    assert (plane.shape, plane.dtype) == ((30, 40), stored.dtype)
    assert stored.values_read == 0
    np.testing.assert_array_equal(plane[3:5, 7:9], stored.array[1, 3:5, 7:9])
    assert stored.values_read == 4


def test_a_stack_is_smoothed_where_it_is_looked_at() -> None:
    """Planes along Z go together, those of other times come later."""
    lazy = result((3, 2, 100, 70), "TZYX")
    levels, steps = filed(lazy, "computing", Focus({"T": 2, "Z": 0, "Y": 5, "X": 5}))
    begun = {step.done: np.asarray(levels[0]).any(axis=(1, 2, 3)) for step in steps}
    order = [*map(tuple, begun.values())]
    assert order.index((False, False, True)) < order.index((True, True, True))
    np.testing.assert_array_equal(levels[0], np.asarray(lazy))
