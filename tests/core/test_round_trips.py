"""What is written is read again: pixels, axes, sizes, units, names, kind."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_disentangle as nd
from napari_disentangle.errors import DisentangleError

ENDINGS = (".ome.tif", ".tif", ".ome.zarr", ".zarr", ".png")
TYPES = (
    *("uint8", "uint16", "uint32", "int8", "int16", "int32"),
    *("float16", "float32", "float64"),
)
SPACE = ("pixel", "nanometer", "micrometer", "millimeter")
names = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Co", "Cn")
    ),
    min_size=1,
    max_size=8,
).filter(lambda name: name == name.strip())


@st.composite
def images(draw: Any) -> nd.Field:
    """Of any axes, type, sizes and names."""
    colour = draw(st.integers(0, 4)) == 0
    lead = draw(st.lists(st.sampled_from("TCZP"), max_size=3, unique=True))
    axes = "YXC" if colour else "".join(lead) + draw(st.sampled_from(["YX", "XY"]))
    sizes = {a: draw(st.integers(1, 40 if a in "YX" else 4)) for a in axes}
    sizes |= {"C": 3} if colour else {}
    kind = draw(st.sampled_from(TYPES[:2] if colour else TYPES))
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(
        100, 40, [*sizes.values()]
    )
    grid = axes[:-1] if colour else axes
    unit = draw(st.sampled_from(SPACE))
    units = tuple(
        {"T": "second", "C": "pixel", "P": "pixel"}.get(a, unit) for a in grid
    )
    size = st.floats(1e-3, 1e3)
    count = sizes["C"] if "C" in axes and not colour else 0
    return nd.Field(
        values.clip(0, 127).astype(kind),
        axes,
        scale=tuple(1.0 if u == "pixel" else draw(size) for u in units),
        translate=tuple(draw(st.floats(-100, 100)) for _ in grid),
        units=units,
        channel_names=tuple(
            draw(st.lists(names, min_size=count, max_size=count, unique=True))
        ),
        modality=draw(st.sampled_from(["brightfield", "fluorescence"])),
        full_scale=draw(st.sampled_from([None, 100.0])),
        name="x",
    )


def test_what_is_written_is_read_again(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Or it is refused before anything is computed."""
    files = count()
    written, refused = [], []

    @settings(max_examples=5000 if request.config.getoption("--full") else 250)
    @given(images(), st.sampled_from(ENDINGS))
    def check(image: nd.Field, ending: str) -> None:
        path = tmp_path / f"{next(files)}{ending}"
        lazy = nd.apply(nd.fit(image, "identity"), image, "content")
        try:
            list(nd.write(lazy, path))
        except DisentangleError as error:
            refused.append((path, str(error)))
            return
        written.append(ending)
        _same(image, nd.read(path))
        if ending == ".ome.tif" and "P" not in image.axes:
            _check_ome(image, path)

    check()
    assert all("write " in words and not path.exists() for path, words in refused)
    assert {*written} == {*ENDINGS}


def _same(image: nd.Field, again: nd.Field) -> None:
    for name in ("axes", "shape", "scale", "translate", "units", "channel_names"):
        assert getattr(again, name) == getattr(image, name), name
    assert (again.modality, again.full_scale) == (image.modality, image.full_scale)
    wider = {np.dtype("float16"): np.dtype("float32")}
    assert again.dtype == wider.get(image.dtype, image.dtype)
    np.testing.assert_array_equal(again.data, image.data)


def _check_ome(image: nd.Field, path: Path) -> None:
    """Other programs read it too: the text is valid, and says the same."""
    with tifffile.TiffFile(path) as file:
        pixels = ome_types.from_xml(file.ome_metadata or "").images[0].pixels
    assert (pixels.size_y, pixels.size_x) == image.plane_shape
    assert pixels.size_z * pixels.size_t == np.prod(
        [image.size(axis) for axis in image.axes if axis in "ZT"]
    )
    at = image.grid_axes.index("X")
    if image.units[at] != "pixel":
        assert pixels.physical_size_x == pytest.approx(image.scale[at])
    if "C" in image.axes and not image.rgb:
        assert tuple(c.name for c in pixels.channels) == image.channel_names
