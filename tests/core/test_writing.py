"""Nothing is lost: what happens to files when writing is disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_disentangle as nd
from napari_disentangle.errors import DataError
from napari_disentangle.files import place as place_module
from napari_disentangle.files.place import tidy, working

ENDINGS = (".ome.tif", ".ome.zarr", ".png")
COMMAND = "import sys; from napari_disentangle.cli import begin; begin(sys.argv[1:])"


def image(seed: int = 0, size: int = 1100) -> nd.Field:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(90, 250, (size, size, 3)).astype("uint8")
    return nd.Field(pixels, "YXC", name="image")


@pytest.fixture(scope="module")
def lazy() -> Any:
    """A swap of nine tiles."""
    source, donor = image(), image(1, 64)
    model = nd.fit([source, donor], "meanstd")
    return replace(nd.apply(model, source, "swap", donor=donor), tile=512)


def written(path: Path) -> np.ndarray:
    return np.asarray(nd.read(path).levels[0])


def turn(path: Path) -> tuple[int, ...]:
    """Order of the axes YXC in a file."""
    return tuple("YXC".index(axis) for axis in nd.read(path).axes)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


class Boom(BaseException):
    """Ends the program."""


# --- goes on ----------------------------------------------------------------------
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("tiles", "edge"), [(1, 384), (5, 384), (8, 512)])
def test_no_finished_tile_is_computed_twice(
    lazy: Any, tmp_path: Path, ending: str, tiles: int, edge: int, monkeypatch: Any
) -> None:
    lazy = replace(lazy, tile=edge)
    path, whole = tmp_path / f"x{ending}", tmp_path / f"whole{ending}"
    *_, done = nd.write(lazy, whole)
    assert done.parts == done.total == 9
    steps = nd.write(lazy, path)
    while next(steps).parts < tiles:
        pass
    with pytest.raises(Boom):
        steps.throw(Boom())
    assert not path.exists()
    calls = []
    kind = type(lazy.operation)
    plain = kind.__call__
    monkeypatch.setattr(kind, "__call__", lambda *args: calls.append(1) or plain(*args))
    assert [one.parts for one in nd.write(lazy, path)][-1] == 9
    assert len(calls) <= 9 - tiles
    assert np.array_equal(written(path), written(whole))
    assert np.array_equal(written(path), np.asarray(lazy).transpose(turn(path)))
    assert nd.read_provenance(path) == nd.read_provenance(whole)
    assert names(tmp_path) == sorted([path.name, whole.name])


def test_another_result_begins_anew(lazy: Any, tmp_path: Path) -> None:
    path, other = tmp_path / "x.ome.tif", image(5)
    steps = nd.write(lazy, path)
    while next(steps).parts < 4:
        pass
    with pytest.raises(Boom):
        steps.throw(Boom())
    model = nd.fit([other, image(6, 64)], "meanstd")
    expected = model.swap(other, image(6, 64))
    for _ in nd.write(nd.apply(model, other, "swap", donor=image(6, 64)), path):
        pass
    assert np.array_equal(np.moveaxis(written(path), 0, 0), expected)


@pytest.mark.parametrize("ending", ENDINGS)
def test_closing_leaves_nothing(lazy: Any, tmp_path: Path, ending: str) -> None:
    steps = nd.write(lazy, tmp_path / f"x{ending}")
    while next(steps).parts < 3:
        pass
    steps.close()
    assert names(tmp_path) == []


# --- others -----------------------------------------------------------------------
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_second_writer_is_told(lazy: Any, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    first = nd.write(lazy, path)
    next(first)
    with pytest.raises(DataError, match="is being written by another process"):
        next(iter(nd.write(lazy, path)))
    *_, done = first
    assert done.parts == done.total
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_appears_meanwhile_is_left_alone(
    lazy: Any, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"x{ending}"
    steps = nd.write(lazy, path)
    next(steps)
    if ending == ".ome.zarr":
        path.mkdir()
        (path / "mine").write_text("mine")
    else:
        path.write_text("mine")
    with pytest.raises(DataError, match="appeared while it was computed"):
        list(steps)
    kept = path / "mine" if path.is_dir() else path
    assert kept.read_text() == "mine"
    kept.unlink()
    if path.is_dir():
        path.rmdir()
    first = next(iter(nd.write(lazy, path)))
    assert first.parts == 9  # all of it was kept


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "mine", ["x{}.partial", "x{}.unfinished", ".x{}.abc", "x{}.unfinished-1"]
)
def test_names_like_ours_are_left_alone(
    lazy: Any, tmp_path: Path, ending: str, mine: str
) -> None:
    folder = tmp_path / mine.format(ending)
    folder.mkdir()
    for name in ("done", "lock", "key"):
        (folder / name).write_text("mine")
    path = tmp_path / f"x{ending}"
    *_, done = nd.write(lazy, path)
    assert done.parts == 9
    assert {one.read_text() for one in folder.iterdir()} == {"mine"}
    assert names(folder) == ["done", "key", "lock"]
    assert names(tmp_path) == sorted([path.name, folder.name])


@pytest.mark.parametrize("ending", ENDINGS)
def test_without_hard_links(
    lazy: Any, tmp_path: Path, ending: str, monkeypatch: Any
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / f"x{ending}"
    *_, done = nd.write(lazy, path)
    assert done.parts == 9
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_overwriting_replaces_at_the_end(
    lazy: Any, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"x{ending}"
    for _ in nd.write(lazy, path):
        pass
    before = written(path)
    steps = nd.write(lazy, path, overwrite=True)
    next(steps)
    assert np.array_equal(written(path), before)
    steps.close()
    assert np.array_equal(written(path), before)
    for _ in nd.write(lazy, path, overwrite=True):
        pass
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_goes_on_from_a_rest(lazy: Any, tmp_path: Path, ending: str) -> None:
    """Killed while it cleaned up: some chunks are gone, the record is still there."""
    path, whole = tmp_path / f"x{ending}", tmp_path / f"whole{ending}"
    for _ in nd.write(lazy, whole):
        pass
    steps = nd.write(lazy, path)
    while next(steps).parts < 8:
        pass
    with pytest.raises(Boom):
        steps.throw(Boom())
    folder = tmp_path / f"{path.name}.unfinished"
    (folder / "key").unlink()  # what cleaning up begins with
    chunks = [
        p for p in (folder / "image.ome.zarr" / "0" / "c").rglob("*") if p.is_file()
    ]
    for chunk in chunks[::2]:
        chunk.unlink()
    for _ in nd.write(lazy, path):
        pass
    assert np.array_equal(written(path), written(whole))
    assert names(tmp_path) == sorted([path.name, whole.name])


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_signal_right_after_the_file_is_there(
    lazy: Any, tmp_path: Path, ending: str, monkeypatch: Any
) -> None:
    plain = place_module.move

    def placed(*args: Any) -> None:
        plain(*args)
        raise Boom

    monkeypatch.setattr(place_module, "move", placed)
    path = tmp_path / f"x{ending}"
    with pytest.raises(Boom):
        list(nd.write(lazy, path))
    assert names(tmp_path) == [path.name]
    assert written(path).size > 0


def test_a_rest_is_taken_away_where_the_file_is_there(tmp_path: Path) -> None:
    target = tmp_path / "x.png"
    target.write_text("whole")
    folder = tmp_path / "x.png.unfinished"
    (folder / "image.ome.zarr").mkdir(parents=True)
    (folder / "napari-disentangle.lock").touch()
    tidy(target)
    assert names(tmp_path) == ["x.png"]
    (folder / "image.ome.zarr").mkdir(parents=True)
    (folder / "napari-disentangle.lock").touch()
    (folder / "key").write_text("work that was kept")
    tidy(target)
    assert names(tmp_path) == ["x.png", "x.png.unfinished"]


def test_what_was_moved_away_comes_back(lazy: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.ome.zarr"
    for _ in nd.write(lazy, path):
        pass
    before = written(path)

    steps = nd.write(lazy, path, overwrite=True)
    next(steps)
    folder = tmp_path / "x.ome.zarr.unfinished"
    path.rename(folder / "replaced")  # as if it were killed between two moves
    with pytest.raises(Boom):
        steps.throw(Boom())
    with pytest.raises(DataError, match="exists already"):
        next(iter(nd.write(lazy, path)))
    assert np.array_equal(written(path), before)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_is_one_sentence(
    lazy: Any, tmp_path: Path, ending: str, monkeypatch: Any
) -> None:
    path = tmp_path / f"x{ending}"
    steps = nd.write(lazy, path)
    while next(steps).parts < 3:
        pass

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as some:
        some.setattr("zarr.storage._local._put", full)
        with pytest.raises(DataError, match=r"cannot be written .No space left"):
            list(steps)
    assert not path.exists()
    first = next(iter(nd.write(lazy, path)))
    assert first.parts >= 3


def test_a_folder_that_may_not_be_written_to(
    lazy: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)  # root may write anywhere
    with pytest.raises(DataError, match=r"cannot be written .Permission denied"):
        next(iter(nd.write(lazy, tmp_path / "x.png")))


def test_a_lock_is_of_one_process_and_gone_with_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path;"
        "from napari_disentangle.files.place import working\n"
        "with working(Path(sys.argv[1]), 'key', False) as work:\n"
        "    work.add('one'); print('there', flush=True); time.sleep(60)"
    )
    target = tmp_path / "x.png"
    with subprocess.Popen(
        [sys.executable, "-c", code, target], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"there\n"
        busy = working(target, "key", False)
        with pytest.raises(DataError, match="another process"), busy:
            pass
        other.kill()
    with working(target, "key", False) as work:
        assert work.done == {"one"}
    assert names(tmp_path) == []


# --- signals ----------------------------------------------------------------------
SIGNALS = [
    signal.SIGINT,
    *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP)),
    signal.SIGKILL,
]


@pytest.fixture(scope="module")
def large(tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.tif"
    rng = np.random.default_rng(0)
    tifffile.imwrite(path, rng.integers(90, 250, (2000, 2000, 3)).astype("uint8"))
    return path


def apart(large: Path, ending: str) -> list[str | Path]:
    """Content-only of the large image, in a process of its own."""
    args = ["apply", large, "--output", "content", "--model", "meanstd"]
    return [sys.executable, "-c", COMMAND, *args, "--format", ending, "-o"]


@pytest.fixture(scope="module")
def undisturbed(large: Path, request: Any) -> tuple[Path, str, float]:
    """What it writes, its ending, and how long it takes."""
    began = time.monotonic()
    out = large.with_name(f"whole{request.param}")
    subprocess.run([*apart(large, request.param), out], check=True, capture_output=True)
    written_to = out / f"large_content{request.param}"
    return written_to, request.param, time.monotonic() - began


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("undisturbed", [".ome.tif", ".ome.zarr"], indirect=True)
def test_a_run_that_is_ended_goes_on(
    large: Path, undisturbed: Any, tmp_path: Path, number: signal.Signals, request: Any
) -> None:
    full = request.config.getoption("--full")
    whole, ending, took = undisturbed
    alone = apart(large, ending)
    rng = np.random.default_rng(number)
    for i in range(20 if full else 1):
        out = tmp_path / f"out{i}"
        with subprocess.Popen(
            [*alone, out],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        ) as running:
            try:
                running.wait(float(rng.uniform(0.3, took)))
            except subprocess.TimeoutExpired:
                running.send_signal(number)
            _, errors = running.communicate()
        stopped = running.returncode
        if number == signal.SIGKILL:
            assert stopped in (0, -number)
        else:
            # Before it has begun and after its end the system ends the program.
            outside = not out.exists() or names(out) == [f"large_content{ending}"]
            assert stopped in (0, 128 + number) or (stopped == -number and outside)
            assert b"Traceback" not in errors
        final = out / f"large_content{ending}"
        if final.exists():
            assert np.array_equal(written(final), written(whole))
        again = subprocess.run([*alone, out, "--skip-existing"], capture_output=True)
        assert again.returncode == 0
        assert np.array_equal(written(final), written(whole))
        assert names(out) == [final.name]


CALLBACK = """
import signal, sys, time, types, weakref
from napari_disentangle.cli import begin

signal.signal(signal.SIGINT, signal.default_int_handler)  # programs behind ignore it

def main(args):
    one = type("One", (), {})()
    two = weakref.ref(one, lambda _: signal.raise_signal(signal.SIGINT))
    del one  # what is raised now is printed and forgotten
    time.sleep(20)

sys.modules["napari_disentangle.cli.main"] = types.SimpleNamespace(main=main)
begin([])
"""


def test_a_signal_in_a_callback_still_ends_it() -> None:
    # many at once: what is lost is lost where a machine is busy
    running = [
        subprocess.Popen([sys.executable, "-c", CALLBACK], stderr=subprocess.PIPE)
        for _ in range(40)
    ]
    said = [one.communicate()[1] for one in running]
    assert {*said} == {b"napari-disentangle: stopped\n"}
    assert {one.returncode for one in running} == {130}


# --- one bad file -----------------------------------------------------------------
def test_one_bad_file_stops_nothing(tmp_path: Path) -> None:
    for i in range(3):
        tifffile.imwrite(tmp_path / f"{i}.tif", np.asarray(image(i, 64).data))
    (tmp_path / "bad.tif").write_bytes((tmp_path / "0.tif").read_bytes()[:900])
    paths = [tmp_path / f"{name}.tif" for name in (0, 1, "bad", 2)]
    args = ["apply", *paths, tmp_path / "absent.tif", "--output", "content"]
    args += ["--model", "meanstd", "-o", tmp_path / "out"]
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, *args], capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert names(tmp_path / "out") == [f"{i}_content.tif" for i in range(3)]
    table = ended.stderr.splitlines()[-3:]
    assert table[0].split() == ["not", "done", "why"]
    assert "bad.tif" in table[1]
    assert "ends after 900 bytes" in table[1]
    assert "absent.tif" in table[2]
    assert "Traceback" not in ended.stderr


def test_more_files_than_a_process_may_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        fields = []
        for i in range(200):
            path = tmp_path / f"{i}.tif"
            tifffile.imwrite(path, np.full((16, 16), i, "uint8"), compression="zlib")
            fields.append(nd.read(path))
        assert [int(field.plane().max()) for field in fields] == list(range(200))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_picture_is_read_upright(tmp_path: Path) -> None:
    pixels = np.asarray(image(0, 32).data)[:, :20]
    exif = Image.Exif()
    exif[274] = 6  # held sideways: the first row is the right side
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    field = nd.read(tmp_path / "x.png")
    assert field.plane_shape == (20, 32)
    assert np.array_equal(np.asarray(field.data), np.rot90(pixels, -1))


def test_a_signal_between_the_last_two_steps_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        pass

    rmdir, ended = Path.rmdir, []

    def once(folder: Path) -> None:
        if not ended:
            ended.append(folder)
            raise Ended
        rmdir(folder)

    monkeypatch.setattr(Path, "rmdir", once)
    field = image(0, 64)
    lazy = nd.apply(nd.fit(field, "identity"), field)
    with pytest.raises(Ended):
        for _ in nd.write(lazy, tmp_path / "a.ome.zarr"):
            pass
    assert names(tmp_path) == ["a.ome.zarr"]
