"""The same recipe from widget, console and command line: same arrays, same metadata."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.samples.data import load

KINDS = ("content", "swap", "anomaly")
TITLES = dict(zip(KINDS, ("[content-only]", "[swapped]", "[anomaly]"), strict=True))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files: the image and its donor."""
    import tifffile

    paths = [tmp_path / "blood_1.tif", tmp_path / "blood_2.tif"]
    for path in paths:
        tifffile.imwrite(path, load(path.stem), photometric="rgb")
    return paths


@pytest.fixture
def opened(desk: Any, files: list[Path]) -> Any:
    """The files in napari, the second as the donor."""
    for path in files:
        desk.viewer.open(str(path), plugin="napari")
    desk.panel.model.setCurrentText("mk")
    desk.panel.strength.setValue(70)
    return desk


def _run_all(desk: Any) -> None:
    """Every job: both images comparable, the first swapped, and odd for itself."""
    first, second = desk.viewer.layers[:2]
    desk.run()
    desk.reference(second)
    desk.run()
    desk.panel.choose_task("odd")
    desk.check(first)
    desk.run()


def _layers(desk: Any) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    found = {kind: desk.layer(title) for kind, title in TITLES.items()}
    return {kind: (layer.data, _kept(layer)) for kind, layer in found.items()}


def _kept(layer: Any) -> dict[str, Any]:
    kept = dict(layer.metadata["napari-disentangle"])
    assert kept.pop("layer") == "blood_1"
    return kept


def _files(folder: Path) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    found = {}
    for kind in KINDS:
        path = next(folder.glob(f"blood_1_{kind}.*"))
        array = np.asarray(nd.read(path).levels[0])
        found[kind] = (array, nd.read_provenance(path))
    return found


def _command(*words: str | Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["apply", *map(str, words)])
    assert not ended.value.code


def _same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for kind in KINDS:
        np.testing.assert_array_equal(one[kind][0], other[kind][0])
        assert one[kind][0].dtype == other[kind][0].dtype
        assert one[kind][1] == other[kind][1]


def test_widget_console_and_command_line(
    opened: Any, files: list[Path], tmp_path: Path
) -> None:
    _run_all(opened)
    widget = _layers(opened)

    first, second = opened.viewer.layers[:2]
    image, donor = nd.Field.from_layer(first), nd.Field.from_layer(second)
    model, alone = nd.fit([image, donor], "mk"), nd.fit(image, "mk")
    source = model.attribute(image)
    nd.add_layers(opened.viewer, model, first, ["content"], source=source)
    nd.add_layers(opened.viewer, model, first, ["swap"], donor=second, strength=0.7)
    nd.add_layers(opened.viewer, alone, first, ["anomaly"])
    _same(widget, _layers(opened))

    folder = tmp_path / "out"
    words = ("--model", "mk", "-o", folder, "--output")
    _command(*files, *words, "content")
    _command(files[0], *words, "swap", "--donor", files[1], "--strength", "0.7")
    _command(files[0], *words, "anomaly")
    _same(widget, _files(folder))

    again = tmp_path / "again"
    recipe = next(folder.glob("blood_1_swap.*"))
    _command("--recipe", recipe, "-o", again)
    values = np.asarray(nd.read(again / recipe.name).levels[0])
    np.testing.assert_array_equal(values, widget["swap"][0])


def test_recipe_of_a_layer_reproduces_it(opened: Any, tmp_path: Path) -> None:
    _run_all(opened)
    widget = _layers(opened)
    for kind in KINDS:
        list(nd.run(nd.Recipe.from_json(widget[kind][1]), tmp_path / "out"))
    _same(widget, _files(tmp_path / "out"))


@pytest.mark.skipif("--full" not in sys.argv, reason="long: use --full")
@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("walks.py", "2 layers, seen: "),
        ("tour.py", "2 windows"),
        ("live.py", "| slider, one of seven"),
    ],
)
def test_scripts_that_press_buttons_still_find_them(script: str, says: str) -> None:
    place = Path(__file__).resolve().parents[2] / "benchmarks" / script
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(place), "--quick"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
