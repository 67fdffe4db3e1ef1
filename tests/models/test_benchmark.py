"""The swap benchmark runs on bundled images, covers all models, and repeats itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import napari_disentangle as nd
from napari_disentangle.model.registry import method

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "swap.py"


def quick() -> str:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def page() -> str:
    return quick()


def test_every_model_has_its_scores(page: str) -> None:
    scores = page.partition("### All scores")[2]
    ready = {name for name in nd.models() if not method(name).needs_fit}
    assert {m for m in ready if f"| {m} |" not in scores} == set()
    assert "nan" not in page


def test_the_page_says_what_it_left_out(page: str) -> None:
    assert "three scanners" in page.partition("Left out")[2]


def test_the_same_command_gives_the_same_digits(page: str) -> None:
    assert quick() == page


def test_the_section_replaces_itself_and_nothing_else(
    tmp_path: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import page as pages

    file = tmp_path / "benchmarks.md"
    file.write_text("# Benchmarks\n\nBy hand.\n")
    for text in (page.replace("Known-truth", "Old"), page):
        pages.put(text, file)
    assert file.read_text() == f"# Benchmarks\n\nBy hand.\n\n{page}"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param("memory.py", "1 fits", marks=pytest.mark.slow),
        pytest.param("leak.py", "| flat grey | 14 | 7 | 0.00 ", marks=pytest.mark.slow),
        pytest.param("anomaly.py", "| `context` | ", marks=pytest.mark.slow),
        pytest.param("anomaly_speed.py", "| `mahalanobis` | ", marks=pytest.mark.slow),
        ("outliers.py", "| dead | synthetic | 1 | affine | "),
        ("stains.py", "H&E and DAB: 26.7 to 38.2"),
        ("padding.py", "| source | images | "),
        ("questions.py --of populations teach --seeds 0", "| blobs | 1 | 1.000 "),
        pytest.param(
            "codes.py --sources synthetic --seeds 0",
            "| views | content-only | ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "labels.py --of speed --seeds 0",
            "| 1,000 objects | 1 | ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "study.py",
            "outputs equal, report equal, 0 images done twice",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "speed.py", "| swap, Zarr to Zarr, with pyramid | ", marks=pytest.mark.slow
        ),
    ],
)
def test_the_other_scripts_run_on_what_is_always_there(script: str, says: str) -> None:
    name, *options = script.split()
    run = subprocess.run(
        [sys.executable, str(SCRIPT.with_name(name)), "--quick", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # small: threads only wait
    )
    assert run.returncode == 0, run.stderr
    assert says in run.stdout
