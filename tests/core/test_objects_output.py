"""The output "objects" of recipes: labels and their table, as from all other fronts."""

import csv
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.errors import DataError
from napari_disentangle.files.text import table_of
from napari_disentangle.layers.opened import open_again
from napari_disentangle.layers.save import write_layer, writing
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.recipe import Recipe, Source
from napari_disentangle.study.check import foresee

SAMPLES = resources.files("napari_disentangle.samples")


@pytest.fixture
def fields(tmp_path):
    """Two fields of nuclei under different looks."""
    paths = [tmp_path / f"{number}.png" for number in (2, 3)]
    for path in paths:
        path.write_bytes((SAMPLES / f"field_{path.stem}.png").read_bytes())
    return [nd.read(path) for path in paths]


def recipe_of(fields, **more):
    return Recipe(
        images=tuple(map(Source.of, fields)), outputs=("objects",), device="cpu", **more
    )


def files(recipe, folder, **options):
    return [p for p in nd.run(recipe, folder, **options) if isinstance(p, Path)]


def assert_same(one, other):
    """Labels, how they came about, and their table."""
    pixels = (np.asarray(nd.read(path).data) for path in (one, other))
    np.testing.assert_array_equal(*pixels)
    assert nd.read_provenance(one) == nd.read_provenance(other)
    tables = (Path(f"{path}.csv").read_bytes() for path in (one, other))
    assert len({*tables}) == 1


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_a_recipe_writes_what_the_console_finds(fields, tmp_path, suffix):
    model = nd.fit(fields)
    found = nd.find_objects(fields, on=model)
    measured = nd.code(found, "measured", on=model).columns()
    made = files(recipe_of(fields), tmp_path / "out", suffix=suffix)
    assert [path.name for path in made] == [f"{n}_objects{suffix}" for n in (2, 3)]
    for number, path in enumerate(made):
        own = nd.read(path)
        np.testing.assert_array_equal(np.asarray(own.data), found.labels[number])
        assert own.scale == found.images[number].scale
        table = rows(Path(f"{path}.csv"))
        chosen = found.of_image(number)
        assert [int(row["label"]) for row in table] == [*found.columns["label"][chosen]]
        area = [float(row["area"]) for row in table]
        np.testing.assert_allclose(area, measured["area"][chosen], rtol=1e-6)


def test_a_file_of_labels_makes_itself_again_and_opens_with_its_table(fields, tmp_path):
    first, _ = files(recipe_of(fields), tmp_path / "out")
    kept = Recipe.from_json(nd.read_provenance(first))
    (again,) = files(kept, tmp_path / "again")
    assert_same(again, first)
    ((labels, attributes, kind),) = open_again(str(first))
    assert kind == "labels"
    assert [*attributes["features"]["index"]] == [*range(1, labels.max() + 1)]


def test_a_table_that_is_there_is_not_written_over(fields, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    mine = folder / "3_objects.ome.tif.csv"
    mine.write_text("mine")
    with pytest.raises(DataError, match=r"is there without '3_objects\.ome\.tif'"):
        files(recipe_of(fields), folder)
    assert [path.name for path in folder.iterdir()] == [mine.name]


def test_labels_that_are_there_are_left_with_their_table(fields, tmp_path):
    folder = tmp_path / "out"
    first = files(recipe_of(fields), folder)
    table = Path(f"{first[0]}.csv")
    table.write_text("mine")
    first[1].unlink()
    Path(f"{first[1]}.csv").unlink()
    (again,) = files(recipe_of(fields), folder, skip_existing=True)
    assert again == first[1]
    assert table.read_text() == "mine"
    assert len(rows(Path(f"{again}.csv"))) > 10


def test_a_table_that_is_lacking_is_written_again(fields, tmp_path):
    folder = tmp_path / "out"
    _, second = files(recipe_of(fields), folder)
    beside, before = Path(f"{second}.csv"), second.stat().st_mtime_ns
    known = beside.read_bytes()
    beside.unlink()
    assert files(recipe_of(fields), folder, skip_existing=True) == [second]
    assert beside.read_bytes() == known
    assert second.stat().st_mtime_ns == before
    assert not files(recipe_of(fields), folder, skip_existing=True)


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_smaller_levels_hold_no_other_objects(tmp_path, suffix):
    y, x = np.mgrid[:601, :900]
    cells = (np.hypot(y % 30 - 15, x % 30 - 15) < 9) * 900
    image = nd.Field(cells.astype(np.uint16), "YX", modality="fluorescence", name="a")
    lazy = nd.apply(nd.fit(image), image, "objects")
    path = tmp_path / f"a{suffix}"
    for _ in nd.write(lazy, path):
        pass
    first, *smaller = (np.asarray(level) for level in nd.read(path).levels)
    assert smaller
    for n, level in enumerate(smaller, start=1):
        np.testing.assert_array_equal(level, first[:: 2**n, :: 2**n])


def test_an_empty_image_gives_empty_labels_and_a_sentence(fields, tmp_path):
    empty = nd.Field(np.zeros((64, 80), np.uint8), "YX", name="empty")
    lazy = nd.apply(nd.fit(fields), empty, "objects")
    assert lazy.shape == (64, 80)
    assert not np.asarray(lazy).any()
    assert any("no objects" in words for words in lazy.provenance["status"])


def test_time_points_are_labelled_by_themselves_and_numbered_through():
    movie = np.zeros((2, 96, 96), np.float32)
    for t, places in enumerate([[(20, 20), (60, 60)], [(22, 24), (66, 60), (30, 75)]]):
        y, x = np.mgrid[:96, :96]
        for at in places:
            movie[t] += np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 40)
    field = nd.Field(movie, "TYX", modality="fluorescence", full_scale=1)
    lazy = nd.apply(nd.fit(field), field, "objects")
    labels = np.asarray(lazy)
    assert [len(np.unique(plane)) - 1 for plane in labels] == [2, 3]
    assert lazy.axes == "TYX"


def test_the_look_of_a_batch_is_taken_out_first(fields):
    model = nd.fit(fields)
    own, other = (model.attribute(field) for field in fields)
    taken = np.asarray(nd.apply(model, fields[0], "objects", source=own))
    np.testing.assert_array_equal(
        taken, np.asarray(nd.apply(model, fields[0], "objects"))
    )
    lazy = nd.apply(model, fields[0], "objects", source=other)
    assert lazy.provenance["attribute"]["source"] == other.to_json()


def test_the_diameter_of_a_recipe_is_that_of_objects(fields):
    few = nd.find_objects(fields[0], diameter=40.0)
    out = nd.Recipe(outputs=("objects",), cell=40.0, model="identity", device="cpu")
    steps = nd.follow(out, Inputs([fields[0]]))
    (made,) = [one for one in steps if hasattr(one, "lazy")]
    assert made.lazy.provenance["objects"]["diameters"] == [40.0]
    np.testing.assert_array_equal(np.asarray(made.lazy), few.labels[0])


def test_the_command_line_writes_them(fields, tmp_path, capsys):
    out = tmp_path / "cli"
    paths = [str(field.path) for field in fields]
    with pytest.raises(SystemExit) as left:
        main(["apply", *paths, "--output", "objects", "--folder", str(out)])
    assert not left.value.code
    capsys.readouterr()
    made = files(recipe_of(fields), tmp_path / "out")
    for path in made:
        assert_same(out / path.name, path)


def test_a_study_counts_all_images_in_one_table(fields, tmp_path):
    known = {
        "inputs": [{"files": ["2.png", "3.png"]}],
        "labels": {"field": "([0-9]).png"},
        "group": "field",
        "outputs": ["content", "objects"],
        "workers": 1,
        "folder": "out",
    }
    one = nd.Study.from_json(known).at(tmp_path)
    events = [event for event in nd.run_study(one) if event.phase == "render"]
    assert len(events) == 4
    table = rows(one.target / "objects.csv")
    assert {row["field"] for row in table} == {"2", "3"}
    images = {
        (row["image"], row["output"]): row for row in rows(one.target / "images.csv")
    }
    counted = sum(row["image"] == "2.png" for row in table)
    assert int(images["2.png", "objects"]["objects"]) == counted > 10
    beside = one.target / "2_objects.ome.tif.csv"
    known = beside.read_bytes()
    beside.unlink()
    again = {e.image: e.state for e in nd.run_study(one) if e.output == "objects"}
    assert again == {"2.png": "done", "3.png": "kept"}
    assert beside.read_bytes() == known
    assert rows(one.target / "objects.csv") == table
    labels = nd.read(one.target / "2_objects.ome.tif")
    assert int(np.asarray(labels.data).max()) == counted


def study(tmp_path, **said):
    known = {
        "inputs": [{"files": ["2.png", "3.png"]}],
        "labels": {"field": "([0-9]).png"},
        "group": "field",
        "workers": 1,
        "folder": "out",
    }
    return nd.Study.from_json(known | said).at(tmp_path)


def test_what_is_too_large_for_objects_has_its_other_outputs(
    fields, tmp_path, monkeypatch
):
    monkeypatch.setattr("napari_disentangle.objects.finding._MOST", 99)
    one = study(tmp_path, outputs=["objects", "content"])
    found = {(e.image, e.output): e.state for e in nd.run_study(one) if e.output}
    assert {k: v for k, v in found.items() if k[1] == "content"} == {
        ("2.png", "content"): "done",
        ("3.png", "content"): "done",
    }
    assert {v for (_, kind), v in found.items() if kind == "objects"} == {"failed"}
    recipe = recipe_of(fields[:1]).model_copy(
        update={"outputs": ("objects", "content")}
    )
    with pytest.raises(DataError, match="can be labelled at once"):
        files(recipe, tmp_path / "alone")
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["2_content.png"]


def test_what_is_too_large_for_objects_is_foreseen(fields, tmp_path, monkeypatch):
    def refuse(image):
        raise DataError("it is too large")

    monkeypatch.setattr("napari_disentangle.study.check.check_size", refuse)
    said = foresee(study(tmp_path, outputs=["objects", "content"])).remarks
    assert "no objects of 2.png: it is too large" in said
    assert not any("no objects" in words for words in foresee(study(tmp_path)).remarks)


def test_labels_of_another_recipe_get_no_table(fields, tmp_path):
    folder = tmp_path / "out"
    first, _ = files(recipe_of(fields), folder)
    Path(f"{first}.csv").unlink()
    steps = [*nd.run(recipe_of(fields, cell=60), folder, skip_existing=True)]
    (failed,) = [one.reason for one in steps if hasattr(one, "reason")]
    assert "is of another recipe" in failed
    assert not Path(f"{first}.csv").exists()


def test_a_study_of_objects_alone_is_reported(fields, tmp_path):
    one = study(tmp_path, outputs=["objects"], labels={"label": "([0-9]).png"})
    one = one.model_copy(update={"group": None})
    assert {e.state for e in nd.run_study(one) if e.output} == {"done"}
    assert "is no image that could be compared" in (
        one.target / "report.html"
    ).read_text("utf-8")
    assert {row["image label"] for row in rows(one.target / "objects.csv")} == {
        "2",
        "3",
    }


def test_labels_saved_anew_never_lie_beside_another_table(tmp_path):
    path = tmp_path / "a.ome.tif"
    labels, other = (np.full((600, 600), n, np.int32) for n in (1, 2))
    named = {"metadata": {}, "axis_labels": ("y", "x")}
    write_layer(str(path), labels, named | {"features": {"index": [1]}})
    first = (path.read_bytes(), table_of(path).read_text())
    steps = writing(str(path), other, named | {"features": {"index": [2]}})
    next(steps)
    assert not table_of(path).exists()  # who is killed here leaves labels alone
    steps.close()
    assert (path.read_bytes(), table_of(path).read_text()) == first
    write_layer(str(path), other, named | {"features": {"index": [2]}})
    assert table_of(path).read_text() == "index\n2\n"
    write_layer(str(path), other, named | {"features": {}})
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    table_of(path).write_text("mine")
    with pytest.raises(DataError, match="exists already"):
        write_layer(str(path), other, named | {"features": {"index": [2]}})
    assert table_of(path).read_text() == "mine"
