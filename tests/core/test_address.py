"""OME-Zarr at an address that a person gives: read from a local server."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.errors import DataError

CASES = Path(__file__).resolve().parents[1] / "cases"
ZARRS = [
    "version_0_3.zarr",
    "axes_channel_row_col.zarr",
    "bioformats2raw.zarr",
    "plate.zarr/A/1/0",
]


class Handler(SimpleHTTPRequestHandler):
    """Serves files; of what is called ``broken`` the metadata alone."""

    def do_GET(self) -> None:
        """Answer."""
        broken = self.path.startswith("/broken/")
        self.path = self.path.removeprefix("/broken")
        if broken and not Path(self.path).name.startswith((".z", "zarr")):
            self.send_error(500)
        else:
            super().do_GET()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    handler = functools.partial(Handler, directory=str(CASES))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.mark.parametrize("name", ZARRS)
def test_an_address_is_read_like_a_folder(server: str, name: str) -> None:
    there, here = nd.read(f"{server}/{name}"), nd.read(CASES / name)
    assert there.describe() == here.describe()
    assert there.path == f"{server}/{name}"
    assert nd.read(Path(there.path)).path == there.path
    np.testing.assert_array_equal(there.levels[0], here.levels[0])
    for lead in here.leads():
        np.testing.assert_array_equal(there.plane(lead), here.plane(lead))


def test_the_command_line_takes_addresses(server: str, tmp_path: Path) -> None:
    for number, place in enumerate((f"{server}/{ZARRS[0]}", str(CASES / ZARRS[0]))):
        folder = str(tmp_path / str(number))
        with pytest.raises(SystemExit) as ended:
            main(["apply", place, "-o", folder, "--output", "content"])
        assert ended.value.code == 0
    one, other = (nd.read(*(tmp_path / n).iterdir()) for n in "01")
    np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("name", ["nowhere.zarr", "plate.zarr", "../etc/passwd"])
def test_what_is_no_image_there_is_one_sentence(server: str, name: str) -> None:
    with pytest.raises(DataError) as error:
        nd.read(f"{server}/{name}")
    assert "\n" not in str(error.value)


def test_a_server_that_fails_halfway_is_one_sentence(
    server: str, tmp_path: Path, capsys: Any
) -> None:
    place = f"{server}/broken/{ZARRS[0]}"
    with pytest.raises(SystemExit) as ended:
        main(["apply", place, "-o", str(tmp_path / "out")])
    assert ended.value.code
    said = capsys.readouterr().err
    assert "over the network (500" in said
    assert "Traceback" not in said


def test_a_server_that_is_not_there_is_one_sentence(server: str) -> None:
    nowhere = server.rpartition(":")[0] + ":9"
    with pytest.raises(DataError, match="cannot be read as an OME-Zarr image over"):
        nd.read(f"{nowhere}/image.zarr")
