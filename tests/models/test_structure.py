"""A flat image hides any look and must fail: its edges and its cells are gone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.compute.device import one_thread
from napari_disentangle.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FIELDS = 16
REAL = "mk"
BOXES = """<annotation>
<object><name>WBC</name><bndbox>
<xmin>10</xmin><ymin>5</ymin><xmax>50</xmax><ymax>35</ymax></bndbox></object>
<object><name>RBC</name><bndbox>
<xmin>0</xmin><ymin>0</ymin><xmax>0</xmax><ymax>40</ymax></bndbox></object>
</annotation>"""


@pytest.fixture(scope="module")
def structure() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import structure

        yield structure


@pytest.fixture(scope="module")
def fields(structure: ModuleType) -> Any:
    """Tissue with two kinds of planted objects."""
    return structure.cells.planted(FIELDS)


@pytest.fixture(scope="module")
def dealt(structure: ModuleType, fields: Any) -> Any:
    """The same fields under the benchmark's looks in turn."""
    import leak

    rng = np.random.default_rng(leak.SEED)
    looks = leak.known_looks("brightfield", 3, rng)
    turn = [number % len(looks) for number in range(FIELDS)]
    now, again = (
        [
            looks[look - step].photograph(field.picture, rng)
            for field, look in zip(fields, turn, strict=True)
        ]
        for step in (0, 1)
    )
    names = [field.name for field in fields]
    return leak.Dealt("planted", now, [str(look) for look in turn], names, again)


@pytest.fixture(scope="module")
def kept(structure: ModuleType, fields: Any, dealt: Any) -> Any:
    """What every arm of interest keeps, judged as the benchmark does."""
    import arms

    model = nd.fit([nd.Field(picture, "YXC") for picture in dealt.pictures], REAL)
    shows = arms.controls(dealt.pictures[0].mean())
    shows[REAL] = partial(arms.content, model)
    with one_thread():
        classes = {
            arm: structure.cells.read(fields, [show(p).picture for p in dealt.pictures])
            for arm, show in shows.items()
        }
        found = {arm: structure.structure(dealt, arm, s) for arm, s in shows.items()}
    judged = structure.structure_report.judged
    return {arm: judged(one, classes) for arm, one in found.items()}


def short(structure: ModuleType, kept: Any, name: str) -> list[str]:
    """Where an arm falls short; the bar is half of what the raw pictures tell."""
    gate = structure.structure_report.gate
    told = gate.failures(kept[name], kept["raw"].leaks)
    return [words.split()[0] for words in told]


def test_a_flat_image_hides_the_look_and_fails_all_else(
    structure: ModuleType, kept: Any
) -> None:
    flat = kept["flat grey"]
    assert list(flat.leaks.values()) == pytest.approx([0, 0], abs=1e-9)
    assert flat.edges == 0
    assert flat.cells.mean == pytest.approx(-0.5)  # from all recognised to chance
    assert short(structure, kept, "flat grey") == ["edges", "cell"]


def test_content_only_of_a_model_passes(structure: ModuleType, kept: Any) -> None:
    assert short(structure, kept, REAL) == []
    assert kept[REAL].edges > 0.985
    assert kept[REAL].cells.mean == pytest.approx(0)


def test_raw_pictures_tell_their_look_and_a_blur_loses_cells(
    structure: ModuleType, kept: Any
) -> None:
    assert short(structure, kept, "raw") == ["look", "look"]
    assert short(structure, kept, "blur") == ["look", "look", "edges", "cell"]


def test_the_bar_says_in_words_what_falls_short(structure: ModuleType) -> None:
    from gate import Kept, failures
    from results import Estimate

    def told(leak: float, edges: float, *cells: float) -> list[str]:
        kept = Kept({"colours": leak}, edges, Estimate(*cells) if cells else None)
        return list(failures(kept, {"colours": 0.4}))

    nan = float("nan")
    assert told(0.2, 0.985) == told(-0.1, 1.0, -0.005, -0.015, 0.005) == []
    assert told(0.21, 0.98) == ["look from colours 0.21 > 0.20", "edges 0.980 < 0.985"]
    # Too few fields to say that nothing was lost; too few for any interval.
    assert told(0.0, 1.0, 0.0, -0.04, 0.04) == ["cell class +0.000 [-0.040, +0.040]"]
    assert told(0.0, 1.0, 0.01, nan, nan) == []
    least = {"colours": -0.1}  # nothing leaks from the best already
    assert list(failures(Kept({"colours": 0.0}, 1.0), least)) == []


def test_where_unclipped_values_are_not_known_the_row_says_so(
    structure: ModuleType, dealt: Any
) -> None:
    from arms import Shown

    pictures = list(dealt.pictures[:2])
    edges, clipped = structure._edges(pictures, [Shown(one) for one in pictures])
    assert edges == pytest.approx([1, 1])
    one = structure.Structure(
        "planted", "new", edges=edges, clipped=clipped, nuclei=[1], alike=[20]
    )
    assert structure.structure_report._kept_row(one, one)[6] == "not known"


def test_a_model_that_does_not_come_trained_is_a_row_with_its_reason(
    structure: ModuleType, dealt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, every = nd.fit, nd.models()

    def refuse(fields: Any, model: str) -> Any:
        if model == "balanced":
            raise DataError("it has to be trained first")
        return fit(fields, model)

    monkeypatch.setattr(nd, "fit", refuse)
    monkeypatch.setattr(nd, "models", lambda: {m: every[m] for m in ("balanced", "mk")})
    known = structure.arms(dealt.pictures[:2])
    assert list(known.shows) == ["raw", "flat grey", "blur", "mk"]
    assert known.refusals == {"balanced": "it has to be trained first"}
    one, blur = (
        structure.Structure("planted", "balanced", *known.refusals.values()),
        structure.Structure("planted", "blur", nuclei=[1.0]),
    )
    row = structure.structure_report._kept_row(one, blur)
    assert row[:3] == ["planted", "balanced", "it has to be trained first"]


def test_boxes_without_an_area_are_left_out(
    structure: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "smear.xml"
    file.write_text(BOXES)
    (cell,) = structure.cells.boxes(file)
    assert (cell.label, cell.y, cell.x) == ("WBC", slice(5, 35), slice(10, 50))


def test_the_size_of_a_box_is_no_feature(structure: ModuleType) -> None:
    features = structure.cells.features
    small, large = (np.full((n, n + 9, 3), 180, np.uint8) for n in (20, 100))
    assert features(small) == pytest.approx(features(large), abs=1e-9)
