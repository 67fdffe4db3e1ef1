"""Damaged and hostile files: one sentence, soon, and little memory."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_disentangle as nd
from napari_disentangle.errors import DisentangleError

CASES = Path(__file__).resolve().parents[1] / "cases"
FILES = sorted(CASES.iterdir())
SECONDS, MEGABYTES = 5, 500
resource = pytest.importorskip("resource")


def _memory() -> int:
    """The most that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def look_at(path: Path) -> str:
    """What is said of a file; empty if it is read."""
    begun, before = monotonic(), _memory()
    try:
        field = nd.read(path)
        nd.read_provenance(path)
        for lead in list(field.leads())[:3]:
            field.plane(lead, slice(0, 512), slice(0, 512))
        said = ""
    except DisentangleError as error:
        said = str(error)
    assert monotonic() - begun < SECONDS
    assert _memory() - before < MEGABYTES
    assert "\n" not in said
    return said


# --- damage -----------------------------------------------------------------------
@st.composite
def damages(draw: Any) -> Callable[[bytes], bytes]:
    """Bytes changed anywhere or at the beginning, a piece lost, a number changed."""
    place = st.floats(0, 1, exclude_max=True)
    kind = draw(st.sampled_from(["anywhere", "head", "end", "number"]))
    spots = draw(
        st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=9)
    )
    digit = str(draw(st.integers(0, 9))).encode()

    def damaged(content: bytes) -> bytes:
        if kind == "end":
            return content[: int(spots[0][0] * len(content))]
        some = bytearray(content)
        reach = min(len(some), 400) if kind == "head" else len(some)
        digits = [i for i, byte in enumerate(some) if chr(byte).isdigit()]
        for where, value in spots:
            if kind != "number":
                some[int(where * reach)] = value
            elif digits:
                at = digits[int(where * len(digits))]
                some[at : at + 1] = digit
        return bytes(some)

    return damaged


def test_damaged_files_are_read_or_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    numbers = count()

    @settings(
        max_examples=2000 if request.config.getoption("--full") else 200,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), damages())
    def check(file: Path, which: float, damage: Callable[[bytes], bytes]) -> None:
        place = tmp_path / f"{next(numbers)}_{file.name}"
        if file.is_dir():
            shutil.copytree(file, place)
        else:
            shutil.copy(file, place)
        parts = sorted(p for p in place.rglob("*") if p.is_file()) or [place]
        part = parts[int(which * len(parts))]
        content = part.read_bytes()
        if content:
            part.write_bytes(damage(content))
        look_at(place)
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    check()


# --- malice -----------------------------------------------------------------------
def _png(width: int, height: int) -> bytes:
    """Of a size that nothing is behind."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b"")]
    )


def _tiff(folder: Path, **tags: int) -> Path:
    """A small TIFF with other numbers in its tags."""
    path = folder / "x.tif"
    tifffile.imwrite(path, np.zeros((32, 32), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name, value in tags.items():
            file.pages[0].tags[name].overwrite(value, erase=False)
    return path


def _zarr(folder: Path, **changes: Any) -> Path:
    """A small OME-Zarr with other values in the metadata of its array."""
    path = folder / "x.zarr"
    shutil.copytree(CASES / "axes_channel_row_col.zarr", path)
    for place in sorted(path.rglob("z*.json")) + sorted(path.rglob(".z*")):
        known = json.loads(place.read_text())
        if "shape" in known:
            place.write_text(json.dumps(known | changes))
    return path


def _ome(folder: Path, text: str) -> Path:
    path = folder / "x.ome.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), description=text, metadata=None)
    return path


def _kept(folder: Path, reading: Any) -> Path:
    """Our own record of how an image is to be read, changed by somebody."""
    field = nd.Field(np.arange(64, dtype=np.uint8).reshape(8, 8), "YX")
    path = folder / "x.ome.zarr"
    list(nd.write(nd.apply(nd.fit(field, "identity"), field, "content"), path))
    place = path / "zarr.json"
    known = json.loads(place.read_text())
    known["attributes"]["napari-disentangle"]["reading"] = reading
    place.write_text(json.dumps(known))
    return path


LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 20}">' for i in range(9))
    + ']><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&j;</OME>'
)
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&a;</OME>'
)
GOOD = {
    "axes": "YX",
    "shape": [8, 8],
    "scale": [1, 1],
    "translate": [0, 0],
    "units": ["pixel", "pixel"],
    "channels": ["0"],
}
HUGE = [2**31 - 1, 2**32 - 1, 2**24]
MALICE: dict[str, Callable[[Path], Path]] = {
    **{
        f"png {w} x {h}": lambda d, w=w, h=h: _put(d / "x.png", _png(w, h))
        for w, h in [(65_000, 65_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 5)]
    },
    **{
        f"tiff {tag} {value}": lambda d, t=tag, v=value: _tiff(d, **{t: v})
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip", "StripByteCounts")
        for value in HUGE
    },
    **{
        f"tiff {tag} {value}": lambda d, t=tag, v=value: _tiff(d, **{t: v})
        for tag, value in [
            ("BitsPerSample", 7),
            ("BitsPerSample", 64),
            ("Compression", 999),
            ("SamplesPerPixel", 60_000),
            ("PhotometricInterpretation", 5),
            ("StripOffsets", 2**32 - 1),
        ]
    },
    **{
        f"zarr {name} {number}": lambda d, n=name, v=value: _zarr(d, **{n: v})
        for name, values in {
            "shape": ([10**30, 9, 9], [-1, 96, 100], [0, 96, 100], "many", [2, 96]),
            "chunks": ([1, 0, 0], [10**12] * 3, [1, -5, 5]),
            "dtype": ("|O", "V9", "nonsense"),
            "compressor": ({"id": "pickle"}, {"id": "nonsense"}),
            "fill_value": ("x" * 1000, 10**400),
            "zarr_format": (99, "two"),
        }.items()
        for number, value in enumerate(values)
    },
    "xml that laughs": lambda d: _ome(d, LAUGHS),
    "xml from elsewhere": lambda d: _ome(d, OUTSIDE),
    "xml that is deep": lambda d: _ome(d, "<OME>" + "<a>" * 50_000 + "</OME>"),
    "xml that is none": lambda d: _ome(d, "<OME xmlns='x'><Image><Pixels"),
    **{
        f"reading {number}": lambda d, r=reading: _kept(d, r)
        for number, reading in enumerate(
            [
                "text",
                GOOD | {"axes": "Y" * 99},
                GOOD | {"shape": [10**9, 10**9]},
                GOOD | {"scale": [0, 0]},
                GOOD | {"scale": [1e308, float("nan")]},
                GOOD | {"modality": "x-rays"},
                GOOD | {"full_scale": -1},
                GOOD | {"channels": ["a"] * 99},
            ]
        )
    },
    "a pipe": lambda d: _pipe(d / "x.tif"),
    "a link to itself": lambda d: _loop(d / "x.zarr"),
}


def _put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def test_there_are_fifty() -> None:
    assert len(MALICE) >= 50


@pytest.mark.parametrize("name", MALICE)
def test_a_hostile_file_is_one_sentence_at_once(tmp_path: Path, name: str) -> None:
    look_at(MALICE[name](tmp_path))
