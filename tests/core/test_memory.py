"""Memory is bounded by the tile, and running out of it shrinks the tile, then says."""

from __future__ import annotations

import re
import tracemalloc
from collections import deque
from dataclasses import dataclass, replace
from threading import current_thread, main_thread

import numpy as np
import pytest
import torch
from strategies import (
    LEARNERS,
    SCORERS,
    Endless,
    fitted,
    image,
    in_turn,
    scene,
    threads,
)

import napari_disentangle as nd
from napari_disentangle.compute.device import out_of_memory
from napari_disentangle.compute.lazy import TILE, LazyImage
from napari_disentangle.compute.operation import Gradual
from napari_disentangle.errors import DeviceMemoryError, MemoryRemark
from napari_disentangle.model import measure


class Sink:
    """A target that forgets what is written to it."""

    def __setitem__(self, key, values):
        pass


def peak(work):
    """Largest memory in bytes that was held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def rendered(size):
    """Fit on a virtual plane, and render all of it."""
    source = Endless((size, size))
    field = nd.Field(source, "YX")
    model = nd.fit(field, "meanstd")
    own = model.attribute(field)
    lazy = model.lazy(field, replace(own, values=own.values * 0.9), own)
    deque(replace(lazy, tile=128).fill(Sink()), maxlen=0)
    return source.largest


def test_a_larger_image_needs_no_more_memory():
    rendered(512)  # imports and caches
    assert peak(lambda: rendered(4096)) < 1.1 * peak(lambda: rendered(1024))


def test_no_read_is_larger_than_a_tile():
    assert rendered(4096) <= TILE**2


@pytest.mark.parametrize(
    "name",
    [SCORERS[0], *(pytest.param(n, marks=pytest.mark.slow) for n in SCORERS[1:])],
)
def test_a_detector_needs_no_more_memory_for_a_larger_image(name):
    def scored(size):
        field = nd.Field(Endless((size, size)), "YX")
        lazy = nd.fit_detector(field, name).lazy(field)
        deque(replace(lazy, tile=64)[:256, :256].fill(Sink()), maxlen=0)

    scored(512)
    assert peak(lambda: scored(2**14)) < 1.1 * peak(lambda: scored(1024))


@pytest.mark.parametrize("name", in_turn(LEARNERS))
def test_a_learner_needs_no_more_memory_for_a_larger_image(name):
    """Learning takes a fixed number of blocks, like that of the others above."""
    detector = fitted(nd.Field(Endless((64, 64)), "YX"), name)

    def scored(size):
        lazy = detector.lazy(nd.Field(Endless((size, size)), "YX"))
        deque(replace(lazy, tile=64)[:64, :64].fill(Sink()), maxlen=0)

    scored(512)
    assert peak(lambda: scored(2**14)) < 1.1 * peak(lambda: scored(2**12))


@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif"])
def test_writing_holds_tiles_and_not_the_image(tmp_path, suffix):
    field = nd.Field(Endless((4096, 4096)), "YX")
    model = nd.fit(field, "meanstd")
    lazy = replace(nd.apply(model, field), tile=256)
    written = peak(lambda: deque(nd.write(lazy, tmp_path / f"x{suffix}"), maxlen=0))
    assert written < 4096**2 / 2


# --- out of memory --------------------------------------------------------------------
@dataclass(frozen=True)
class Small:
    """An operation on a device that holds only so many values."""

    inner: object
    most: int
    device: str = "cpu"

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def on(self, device):
        return replace(self, device=device, most=2**40)

    def __call__(self, plane, lead):
        self.hold(plane)
        return self.inner(plane, lead)

    def hold(self, plane):
        if plane.size > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")


class SmallSteps(Small):
    """The same of an operation that can be stopped: memory runs out on the way."""

    def steps(self, plane, lead, kept):
        yield
        self.hold(plane)
        return (yield from self.inner.steps(plane, lead, kept))


def held(lazy, most, device="cpu"):
    kind = SmallSteps if isinstance(lazy.operation, Gradual) else Small
    return np.asarray(
        replace(lazy, operation=kind(lazy.operation, most, device)), float
    )


@pytest.fixture(scope="module", params=["swap", "anomaly"])
def lazy(request):
    field, donor = image("brightfield", size=150), image("brightfield", 1)
    model = nd.fit([field, donor], "mk")
    detector = nd.fit_detector(field, on=model)
    return nd.apply(model, field, request.param, donor, detector=detector)


@pytest.mark.parametrize("most", [100 * 150 * 3, 60 * 160 * 3])
def test_tiles_shrink_until_they_fit(lazy, most):
    words = r"'image 0' in tiles of \d+ x \d+ pixels on cpu: it goes on with smaller"
    with pytest.warns(MemoryRemark, match=words):
        made = held(lazy, most)
    difference = np.abs(made - np.asarray(lazy, float))
    assert difference.max() <= 1e-5 * np.asarray(lazy, float).std()


def test_a_small_device_hands_over_to_the_cpu(lazy):
    words = r"'image 0' in tiles of \d+ x \d+ pixels on cuda:0: it goes on on the CPU"
    with pytest.warns(MemoryRemark) as told:
        made = held(lazy, 0, "cuda:0")
    assert re.search(words, str(told[-1].message))
    difference = np.abs(made - np.asarray(lazy, float))
    assert difference.max() <= 1e-5 * np.asarray(lazy, float).std()


def test_what_does_not_fit_beside_other_tiles_is_computed_alone():
    image = nd.Field(scene("YX", (300, 300)), "YX")
    lazy = replace(nd.apply(nd.fit(image, "meanstd"), image), tile=128)

    class Crowded(Small):
        def hold(self, plane):
            if current_thread() is not main_thread():
                raise MemoryError

    out, counts = np.empty_like(image.data), []
    with threads(2):
        crowded = replace(lazy, operation=Crowded(lazy.operation, 0))
        with pytest.warns(MemoryRemark, match="goes on with smaller"):
            counts += crowded.fill(out)
    np.testing.assert_array_equal(out, np.asarray(lazy))
    assert counts == list(range(1, lazy.parts() + 1))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_no_memory_at_all_ends_in_one_sentence(error):
    class Full(Small):
        def __call__(self, plane, lead):
            raise error("no memory")

    field = nd.Field(scene("YX", (90, 90)), "YX", name="slide 7")
    inner = nd.apply(nd.fit(field, "meanstd"), field).operation
    words = "no memory left for computing 'slide 7' in tiles of 45 x 45 pixels on cpu"
    with pytest.warns(MemoryRemark), pytest.raises(DeviceMemoryError, match=words):
        np.asarray(LazyImage(field, Full(inner, 0)))


class Once:
    """Something that runs out of memory when it is called for the n-th time."""

    def __init__(self, call, n, error=MemoryError):
        self.call, self.n, self.error, self.calls = call, n, error, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls == self.n:
            raise self.error("CUDA out of memory")
        return self.call(*args, **kwargs)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
@pytest.mark.parametrize(
    ("owner", "step"),
    [(nd.Field, "plane"), (measure, "find_foreground"), (measure, "outliers")],
)
def test_every_read_and_every_step_of_measuring_may_run_out(
    owner, step, error, monkeypatch
):
    field = nd.Field(scene("YX", (300, 300)), "YX", name="slide 7")
    model = nd.fit(field, "balanced")

    def measured(n):
        """What is measured if the n-th call runs out of memory, and calls made."""
        counted = Once(getattr(owner, step), n, error)
        measure.KNOWN.clear()
        with monkeypatch.context() as patched:
            patched.setattr(owner, step, lambda *a, **k: counted(*a, **k))
            return model.attribute(field).values, counted.calls

    usual, calls = measured(0)
    assert calls
    words = (
        r"measuring 'slide 7' in blocks of 128 x 128 pixels on cpu: it is tried once"
    )
    for n in range(1, calls + 1):
        with pytest.warns(MemoryRemark, match=words):
            found, _ = measured(n)
        np.testing.assert_array_equal(found, usual)


@pytest.mark.parametrize(
    "words",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: out of memory",
        "CUDNN_STATUS_ALLOC_FAILED",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_memory_that_ran_out_is_known_by_words(words):
    assert out_of_memory(RuntimeError(words))
    assert not out_of_memory(RuntimeError("CUDA error: an illegal memory access"))
