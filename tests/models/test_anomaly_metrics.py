"""Figures of anomaly maps are what hand and slow counting say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Few values, so that many are tied; some odd and some normal.
RANKED = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40)
SCORED = RANKED.filter(lambda rows: len({odd for _, odd in rows}) == 2)


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import anomaly_metrics

        return anomaly_metrics


def squares(*corners: tuple[int, int], edge: int = 4, side: int = 40) -> Any:
    """A truth (side, side) with squares at some corners."""
    odd = np.zeros((side, side), bool)
    for y, x in corners:
        odd[y : y + edge, x : x + edge] = True
    return odd


# --- pixels ---------------------------------------------------------------------------
def test_pixel_figures_by_hand(metrics: ModuleType) -> None:
    scores = np.array([[4.0, 3], [3, 1]])
    odd = np.array([[True, True], [False, False]])
    assert metrics.auroc(scores, odd) == 3.5 / 4
    assert metrics.pixel_ap(scores, odd) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@given(SCORED)
def test_pixel_figures_are_what_counting_says(metrics: ModuleType, rows: Any) -> None:
    values, marks = zip(*rows, strict=True)
    scores, odd = np.array(values, float), np.array(marks)
    apart = scores[odd][:, None] - scores[~odd]
    pairs = (apart > 0).mean() + 0.5 * (apart == 0).mean()
    assert_allclose(metrics.auroc(scores, odd), pairs)
    each = [odd[scores >= score].mean() for score in scores[odd]]
    assert_allclose(metrics.pixel_ap(scores, odd), np.mean(each))


@given(SCORED)
def test_order_of_pixels_does_not_matter(metrics: ModuleType, rows: Any) -> None:
    values, marks = (np.array(column) for column in zip(*rows, strict=True))
    for figure in (metrics.auroc, metrics.pixel_ap):
        assert_allclose(figure(values[::-1], marks[::-1]), figure(values, marks))


def test_a_perfect_map_and_one_of_one_value(metrics: ModuleType) -> None:
    odd = squares((3, 3), (20, 30))
    assert metrics.auroc(1.0 * odd, odd) == 1
    assert metrics.pixel_ap(1.0 * odd, odd) == 1
    assert metrics.au_pro([1.0 * odd], [odd]) == pytest.approx(1)
    assert metrics.recall_at_false_regions([1.0 * odd], [odd], per_field=0) == 1
    same = np.ones(odd.shape)
    assert metrics.auroc(same, odd) == 0.5
    assert metrics.pixel_ap(same, odd) == pytest.approx(odd.mean())
    assert metrics.au_pro([same], [odd], 0.2) == pytest.approx(0.1)
    assert metrics.recall_at_false_regions([same], [odd]) == 0


# --- per-region overlap ---------------------------------------------------------------
def test_regions_of_all_sizes_weigh_the_same(metrics: ModuleType) -> None:
    """Two pixels, one pixel and seven normal ones; the third highest is false."""
    odd = np.array([[1, 1, 0, 1, 0, 0, 0, 0, 0, 0]], bool)
    scores = np.array([[9, 7, 7.5, 8, 1, 2, 3, 4, 5, 6]])
    overlap = (0.75 * 1 / 7 + 1 * (0.3 - 1 / 7)) / 0.3
    assert metrics.au_pro([scores], [odd]) == pytest.approx(overlap)


def test_the_curve_is_cut_between_tied_pixels(metrics: ModuleType) -> None:
    """All of a region and half of the normal pixels are tied: a straight line."""
    odd = np.array([[1, 0, 0, 0, 0]], bool)
    scores = np.array([[2, 2, 2, 1, 1.0]])
    assert metrics.au_pro([scores], [odd], 0.25) == pytest.approx(0.25)


def test_images_share_their_thresholds(metrics: ModuleType) -> None:
    odd = np.array([[True, False]])
    apart, far = np.array([[1.0, 0.0]]), np.array([[11.0, 10.0]])
    assert metrics.au_pro([apart, apart], [odd, odd], 0.5) == pytest.approx(1)
    # One of two regions until half of what is normal is in.
    assert metrics.au_pro([apart, far], [odd, odd], 0.5) == pytest.approx(0.5)


def test_corners_touch(metrics: ModuleType) -> None:
    """Four pixels on a diagonal are one region, and one more is another."""
    odd = np.pad(np.eye(4, dtype=bool), 3)
    odd[0, 9] = True
    scores = 1.0 * odd
    scores[0, 9] = 0
    assert metrics.au_pro([scores], [odd], 0.3) == pytest.approx(0.5 + 0.5 * 0.15)


def test_what_has_no_score_counts_nowhere(metrics: ModuleType) -> None:
    odd = squares((3, 3), (20, 30))
    scores = np.where(squares((3, 3)), np.nan, odd)
    scores[30:] = np.nan
    assert metrics.au_pro([scores], [odd]) == pytest.approx(1)
    assert metrics.recall_at_false_regions([scores], [odd]) == 1


# --- false regions --------------------------------------------------------------------
def test_false_regions_are_counted_per_field(metrics: ModuleType) -> None:
    """The first square is found before two false ones, the second after them."""
    odd = squares((3, 3), (20, 30))
    scores = 4.0 * squares((3, 3)) + 3.0 * squares((3, 30), (30, 3))
    scores += 2.0 * squares((20, 30))
    fields = [scores, 0 * scores], [odd, 0 * odd > 0]
    for allowed, recall in ((0, 0.5), (0.5, 0.5), (1, 1)):
        assert metrics.recall_at_false_regions(*fields, allowed) == recall
    assert metrics.recall_at_false_regions([scores], [odd], 1) == 0.5
    assert metrics.recall_at_false_regions([scores], [odd], 2) == 1


def test_a_region_that_lies_mostly_elsewhere_hits_nothing(metrics: ModuleType) -> None:
    odd = squares((10, 10))
    for edge, recall in ((5, 1), (6, 0)):
        wide = 1.0 * squares((10, 10), edge=edge)
        assert metrics.recall_at_false_regions([wide], [odd]) == recall
    assert metrics.recall_at_false_regions([wide], [odd], mostly=0.4) == 1


def test_part_of_a_region_is_a_hit(metrics: ModuleType) -> None:
    odd = squares((10, 10))
    speck = 1.0 * squares((11, 11), edge=1)
    assert metrics.recall_at_false_regions([speck], [odd]) == 1


def test_a_map_full_of_false_regions_finds_nothing(metrics: ModuleType) -> None:
    odd = squares((10, 10))
    false = squares((0, 0), (0, 30), (30, 0))
    assert metrics.recall_at_false_regions([2.0 * false + odd], [odd]) == 0
