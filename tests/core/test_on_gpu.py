"""What a GPU would find is what the CPU finds, and everything of it lies on the GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import fitted
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import napari_disentangle as nd
from napari_disentangle.compute.device import exactly
from napari_disentangle.compute.iterators import finished
from napari_disentangle.detector import gpu as on_gpu
from napari_disentangle.detector.masked import attenuation
from napari_disentangle.model import model
from napari_disentangle.samples.synthetic import VIOLET, render, tissue

NAMES = ("mahalanobis", "knn", "context", "fader")
# So many steps that what is hidden from it matters to a predictor.
MORE = {"context": {"steps": 60}}


def picture(seed: int, edge: int = 64) -> nd.Field:
    return nd.Field(render(tissue(seed, edge), VIOLET, noise=2.0, seed=seed), "YXC")


@pytest.fixture(scope="module")
def detectors():
    """At full and at half resolution; one of two faders is attenuated."""
    normal, found, better = [picture(seed, 128) for seed in range(2)], [], count()
    for cell, rise in ((14.0, -np.inf), (28.0, np.inf)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attenuation, "_RISE", rise)
            patch.setattr(attenuation, "_auroc", lambda *_: next(better))
            found += [fitted(normal, n, cell=cell, **MORE.get(n, {})) for n in NAMES]
    gated = [d.view.learned["attenuated"] for d in found if d.name == "fader"]
    assert gated == [0, 1]
    assert [d.view.shrink for d in found] == 4 * [1] + 4 * [2]
    return found


@pytest.fixture(scope="module")
def context():
    """A detector that computes convolutions."""
    return fitted(picture(0, 128), "context", cell=14.0)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_look_as_tensors_is_that_of_arrays(detectors, data):
    normal = data.draw(st.sampled_from(detectors)).normal
    h, w = (data.draw(st.integers(9, 60)) for _ in "yx")
    signal = np.moveaxis(picture(h).data[:h, :w], -1, 0).astype(np.float32) / 255
    signal[:, : data.draw(st.integers(0, 9)), :8] = np.nan
    signal[:, -1, -1] = data.draw(st.sampled_from((0.5, 1e3)))
    kept = tuple(slice(n - data.draw(st.integers(1, n)), n) for n in (h, w))
    known = finished(normal.scoring(signal, kept))
    maps = finished(on_gpu.scoring(normal, torch.from_numpy(signal), kept)).numpy()
    expected = () if known.expected is None else known.expected
    for found, own in zip(maps, (known.raw, known.more, *expected), strict=True):
        np.testing.assert_allclose(found, own, rtol=1e-4, atol=1e-4)


def same(one: nd.Score, two: nd.Score) -> None:
    np.testing.assert_allclose(one.z, two.z, atol=1e-3)
    if two.expected is not None:
        differ = one.expected.astype(int) - two.expected
        assert np.abs(differ).max() <= 1
        assert np.count_nonzero(differ) <= 1e-4 * differ.size


@pytest.mark.slow
def test_a_detector_finds_the_same_by_either(detectors, monkeypatch):
    known = [detector.score(picture(9)) for detector in detectors]
    monkeypatch.setattr(on_gpu, "sees", lambda *_: True)
    for detector, score in zip(detectors, known, strict=True):
        same(detector.score(picture(9)), score)
        if score.expected is not None:
            expected = np.moveaxis(np.asarray(detector.expected(picture(9))), -1, 0)
            np.testing.assert_array_equal(expected, detector.score(picture(9)).expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_what_the_cpu_finds(detectors):
    for detector in detectors:
        same(*(detector.score(picture(9), device=d) for d in ("cuda:0", "cpu")))


# What may see tensors that are elsewhere: it moves them.
MOVES = ("aten.to.", "aten._to_copy", "aten.lift_fresh")


class OnMeta(TorchDispatchMode):
    """Refuses what a GPU refuses: tensors elsewhere, products of unlike numbers."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [x for x in tree_leaves((args, kwargs)) if torch.is_tensor(x)]
        if not str(function).startswith(MOVES):
            assert {x.device.type for x in tensors} <= {"meta"}, function
        if "mm" in str(function) or "conv" in str(function):
            assert len({x.dtype for x in tensors}) == 1, function
        return function(*args, **(kwargs or {}))


@pytest.mark.slow
def test_everything_is_on_the_device_of_the_signal(detectors):
    signal = torch.zeros((3, 40, 44), device="meta")
    for detector in detectors:
        kept = (slice(3, 30), slice(0, 44))
        with OnMeta():
            found = finished(on_gpu.scoring(detector.normal, signal, kept))
        maps = 5 if detector.view.expects else 2
        assert (found.device.type, found.shape) == ("meta", (maps, 27, 44))


@pytest.mark.slow
def test_detectors_by_filters_see_on_an_nvidia_gpu_and_nowhere_else(detectors):
    for name in nd.detectors():
        view = type(detectors[0].view)(name, None)
        assert on_gpu.sees(view, "cuda:1") == (name in NAMES)
        assert not on_gpu.sees(view, "cpu")
        assert not on_gpu.sees(view, "mps")


# --- convolutions ---------------------------------------------------------------------
def convolutions():
    cudnn = torch.backends.cudnn
    return cudnn.conv.fp32_precision, cudnn.deterministic, cudnn.enabled


@pytest.fixture(params=["tf32", "none", "ieee", "generic tf32"])
def usual(request):
    """What a person has set for convolutions, in either way that torch has."""
    before = torch.backends.cudnn.conv.fp32_precision
    precision = request.param.removeprefix("generic ")
    if precision != request.param:
        torch.backends.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision
    yield convolutions()
    torch.backends.fp32_precision = "none"
    torch.backends.cudnn.conv.fp32_precision = before


def test_convolutions_are_not_rounded_until_the_last_thread_is_done(usual):
    first, second = exactly("cuda:0"), exactly("cuda:1")
    with exactly("cpu"):
        assert convolutions() == usual
    first.__enter__()
    second.__enter__()
    assert convolutions() == ("ieee", True, True)
    first.__exit__(None, None, None)
    assert convolutions() == ("ieee", True, True)
    second.__exit__(None, None, None)
    assert convolutions() == usual


def test_what_is_computed_on_a_gpu_is_computed_exactly(context):
    image, seen = picture(9), []

    @dataclass(frozen=True)
    class Elsewhere:
        """A detector's operation that says to run on a GPU."""

        inner: Any
        device: str = "cuda:0"

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def steps(self, plane, lead, kept):
            for step in self.inner.steps(plane, lead, kept):
                seen.append(convolutions())
                yield step
            return np.zeros((1, 64, 64), np.float32)

    lazy, usual = context.lazy(image), convolutions()
    np.asarray(replace(lazy, operation=Elsewhere(lazy.operation)))
    assert set(seen) == {("ieee", True, True)} != {usual}
    assert convolutions() == usual


def test_tiles_are_larger_on_a_gpu(context, monkeypatch):
    monkeypatch.setattr(model, "pick", lambda device: "cuda:0")
    made = [context.whole(picture(9), device=d) for d in ("auto", "cuda:0")]
    assert len({lazy.tile for lazy in made}) == 1
    monkeypatch.undo()
    assert made[0].tile > context.whole(picture(9), device="cpu").tile
