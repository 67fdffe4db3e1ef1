"""Inputs that people had trouble with: every file in tests/cases, read as is right."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from scipy.ndimage import gaussian_filter

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.samples.data import load

CASES = Path(__file__).parents[1] / "cases"


def case(name: str) -> nd.Field:
    return nd.read(CASES / name)


@pytest.mark.parametrize(
    ("name", "axes", "shape", "dtype"),
    [
        ("lzw.tif", "YXC", None, "uint8"),
        ("zstd.tif", None, None, None),
        ("slide.svs", "YXC", None, "uint8"),
        ("version_0_3.zarr", "CYX", None, None),
        ("axes_channel_row_col.zarr", "CYX", None, None),
        ("bioformats2raw.zarr", "CYX", None, None),
        ("bioformats2raw.zarr/0", "CYX", None, None),
        ("bioformats2raw.zarr#1", "CYX", None, None),
        ("plate.zarr/A/1/0", "CYX", None, None),
        ("two_positions.ome.tif", None, None, None),
        ("two_positions.ome.tif#1", None, None, None),
    ],
)
def test_it_is_read(name: str, axes: str | None, shape: Any, dtype: str | None) -> None:
    field = case(name)
    if axes:
        assert field.axes == axes
    if dtype:
        assert field.dtype == dtype
    for lead in field.leads():
        assert np.ptp(field.plane(lead)) > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plate.zarr", r"plate with 1 wells .*A/1/0"),
        ("plate.zarr/A/1", "well with the fields 0"),
        ("missing_companion.ome.tif", "is missing"),
        ("bioformats2raw.zarr#7", "there is no number 7"),
        ("two_positions.ome.tif#7", "there is no number 7"),
    ],
)
def test_it_is_refused_by_name(name: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        case(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["two_positions.ome.tif", "bioformats2raw.zarr"])
def test_several_images_are_told_and_chosen(name: str) -> None:
    first, second = case(name), case(f"{name}#1")
    assert "holds 2 images" in first.remarks[0]
    assert second.path is not None
    assert second.path.endswith("#1")
    again = nd.read(second.path)
    assert np.array_equal(np.asarray(again.data), np.asarray(second.data))


def test_names_inside_a_zarr_are_unlike() -> None:
    names = [case(f"bioformats2raw.zarr/{i}").name for i in (0, 1)]
    assert names == ["bioformats2raw_0", "bioformats2raw_1"]
    assert case("plate.zarr/A/1/0").name == "plate_A_1_0"


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    field = nd.Field(np.full((2, 1100, 64), 7, "uint8"), "CYX")
    for _ in nd.write(nd.apply(nd.fit(field, "identity"), field), path):
        pass
    assert nd.read(path).remarks == ()
    chunk = next(p for p in sorted((path / "0" / "c").rglob("*")) if p.is_file())
    chunk.unlink()
    assert "1 of 6 chunks are missing" in nd.read(path).remarks[0]
    tif = tmp_path / "x.tif"
    tifffile.imwrite(tif, np.full((64, 64), 7, "uint8"), rowsperstrip=16)
    with tifffile.TiffFile(tif) as file:
        tag = file.pages[0].tags["StripByteCounts"]
        offset, count = tag.valueoffset, tag.count
    raw = bytearray(tif.read_bytes())
    raw[offset : offset + 2 * count] = b"\0\0" + raw[offset + 2 : offset + 2 * count]
    tif.write_bytes(raw)
    assert "are missing" in nd.read(tif).remarks[0]


# --- bombs and lies ---------------------------------------------------------------
def bombs(folder: Path) -> dict[str, Path]:
    """Files that claim more than they hold."""
    made = {}
    group = folder / "vast.zarr"
    for _ in nd.write(_small(), group):
        pass
    meta = group / "0" / "zarr.json"
    text = meta.read_text()
    shape = zarr.open_group(group)["0"].shape
    claimed = [10**31 for _ in shape]
    import json

    data = json.loads(text)
    data["shape"] = claimed
    meta.write_text(json.dumps(data))
    made["vast zarr"] = group
    for name, compression in (("plain", None), ("packed", "zlib")):
        path = folder / f"{name}.tif"
        tifffile.imwrite(
            path, np.zeros((64, 64), "uint8"), compression=compression, metadata=None
        )
        with tifffile.TiffFile(path, mode="r+b") as file:
            for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
                file.pages[0].tags[tag].overwrite(65_000)
        made[f"{name} lie"] = path
    deep = folder / "deep.yaml"
    deep.write_text("[" * 50_000)
    made["deep yaml"] = deep
    nested = folder / "deep.json"
    nested.write_text('{"images":' + "[" * 50_000 + "]" * 50_000 + "}")
    made["deep json"] = nested
    alias = folder / "alias.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    alias.write_text("\n".join(lines))
    made["alias yaml"] = alias
    return made


def _small() -> Any:
    field = nd.Field(np.arange(64 * 64, dtype="uint16").reshape(64, 64), "YX")
    return nd.apply(nd.fit(field, "identity"), field)


@pytest.mark.parametrize(
    "name",
    ["vast zarr", "plain lie", "packed lie", "deep yaml", "deep json", "alias yaml"],
)
def test_a_bomb_is_one_sentence_at_once(tmp_path: Path, name: str) -> None:
    path = bombs(tmp_path)[name]
    began = time.process_time()
    is_recipe = path.suffix in (".yaml", ".json")
    use: Any = nd.Recipe.load if is_recipe else lambda one: nd.read(one).plane()
    with pytest.raises((DisentangleError, ValueError)) as error:
        use(path)
    assert time.process_time() - began < 1
    assert "\n" not in str(error.value)


# --- whole runs -------------------------------------------------------------------
def applied(out: Path, *args: Any) -> Path:
    main_args = ["apply", *map(str, args), "-o", str(out)]
    with pytest.raises(SystemExit) as ended:
        main(main_args)
    assert ended.value.code == 0
    (made,) = out.iterdir()
    return made


def test_a_plain_stack_is_written_by_default(tmp_path: Path) -> None:
    made = applied(tmp_path, CASES / "plain_stack.tif", "--output", "content")
    before, after = case("plain_stack.tif"), nd.read(made)
    assert after.shape == before.shape


def test_float16_is_written_as_float32(tmp_path: Path) -> None:
    made = applied(tmp_path, CASES / "float16.tif", "--output", "content")
    assert nd.read(made).dtype == np.float32


def test_the_good_files_are_done(tmp_path: Path) -> None:
    names = ["he_plain.png", "truncated.png", "he_donor.png"]
    command = [sys.executable, "-m", "napari_disentangle", "apply"]
    code = "import sys; from napari_disentangle.cli import begin; begin(sys.argv[1:])"
    command = [sys.executable, "-c", code, "apply", *(CASES / n for n in names)]
    ended = subprocess.run(
        [*command, "--output", "content", "-o", tmp_path], capture_output=True
    )
    assert ended.returncode == 1
    made = sorted(p.name for p in tmp_path.iterdir())
    assert made == ["he_donor_content.png", "he_plain_content.png"]
    assert b"truncated" in ended.stderr


def test_a_channel_of_noise_is_left_alone(tmp_path: Path) -> None:
    noise, donor = case("fluo_empty_channel.ome.tif"), case("fluo_donor.ome.tif")
    for name in ("affine", "balanced", "meanstd", "mk"):
        model = nd.fit([noise, donor], name)
        for one, other in ((noise, donor), (donor, noise)):
            swapped = model.swap(one, other)
            assert np.array_equal(swapped[1], np.asarray(one.data)[1])
            assert not np.array_equal(swapped[0], np.asarray(one.data)[0])
        assert "channel GFP shows nothing: it is left as it is" in (
            model.attribute(noise).status
        )


def test_a_model_of_one_unnamed_channel_fits_any(tmp_path: Path) -> None:
    plain = nd.read(CASES / "fluo_plain.ome.tif")
    nobody_named = nd.Field(np.asarray(plain.data)[:1], "CYX")
    model = nd.fit(nobody_named, "affine")
    one = nd.Field(np.asarray(plain.data)[:1], "CYX", channel_names=("DAPI",))
    assert model.content(one).shape == one.shape
    with pytest.raises(DataError, match=r"nd\.fit\(images, 'affine'\)"):
        model.attribute(plain)


def test_padding_is_left_and_the_tissue_as_without_it(tmp_path: Path) -> None:
    plain, donor = case("he_plain.png"), case("he_donor.png")
    padded, clear = (
        case("he_two_black_columns.png"),
        case("rgba_transparent_margin.png"),
    )
    model = nd.fit([plain, donor], "affine")
    expected = model.swap(plain, donor).reshape(-1, 3).mean(0)
    pixels, swapped = np.asarray(padded.data), model.swap(padded, donor)
    black = (pixels <= 3).all(-1)
    np.testing.assert_allclose(swapped[~black].mean(0), expected, atol=1)
    assert np.array_equal(swapped[black], pixels[black])
    pixels = np.asarray(clear.data)
    swapped = model.swap(clear, donor)
    opaque = pixels[..., 3] > 0
    assert np.array_equal(swapped[~opaque], pixels[~opaque])
    assert not np.array_equal(swapped[opaque], pixels[opaque])


def test_what_is_odd_about_a_donor_is_told(tmp_path: Path) -> None:
    plain, padded = case("he_plain.png"), case("he_two_black_columns.png")
    recipe = nd.Recipe(outputs=("swap",))
    *_, made = nd.follow(recipe, Inputs([plain], [padded]))
    assert any(s.startswith("donor 'he_two_black_columns': ") for s in made.status)


def test_every_file_on_its_own_terms(tmp_path: Path) -> None:
    twelve, donor = CASES / "he_12bit.tif", CASES / "he_donor.png"
    args = ["--donor", donor, "--output", "swap", "--full-scale", 4095]
    made = applied(tmp_path / "flag", twelve, *args)
    own = [f"{twelve}?full_scale=4095", "--donor", donor, "--output", "swap"]
    again = applied(tmp_path / "own", *own)
    pixels = np.asarray(nd.read(made).data)
    assert np.array_equal(pixels, np.asarray(nd.read(again).data))
    expected = np.asarray(case("he_donor.png").data).reshape(-1, 3).mean(0) / 255
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(0) / 4095, expected, atol=0.1)


@pytest.mark.parametrize(
    ("spelled", "words"),
    [
        ("he_donor.png?full_scale=4095", "more than uint8 can hold"),
        ("he_donor.png?fullscale=255", "use axes, full_scale, kind"),
        ("he_donor.png?full_scale=white", "must be a number"),
        ("plain_stack.tif?axes=YX", "'plain_stack.tif': axes 'YX' name 2 axes"),
    ],
)
def test_what_is_said_of_a_file_is_checked(
    spelled: str, words: str, tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["apply", str(CASES / spelled), "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_grey_brightfield_is_proposed_in_words(tmp_path: Path) -> None:
    for name in ("sparse", "donor", "truth"):
        field = case(f"grey_brightfield_{name}.tif")
        assert field.modality == "brightfield"
        assert "taken for brightfield" in field.remarks[-1]
    path = CASES / "grey_brightfield_sparse.tif"
    assert nd.read(path, modality="fluorescence").modality == "fluorescence"
    assert nd.read(path, modality="fluorescence").remarks == ()
    for name in ("fluo_plain.ome.tif", "plane_donor.tif", "zstd.tif", "float16.tif"):
        assert case(name).modality == "fluorescence"
    donor = case("grey_brightfield_donor.tif")
    model = nd.fit([nd.read(path), donor], "affine")
    swapped = model.swap(nd.read(path), donor)
    truth = np.asarray(case("grey_brightfield_truth.tif").data)
    assert abs(float(np.median(swapped)) - float(np.median(truth))) < 12


def test_unclear_axes_are_told() -> None:
    assert "the axis of 4 planes has no name" in case("plain_stack.tif").remarks[0]
    said = " ".join(case("five_channels_last.tif").remarks)
    assert "only 5 pixels wide: if channels come last" in said
    clear = nd.read(CASES / "five_channels_last.tif", axes="YXC")
    assert clear.n_channels == 5


def test_red_green_and_blue_are_colour(tmp_path: Path) -> None:
    pixels = np.moveaxis(np.asarray(case("he_plain.png").data), -1, 0)
    names = {"axes": "CYX", "Channel": {"Name": ["Red", "Green", "Blue"]}}
    tifffile.imwrite(tmp_path / "x.ome.tif", pixels, metadata=names)
    field = nd.read(tmp_path / "x.ome.tif")
    assert (field.modality, field.channel_names) == ("brightfield", ("R", "G", "B"))


def said_of(image: str, donor: str = "he_donor.png") -> str:
    recipe = nd.Recipe(outputs=("swap",))
    *_, made = nd.follow(recipe, Inputs([case(image)], [case(donor)]))
    return " ".join(made.status)


def test_a_rise_of_contrast_is_limited_and_told_and_other_stains_are() -> None:
    assert re.search(r"contrast rises [5-9]\.\d-fold", said_of("he_faint.png"))
    assert "stains seem to be others than the donor's" in said_of("dab.png")
    for words in ("contrast rises", "stains seem"):
        assert words not in said_of("he_plain.png")


def test_where_the_look_is_measured(tmp_path: Path) -> None:

    pixels = np.asarray(case("he_plain.png").data).copy()
    pixels[:, :60] = 40  # a stripe that no rule finds
    pixels[:, :60, 0] += np.arange(len(pixels), dtype=np.uint8)[:, None] % 7
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[:, 60:] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    donor, said = CASES / "he_donor.png", ["--output", "swap", "--donor"]
    field = nd.read(tmp_path / "x.png")
    marked = nd.Field(pixels, "YXC", where=mask > 0)
    model = nd.fit([field, nd.read(donor)], "affine")
    expected = model.swap(marked, nd.read(donor))
    assert np.abs(expected.astype(int) - model.swap(field, nd.read(donor))).mean() > 3
    mask_file = tmp_path / "mask.png"
    for i, args in enumerate(
        (
            [tmp_path / "x.png", "--where", mask_file, *said, donor],
            [f"{tmp_path / 'x.png'}?where={mask_file}", *said, donor],
        )
    ):
        made = applied(tmp_path / f"out{i}", *args)
        assert np.array_equal(np.asarray(nd.read(made).data), expected)


def test_damage_inside_a_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (300, 200), dtype="uint8")
    for compression in ("zlib", "lzw", "zstd"):
        tifffile.imwrite(path, pixels, compression=compression, rowsperstrip=50)
        with tifffile.TiffFile(path) as file:
            offset = file.pages[0].dataoffsets[3]
            count = file.pages[0].databytecounts[3]
        raw = bytearray(path.read_bytes())
        raw[offset : offset + count] = b"\xa5" * count
        path.write_bytes(raw)
        field = nd.read(path, modality="fluorescence")
        assert np.array_equal(field.plane((), slice(0, 50))[0], pixels[:50])
        with pytest.raises(DataError, match=r"x.* cannot be read") as error:
            field.plane()
        assert "\n" not in str(error.value)


def test_an_image_in_two_files(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 255, (2, 64, 80), dtype="uint8")
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8"'
        ' SizeX="80" SizeY="64" SizeC="2" SizeZ="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        '<Channel ID="Channel:0:1" SamplesPerPixel="1"/>'
        '<TiffData FirstC="0" IFD="0" PlaneCount="1"><UUID FileName="a.ome.tif">'
        "urn:uuid:00000000-0000-0000-0000-000000000001</UUID></TiffData>"
        '<TiffData FirstC="1" IFD="0" PlaneCount="1"><UUID FileName="b.ome.tif">'
        "urn:uuid:00000000-0000-0000-0000-000000000002</UUID></TiffData>"
        "</Pixels></Image></OME>"
    )
    for i, name in enumerate("ab"):
        uuid = f"urn:uuid:00000000-0000-0000-0000-00000000000{i + 1}"
        own = xml.replace("<OME ", f'<OME UUID="{uuid}" ', 1)
        tifffile.imwrite(
            tmp_path / f"{name}.ome.tif",
            planes[i],
            description=own,
            metadata=None,
            compression="zlib" if i else None,
        )
    field = nd.read(tmp_path / "a.ome.tif")
    assert np.array_equal(field.plane(), planes)


def test_channels_of_a_donor_are_named_where_it_is_given(tmp_path: Path) -> None:
    donor = str(CASES / "fluo_donor.ome.tif")
    names = ",".join(case("fluo_plain.ome.tif").channel_names)
    other = nd.read(donor, channel_names=("x", "y", "z"))
    lazy = nd.apply(nd.fit(other, "identity"), other, "content")
    assert [*nd.write(lazy, tmp_path / "other.ome.tif")]
    files = [f"{tmp_path / 'other.ome.tif'}?channels={names}", donor]
    made = []
    for number, file in enumerate(files):
        folder = tmp_path / str(number)
        folder.mkdir()
        image = CASES / "fluo_plain.ome.tif"
        made.append(
            nd.read(applied(folder, image, "--donor", file, "--output", "swap"))
        )
    np.testing.assert_array_equal(*(field.data for field in made))


@pytest.mark.parametrize("name", ["slide.svs", "two_positions.ome.tif#1"])
def test_what_is_only_read_is_written_as_ome_tiff(tmp_path: Path, name: str) -> None:
    made = applied(tmp_path, CASES / name, "--output", "content")
    assert made.name.endswith(".ome.tif")
    assert nd.read(made).shape == case(name).shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_on_black_are_fluorescence(tmp_path: Path, dtype: Any) -> None:
    cells = np.moveaxis(load("cells_a"), 0, -1).astype(dtype)
    cells[..., 1] = 0  # as most composites have it
    tifffile.imwrite(tmp_path / "x.tif", cells, photometric="rgb")
    field = nd.read(tmp_path / "x.tif")
    assert field.modality == "fluorescence"
    assert "taken for fluorescence" in " ".join(field.remarks)
    said = nd.read(tmp_path / "x.tif", modality="brightfield")
    assert (said.modality, said.remarks) == ("brightfield", ())


def test_what_is_no_kind_of_ours_is_told(tmp_path: Path) -> None:
    """Phase contrast: as much darker as brighter than its background."""
    rng = np.random.default_rng(0)
    waves = gaussian_filter(rng.normal(size=(128, 128)), 3)
    grey = np.rint(128 + 300 * waves).clip(0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "phase.tif", grey)
    assert (
        "neither brightfield nor fluorescence"
        in nd.read(tmp_path / "phase.tif").remarks[0]
    )


def test_no_light_has_pixels_of_a_few_nanometres(tmp_path: Path) -> None:
    pixels = np.asarray(case("grey_brightfield_donor.tif").data)
    for size, kind in ((8, "fluorescence"), (250, "brightfield")):
        sizes = {"PhysicalSizeX": size, "PhysicalSizeXUnit": "nm", "axes": "YX"}
        tifffile.imwrite(tmp_path / f"{size}.ome.tif", pixels, metadata=sizes)
        field = nd.read(tmp_path / f"{size}.ome.tif")
        assert field.modality == kind
        assert ("electrons" in field.remarks[0]) == (size == 8)


def test_a_large_picture_opens_if_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, path = load("blood_1"), tmp_path / "slide.png"
    Image.fromarray(pixels).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 480 * 480 // 3)
    with pytest.raises(DataError, match="add #large to its name"):
        nd.read(path)
    field = nd.read(f"{path}#large")
    np.testing.assert_array_equal(field.plane(), np.moveaxis(pixels, -1, 0))
    (tmp_path / "out").mkdir()
    made = applied(tmp_path / "out", f"{path}#large", "--output", "content")
    assert made.name == "slide_content.png"
    assert Image.MAX_IMAGE_PIXELS == 480 * 480 // 3
