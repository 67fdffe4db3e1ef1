"""The command line: the same results as the console, and sentences for errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from strategies import MODELS

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.model.registry import DEFAULT
from napari_disentangle.samples.data import CHANNELS, SAMPLES, apply_batch, load

HEAVY = ["torch", "napari", "qtpy", "PyQt6", "PySide6"]


@pytest.fixture
def call(capsys):
    """Run the command line here: exit code, lines of stdout, lines of stderr."""

    def run(*args):
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        said = capsys.readouterr()
        return left.value.code or 0, said.out.splitlines(), said.err.splitlines()

    return run


@pytest.fixture
def pair(tmp_path):
    """Paths of two small images of one modality that look different."""

    def make(modality):
        if modality == "brightfield":
            arrays = [load(name)[:96, :128] for name in ("blood_1", "blood_2")]
        else:
            cells = load("cells_a")[:, 64:160, :128]
            changed = [
                apply_batch(c, m.batch) for c, m in zip(cells, CHANNELS, strict=True)
            ]
            arrays = [cells, np.stack(changed)]
        kind = "rgb" if modality == "brightfield" else "minisblack"
        axes = {"axes": "YXS" if kind == "rgb" else "CYX"}
        paths = [tmp_path / f"{name}.ome.tif" for name in "ab"]
        for path, array in zip(paths, arrays, strict=True):
            tifffile.imwrite(path, array, photometric=kind, ome=True, metadata=axes)
        return paths

    return make


@pytest.fixture
def made(call, pair, tmp_path):
    """The first blood smear with the look of the second: its paths, and the output."""
    image, donor = pair("brightfield")
    args = ["apply", image, "--donor", donor, "--output", "swap", "--device", "cpu"]
    code, paths, _ = call(*args, "-o", tmp_path / "out")
    assert code == 0
    return image, donor, Path(paths[0])


def pixels(path):
    return np.asarray(nd.read(path).data)


# --- what there is --------------------------------------------------------------------
@pytest.mark.parametrize(
    "args", [["--help"], ["apply", "--help"], ["fit", "--help"], ["models"]]
)
def test_help_and_models_load_nothing_heavy(args):
    code = (
        "import sys\nfrom napari_disentangle.cli.main import main\n"
        f"try: main({args!r})\nexcept SystemExit as left: assert not left.code\n"
        f"print('loaded:', *[m for m in {HEAVY!r} if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "loaded:"


def test_models_lists_everything_with_settings(call):
    code, lines, _ = call("models")
    first = {line.split()[0]: line for line in lines if line}
    for name, entry in {**nd.models(), **nd.detectors()}.items():
        assert entry.description in first[name]
        assert all(
            f"{field}=" in first[name] for field in entry.config.__dataclass_fields__
        )
    assert code == 0


def test_models_lists_trained_ones_with_their_cards(call):
    _, lines, _ = call("models")
    first = {line.split()[0]: line for line in lines if line}
    for name, card in nd.zoo().items():
        assert card["not for"] in first[name]
        assert all(source in first[name] for source in card["trained on"])


def test_doctor_names_the_device_without_loading_qt():
    code = (
        "import sys\nfrom napari_disentangle.cli.main import main\n"
        "try: main(['doctor'])\nexcept SystemExit as left: assert not left.code\n"
        f"assert not [m for m in {HEAVY[1:]!r} if m in sys.modules]"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    from napari_disentangle.compute.device import pick, why_no_gpu

    lines = dict(line.split(maxsplit=1) for line in said.stdout.splitlines())
    assert lines["device"].startswith(pick("auto"))
    assert lines["napari-disentangle"] == nd.__version__
    assert ("no" in lines) == bool(why_no_gpu())


@pytest.mark.parametrize("absent", ["napari", "every binding"])
def test_demo_without_windows_says_what_to_install(call, monkeypatch, absent):
    names = ["napari"] if absent == "napari" else ["PyQt6", "PySide6", "PyQt5"]
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    code, _, errors = call("demo")
    assert (code, len(errors)) == (2, 1)
    assert "pip install 'napari[pyqt6]'" in errors[0]


def test_info_describes_an_image(call):
    code, lines, _ = call("info", "--json", SAMPLES / "blood_1.png")
    (found,) = json.loads("\n".join(lines))
    assert code == 0
    assert found["axes"] == "YXC"
    assert found["shape"] == [480, 480, 3]
    assert (found["dtype"], found["modality"]) == ("uint8", "brightfield")
    assert found["provenance"] == {}


def test_info_says_in_a_line_what_each_image_is(call, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    files = (SAMPLES / "cells_a.tif", tmp_path / "bad.png", SAMPLES / "blood_1.png")
    code, lines, errors = call("info", *files)
    assert code == 1
    assert [line for line in lines if not line.startswith("  ")] == [
        f"{files[0]}: 3 channels fluorescence, 3 x 256 x 256 (CYX), uint8; 0, 1, 2",
        f"{files[2]}: RGB brightfield, 480 x 480 (YX), uint8; R, G, B",
    ]
    assert len(errors) == 1
    assert "'bad.png' cannot be read" in errors[0]


def test_info_shows_pixel_size_status_and_origin(call, made, tmp_path):
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "axes": "YX"}
    blank = tmp_path / "blank.ome.tif"
    tifffile.imwrite(blank, np.zeros((32, 32), np.uint8), metadata=sizes)
    code, lines, _ = call("info", blank, made[2])
    text = "\n".join(lines)
    assert code == 0
    assert "0.5 um/px" in text
    assert "the image is constant" in text
    assert f"swap of 'a' by {DEFAULT}" in text
    assert f"napari-disentangle {nd.__version__}" in text


# --- what is done ---------------------------------------------------------------------
@pytest.mark.parametrize(("model", "modality"), MODELS)
def test_apply_equals_the_console(call, pair, tmp_path, model, modality):
    image, donor = pair(modality)
    code, paths, errors = call(
        *("apply", image, "--donor", donor, "--model", model, "--device", "cpu"),
        *("--strength", 0.5, "--modality", modality, "-o", tmp_path / "out"),
        *("--output", "content", "--output", "swap", "--output", "anomaly"),
    )
    field, other = (nd.read(path, modality=modality) for path in (image, donor))
    fitted = nd.fit([field, other], model)
    kinds = [nd.read_provenance(path)["output"] for path in paths]
    known = ("readings of the look differ", ": what is odd in it may")
    others = [one for one in errors if not any(words in one for words in known)]
    assert (code, others, kinds) == (0, [], ["content", "swap", "anomaly"])
    content, swap, anomaly = (pixels(path) for path in paths)
    np.testing.assert_array_equal(content, fitted.content(field))
    np.testing.assert_array_equal(swap, fitted.swap(field, other, 0.5))
    scored = nd.fit_detector(field, on=fitted).score(field)
    np.testing.assert_array_equal(anomaly, scored.z)


def test_content_maps_are_written_if_asked_for(call, pair, tmp_path):
    image, _ = pair("fluorescence")
    code, paths, _ = call(
        *("apply", image, "--output", "maps", "--model", "mk", "--device", "cpu"),
        *("--format", ".ome.zarr", "-o", tmp_path / "out"),
    )
    assert (code, paths) == (0, [str(tmp_path / "out" / "a_maps.ome.zarr")])
    field, back = nd.read(image), nd.read(paths[0])
    np.testing.assert_array_equal(back.plane(), nd.fit(field, "mk").encode(field))
    assert back.channel_names == ("content 1", "content 2", "content 3")


def test_an_output_reproduces_itself(call, made, tmp_path):
    first = made[2]
    code, paths, _ = call("apply", "--recipe", first, "-o", tmp_path / "again")
    again = Path(paths[0])
    assert code == 0
    assert again.name == first.name
    np.testing.assert_array_equal(pixels(again), pixels(first))
    assert nd.read_provenance(again) == nd.read_provenance(first)


def test_a_saved_recipe_does_the_same(call, made, tmp_path):
    image, donor, first = made
    recipe = tmp_path / "recipe.yaml"
    call(
        *("apply", image, "--donor", donor, "--output", "swap", "--device", "cpu"),
        *("-o", tmp_path / "one", "--save-recipe", recipe),
    )
    code, paths, _ = call("apply", "--recipe", recipe, "-o", tmp_path / "two")
    assert code == 0
    assert nd.read_provenance(paths[0]) == nd.read_provenance(first)
    np.testing.assert_array_equal(pixels(paths[0]), pixels(first))


def test_options_and_images_take_the_place_of_the_recipes(call, made, tmp_path):
    _, donor, first = made
    code, paths, _ = call(
        *("apply", donor, "--recipe", first, "--strength", 0, "-o", tmp_path / "new")
    )
    assert code == 0
    assert Path(paths[0]).name == "b_swap.ome.tif"
    np.testing.assert_array_equal(pixels(paths[0]), pixels(donor))


def test_saved_attributes_are_donor_and_reference(call, made, tmp_path):
    image, donor, first = made
    field, other = nd.read(image), nd.read(donor)
    saved = tmp_path / "look.json"
    saved.write_text(json.dumps(nd.fit(field).attribute(other).to_json()))
    code, paths, _ = call(
        *("apply", image, "--donor-attribute", saved, "--reference", saved),
        *("--output", "swap", "--output", "content", "-o", tmp_path / "saved"),
    )
    assert code == 0
    for path in paths:
        np.testing.assert_array_equal(pixels(path), pixels(first))


def test_reference_image_is_the_look_of_content(call, made, tmp_path):
    image, donor, first = made
    _, paths, _ = call(
        *("apply", image, "--reference", donor, "--output", "content"),
        *("-o", tmp_path / "content"),
    )
    np.testing.assert_array_equal(pixels(paths[0]), pixels(first))


def test_settings_reach_model_and_detector(call, pair, tmp_path):
    image, donor = pair("brightfield")
    _, paths, _ = call(
        *("apply", image, "-o", tmp_path, "--model", "percentile", "--set", "low=5"),
        *("--set", "high=90", "--detector-set", "trim=0", "--normal", donor),
    )
    recipe = nd.read_provenance(paths[-1])["recipe"]
    assert recipe["config"] == {"low": 5.0, "high": 90.0}
    assert recipe["detector_config"] == {"scale": 1.0, "trim": 0.0, "bank": 2000}
    assert nd.read_provenance(paths[-1])["basis"] == "held-out normals"
    _, paths, _ = call(
        *("apply", image, "-o", tmp_path / "alone", "--output", "anomaly"),
        *("--detector-set", "trim=0"),
    )
    recipe = nd.read_provenance(paths[-1])["recipe"]
    assert recipe["detector"] == "mahalanobis"
    assert recipe["detector_config"] == {"scale": 1.0, "trim": 0.0}


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".png"])
def test_format_decides_the_files(call, made, tmp_path, suffix):
    image, donor, first = made
    _, paths, _ = call(
        *("apply", image, "--donor", donor, "--output", "swap"),
        *("--format", suffix, "-o", tmp_path / "format"),
    )
    assert paths == [str(tmp_path / "format" / f"a_swap{suffix}")]
    np.testing.assert_array_equal(nd.read(paths[0]).plane(), nd.read(first).plane())


def test_status_of_a_blank_image_is_said(call, tmp_path):
    blank = tmp_path / "blank.png"
    Image.fromarray(np.full((32, 32, 3), 255, np.uint8)).save(blank)
    code, paths, errors = call(
        *("apply", blank, "--output", "content", "-o", tmp_path / "out")
    )
    assert code == 0
    assert "blank: no foreground found: the image is returned as it is" in errors
    np.testing.assert_array_equal(pixels(paths[0]), pixels(blank))


def test_a_jpeg_is_answered_in_png_unless_told(call, tmp_path):
    image = tmp_path / "a.jpg"
    Image.fromarray(load("blood_1")[:64, :64]).save(image)
    args = ["apply", image, "--output", "content", "--model", "identity"]
    _, (path,), _ = call(*args, "-o", tmp_path / "out")
    assert Path(path).name == "a_content.png"
    np.testing.assert_array_equal(pixels(path), pixels(image))
    _, (path,), _ = call(*args, "-o", tmp_path / "out", "--format", ".jpg")
    assert Path(path).name == "a_content.jpg"


def test_a_full_scale_that_a_status_asks_for_can_be_given(call, tmp_path):
    image = tmp_path / "a.tif"
    values = load("blood_1")[:64, :64] * np.float32(16)
    tifffile.imwrite(image, values, photometric="rgb")
    args = ["apply", image, "--output", "content", "--model", "mk"]
    code, _, errors = call(*args, "-o", tmp_path / "without")
    assert any("set full_scale" in error for error in errors)
    code, paths, errors = call(*args, "-o", tmp_path / "with", "--full-scale", 4080)
    assert (code, [error for error in errors if "full_scale" in error]) == (0, [])
    (source,) = nd.read_provenance(paths[0])["recipe"]["images"]
    assert source["full_scale"] == 4080


def test_help_names_the_default_model(call):
    _, lines, _ = call("apply", "--help")
    assert f"Default: {DEFAULT}." in " ".join(" ".join(lines).split())


# --- fitting --------------------------------------------------------------------------
def test_fit_saves_what_the_console_gives_and_apply_uses_it(call, pair, tmp_path):
    images, out = pair("brightfield"), tmp_path / "mine.safetensors"
    how = ("--steps", 2, "--seed", 3, "--device", "cpu")
    code, lines, errors = call("fit", *images, "--out", out, *how)
    model = nd.fit([nd.read(p) for p in images], seed=3, steps=2)
    assert (code, lines) == (0, [str(out)])
    assert errors == [f"{out}: {model.weights.card['verdict']}"]
    model.save(tmp_path / "console.safetensors")
    assert out.read_bytes() == (tmp_path / "console.safetensors").read_bytes()
    args = ("--donor", images[1], "--output", "swap", "--device", "cpu")
    code, paths, _ = call(
        "apply", images[0], *args, "--model", out, "-o", tmp_path / "out"
    )
    assert code == 0
    expected = model.swap(*map(nd.read, images))
    np.testing.assert_array_equal(pixels(paths[0]), expected)
    assert nd.read_provenance(paths[0])["recipe"]["model"] == str(out)
    again = tmp_path / "further.safetensors"
    code, _, _ = call("fit", images[0], "--out", again, "--model", out, "--steps", 1)
    assert code == 0
    assert nd.load(again).weights.card["began as"] == model.weights.hash


def test_apply_takes_a_trained_model_by_its_name(call, pair, tmp_path):
    image, donor = pair("brightfield")
    code, paths, _ = call(
        *("apply", image, "--donor", donor, "--output", "swap", "--device", "cpu"),
        *("--model", "affine-brightfield", "-o", tmp_path / "out"),
    )
    field, other = nd.read(image), nd.read(donor)
    assert code == 0
    expected = nd.fit([field, other], "affine-brightfield").swap(field, other)
    np.testing.assert_array_equal(pixels(paths[0]), expected)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--out", "{tmp}/m.pt"], "'m.pt' must end in .safetensors"),
        (["--out", "{tmp}/none/m.safetensors"], "there is no folder"),
        (["--out", "{tmp}/old.safetensors"], "'old.safetensors' exists already"),
        (["--model", "mk"], "model 'mk' has nothing to learn"),
        (["--model", "nothing"], "model 'nothing' is unknown"),
        (["--model", "{tmp}/old.safetensors"], "cannot be read as a model"),
        (["--steps", "0"], "at least 1 step"),
        (["--device", "abacus"], "device 'abacus' is not available"),
        (["--axes", "ZYX"], "axes"),
    ],
)
def test_what_cannot_be_fitted_is_one_sentence(call, tmp_path, args, sentence):
    (tmp_path / "old.safetensors").write_bytes(b"old")
    filled = [arg.replace("{tmp}", str(tmp_path)) for arg in args]
    out = [] if "--out" in args else ["--out", tmp_path / "m.safetensors"]
    code, lines, errors = call("fit", SAMPLES / "blood_1.png", *out, *filled)
    assert (code, lines, len(errors)) == (2, [], 1)
    assert sentence in errors[0]
    assert [p.name for p in tmp_path.iterdir()] == ["old.safetensors"]


# --- what goes wrong ------------------------------------------------------------------
IMAGE = str(SAMPLES / "blood_1.png")
WRONG = [
    ([], "no image is given"),
    (["absent.png"], "there is no file 'absent.png'"),
    ([IMAGE, "--output", "swap"], "a swap needs a donor"),
    ([IMAGE, "--output", "nothing"], "outputs.0"),
    ([IMAGE, "--model", "nothing"], "model 'nothing' is unknown"),
    ([IMAGE, "--detector", "nothing"], "detector 'nothing' is unknown"),
    ([IMAGE, "--set", "low=1"], f"'low=1' is no setting of model {DEFAULT!r}"),
    ([IMAGE, "--model", "percentile", "--set", "low"], "use name=value with low"),
    ([IMAGE, "--model", "percentile", "--set", "low=x"], "'x' cannot be low"),
    ([IMAGE, "--model", "percentile", "--set", "low=99.5"], "must be less than high"),
    ([IMAGE, "--detector-set", "trim=2"], "trim 2.0 must be 0 to 0.5"),
    ([IMAGE, "--strength", "2"], "strength: Input should be less than"),
    ([IMAGE, "--device", "abacus"], "device 'abacus' is not available"),
    ([IMAGE, "--axes", "CZYX"], "axes"),
    ([IMAGE, "--format", ".xyz"], "is of no known format"),
    ([IMAGE, "--donor", IMAGE, "--donor-attribute", "a.json"], "exclude each other"),
    ([IMAGE, "--donor-attribute", "{tmp}/bad"], "'bad' is not a saved attribute"),
    ([IMAGE, "--donor", str(SAMPLES / "nuclei.tif")], "is fluorescence, but"),
    (["--recipe", "{tmp}/bad"], "'bad' cannot be read as a recipe"),
    (["--recipe", "absent.yaml"], "'absent.yaml' cannot be read as a recipe"),
    (["--recipe", IMAGE], "'blood_1.png' keeps no recipe"),
]


@pytest.mark.parametrize(("args", "sentence"), WRONG)
def test_what_is_wrong_is_one_sentence(call, tmp_path, args, sentence):
    (tmp_path / "bad").write_text("{ [")
    filled = [arg.replace("{tmp}", str(tmp_path)) for arg in args]
    code, out, errors = call("apply", "-o", tmp_path / "out", *filled)
    assert (code, out, len(errors)) == (2, [], 1)
    assert sentence in errors[0]


@pytest.mark.parametrize("damage", ["empty", "text", "half"])
@pytest.mark.parametrize("sample", ["nuclei.tif", "blood_1.png"])
def test_an_unreadable_image_is_one_sentence(call, tmp_path, sample, damage):
    good = (SAMPLES / sample).read_bytes()
    bad = {"empty": b"", "text": b"no image", "half": good[: len(good) // 2]}
    path = tmp_path / sample
    path.write_bytes(bad[damage])
    code, _, errors = call("info", path)
    assert (code, len(errors)) == (2, 1)
    assert f"'{sample}' cannot be read" in errors[0]


def test_an_existing_file_is_not_overwritten(call, made, tmp_path):
    before = made[2].read_bytes()
    code, _, errors = call("apply", "--recipe", made[2], "-o", made[2].parent)
    assert (code, len(errors)) == (2, 1)
    assert "exists already" in errors[0]
    assert made[2].read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal of POSIX")
def test_ctrl_c_leaves_130_and_nothing_partial(tmp_path):
    rng = np.random.default_rng(0)
    image = tmp_path / "large.tif"
    tifffile.imwrite(image, rng.integers(0, 255, (4000, 4000), np.uint8))
    command = (
        "import sys; from napari_disentangle.cli import begin; begin(sys.argv[1:])"
    )
    mine, terminal = os.openpty()
    args = ["apply", image, "--output", "anomaly", "--detector", "knn"]  # takes long
    args += ["-o", tmp_path / "out"]
    # What runs in the background of a shell ignores Ctrl-C, and would hand that on.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        [sys.executable, "-c", command, *args], stderr=terminal, preexec_fn=heeding
    ) as running:
        os.close(terminal)
        seen = b""
        while b"writing" not in seen:
            seen += os.read(mine, 1024)
        assert list((tmp_path / "out").iterdir())
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
    os.close(mine)
    assert b"learning normal" in seen
    assert b"Traceback" not in seen
    assert list((tmp_path / "out").iterdir()) == []
