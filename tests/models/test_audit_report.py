"""`nd.report`: one row per model, and numbers that a person would miss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import napari_disentangle as nd
from napari_disentangle.errors import DataError
from napari_disentangle.samples import synthetic

SCANNERS = (synthetic.VIOLET, synthetic.ROSE)


def slide(seed: int, look: Any) -> nd.Field:
    picture = synthetic.render(synthetic.tissue(seed, 96), look, 1.0, seed)
    return nd.Field(picture, "YXC", name=f"slide {seed}")


SLIDES = [slide(seed, SCANNERS[seed % 2]) for seed in range(8)]
BATCH = ["a", "b"] * 4


@pytest.fixture(scope="module")
def found() -> Any:
    return nd.report(nd.fit(SLIDES, "macenko"), SLIDES, batch=BATCH)


def test_the_audited_model_comes_first_and_all_closed_forms_after_it(
    found: Any,
) -> None:
    names = [row.model for row in found.rows]
    assert names[:2] == ["raw", "macenko"]
    assert {"balanced", "levels", "meanstd", "mk", "percentile"} < set(names)
    assert len(set(names)) == len(names)
    assert not {"affine", "identity"} & set(names)
    assert (found.n_images, found.n_tiles) == (8, 8)


def test_the_batch_is_read_from_images_and_less_from_content(found: Any) -> None:
    raw, macenko = found.rows[:2]
    assert raw.colour_leak == 1
    assert macenko.by_batch < raw.by_batch - 0.3
    assert raw.batches_near == 1
    assert macenko.batches_near > 1.1


def test_what_a_swap_leaves_and_what_content_keeps(found: Any) -> None:
    for row in found.rows[1:]:
        assert row.colours_left < 0.5, row.model
        assert row.gradients > 0.9, row.model
        assert 0 <= row.clipped < 0.05
        assert row.seconds > 0
    assert found.rows[1].nuclei > 0.8
    assert np.isnan(found.rows[0].gradients)


def test_printing_gives_a_table_with_nothing_where_nothing_is_known(found: Any) -> None:
    head, line, raw, *rest = str(found).splitlines()
    assert head.startswith("| model | colour_leak |")
    assert len(rest) == len(found.rows) - 1
    assert {text.count("|") for text in (head, line, raw, *rest)} == {head.count("|")}
    assert "nan" not in str(found)
    assert raw.endswith("|  |  |  |  |  |")


def test_biology_that_a_model_wipes_out_is_seen() -> None:
    images = []
    for number in range(4):
        cells = np.zeros((64, 64))
        cells[8::16, 8 + number :: 16] = 1
        bright = (20_000, 60_000)[number % 2]
        image = 500 + bright * gaussian_filter(cells, 3)
        images.append(nd.Field(image.astype("uint16"), "YX", modality="fluorescence"))
    kinds = ["dim", "bright"] * 2
    model = nd.fit(images, "meanstd_unmasked")
    raw, own, *_ = nd.report(model, images, biology=kinds).rows
    assert raw.by_biology > 0.9
    assert own.by_biology < 0.5
    assert np.isnan(raw.colour_leak)


def test_without_batches_images_are_swapped_among_each_other() -> None:
    one, other = SLIDES[:2]
    report = nd.report(nd.fit([one, other], "mk"), [one, other])
    assert report.rows[1].colours_left < 0.2


@pytest.mark.parametrize("size", [16, 70, 260])
def test_few_images_of_any_size_are_compared(size: int) -> None:
    """Four images, and blocks at the border of a few pixels."""
    rng = np.random.default_rng(0)
    images = [
        nd.Field(rng.integers(100, 255, (size, size, 3)).astype("uint8"), "YXC")
        for _ in range(4)
    ]
    report = nd.report(nd.fit(images, "mk"), images, batch=["a", "b"] * 2)
    assert report.n_tiles == 4
    assert np.isfinite([row.colour_leak for row in report.rows]).all()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (SLIDES[:1], {}),
        ([*SLIDES[:2], nd.Field(np.full((8, 99, 3), 200, np.uint8), "YXC")], {}),
        ([*SLIDES[:2], nd.Field(np.full((64, 64, 3), 200, np.uint8), "YXC")], {}),
        (SLIDES[:3], {"batch": ["a", "b"]}),
        (SLIDES[:3], {"batch": ["a", "a", "b"]}),
        (SLIDES[:2], {"biology": ["a", "a"]}),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(images: Any, labels: Any) -> None:
    model = nd.fit(SLIDES[0], "mk")
    with pytest.raises(nd.DisentangleError, match=r"give|compares|leave"):
        nd.report(model, images, **labels)


def test_parts_with_unknown_pixels_are_left_out():
    rng = np.random.default_rng(0)
    drawn = gaussian_filter(rng.gamma(0.3, 9, (2, 600, 600)), (0, 5, 5))
    values = drawn.astype(np.float32)
    values[1, :100, :100] = np.nan
    images = [nd.Field(one, "YX", name=f"image {i}") for i, one in enumerate(values)]
    report = nd.report(nd.fit(images, "meanstd"), images)
    assert np.isfinite(report.rows[1].gradients)
    holes = values[0].copy()
    holes[::50, ::50] = np.nan
    nowhere = nd.Field(holes, "YX", name="holes")
    with pytest.raises(DataError, match="'holes' has no part"):
        nd.report(nd.fit(images, "meanstd"), [images[0], nowhere])
