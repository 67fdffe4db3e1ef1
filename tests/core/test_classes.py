"""Class maps: what `affine` takes the pixels of an image for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.errors import DataError
from napari_disentangle.samples.data import load
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue

TISSUE = render(tissue(3, 131), VIOLET, 2.0)
OTHER = render(tissue(3, 131), ROSE, 2.0)


def classes(pixels: np.ndarray, axes: str = "YXC", tile: int = 512) -> np.ndarray:
    field = nd.Field(pixels, axes)
    lazy = nd.apply(nd.fit(field, "affine"), field, "classes")
    return np.asarray(replace(lazy, tile=tile))


@pytest.mark.parametrize(
    "tile", [50, *(pytest.param(n, marks=pytest.mark.slow) for n in (32, 64))]
)
def test_tiles_are_the_whole(tile: int) -> None:
    whole = classes(TISSUE)
    assert (whole.shape, whole.dtype) == ((131, 131), np.uint8)
    np.testing.assert_array_equal(classes(TISSUE, tile=tile), whole)


def test_classes_hardly_depend_on_the_look() -> None:
    """Neighbours in colour may change; most pixels do not."""
    one, other = classes(TISSUE), classes(OTHER)
    usual = np.bincount(one.ravel()).max() / one.size
    assert (one == other).mean() > 0.6 > usual


def test_nuclei_and_background_are_other_classes() -> None:
    smear = load("blood_1")
    found = classes(smear)
    nucleus, background = found[200:220, 280:300], found[270:285, 30:50]
    assert not {*nucleus.ravel()} & {*background.ravel()}


def test_what_is_no_image_has_no_class() -> None:
    padded = np.pad(TISSUE, [(20, 0), (0, 0), (0, 0)])
    found = classes(padded)
    assert not found[:20].any()
    assert found[20:].all()


def test_a_stack_is_sorted_plane_by_plane() -> None:
    stack = np.stack([TISSUE, OTHER])
    found = classes(stack, "TYXC")
    assert found.shape == (2, 131, 131)
    assert found.all()


@pytest.mark.parametrize("name", ["mk", "balanced"])
def test_models_without_classes_say_so(name: str) -> None:
    field = nd.Field(TISSUE, "YXC")
    with pytest.raises(DataError, match="only 'affine' sorts the pixels of colour"):
        nd.apply(nd.fit(field, name), field, "classes")
    grey = nd.Field(TISSUE[..., 0], "YX", modality="brightfield")
    with pytest.raises(DataError, match="only 'affine' sorts the pixels of colour"):
        nd.apply(nd.fit(grey, "affine"), grey, "classes")


def test_layers_are_labels_in_the_colours_of_the_classes() -> None:
    viewer = ViewerModel()
    levels = [TISSUE[:128, :128], TISSUE[:128:2, :128:2]]
    layer = Image(levels, rgb=True, name="slide", scale=(2, 2), translate=(5, 7))
    model = nd.fit(nd.Field(TISSUE, "YXC"), "affine")
    (made,) = nd.add_layers(viewer, model, layer, ["classes"])
    assert isinstance(made, Labels)
    assert made.name == "slide [classes]"
    assert [*made.scale, *made.translate] == [2, 2, 5, 7]
    assert {*np.unique(made.data[1])} <= {*np.unique(made.data[0])}
    table = made.features
    number = int(made.data[0][64, 64])
    row = table[table["index"] == number].iloc[0]
    shown = made.colormap.map(np.array([number]))[0, :3]
    np.testing.assert_allclose(
        shown, row[["red", "green", "blue"]].astype(float), atol=0.01
    )
    assert table["share"].sum() == pytest.approx(1)
    before = levels[0][made.data[0] == number].mean(axis=0) / 255
    if (made.data[0] == number).mean() > 0.05:
        assert np.abs(before - shown).max() < 0.15


@pytest.mark.parametrize(
    "suffix", [".tif", pytest.param(".ome.zarr", marks=pytest.mark.slow)]
)
def test_from_the_command_line_and_back(tmp_path: Path, suffix: str) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "x.tif", TISSUE, photometric="rgb")
    out = tmp_path / "out"
    known = ("apply", str(tmp_path / "x.tif"), "--output", "classes")
    with pytest.raises(SystemExit) as left:
        main([*known, "--format", suffix, "-o", str(out), "--device", "cpu"])
    assert not left.value.code
    (path,) = out.glob("*classes*")
    np.testing.assert_array_equal(np.squeeze(nd.read(path).data), classes(TISSUE))
    assert nd.read_provenance(path)["output"] == "classes"
