"""A frozen segmenter loses nuclei under other looks, and content-only finds them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_disentangle import Field
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "downstream.py"
TISSUE = "synthetic tissue"
# Half as much of each stain, other stains, and a slide that is not white.
PALE = replace(synthetic.ROSE, amounts=(0.4, 0.15), white=(0.1, 0.15, 0.2))
BOXES = """<annotation>
<size><width>60</width><height>40</height><depth>3</depth></size>
<object><name>WBC</name><bndbox>
<xmin>10</xmin><ymin>5</ymin><xmax>50</xmax><ymax>35</ymax></bndbox></object>
<object><name>RBC</name><bndbox>
<xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>
</annotation>"""


@pytest.fixture(scope="module")
def downstream() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        import downstream

        return downstream


@pytest.fixture(scope="module")
def report(downstream: ModuleType) -> ModuleType:
    return downstream.downstream_report


@pytest.fixture(scope="module")
def setup(downstream: ModuleType) -> Any:
    return prepared(downstream)


def prepared(downstream: ModuleType) -> Any:
    source = downstream._source(TISSUE)
    return downstream.prepare(downstream.cases(source, downstream.learned(source), 2))


def scored(downstream: ModuleType, setup: Any) -> list[Any]:
    source = downstream._source(TISSUE)
    first = downstream.cases(source, downstream.reported(source), 1)[0]
    return downstream.overlaps(setup, first)


@pytest.mark.parametrize("segmenter", ["threshold", "classifier"])
def test_content_only_brings_back_what_a_strong_look_takes(
    downstream: ModuleType, setup: Any, segmenter: str
) -> None:
    content = synthetic.tissue(1000, 192)
    came, seen = (
        synthetic.render(content, look, noise=2) for look in (synthetic.VIOLET, PALE)
    )

    def reached(picture: Any) -> float:
        found = setup.segmenters[segmenter](picture)
        return downstream.dice(found, content[0] > 0.35)

    assert reached(seen) < reached(came) - 0.2
    shown = {n: m.content(Field(seen, "YXC")) for n, m in setup.models.items()}
    lost = {n: reached(came) - reached(picture) for n, picture in shown.items()}
    assert max(lost.values()) < 0.1, lost


def test_every_image_is_scored_raw_and_with_every_model(
    downstream: ModuleType, setup: Any
) -> None:
    scores = scored(downstream, setup)
    arms = {downstream.CAME, downstream.RAW, *setup.models}
    assert {score.arm for score in scores} == arms
    assert {score.looks for score in scores} == {"as they came", "hed", "camera"}
    assert len(scores) == len(arms) * 3 * len(downstream.SEGMENTERS)
    dices = {s.arm: s.dice for s in scores if s.looks == "as they came"}
    assert dices[downstream.CAME] == dices[downstream.RAW]


def test_the_same_images_give_the_same_digits(
    downstream: ModuleType, setup: Any
) -> None:
    assert scored(downstream, prepared(downstream)) == scored(downstream, setup)


def test_no_image_is_both_tuned_on_and_scored(downstream: ModuleType) -> None:
    for name in downstream.QUICK:
        source = downstream._source(name)
        parts = (downstream.learned(source), downstream.reported(source))
        tuned, tested = (
            {case.group for case in downstream.cases(source, part, 12)}
            for part in parts
        )
        assert tuned
        assert tested
        assert not tuned & tested


def test_white_cells_are_ellipses_in_their_boxes(
    downstream: ModuleType, tmp_path: Path
) -> None:
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / folder).mkdir()
    (tmp_path / "Annotations" / "smear.xml").write_text(BOXES)
    mask = downstream._white_cells(tmp_path / "JPEGImages" / "smear.jpg")
    rows, columns = np.nonzero(mask)
    assert mask.shape == (40, 60)
    assert (rows.min(), rows.max()) == (6, 34)
    assert (columns.min(), columns.max()) == (11, 49)
    assert mask.sum() == pytest.approx(np.pi * 20 * 15, rel=0.03)


@pytest.mark.shared
def test_truths_lie_on_their_images(downstream: ModuleType, shared: Path) -> None:
    for name in downstream.FULL:
        source = downstream._source(name)
        case = downstream.cases(source, downstream.learned(source), 1)[0]
        plane = (0, 2) if source.modality == "brightfield" else (1, 3)
        assert case.truth.shape == case.read().shape[slice(*plane)]


def test_differences_are_paired_and_losses_are_named(report: ModuleType) -> None:
    scores = [
        report.Overlap("slides", "hed", "threshold", f"slide {i}", i, arm, dice + i / 9)
        for i in range(6)
        for arm, dice in (
            (report.CAME, 0.4),
            (report.RAW, 0.3),
            (report.LEARNED[0], 0.2),
            ("balanced", 0.25),
            ("levels", 0.3),
            ("mk", 0.35),
        )
    ]
    page = report.section(scores, 0, (3, 6))
    told = page.partition("### Against raw")[2]
    assert "-0.100 [-0.100, -0.100]" in told
    assert "0.628 mk | -0.150 [-0.150, -0.150]" in told
    losses = page.partition("worse than raw")[2].split("\n- ")[1:]
    assert [line.split("`")[1] for line in losses] == [report.LEARNED[0], "balanced"]


def test_the_quick_run_prints_every_row() -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert "nan" not in run.stdout
    table = run.stdout.partition("### Dice")[2].partition("###")[0]
    rows = [line.split(" | ") for line in table.splitlines() if "synthetic" in line]
    assert len(rows) == 10
    changed = [row for row in rows if row[2] != "as they came"]
    assert all(float(row[6].strip("*")) < float(row[5]) for row in changed)
