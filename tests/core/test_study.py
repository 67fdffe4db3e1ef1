"""Studies: any split gives the same, nothing is lost, and every image gets its line."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import yaozarrs

import napari_disentangle as nd
from napari_disentangle.errors import DataError
from napari_disentangle.files.registry import read_provenance
from napari_disentangle.pipeline.recipe import RecipeError
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue
from napari_disentangle.study.check import foresee
from napari_disentangle.study.comparison import compare
from napari_disentangle.study.draft import draft, first
from napari_disentangle.study.ledger import Part, read
from napari_disentangle.study.plan import states
from napari_disentangle.study.scan import scan
from napari_disentangle.study.workers import Where, Workers, processes

LOOKS = {"a": VIOLET, "b": ROSE}


@pytest.fixture
def root(tmp_path):
    """Six slides of two scanners, in a folder for each."""
    for scanner, look in LOOKS.items():
        folder = tmp_path / "raw" / f"scanner_{scanner}"
        folder.mkdir(parents=True)
        for i in range(3):
            content = tissue(i + 10 * (scanner == "b"), 96)
            iio.imwrite(folder / f"{i}.png", render(content, look, 2.0, i))
    return tmp_path


def study(root, **said):
    known = {
        "inputs": [{"folder": "raw"}],
        "labels": {"scanner": "scanner_(.)"},
        "group": "scanner",
        "model": "meanstd",
        "workers": 1,
        "folder": "out",
    }
    return nd.Study.from_json(known | said).at(root)


def run(one, **said):
    return [event for event in nd.run_study(one, **said) if event.phase == "render"]


def checksums(one):
    done = (p for p in states(one).items() if p[1]["state"] == "done")
    return {place: record["checksum"] for place, record in done}


def times(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*_content.*")}


def kill_if_two(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * 10


def wait_if_large(number):
    end = monotonic() + number - 1
    while monotonic() < end:
        pass


# --- what is done ---------------------------------------------------------------------
def test_all_images_get_one_look_and_a_line(root):
    one = study(root)
    events = run(one)
    assert [e.state for e in events] == ["done"] * 6
    assert {e.done for e in events} == {1, 2, 3, 4, 5, 6}
    before, after = (
        [np.mean([iio.imread(p).mean((0, 1)) for p in sorted(root.glob(name))], 0)
         for name in names]
        for names in (
            ("raw/scanner_a/*.png", "raw/scanner_b/*.png"),
            ("out/raw/scanner_a/*.png", "out/raw/scanner_b/*.png"),
        )
    )  # fmt: skip
    assert np.abs(after[0] - after[1]).max() < 0.3 * np.abs(before[0] - before[1]).max()
    assert len(states(one)) == 6
    with (root / "out/images.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [row["state"] for row in rows] == ["done"] * 6
    assert {row["group"] for row in rows} == {"a", "b"}
    assert all((root / "out" / row["file"]).exists() for row in rows)


def test_the_same_again_does_nothing(root):
    one = study(root)
    run(one)
    known = times(root / "out")
    assert {e.state for e in run(one)} == {"kept"}
    assert times(root / "out") == known
    assert sum(1 for _ in read(root / "out", "ledger")) == 6


def test_any_split_gives_the_bytes_of_the_whole(root):
    whole, parts = study(root), study(root, folder="parts")
    run(whole)
    for number in (1, 0):
        run(parts, part=Part(number, 2))
    assert checksums(whole) == checksums(parts)
    assert len(checksums(parts)) == 6


def test_the_newest_record_counts_whatever_part_wrote_it(root):
    one = study(root, look="image", reference={"image": "raw/scanner_a/0.png"})
    path = root / "raw/scanner_b/2.png"
    kept = path.read_bytes()
    path.write_bytes(b"no image")
    assert [e.state for e in run(one)].count("failed") == 1
    path.write_bytes(kept)
    for number in range(2):
        run(one, part=Part(number, 2))
    assert {record["state"] for record in states(one).values()} == {"done"}
    assert {e.state for e in run(one)} == {"kept"}
    assert "2.png" not in report(one).partition("<h2>Not done")[2].partition("<h2>")[0]


@pytest.mark.slow
def test_processes_give_the_bytes_of_one(root):
    whole, many = study(root), study(root, folder="many", workers=2)
    run(whole)
    run(many)
    assert checksums(whole) == checksums(many)


def test_what_a_killed_run_wrote_is_not_done_again(root):
    one = study(root)
    run(one)
    known, sums = times(root / "out"), checksums(one)
    ledger = root / "out/ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    assert sorted(e.state for e in run(one)) == ["done"] * 4 + ["kept"] * 2
    assert times(root / "out") == known
    assert checksums(one) == sums
    assert len([*read(root / "out", "ledger")]) == 6


def test_an_output_reproduces_itself(root, tmp_path):
    one = study(root)
    run(one)
    made = root / "out/raw/scanner_a/1_content.png"
    recipe = nd.Recipe.from_json(read_provenance(made))
    (again,) = [p for p in nd.run(recipe, tmp_path / "again") if isinstance(p, Path)]
    np.testing.assert_array_equal(iio.imread(again), iio.imread(made))


def test_a_moved_study_runs_and_has_nothing_to_do(root, tmp_path_factory):
    study(root).save(root / "study.yaml")
    run(nd.Study.load(root / "study.yaml"))
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.copytree(root, moved, copy_function=shutil.copy)  # new times of change
    assert {e.state for e in run(nd.Study.load(moved / "study.yaml"))} == {"kept"}


def test_the_recipe_beside_the_results_goes_on_too(root):
    one = study(root, reference={"image": "raw/scanner_a/0.png"})
    run(one)
    beside = nd.Study.load(one.target / "recipe.yaml")
    assert {e.state for e in run(beside)} == {"kept"}
    with pytest.raises(DataError, match="6 results"):
        run(beside.model_copy(update={"look": "image"}))


def test_results_among_the_images_are_none_of_them(root):
    one = study(root, folder="raw/normalised")
    run(one)
    before = times(one.target)
    assert len(scan(one)) == 6
    assert {event.state for event in run(one)} == {"kept"}
    assert times(one.target) == before
    again = study(root, inputs=[{"folder": "raw/normalised"}], folder="again")
    assert len(scan(again)) == 6  # asked for by name


@pytest.mark.parametrize("folder", ["raw", ".", "raw/scanner_a/.."])
def test_results_may_not_lie_where_they_would_be_taken_for_images(root, folder):
    with pytest.raises(DataError, match="would lie among the images"):
        run(study(root, folder=folder))
    assert not [*root.rglob("*_content*")]


def test_a_folder_may_be_called_as_results_are(root):
    (root / "raw").rename(root / "normalised")
    _, items = first(root / "normalised", root)
    assert len(items) == 6


def test_files_of_one_name_in_two_places_are_both_done(root):
    (root / "here").mkdir()
    shutil.move(root / "raw", root / "here/raw")
    shutil.copytree(root / "here/raw", root / "raw")
    inputs = [{"folder": "raw"}, {"folder": "../raw"}]
    one = study(root, inputs=inputs).at(root / "here")
    assert len({e.image for e in run(one)}) == 12


def test_looks_are_measured_once_and_again_where_an_image_changed(root):
    one = study(root, reference={"image": "raw/scanner_a/0.png"}, look="image")
    assert len([*nd.measure_study(one)]) == 6
    assert [*nd.measure_study(one)] == []
    run(one)
    iio.imwrite(root / "raw/scanner_b/1.png", render(tissue(77, 96), ROSE, 2.0))
    assert [e.image for e in nd.measure_study(one)] == ["raw/scanner_b/1.png"]
    (failed,) = [e for e in run(one) if e.state != "kept"]
    assert failed.image == "raw/scanner_b/1.png"
    assert "another recipe, reference or image" in failed.reason
    assert [e.state for e in run(one, overwrite=True)].count("done") == 1


def test_a_plate_more_keeps_what_was_done_if_the_reference_is_kept(root):
    first = study(root, inputs=[{"folder": "raw/scanner_a"}])
    run(first)
    kept = {"look": "out/reference.json"}
    events = run(study(root, reference=kept))
    assert [e.state for e in events].count("kept") == 3
    assert [e.state for e in events].count("done") == 3


def test_another_recipe_is_refused_before_anything_is_changed(root):
    one = study(root)
    run(one)
    left = {p: p.read_bytes() for p in one.target.rglob("*") if p.is_file()}
    assert foresee(one).there == 6
    other = study(root, reference={"group": "a"})
    for refused in (run, foresee):
        with pytest.raises(DataError, match=r"6 results .*reference: \{look: out/ref"):
            refused(other)
    assert {p: p.read_bytes() for p in one.target.rglob("*") if p.is_file()} == left
    assert {e.state for e in run(other, overwrite=True)} == {"done"}


def test_an_image_of_other_channels_does_not_spoil_the_dry_run(root):
    grey = iio.imread(root / "raw/scanner_a/0.png")[..., 0]
    tifffile.imwrite(root / "raw/scanner_a/00.tif", grey)
    found = foresee(study(root))
    assert found.images == 7
    assert not (root / "out").exists()


def test_numbers_of_a_table_are_numbers(root):
    (root / "images.csv").write_text("path,full_scale\nraw/scanner_a/0.png,much\n")
    with pytest.raises(DataError, match=r"full_scale of '0.png' is 'much'"):
        run(study(root, inputs=[{"table": "images.csv"}], group=None, labels={}))


def test_controls_that_no_image_has_are_refused(root):
    with pytest.raises(DataError, match=r"no image has 'C\*' as name: there are 0.png"):
        run(study(root, controls={"name": ["0.png", "C*"]}))


def test_a_remark_is_of_the_image_that_it_was_made_of(root):
    empty = np.full((96, 96, 3), 240, "uint8")
    iio.imwrite(root / "raw/scanner_a/blank.png", empty)
    said = {e.image: " ".join(e.remarks) for e in run(study(root))}
    blank = "raw/scanner_a/blank.png"
    words = "no foreground found: the image is rendered with the look of its group"
    assert {image for image, one in said.items() if words in one} == {blank}
    assert {image for image, one in said.items() if "is constant" in one} == {blank}
    assert not any("returned as it is" in one for one in said.values())
    assert (iio.imread(root / "out/raw/scanner_a/blank_content.png") != 240).any()


def test_a_swap_gives_the_look_of_a_group(root):
    one = study(root, outputs=["swap"], donor={"group": "b"})
    run(one)
    own, given, donor = (
        np.mean([iio.imread(p).mean((0, 1)) for p in sorted(root.glob(name))], 0)
        for name in (
            "raw/scanner_a/*.png",
            "out/raw/scanner_a/*.png",
            "raw/scanner_b/*.png",
        )
    )
    assert np.abs(given - donor).max() < 0.5 * np.abs(own - donor).max()


# --- controls -------------------------------------------------------------------------
def plates(root, effect=1.5, wells=8):
    """Three plates of one gain each; half of the wells are brighter by an effect."""
    rng = np.random.default_rng(0)
    for plate, gain in enumerate((0.6, 1.0, 1.7)):
        for well in range(wells):
            treated = well % 2
            signal = np.zeros((96, 96))
            for y, x in rng.integers(8, 88, (25, 2)):
                signal[y - 4 : y + 4, x - 4 : x + 4] = rng.uniform(2000, 4000)
            values = 300 + gain * signal * effect**treated
            values = values + rng.normal(0, 10, values.shape)
            name = f"plate{plate}_{'ABCDEFGH'[well]}0{1 + treated}.tif"
            folder = root / "plates"
            folder.mkdir(exist_ok=True)
            tifffile.imwrite(folder / name, values.clip(0, 65535).astype("uint16"))
    return {
        "inputs": [{"folder": "plates", "modality": "fluorescence"}],
        "labels": {"plate": r"plate(\d)", "well": r"_([A-H]\d\d)"},
        "group": "plate",
    }


def levels(folder):
    """Mean signal of controls and of treated wells, by plate."""
    found = {}
    for path in sorted(folder.glob("**/plate*.tif")):
        values = tifffile.imread(path).astype(float)
        bright = values[values > np.median(values) + 200]
        key = path.name[:6], path.name[8:10] == "02"
        found.setdefault(key, []).append(bright.mean() - np.median(values))
    return {key: np.mean(one) for key, one in found.items()}


def kept_effect(folder):
    known = levels(folder)
    return np.mean([known[f"plate{i}", True] / known[f"plate{i}", False]
                    for i in range(3)])  # fmt: skip


def test_controls_keep_what_a_treatment_does(tmp_path):
    known = plates(tmp_path)
    before = kept_effect(tmp_path / "plates")
    run(study(tmp_path, **known, controls={"well": ["*01"]}))
    after = levels(tmp_path / "out")
    assert kept_effect(tmp_path / "out") - 1 >= 0.95 * (before - 1)
    controls = [after[f"plate{i}", False] for i in range(3)]
    assert max(controls) / min(controls) < 1.15


def test_every_image_by_itself_erases_it_and_says_so(tmp_path):
    known = plates(tmp_path)
    before = kept_effect(tmp_path / "plates")
    one = study(tmp_path, **known, look="image")
    run(one)
    assert kept_effect(tmp_path / "out") - 1 < 0.5 * (before - 1)
    assert "also removes differences between treatments" in foresee(one).remarks[0]


def test_a_group_without_controls_is_told_and_the_others_are_done(tmp_path):
    known = plates(tmp_path)
    one = study(tmp_path, **known, controls={"well": ["A01"], "plate": ["0", "1"]})
    assert any("group '2' has no control" in words for words in foresee(one).remarks)
    events = run(one)
    assert {e.state for e in events if "plate2" in e.image} == {"failed"}
    assert {e.state for e in events if "plate2" not in e.image} == {"done"}


# --- the report -----------------------------------------------------------------------
def report(one):
    return (one.target / "report.html").read_text(encoding="utf-8")


def before_the_verdict(page):
    return page.partition("Should I use this?")[0]


def test_the_report_says_whether_to_use_it(tmp_path):
    known = plates(tmp_path)
    one = study(tmp_path, **known, controls={"well": ["*01"]})
    run(one)
    page = report(one)
    assert "Controls of different groups have one level now" in page
    assert "The difference between treated and controls is kept" in page
    assert 'class="warn"' not in before_the_verdict(page)
    assert page.count("<h2>Plate") == 3
    assert "http" not in page.replace("http-equiv", "")


def test_the_report_of_single_matching_says_so_first(tmp_path):
    known = plates(tmp_path)
    one = study(tmp_path, **known, look="image", controls={"well": ["*01"]})
    run(one)
    page = report(one)
    assert "removes differences between treatments" in before_the_verdict(page)
    assert "was partly REMOVED" in page


def test_a_confounded_design_stands_in_the_first_line(tmp_path):
    known = plates(tmp_path)
    labels = known["labels"] | {"treated": "plate(2)"}
    one = study(tmp_path, **known | {"labels": labels}, biology="treated")
    assert "the design is confounded" in foresee(one).remarks[0]
    run(one)
    assert "THE DESIGN IS CONFOUNDED".lower() in before_the_verdict(report(one)).lower()


def test_the_report_is_written_anew_from_what_is_there(tmp_path):
    one = study(tmp_path, **plates(tmp_path, wells=2))
    run(one)
    before, made = report(one), times(one.target)
    (one.target / "report.html").unlink()
    nd.report_study(one)
    assert report(one) == before
    assert times(one.target) == made


def test_the_report_names_images_that_became_saturated(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "raw").mkdir()
    for group in "ab":
        for i in range(3):
            values = rng.normal(10, 1, (96, 96))
            spots = rng.uniform(120, 250, (12, 12))
            if group == "a":  # most of them faint, some bright
                spots = np.where(rng.random(spots.shape) < 0.1, 200, 30)
            values[24:72, 24:72] = np.kron(spots, np.ones((4, 4)))
            name = tmp_path / f"raw/{group}{i}.tif"
            tifffile.imwrite(name, values.astype("uint8"))
    one = study(
        tmp_path,
        inputs=[{"folder": "raw", "modality": "fluorescence"}],
        labels={"scanner": "raw/(.)"},
        reference={"group": "b"},
    )
    run(one)
    page = report(one)
    assert "<td>raw/a0.tif</td><td>saturated values</td>" in page


def test_a_report_escapes_what_names_say(root):
    (root / "raw/scanner_a/<b>&amp;.png").write_bytes(b"none")
    one = study(root)
    run(one)
    page = report(one)
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;amp;.png" in page


def test_closed_forms_stand_beside_the_model(root):
    one = study(root, biology="name")
    rows = compare(one).rows
    assert {"raw", "meanstd", "macenko"} <= {row.model for row in rows}
    run(one)
    assert "Beside closed forms" in report(one)
    assert "macenko" in report(one)


# --- the command line -----------------------------------------------------------------
def test_the_command_line_does_the_same(root, capsys):
    from napari_disentangle.cli.main import main

    def call(*args):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, args)])
        return ended.value.code, *capsys.readouterr()

    recipe = root / "study.yaml"
    assert call("batch", "init", root / "raw", "-o", recipe)[0] == 0
    text = recipe.read_text()
    recipe.write_text(text.replace("model: affine", "model: meanstd"))
    code, out, _ = call("batch", "check", recipe)
    assert code == 0
    assert "6 images in 2 groups" in out
    (root / "raw/broken.png").write_bytes(b"none")
    code, out, err = call("batch", "run", recipe, "--workers", 1)
    assert code == 1
    assert "1 image is not done" in err
    assert "broken.png" in err
    other = study(root)
    run(other)
    one = nd.Study.load(recipe)
    assert out.strip() == str(one.target / "report.html")
    assert checksums(one).keys() == checksums(other).keys()
    pairs = zip(sorted(times(one.target)), sorted(times(other.target)), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(iio.imread(ours), iio.imread(theirs))
    assert call("batch", "init", root / "raw", "-o", recipe)[0] == 2
    assert call("batch", "run", recipe, "--shard", "2/2")[0] == 2


# --- what is odd ----------------------------------------------------------------------
def test_what_is_odd_is_compared_with_controls_and_comes_as_one_table(tmp_path):
    known = plates(tmp_path, effect=1.0, wells=4)
    strange = tmp_path / "plates/plate1_B02.tif"
    values = tifffile.imread(strange)
    values[30:60, 30:60] = 9000
    tifffile.imwrite(strange, values)
    said = {"controls": {"well": ["*01"]}, "outputs": ["anomaly"], "cell": 8.0}
    one = study(tmp_path, **known, **said, detector="mahalanobis")
    assert {e.state for e in run(one)} == {"done"}
    shares = {image: r["odd_share"] for (image, _), r in states(one).items()}
    assert max(shares, key=shares.get) == "plates/plate1_B02.tif"
    with (one.target / "regions.csv").open() as file:
        rows = [*csv.DictReader(file)]
    largest = max(rows, key=lambda row: float(row["size_px"]))
    assert largest["image"] == "plates/plate1_B02.tif"
    labels = tifffile.imread(one.target / "plates/plate1_B02_anomaly_regions.ome.tif")
    assert labels[45, 45] == int(largest["label"])
    made = one.target / "plates/plate1_B02_anomaly.tif"
    recipe = nd.Recipe.from_json(read_provenance(made))
    assert len(recipe.normals) == 6
    assert "Most odd" in report(one)
    wells = re.findall(r'--tint: (\d+)%">([0-9.]+)%<', report(one))
    assert len(wells) == 12  # of three plates
    assert max(wells, key=lambda well: float(well[1]))[0] == "100"
    (again,) = [p for p in nd.run(recipe, tmp_path / "again") if isinstance(p, Path)]
    np.testing.assert_array_equal(tifffile.imread(again), tifffile.imread(made))


def test_regions_of_names_with_dots_and_of_wells_have_files_of_their_own(tmp_path):
    (tmp_path / "raw").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.1.tif", "a.2.tif"):
        values = rng.normal(1000, 50, (64, 64)).astype("uint16")
        tifffile.imwrite(tmp_path / "raw" / name, values)
    said = {"outputs": ["anomaly"], "cell": 8.0, "detector": "mahalanobis"}
    one = study(tmp_path, group=None, labels={}, **said)
    assert {e.state for e in run(one)} == {"done"}
    tables = {path.name for path in one.target.rglob("*_regions.csv")}
    assert tables == {f"a.{i}_anomaly_regions.csv" for i in (1, 2)}


# --- plates as OME-Zarr ---------------------------------------------------------------
@pytest.fixture
def plate(tmp_path):
    """Two rows, three columns, two fields each; one well of the layout is not there."""
    import zarr

    place = tmp_path / "plate7.ome.zarr"
    wells = [(r, c) for r in "AB" for c in "123"]
    rng = np.random.default_rng(1)
    for row, column in wells:
        for field in "01":
            gain = 1 + int(column)
            data = (300 + gain * rng.gamma(2, 300, (2, 64, 64))).astype("uint16")
            data[0, 20:29, 30:39] += 20_000
            image = nd.Field(
                data, "CYX", scale=(1.0, 0.5, 0.5),
                units=("pixel", "micrometer", "micrometer"),
                channel_names=("DNA", "actin"), modality="fluorescence",
            )  # fmt: skip
            model = nd.fit(image, "identity")
            inside = place / row / column / field
            inside.parent.mkdir(parents=True, exist_ok=True)
            for _ in nd.write(nd.apply(model, image), inside):
                pass
        zarr.open_group(place / row, mode="a", zarr_format=3)
        group = zarr.open_group(place / row / column, mode="a", zarr_format=3)
        images = [{"path": "0", "acquisition": 0}, {"path": "1", "acquisition": 0}]
        group.attrs["ome"] = {"version": "0.5", "well": {"images": images}}
    group = zarr.open_group(place, mode="a", zarr_format=3)
    group.attrs["ome"] = {
        "version": "0.5",
        "plate": {
            "name": "plate 7",
            "rows": [{"name": r} for r in "AB"],
            "columns": [{"name": c} for c in "123"],
            "acquisitions": [{"id": 0}],
            "wells": [
                {
                    "path": f"{r}/{c}",
                    "rowIndex": "AB".index(r),
                    "columnIndex": int(c) - 1,
                }
                for r, c in wells
            ],
        },
    }
    yaozarrs.validate_zarr_store(place)
    return place


def test_a_plate_comes_out_as_a_plate(plate, tmp_path):
    shutil.rmtree(plate / "B" / "3" / "1" / "0")
    one = nd.Study(
        inputs=({"plate": plate.name},), group="column", controls={"row": ("A",)},
        model="meanstd", workers=1, folder="out", root=tmp_path,
    )  # fmt: skip
    events = run(one)
    (failed,) = [e for e in events if e.state == "failed"]
    assert failed.image == "plate7.ome.zarr/B/3/1"
    made = tmp_path / "out/plate7_content.ome.zarr"
    yaozarrs.validate_zarr_store(made)
    fields = {item.inside for item in scan(one)}
    written = {
        p.parent.relative_to(made).as_posix() for p in made.glob("*/*/*/zarr.json")
    }
    assert written == fields - {"B/3/1"}
    image = nd.read(made / "A/2/1")
    assert image.channel_names == ("DNA", "actin")
    assert image.scale[-2:] == (0.5, 0.5)
    opened = yaozarrs.open_group(made).ome_metadata()
    assert len(opened.plate.wells) == 6
    assert {e.state for e in run(one) if e.image != failed.image} == {"kept"}


def test_objects_of_a_plate_are_a_plate_of_labels_and_one_table(plate, tmp_path):
    one = nd.Study(
        inputs=({"plate": plate.name},), group="column", model="meanstd", workers=1,
        outputs=("objects",), cell=8.0, folder="out", root=tmp_path,
    )  # fmt: skip
    assert {e.state for e in run(one)} == {"done"}
    made = tmp_path / "out/plate7_objects.ome.zarr"
    yaozarrs.validate_zarr_store(made)
    assert not [*made.rglob("*.csv")]
    with (tmp_path / "out/objects.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {row["well"] for row in rows} == {f"{r}0{c}" for r in "AB" for c in "123"}
    labels = np.asarray(nd.read(made / "A/2/1").data)
    own = [row for row in rows if (row["well"], row["field"]) == ("A02", "1")]
    assert [int(row["label"]) for row in own] == [*np.unique(labels)[1:]]
    assert "DNA mean" in own[0]
    assert (tmp_path / "out/report.html").exists()
    assert {e.state for e in run(one)} == {"kept"}


def test_fields_of_a_plate_can_come_out_as_files(plate, tmp_path):
    one = nd.Study(
        inputs=({"folder": "."},), group="column", model="meanstd", workers=1,
        folder="out", suffix=".ome.tif", root=tmp_path,
    )  # fmt: skip
    assert {e.state for e in run(one)} == {"done"}
    assert len([*(tmp_path / "out").glob("plate7_[AB]0?_?_content.ome.tif")]) == 12


def test_an_image_of_other_channels_is_named_before_anything_is_run(root):
    grey = iio.imread(root / "raw/scanner_a/0.png")[..., 0]
    iio.imwrite(root / "raw/scanner_a/grey.png", grey)
    ((path, why),) = foresee(study(root)).troubles
    assert path == "raw/scanner_a/grey.png"
    assert "it has channels intensity, but the study has R, G, B" in why


# --- what is wrong --------------------------------------------------------------------
def test_every_bad_input_gets_its_line_and_the_good_ones_are_done(root):
    raw = root / "raw"
    good = iio.imread(raw / "scanner_a/0.png")
    (raw / "zero.png").touch()
    (raw / "text.tif").write_text("nothing of an image")
    shutil.copy(raw / "scanner_a/0.png", raw / "scanner_a/wrong ending.jpg")
    tifffile.imwrite(raw / "grey.tif", good[..., 0])
    iio.imwrite(raw / "scanner_b/one.png", good[:1, :1])
    iio.imwrite(raw / "scanner_b/strip.png", np.tile(good[:8], (1, 320, 1))[:, :30000])
    iio.imwrite(raw / "scanner_b/Größe 中文.png", good)
    iio.imwrite(raw / "scanner_b" / f"{'n' * 251}.png", good)
    (raw / "folder.tif").mkdir()
    (raw / "loop").symlink_to(raw)
    (raw / "self.png").symlink_to(raw / "self.png")
    (raw / "gone.png").symlink_to(raw / "nothing.png")
    iio.imwrite(raw / "scanner_b/x.png", good)
    os.rename(raw / "scanner_b/x.png", os.fsencode(raw / "scanner_b/") + b"/\xff.png")
    with tifffile.TiffWriter(raw / "scanner_b/unequal.tif") as file:
        for part in (good, good[:50, :40]):
            file.write(part, photometric="rgb")
    shutil.copy(raw / "scanner_b/2.png", raw / "scanner_b/denied.png")
    (raw / "scanner_b/denied.png").chmod(0)
    (raw / "scanner_b" / "same.PNG").write_bytes((raw / "scanner_b/1.png").read_bytes())
    shutil.copy(raw / "scanner_a/0.png", raw / "scanner_a/0.tif")
    one = study(root, group="folder")
    events = run(one)
    state = {e.image.removeprefix("raw/"): e for e in events}
    assert len(state) == len(events) == 23
    failed = {name: e.reason for name, e in state.items() if e.state == "failed"}
    sentences = {
        "zero.png": "zero.png",
        "text.tif": "text.tif",
        "grey.tif": "channels",
        "folder.tif": "is a folder",
        "loop": "link to a folder that it is in",
        "self.png": "leads to itself",
        "gone.png": "is not there",
        "scanner_b/\udcff.png": "rename it",
    }
    if not os.access(raw / "scanner_b/denied.png", os.R_OK):  # root may read all
        sentences["scanner_b/denied.png"] = "denied"
    assert failed.keys() == sentences.keys()
    for name, words in sentences.items():
        assert words in failed[name], name
    names = [p.name for p in (root / "out").rglob("*_content.*")]
    assert len(names) == len(checksums(one)) == 23 - len(failed)
    assert any(
        "holds 2 images" in one for one in state["scanner_b/unequal.tif"].remarks
    )
    assert all(len(name.encode()) < 240 for name in names)


def test_an_image_that_vanishes_gets_its_line(root):
    one = study(root)
    events = nd.run_study(one)
    seen = []
    for event in events:
        seen.append(event)
        if event.phase == "measure" and event.done == event.total:
            (root / "raw/scanner_b/2.png").unlink()
    failed = {e.image: e.reason for e in seen if e.state == "failed"}
    assert [*failed] == ["raw/scanner_b/2.png"]
    assert "2.png" in failed["raw/scanner_b/2.png"]
    assert [e.state for e in seen if e.phase == "render"].count("done") == 5


def test_a_folder_that_may_not_be_read_gets_its_line(root, monkeypatch):
    shut = root / "raw/shut"
    shut.mkdir()

    def refused(real):
        def call(path, *more, **said):
            if str(path).startswith(str(shut)):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *more, **said)

        return call

    if os.geteuid() == 0:  # who may read everything
        monkeypatch.setattr(os, "scandir", refused(os.scandir))
        monkeypatch.setattr(Path, "exists", refused(Path.exists))
    else:
        shut.chmod(0)
    failed = [e for e in run(study(root)) if e.state == "failed"]
    shut.chmod(0o755)
    assert [e.image for e in failed] == ["raw/shut"]
    assert "cannot be listed (Permission denied)" in failed[0].reason


def test_a_folder_that_cannot_be_written_is_one_sentence(root):
    (root / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written \(.*choose another folder"):
        run(study(root, folder="file/out"))


def test_two_runs_of_one_study_do_not_meet(root):
    one = study(root)
    first = nd.run_study(one)
    next(first)
    with pytest.raises(DataError, match="run by another process"):
        next(nd.run_study(one))
    first.close()
    assert len(run(one)) == 6


@pytest.mark.slow
def test_a_process_that_dies_takes_only_its_own_task():
    with Workers(Where(1, processes)) as crew:
        found = dict(crew.each(kill_if_two, range(6)))
    died = found.pop(2)
    assert isinstance(died, DataError)
    assert "killed" in str(died)
    assert found == {n: n * 10 for n in (0, 1, 3, 4, 5)}


def test_cancelling_does_not_wait_for_what_is_at_work():
    def begun():
        with Workers(Where(2, processes)) as crew:
            yield from crew.each(wait_if_large, iter([1, 1, 100, 100]))

    tasks = begun()
    next(tasks)
    begin = monotonic()
    tasks.close()
    assert monotonic() - begin < 5


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"inputs": []}, "inputs"),
        ({"inputs": [{"folder": "a", "plate": "b"}]}, "inputs.0"),
        ({"labels": {"well": "("}}, "labels: .*well"),
        ({"suffix": ".gif"}, "suffix"),
        ({"outputs": ["swap"]}, "donor"),
        ({"reference": {"group": "a", "look": "b"}}, "reference"),
        ({"grup": "plate"}, "grup"),
    ],
)
def test_a_recipe_that_is_wrong_names_the_field(tmp_path, said, words):
    with pytest.raises(RecipeError, match=words):
        study(tmp_path, **said)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"group": "plate"}, "no image has a column 'plate'"),
        ({"inputs": [{"folder": "nowhere"}]}, "there is no folder"),
        ({"inputs": [{"folder": "raw", "glob": "*.xyz"}]}, "there is no image in"),
        ({"reference": {"group": "c"}}, "no group 'c': use one of 'a', 'b'"),
        ({"reference": {"look": "no.json"}}, "no.json"),
        ({"inputs": [{"table": "no.csv"}]}, "cannot be read as CSV"),
    ],
)
def test_a_study_that_cannot_be_run_is_one_sentence(root, said, words):
    with pytest.raises(DataError, match=words):
        run(study(root, **said))


# --- where images come from -----------------------------------------------------------
def test_a_table_tells_paths_groups_and_how_to_read(root):
    (root / "tables").mkdir()
    with (root / "tables/images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "site", "treatment", "modality"])
        writer.writerow(["../raw/scanner_a/0.png", "Gent", "none", "brightfield"])
        writer.writerow(["../raw/scanner_b/0.png", "Łódź", "drug", ""])
        writer.writerow(["../raw/scanner_b/0.png", "Łódź", "drug", ""])
    one = study(root, inputs=[{"table": "tables/images.csv"}], group="site", labels={})
    first, second = scan(one)
    assert (first.group, second.group) == ("Gent", "Łódź")
    assert first.reading == {"modality": "brightfield"}
    assert second.labels["treatment"] == "drug"
    assert {e.state for e in run(one)} == {"done"}


def test_files_of_several_images_give_all_if_asked(tmp_path):
    (tmp_path / "raw").mkdir()
    rng = np.random.default_rng(0)
    with tifffile.TiffWriter(tmp_path / "raw/two.ome.tif") as file:
        for _ in range(2):
            file.write(rng.integers(0, 4000, (64, 64)).astype("uint16"))
    first = study(tmp_path, group=None)
    every = study(tmp_path, group=None, inputs=[{"folder": "raw", "all_images": True}])
    assert len(scan(first)) == 1
    assert [item.output for item in scan(every)] == ["raw/two", "raw/two_1"]
    assert {e.state for e in run(every)} == {"done"}


def test_parts_of_names_are_columns_to_choose_from(root):
    (root / "slides").mkdir()
    for case in range(4):
        for scanner in "ab":
            name = (
                root / f"slides/case{case}_of scanner-{'leica' * (scanner == 'a')}x.png"
            )
            shutil.copy(root / "raw/scanner_a/0.png", name)
    one, items = first(root / "slides", root)
    assert {item.labels["part 4"] for item in items} == {"leicax", "x"}
    assert {item.labels["part 1"] for item in items} == {f"case{i}" for i in range(4)}
    assert "part 2" not in one.labels  # all have the same


def test_a_treated_majority_does_not_make_controls_unlike_their_group(tmp_path):
    known = plates(tmp_path, effect=8.0, wells=8)
    for plate in range(3):  # three controls and four treated wells are left
        (tmp_path / f"plates/plate{plate}_G01.tif").unlink()
    one = study(tmp_path, **known, controls={"well": ["*01"]})
    run(one)
    assert "01.tif</td><td>look" not in report(one)


def test_a_first_recipe_finds_the_batches_and_can_be_run(root):
    text = draft(root / "raw", root / "study.yaml")
    (root / "study.yaml").write_text(text)
    one = nd.Study.load(root / "study.yaml")
    assert {item.group for item in scan(one)} == {"a", "b"}
    known = foresee(one)
    assert known.groups == {"a": (3, 3), "b": (3, 3)}
    assert known.remarks == []
    assert not one.target.exists()
    assert {e.state for e in run(one)} == {"done"}


# --- processes that are killed --------------------------------------------------------
SCRIPT = """
import sys, napari_disentangle as nd
if __name__ == "__main__":
    for event in nd.run_study(nd.Study.load(sys.argv[1])):
        print(event.phase, flush=True)
"""


def test_after_kill_9_it_goes_on_and_no_process_is_left(root):
    study(root, workers=2).save(root / "study.yaml")
    script = root / "script.py"
    script.write_text(SCRIPT)
    going = subprocess.Popen(
        [sys.executable, script, root / "study.yaml"], stdout=subprocess.PIPE, text=True
    )
    while "render" not in going.stdout.readline():
        pass
    children = _children(going.pid)
    going.kill()
    going.wait()
    going.stdout.close()
    deadline = monotonic() + 20
    while any(_alive(child) for child in children) and monotonic() < deadline:
        pass
    assert not any(_alive(child) for child in children)
    one = nd.Study.load(root / "study.yaml")
    assert len(run(replace_workers(one))) == 6
    whole = study(root, folder="whole")
    run(whole)
    assert checksums(one) == checksums(whole)


def replace_workers(one):
    return one.model_copy(update={"workers": 1})


def _children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


def _alive(pid):
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- a cluster ------------------------------------------------------------------------
@pytest.mark.slow
def test_a_cluster_gives_the_bytes_of_one_even_if_a_worker_is_killed(root):
    from distributed import LocalCluster

    from napari_disentangle.study.cluster import cluster

    whole, far = study(root), study(root, folder="far", workers=2)
    run(whole)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as made,
        cluster(made.scheduler_address) as opened,
    ):
        killed = False
        for event in nd.run_study(far, workers=opened):
            if event.phase == "render" and not killed:
                killed = True
                os.kill(made.workers[0].pid, signal.SIGKILL)
    assert checksums(far) == checksums(whole)


def test_a_cluster_that_is_not_there_is_one_sentence(root, monkeypatch):
    from napari_disentangle.study.cluster import cluster

    monkeypatch.setattr("napari_disentangle.study.cluster.WAIT", 1)
    with (
        pytest.raises(DataError, match="no cluster answers"),
        cluster("tcp://nowhere:1"),
    ):
        pass


@pytest.mark.slow
def test_the_rule_in_the_docs_runs(root):
    docs = Path(__file__).resolve().parents[2] / "docs" / "batches.md"
    _, _, rest = docs.read_text().partition("rule all:")
    rules = "rule all:" + rest.partition("```")[0]
    assert rules.count("4") == 2
    (root / "Snakefile").write_text(rules.replace("4", "2"))
    study(root).save(root / "study.yaml")
    places = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2"],
        cwd=root, env=os.environ | places, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(checksums(study(root))) == 6
