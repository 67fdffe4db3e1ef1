"""What is fitted on holds nothing odd, and what is odd is where it is said to be."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def data() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import anomaly_data

        return anomaly_data


@pytest.fixture(scope="module")
def blood(data: ModuleType, shared: Path) -> Any:
    return data.white_cells(40, 20)


@pytest.fixture(scope="module")
def slides(data: ModuleType, shared: Path) -> Any:
    return data.artefacts()


def drawn(data: ModuleType) -> Any:
    """A case whose image says where every pixel is."""
    odd, ignore = np.zeros((2, 120, 160), bool)
    odd[40:60, 40:60] = True
    ignore[30:70, 30:70] = ~odd[30:70, 30:70]
    places = np.stack([*np.indices(odd.shape), 0 * odd], -1).astype(np.uint8)
    return data.Case(places, odd, ignore, "drawn")


def colour(case: Any, where: Any) -> Any:
    return case.image[where].mean(axis=0)


# --- clean crops ----------------------------------------------------------------------
def test_clean_crops_overlap_nothing(data: ModuleType) -> None:
    whole = drawn(data)
    before = whole.odd.copy()
    crops = list(data.clean_crops(whole, 32, np.random.default_rng(0)))
    corners = [crop.image[0, 0, :2].astype(int) for crop in crops]
    assert len(crops) > 5
    assert all(crop.image.shape == (32, 32, 3) for crop in crops)
    for one, other in combinations(corners, 2):
        assert abs(one - other).max() >= 32
    for y, x in corners:
        part = np.s_[y : y + 32, x : x + 32]
        assert not (whole.odd | whole.ignore)[part].any()
    assert (whole.odd == before).all()


def test_a_part_keeps_image_and_truth_together(data: ModuleType) -> None:
    part = drawn(data).part(np.s_[40:, 40:])
    assert tuple(part.image[0, 0]) == (40, 40, 0)
    assert part.odd[0, 0]
    assert part.odd.shape == part.ignore.shape == part.image.shape[:2]


def test_an_ellipse_fills_its_box(data: ModuleType) -> None:
    cell = SimpleNamespace(y=slice(10, 30), x=slice(5, 45))
    odd = np.zeros((60, 60), bool)
    odd[data._inside(cell, odd.shape)] = True
    rows, columns = (np.flatnonzero(odd.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (10, 29, 5, 44)
    assert odd.sum() == pytest.approx(np.pi * 10 * 20, rel=0.02)


# --- white cells ----------------------------------------------------------------------
@pytest.mark.shared
def test_no_field_is_both_fitted_and_tested(blood: Any) -> None:
    fitted = {case.group for case in blood.normals}
    tested = {case.group for case in blood.tested}
    assert (len(blood.normals), len(blood.tested)) == (40, 20)
    assert len(tested) == 20
    assert not fitted & tested


@pytest.mark.shared
def test_no_clean_crop_overlaps_a_white_cell(
    data: ModuleType, blood: Any, shared: Path
) -> None:
    folder = shared / "blood_bccd" / "BCCD"
    for crop in blood.normals:
        whole = data.iio.imread(folder / "JPEGImages" / f"{crop.group}.jpg")
        y, x = place(whole, crop.image)
        for cell in data.boxes(folder / "Annotations" / f"{crop.group}.xml"):
            apart = y >= cell.y.stop or x >= cell.x.stop
            apart |= y + data.CROP <= cell.y.start or x + data.CROP <= cell.x.start
            assert apart or cell.label != "WBC"


def place(whole: Any, crop: Any) -> tuple[int, int]:
    """Where a crop is in an image."""
    windows = np.lib.stride_tricks.sliding_window_view(whole, crop.shape)[
        ..., 0, :, :, :
    ]
    (found,) = [
        corner
        for corner in np.argwhere((windows[..., 0, 0, :] == crop[0, 0]).all(-1))
        if (windows[tuple(corner)] == crop).all()
    ]
    return tuple(found)


@pytest.mark.shared
def test_white_cells_are_violet_and_their_surroundings_are_ignored(blood: Any) -> None:
    for case in blood.tested:
        normal = ~(case.odd | case.ignore)
        red, _, blue = colour(case, case.odd) - colour(case, normal)
        assert blue > red + 10
        assert not (case.odd & case.ignore).any()
        assert case.odd.any()


@pytest.mark.shared
def test_the_same_cases_are_drawn_again(data: ModuleType, blood: Any) -> None:
    again = data.white_cells(4, 2)
    for part, own in ((again.normals, blood.normals), (again.tested, blood.tested)):
        for one, other in zip(part, own, strict=False):
            assert (one.image == other.image).all()


@pytest.mark.slow
@pytest.mark.shared
def test_fields_without_all_boxes_are_left_out(data: ModuleType, shared: Path) -> None:
    every = data.white_cells(1000, 1000)
    names = {case.group for case in [*every.normals, *every.tested]}
    assert not names & {f"BloodImage_{number:05d}" for number in data.UNMARKED}
    assert all(case.odd.any() for case in every.tested)


# --- marks on slides ------------------------------------------------------------------
@pytest.mark.shared
def test_masks_lie_on_the_marks(slides: Any) -> None:
    """Coverslip edges are dark; pens have their colours."""
    apart = {
        case.group: colour(case, case.odd) - colour(case, ~(case.odd | case.ignore))
        for case in slides.tested
    }
    assert len(apart) == 4
    assert apart["coverslip, H&E"].mean() < -20
    assert apart["coverslip, IHC"].mean() < -20
    assert apart["green pen"].argmax() == 1
    assert apart["red pen"].argmax() == 0


@pytest.mark.shared
def test_masks_fit_better_than_moved_ones(slides: Any) -> None:
    """Moved by more than a mark is wide, they lie on what is less unlike the rest."""
    for case in slides.tested:
        normal = colour(case, ~(case.odd | case.ignore))
        moved = np.roll(case.odd, (25, 25), (0, 1))
        own, other = (
            abs(colour(case, where) - normal).sum() for where in (case.odd, moved)
        )
        assert own > 1.5 * other


@pytest.mark.shared
def test_every_slide_is_fitted_on_without_its_marks(
    data: ModuleType, slides: Any
) -> None:
    assert {c.group for c in slides.normals} == {c.group for c in slides.tested}
    for case in slides.normals:
        assert case.image.shape == (data.PATCH, data.PATCH, 3)
        assert not (case.odd | case.ignore).any()
    for case in slides.tested:
        assert 0.01 < case.odd.mean() < 0.1
        assert not (case.odd & case.ignore).any()
