"""``napari-disentangle objects``: one table of many images, and one bad one of them."""

from __future__ import annotations

import csv
import json

import imageio.v3 as iio
import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.samples.data import SAMPLES


@pytest.fixture
def call(capsys):
    """Run the command: exit code, lines of stdout, lines of stderr."""

    def run(*args):
        with pytest.raises(SystemExit) as left:
            main(["objects", *map(str, args), "--coder", "measured"])
        said = capsys.readouterr()
        return left.value.code or 0, said.out.splitlines(), said.err.splitlines()

    return run


@pytest.fixture
def fields(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in (2, 3)]
    for path in paths:
        path.write_bytes((SAMPLES / f"field_{path.stem}.png").read_bytes())
    return paths


def test_a_broken_file_is_named_and_the_others_are_done(call, fields, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(fields[0].read_bytes()[:5000])
    code, out, err = call(*fields, broken, "--csv", tmp_path / "o.csv", "--groups", 3)
    assert (code, out) == (1, [str(tmp_path / "o.csv")])
    assert any("not done" in line and "broken.png" in line for line in err)
    with (tmp_path / "o.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["image"] for row in rows} == {"2", "3"}
    assert {row["group"] for row in rows} == {"1", "2", "3"}
    known = json.loads((tmp_path / "o.csv.json").read_text())
    assert len(known["objects"]["diameters"]) == 2


def test_colour_and_grey_together_are_one_sentence(call, fields, tmp_path):
    colour = tmp_path / "colour.png"
    iio.imwrite(colour, np.zeros((64, 64, 3), "uint8"))
    code, _, err = call(fields[0], colour, "--csv", tmp_path / "o.csv")
    assert code == 2
    assert "'2' has the channels" in err[0]
    assert "code them apart" in err[0]
    assert not (tmp_path / "o.csv").exists()


def test_labels_have_their_table_beside_them(call, fields, tmp_path):
    folder = tmp_path / "labels"
    call(*fields, "--csv", tmp_path / "o.csv", "--labels", folder)
    labels = np.asarray(nd.read(folder / "3_objects.ome.tif").data)
    with (folder / "3_objects.ome.tif.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(range(1, labels.max() + 1))


def test_what_is_there_is_not_written_over(call, fields, tmp_path):
    (tmp_path / "o.csv").write_text("mine")
    code, _, err = call(*fields, "--csv", tmp_path / "o.csv")
    assert code == 2
    assert "exists already" in err[0]
    assert (tmp_path / "o.csv").read_text() == "mine"


def test_nothing_to_be_found_is_one_sentence(call, tmp_path):
    flat = tmp_path / "flat.png"
    iio.imwrite(flat, np.full((64, 64), 9, "uint8"))
    code, _, err = call(flat, "--csv", tmp_path / "o.csv")
    assert code == 2
    assert "nothing stands out of 'flat'" in err[0]


def test_what_stands_beside_is_looked_at_before_anything_is_computed(
    call, fields, tmp_path
):
    (tmp_path / "o.csv.json").write_text("mine")
    code, _, err = call(*fields, "--csv", tmp_path / "o.csv")
    assert code == 2
    assert "'o.csv.json' exists already" in err[0]
    assert not (tmp_path / "o.csv").exists()
