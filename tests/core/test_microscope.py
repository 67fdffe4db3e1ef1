"""Files of microscopes by the readers of bioio, of which a stand-in is used here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 4095, (2, 1, 3, 1, 40, 50), np.uint16)


class Unsupported(Exception):
    """What bioio raises if no reader is there."""


class BioImage:
    """As bioio's of that name: two scenes of three channels."""

    scenes = ("first", "second")
    dims = SimpleNamespace(order="TCZYX")
    physical_pixel_sizes = (None, 0.5, 0.5)
    channel_names = ("DNA", "actin", "tubulin")

    def __init__(self, path: Path) -> None:
        if path.suffix != ".nd2":
            raise Unsupported(str(path))
        path.read_bytes()
        self.scene = 0

    def set_scene(self, number: int) -> None:
        self.scene = number

    def get_image_dask_data(self, order: str) -> Any:
        assert order == "TCZYX"
        return da.from_array(PIXELS[self.scene])


@pytest.fixture
def bioio(monkeypatch: pytest.MonkeyPatch) -> None:
    module, base, errors = (ModuleType(name) for name in "abc")
    module.BioImage = BioImage  # type: ignore[attr-defined]
    errors.UnsupportedFileFormatError = Unsupported  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bioio", module)
    monkeypatch.setitem(sys.modules, "bioio_base", base)
    monkeypatch.setitem(sys.modules, "bioio_base.exceptions", errors)


@pytest.mark.usefixtures("bioio")
@pytest.mark.parametrize("number", [0, 1])
def test_a_scene_is_read_with_what_the_reader_knows(
    tmp_path: Path, number: int
) -> None:
    (tmp_path / "x.nd2").write_bytes(b"anything")
    field = nd.read(f"{tmp_path / 'x.nd2'}#{number}")
    assert (field.axes, field.channel_names) == ("CYX", BioImage.channel_names)
    assert field.scale == (1.0, 0.5, 0.5)
    assert field.units == ("pixel", "micrometer", "micrometer")
    assert f"this is {BioImage.scenes[number]!r}" in field.remarks[0]
    np.testing.assert_array_equal(field.plane(), PIXELS[number, 0, :, 0])


@pytest.mark.usefixtures("bioio")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.nd2#2", "there is no number 2"),
        ("x.czi", r"pip install 'napari-disentangle\[bioio\]'"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / name.partition("#")[0]).write_bytes(b"anything")
    with pytest.raises(DataError, match=words):
        nd.read(tmp_path / name)


@pytest.mark.parametrize("ending", [".czi", ".lif", ".nd2"])
def test_missing_readers_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setitem(sys.modules, "bioio", None)
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"anything")
    with pytest.raises(DataError, match=r"pip install 'napari-disentangle\[bioio\]'"):
        nd.read(path)


def test_such_files_are_not_written(tmp_path: Path) -> None:
    field = nd.Field(PIXELS[0, 0, :, 0], "CYX")
    lazy = nd.apply(nd.fit(field, "identity"), field, "content")
    with pytest.raises(DataError, match="of no known format: use"):
        list(nd.write(lazy, tmp_path / "x.nd2"))


@pytest.mark.usefixtures("bioio")
def test_results_are_written_as_ome_tiff(tmp_path: Path) -> None:
    (tmp_path / "x.nd2").write_bytes(b"anything")
    command = ["apply", str(tmp_path / "x.nd2"), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--output", "content"])
    assert ended.value.code == 0
    (made,) = (tmp_path / "out").iterdir()
    assert nd.read(made).channel_names == BioImage.channel_names
