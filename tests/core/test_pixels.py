"""Maps of pixels, against the formula in double precision."""

from itertools import product
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_disentangle.image.signal import from_signal, plane_to_signal
from napari_disentangle.model.base import apply_affine
from napari_disentangle.model.pixels import PixelMap

SPACES = ("absorbance", "intensity", "lab")
TYPES = (np.uint8, np.uint16, np.float32)


def exact(move: PixelMap, planes: np.ndarray) -> np.ndarray:
    """The same in double precision, neither rounded nor clipped."""
    double = np.dtype(np.float64)
    signal = plane_to_signal(planes, move.space, move.full_scale, double)
    moved = apply_affine(signal, move.matrix, move.offset)
    return from_signal(moved, move.space, move.full_scale).numpy()


@pytest.mark.parametrize(("space", "dtype"), [*product(SPACES, TYPES)])
@settings(max_examples=15)
@given(seed=st.integers(0, 999), size=st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_a_map_is_the_formula(space, dtype, seed, size):
    rng = np.random.default_rng(seed)
    scale = 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)
    planes = (rng.random((3, *size)) * scale).astype(dtype)
    matrix = np.eye(3) + rng.normal(0, 0.3, (3, 3))
    move = PixelMap(matrix, rng.normal(0, 0.05, 3), space, scale)
    out = np.zeros_like(planes)
    move(planes, out)
    wanted = exact(move, planes)
    if dtype == np.float32:
        np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-4)
        return
    levels = np.clip(np.rint(wanted), 0, scale)
    apart = np.abs(out.astype(np.float64) - levels)
    assert apart.max() <= 1
    rounded = np.abs(np.abs(wanted - np.rint(wanted)) - 0.5) < max(1e-4, 1e-5 * scale)
    assert not apart[~rounded].any()


def test_one_value_in_ten_thousand_is_one_level_off_at_most():
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 256, (3, 512, 512), np.uint8)
    matrix = np.array([[1.1, 0.05, -0.1], [0.02, 0.9, 0.1], [0.0, 0.1, 1.2]])
    move = PixelMap(matrix, np.array([0.01, -0.02, 0.03]), "absorbance", 255.0)
    out = np.empty_like(planes)
    move(planes, out)
    levels = np.clip(np.rint(exact(move, planes)), 0, 255)
    assert (out != levels).mean() < 1e-4


def test_tables_are_faster_than_the_formula():
    planes = np.random.default_rng(0).integers(0, 256, (3, 600, 600), np.uint8)
    move = PixelMap(np.eye(3) + 0.1, np.zeros(3), "absorbance", 255.0)
    out = np.empty_like(planes)
    fast, slow = (
        min(cpu(call) for _ in range(3))
        for call in (lambda: move(planes, out), lambda: exact(move, planes))
    )
    assert slow > 3 * fast


def cpu(call):
    """Seconds of the processor."""
    start = process_time()
    call()
    return process_time() - start


@pytest.mark.parametrize("dtype", TYPES)
def test_a_part_gives_the_bytes_of_the_whole(dtype):
    rng = np.random.default_rng(1)
    planes = (rng.random((3, 90, 80)) * 255).astype(dtype)
    matrix = np.eye(3) + rng.normal(0, 0.2, (3, 3))
    move = PixelMap(matrix, np.full(3, 0.01), "absorbance", 255.0)
    whole, part = np.empty_like(planes), np.empty((3, 31, 17), dtype)
    move(planes, whole)
    move(planes[:, 41:72, 9:26], part)
    if dtype == np.float32:
        np.testing.assert_allclose(part, whole[:, 41:72, 9:26], rtol=1e-6)
    else:
        np.testing.assert_array_equal(part, whole[:, 41:72, 9:26])


@pytest.mark.parametrize("times", [1, 100])
def test_a_map_that_tears_colours_apart_stays_within_the_type(times):
    planes = np.arange(3 * 256, dtype=np.uint8).reshape(3, 16, 16)
    move = PixelMap(times * (40 * np.eye(3) - 20), np.zeros(3), "absorbance", 255.0)
    out = np.empty_like(planes)
    with np.errstate(all="raise", under="ignore"):
        move(planes, out)
    wanted = np.nan_to_num(np.rint(exact(move, planes)), nan=0)
    np.testing.assert_array_equal(out, np.clip(wanted, 0, 255))


def test_channels_that_are_left_alone_are_not_touched():
    planes = np.full((2, 4, 4), 100, np.uint16)
    kept = np.zeros((4, 4), np.uint16)
    move = PixelMap(np.eye(2) * 2, np.zeros(2), "intensity", 65535.0)
    out = [kept, None]
    move(planes, out)
    assert (kept == 200).all()
    assert (planes == 100).all()
