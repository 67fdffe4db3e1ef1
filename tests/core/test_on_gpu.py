"""What a GPU would find is what the CPU finds, and everything of it lies on the GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import napari_disentangle as nd
from napari_disentangle.detection import on_gpu
from napari_disentangle.steps import finished
from napari_disentangle.synthetic import VIOLET, render, tissue

NAMES = ("mahalanobis", "knn")


def picture(seed: int, edge: int = 64) -> nd.Field:
    return nd.Field(render(tissue(seed, edge), VIOLET, noise=2.0, seed=seed), "YXC")


@pytest.fixture(scope="module")
def detectors():
    normal = [picture(seed) for seed in range(2)]
    return [nd.fit_detector(normal, n, cell=c) for n in NAMES for c in (14.0, 28.0)]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_look_as_tensors_is_that_of_arrays(detectors, data):
    normal = data.draw(st.sampled_from(detectors)).normal
    h, w = (data.draw(st.integers(9, 60)) for _ in "yx")
    signal = np.random.default_rng(h * w).random((3, h, w), np.float32)
    signal[:, : data.draw(st.integers(0, 3)), 4] = np.nan
    kept = tuple(slice(n - data.draw(st.integers(1, n)), n) for n in (h, w))
    expected = finished(normal.looking(signal, kept))
    raw, more = on_gpu.maps(normal, torch.from_numpy(signal), kept).numpy()
    np.testing.assert_allclose(raw, expected.raw, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(more, expected.more, rtol=1e-4, atol=1e-4)


def test_a_detector_finds_the_same_by_either(detectors, monkeypatch):
    expected = [detector.score(picture(9)).z for detector in detectors]
    monkeypatch.setattr(on_gpu, "sees", lambda *_: True)
    for detector, z in zip(detectors, expected, strict=True):
        np.testing.assert_allclose(detector.score(picture(9)).z, z, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_what_the_cpu_finds(detectors):
    for detector in detectors:
        here, there = (detector.score(picture(9), device=d) for d in ("cpu", "cuda:0"))
        np.testing.assert_allclose(there.z, here.z, atol=1e-3)


class OnMeta(TorchDispatchMode):
    """Refuses what a GPU refuses: tensors elsewhere, products of unlike numbers."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [x for x in tree_leaves((args, kwargs)) if torch.is_tensor(x)]
        if "_to_copy" not in str(function) and "lift_fresh" not in str(function):
            assert {x.device.type for x in tensors} <= {"meta"}, function
        if "mm" in str(function):
            assert len({x.dtype for x in tensors}) == 1, function
        return function(*args, **(kwargs or {}))


def test_everything_is_on_the_device_of_the_signal(detectors):
    signal = torch.zeros((3, 40, 44), device="meta")
    for detector in detectors:
        kept = (slice(3, 30), slice(0, 44))
        with OnMeta():
            found = on_gpu.maps(detector.normal, signal, kept)
        assert (found.device.type, found.shape) == ("meta", (2, 27, 44))


def test_only_what_is_not_trained_is_seen_on_an_nvidia_gpu(detectors):
    for name in nd.detectors():
        sight = type(detectors[0].sight)(name, None)
        assert on_gpu.sees(sight, "cuda:1") == (name in NAMES)
        assert not on_gpu.sees(sight, "cpu")
        assert not on_gpu.sees(sight, "mps")
