"""Whether tiles tell how they lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_disentangle.audit import turned


def blobs(seed: int, edge: int) -> np.ndarray:
    """Round objects that lie as they like."""
    rng = np.random.default_rng(seed)
    spots = gaussian_filter((rng.random((edge, edge)) < 0.004).astype(float), 4)
    return 200 * spots + 0.2 + 0.01 * rng.normal(size=(edge, edge))


def test_stripes_tell_quarters_apart_but_not_halves() -> None:
    stripes = 0.1 * np.sin(np.arange(320) * 2 * np.pi / 6)[:, None]
    found = turned([(blobs(s, 320) + stripes)[None] for s in range(4)], 32, steps=150)
    assert found.told
    same = found.confusion[[0, 0, 1, 1, 2, 2, 3, 3], [0, 2, 1, 3, 0, 2, 1, 3]]
    assert same.sum() / 4 > 0.9
    assert found.accuracy < 0.75
    np.testing.assert_allclose(found.confusion.sum(1), 1)


def test_the_seed_decides_it_and_nothing_else() -> None:
    images = [blobs(s, 320)[None] for s in range(2)]
    one, other = (turned(images, 32, steps=3, seed=1) for _ in range(2))
    assert (one.confusion == other.confusion).all()


def test_few_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match="tiles of 64 pixels are too few"):
        turned(blobs(0, 200)[None])


@pytest.mark.slow
def test_light_that_falls_off_is_told_until_it_is_taken_out() -> None:
    fields = [blobs(seed, 1024) for seed in range(4)]
    light = 0.3 + 1.4 * np.linspace(0, 1, 1024)
    uneven = [field * light for field in fields]
    flat = gaussian_filter(np.mean(uneven, axis=0), 80, mode="nearest")
    assert not turned([field[None] for field in fields], 128).told
    assert turned([field[None] for field in uneven], 128).accuracy > 0.6
    assert not turned([(field / flat)[None] for field in uneven], 128).told
