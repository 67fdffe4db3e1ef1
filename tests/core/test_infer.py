"""A lazy result is read like a numpy array, and computes only what is read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Lock

import dask.array as da
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    DETECTORS,
    LEARNERS,
    Recording,
    fitted,
    image,
    in_turn,
    scene,
    threads,
)

import napari_disentangle as nd
from napari_disentangle.compute.device import use_threads
from napari_disentangle.image.tiling import Span

AXES, SHAPE = "TZCYX", (2, 3, 2, 23, 29)


@pytest.fixture(scope="module")
def lazy():
    field = nd.Field(scene(AXES, SHAPE, "uint16"), AXES)
    model = nd.fit(field, "meanstd")
    donor = nd.Field(scene(AXES, SHAPE, "uint16", seed=1), AXES)
    return replace(nd.apply(model, field, "swap", donor), tile=8)


def steps(n):
    """Forward slices of an axis, also empty ones and ones beyond its ends."""
    edge = st.one_of(st.none(), st.integers(-n - 3, n + 3))
    return st.builds(slice, edge, edge, st.one_of(st.none(), st.integers(1, n + 1)))


@st.composite
def indices(draw, shape):
    """Basic indices: ints, slices, an Ellipsis, or fewer of them than axes."""
    items = [
        draw(st.one_of(st.integers(-n, n - 1), steps(n)) if n else steps(n))
        for n in shape
    ]
    start = draw(st.integers(0, len(shape)))
    stop = draw(st.integers(start, len(shape)))
    if draw(st.booleans()):
        items[start:stop] = [Ellipsis]
    elif draw(st.booleans()):
        items = items[:start]
    return items[0] if len(items) == 1 else tuple(items)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_indexing_is_that_of_numpy(lazy, whole, data):
    view, expected = lazy, whole
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(indices(expected.shape))
        view, expected = view[key], expected[key]
        assert view.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(view), expected)
    assert np.asarray(view).dtype == whole.dtype
    assert (view.ndim, view.size, view.nbytes) == (
        expected.ndim,
        expected.size,
        expected.nbytes,
    )


@pytest.fixture(scope="module")
def whole(lazy):
    return np.asarray(lazy)


@pytest.mark.parametrize("key", [([0, 1],), (..., [3, 1, 1]), (..., None)])
def test_fancy_indexing_computes_at_once(lazy, whole, key):
    np.testing.assert_array_equal(lazy[key], whole[key])


def test_reading_backwards_is_refused_in_words(lazy):
    with pytest.raises(IndexError, match=r"backwards: use np\.asarray"):
        lazy[..., ::-1]


@pytest.mark.parametrize("key", [5, (0, 0, 0, 0, 29), (0,) * 6])
def test_an_index_beyond_the_array_is_an_index_error(lazy, key):
    with pytest.raises(IndexError):
        lazy[key]


@pytest.mark.parametrize(
    "key",
    [..., 0, np.s_[..., 3], np.s_[1, ..., ::3, 4:20:5], np.s_[:0], np.s_[..., 5:5]],
)
def test_progress_counts_the_steps_that_are_taken(lazy, key):
    view = lazy[key]
    out = np.empty(view.shape, view.dtype)
    assert list(view.fill(out)) == list(range(1, view.parts() + 1))


def test_dask_reads_it_chunk_by_chunk(lazy, whole):
    array = da.from_array(lazy, chunks=(1, 1, 2, 11, 13), asarray=False)
    np.testing.assert_array_equal(array[1, ::2, 0].compute(), whole[1, ::2, 0])
    np.testing.assert_array_equal(da.from_array(lazy, chunks=16).compute(), whole)


def test_only_the_asked_region_is_read():
    source = Recording(scene("ZYX", (5, 200, 300)))
    field = nd.Field(source, "ZYX")
    model = nd.fit(field, "meanstd")
    own = model.attribute(field)
    source.reads.clear()
    lazy = model.lazy(field, replace(own, values=own.values + 1), own)
    assert source.reads == []
    np.asarray(lazy[3, 10:20, 40:45])
    assert source.values_read == 10 * 5


def test_a_detector_reads_its_halo_and_no_more():
    source = Recording(scene("YX", (200, 300)))
    field = nd.Field(source, "YX")
    detector = nd.fit_detector(field)
    lazy = detector.lazy(field)
    halo = lazy.operation.halo
    source.reads.clear()
    np.asarray(lazy[100:110, 150:155])
    read = Span(100, 110).grow(halo, 200), Span(150, 155).grow(halo, 300)
    assert source.reads == [tuple(map(len, read))]
    assert all(
        len(span) < size + 2 * halo + 8
        for span, size in zip(read, (10, 5), strict=True)
    )


def test_every_level_of_a_pyramid_is_rendered_from_its_own():
    levels = [scene("YX", (64, 80)), scene("YX", (32, 40), seed=1)]
    field = nd.Field(levels, "YX")
    model = nd.fit(field, "meanstd")
    donor = model.attribute(nd.Field(scene("YX", (64, 80), seed=2), "YX"))
    lazy = nd.apply(model, field, "swap", donor)
    own = model.attribute(field)
    for level, array in zip(lazy.levels, levels, strict=True):
        alone = model.render(nd.Field(array, "YX"), donor, source=own)
        np.testing.assert_array_equal(np.asarray(level), alone)


def test_a_coarse_plane_takes_the_attribute_of_the_plane_it_shows():
    """Five planes become three: they show planes 0, 1 and 3."""
    levels = [scene("ZYX", (5, 64, 80)), scene("ZYX", (3, 32, 40), seed=1)]
    field = nd.Field(levels, "ZYX")
    model = nd.fit(field, "meanstd")
    donor = model.attribute(nd.Field(scene("YX", (64, 80), seed=2), "YX"))
    flat = model.attribute(field)
    rows = flat.values * np.linspace(0.5, 1.5, 5)[:, None]
    own = replace(flat, values=rows, axes="Z")
    coarse = np.asarray(model.lazy(field, donor, own).levels[1])
    for i, shown in enumerate([0, 1, 3]):
        plane = nd.Field(levels[1][i], "YX")
        source = replace(flat, values=rows[shown])
        alone = model.render(plane, donor, source=source)
        np.testing.assert_array_equal(coarse[i], alone)


@pytest.mark.parametrize("name", in_turn(DETECTORS))
def test_a_map_is_scored_at_full_resolution_only(name):
    """What is normal was learned there; coarser pixels have other statistics."""
    levels = [scene("YX", (96, 96)), scene("YX", (48, 48), seed=1)]
    field = nd.Field(levels, "YX")
    model = nd.fit(field, "meanstd")
    detector = fitted(field, name, model)
    lazy = nd.apply(model, field, "anomaly", detector=detector)
    (only,) = lazy.levels
    alone = detector.score(nd.Field(levels[0], "YX"), model.attribute(field))
    np.testing.assert_array_equal(np.asarray(only), alone.z)


@pytest.mark.parametrize("name", in_turn(LEARNERS))
def test_a_tile_that_takes_long_can_be_stopped_in_between(name):
    """After every pass of a predictor, of which there are three at least."""
    field = image("fluorescence", size=96)
    lazy = fitted(field, name).lazy(field)
    counts = list(lazy.fill(np.empty(lazy.shape, lazy.dtype)))
    assert lazy.parts() == 1
    assert counts[:3] == [0, 0, 0]
    assert counts[-1] == 1


@pytest.mark.parametrize("name", ["content", *in_turn(DETECTORS)])
def test_threads_change_no_byte(name):
    """A tile is computed in one thread, however many are computed at once."""
    field = nd.Field(scene("ZYX", (2, 96, 56)), "ZYX")
    model = nd.fit(field, "meanstd")
    detector = None if name == "content" else fitted(field, name, model)
    output = "content" if name == "content" else "anomaly"
    lazy = replace(nd.apply(model, field, output, detector=detector), tile=48)
    with threads(1):
        one = np.asarray(lazy)
    with threads(3):
        np.testing.assert_array_equal(np.asarray(lazy), one)


class File:
    """An array that is read from one place, which takes a while, like a file."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.place = Lock()

    def __getitem__(self, key):
        assert self.place.acquire(blocking=False), "two read at once"
        Event().wait(0.001)
        self.place.release()
        return self.array[key]


def test_an_image_is_read_by_one_thread_after_another():
    data = scene("YX", (96, 96), "uint16")
    field, file = nd.Field(data, "YX"), nd.Field(File(data), "YX")
    model = nd.fit(field, "meanstd")
    own, reference = model.attribute(field), model.reference
    lazy = replace(model.lazy(file, reference, own), tile=16)
    with threads(4):
        whole = model.lazy(field, reference, own)
        np.testing.assert_array_equal(np.asarray(lazy), np.asarray(whole))


def test_a_thread_keeps_its_number_whatever_another_sets():
    with threads(4), ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(use_threads, 4).result()
        other.submit(torch.set_num_threads, 1).result()
        assert one.submit(torch.get_num_threads).result() == 4


def test_threads_started_later_have_as_many_as_before():
    field = nd.Field(File(scene("YX", (96, 96))), "YX")
    lazy = replace(nd.apply(nd.fit(field, "meanstd"), field), tile=16)
    for _ in range(5):
        with threads(4), ThreadPoolExecutor(1) as later:
            np.asarray(lazy)
            assert later.submit(torch.get_num_threads).result() == 4


def test_what_does_not_fit_into_memory_is_refused_with_the_way_out():
    field = nd.Field(da.zeros((100_000, 100_000), dtype="uint8"), "YX")
    model = nd.fit(image("fluorescence"), "identity")
    model = replace(model, channels=("intensity",))
    own = replace(model.reference, channels=("intensity",), values=np.empty(0))
    with pytest.raises(nd.DisentangleError, match=r"GiB of memory: use nd\.apply"):
        np.asarray(replace(model, reference=own).lazy(field, own, own))
