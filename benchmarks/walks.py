"""Walks through the window with nothing but defaults: every job on every kind of image.

``python benchmarks/walks.py`` needs a display (``xvfb-run``); it prints how every walk
ended and writes ``docs/images/walks.jpg``, a picture of all windows. With ``--quick``
it takes one walk and writes nothing; ``--folder`` keeps every window as a picture.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from skimage.transform import resize

import napari_disentangle as nd
from napari_disentangle.samples.data import load

ROOT = Path(__file__).resolve().parents[1]
MONTAGE = ROOT / "docs" / "images" / "walks.jpg"
KI67 = ROOT.parent / "shared" / "data" / "ihc_two_scanners"
TASKS = ("comparable", "swap", "odd")
SIZE, TILE, COLUMNS = (1280, 760), (190, 320), 6
PATIENCE, REST = 180, 0.4


# --- scenes ---------------------------------------------------------------------------
def _sample(name: str) -> Callable[[Any, Path], None]:
    return lambda viewer, folder: viewer.open_sample("napari-disentangle", name)


def _plates(viewer: Any, folder: Path) -> None:
    cells = load("cells_a")[0].astype(np.uint16)
    for i in range(7):
        plate = "AB"[i % 2]
        values = np.roll(cells, 31 * i, 1) * (8 if plate == "A" else 5) + 90 * (i % 2)
        viewer.add_image(values, name=f"plate {plate} image {i}")


def _four() -> np.ndarray:
    cells = load("cells_a")
    return np.concatenate([cells, cells[:1, ::-1] // 2])


def _channel_layers(viewer: Any, folder: Path) -> None:
    viewer.add_image(_four(), channel_axis=0, name=["DNA", "H3", "body", "more"])


def _channels_in_one(viewer: Any, folder: Path) -> None:
    for name, values in (("one", _four()), ("other", _four()[:, ::-1] // 2 + 20)):
        viewer.add_image(values, name=name, axis_labels=("c", "y", "x"))


def _movie(viewer: Any, folder: Path) -> None:
    frames = load("nuclei")[10:16, :192, :192]
    viewer.add_image(frames, name="movie", axis_labels=("t", "y", "x"))


def _pyramids(viewer: Any, folder: Path) -> None:
    for name in ("blood_1", "blood_2"):
        large = np.tile(load(name), (2, 2, 1))
        field = nd.Field(large, "YXC", name=name)
        lazy = nd.apply(nd.fit(field, "identity"), field)
        path = folder / f"{name}.ome.zarr"
        list(nd.write(lazy, path))
        levels = [np.asarray(level) for level in nd.read(path).levels]
        colours_last = [
            np.moveaxis(one, 0, -1) if one.shape[0] == 3 else one for one in levels
        ]
        viewer.add_image(colours_last, rgb=True, multiscale=True, name=name)


def _tiff_without_axes(viewer: Any, folder: Path) -> None:
    import tifffile

    for name in ("cells_a", "cells_b"):
        tifffile.imwrite(folder / f"{name}.tif", load(name))
        viewer.open(str(folder / f"{name}.tif"), plugin="napari")


def _grey_brightfield(viewer: Any, folder: Path) -> None:
    for name in ("blood_1", "blood_2"):
        viewer.add_image(load(name)[..., 1].copy(), name=f"{name} green")


def _ki67(viewer: Any, folder: Path) -> None:
    for path in sorted(KI67.glob("OS-2-*.ome.tif")):
        field = nd.read(path)
        level = field.levels[min(2, len(field.levels) - 1)]
        y, x = (max(0, level.shape[field.axes.index(a)] // 2 - 256) for a in "YX")
        part = np.asarray(level[_around(field.axes, y, x)])
        rgb = np.moveaxis(part, field.axes.index("C"), -1)
        viewer.add_image(rgb, rgb=True, name=path.name.removesuffix(".ome.tif"))


def _around(axes: str, y: int, x: int) -> tuple[slice, ...]:
    places = {"Y": slice(y, y + 512), "X": slice(x, x + 512)}
    return tuple(places.get(axis, slice(None)) for axis in axes)


def _alone(viewer: Any, folder: Path) -> None:
    viewer.add_image(load("blood_1"), rgb=True, name="alone")


def _labelled(viewer: Any, folder: Path) -> None:
    viewer.open_sample("napari-disentangle", "brightfield")
    viewer.add_labels((load("blood_1")[..., 1] < 120).astype(int), name="dark")


def _twenty(viewer: Any, folder: Path) -> None:
    for i in range(20):
        part = np.roll(load("blood_1"), 37 * i, 0)[:160, :160]
        values = (part * (1 - 0.02 * i)).astype(np.uint8)
        place = (170 * (i // 5), 170 * (i % 5))
        viewer.add_image(
            values, rgb=True, name=f"slide {i % 4} part {i}", translate=place
        )


def _mixed(viewer: Any, folder: Path) -> None:
    viewer.open_sample("napari-disentangle", "brightfield")
    viewer.add_image(load("cells_a")[0], name="grey", translate=(500, 0))


SCENES: dict[str, Callable[[Any, Path], None]] = {
    "two smears": _sample("brightfield"),
    "two wells": _sample("fluorescence"),
    "z-stack": _sample("stack"),
    "synthetic pair": _sample("synthetic"),
    "7 images, 2 plates": _plates,
    "4 channels as layers": _channel_layers,
    "4 channels in one": _channels_in_one,
    "movie": _movie,
    "pyramids": _pyramids,
    "TIFF without axes": _tiff_without_axes,
    "grey brightfield": _grey_brightfield,
    "Ki67, two scanners": _ki67,
    "one image alone": _alone,
    "labels present": _labelled,
    "20 layers": _twenty,
    "a grey one between": _mixed,
}


# --- walking --------------------------------------------------------------------------
def walk(scene: str, task: str, folder: Path) -> tuple[str, np.ndarray]:
    """Open images, choose a job, press Run: how it ended, and the window."""
    import napari
    from napari.qt.threading import WorkerBase

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    SCENES[scene](viewer, folder)
    viewer.fit_to_view()
    widget.panel.choose_task(task)
    wait(lambda: False, REST)
    ended = _run(viewer, widget)
    wait(lambda: False, REST)
    seen = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    viewer.close()
    WorkerBase.await_workers(PATIENCE * 1000)
    return ended, seen


def _run(viewer: Any, widget: Any) -> str:
    if not widget.panel.run.isEnabled():
        return f"disabled: {widget.panel.message.text()}"
    before = {layer.unique_id for layer in viewer.layers}
    widget.panel.run.click()
    wait(lambda: not widget.running, PATIENCE)
    made = [one for one in viewer.layers if one.unique_id not in before]
    visible = [one.name for one in made if one.visible]
    said = "; ".join(widget.panel.message.lines)
    if not visible:
        return f"WRONG: nothing to be seen; {said}"
    return f"{len(made)} layers, seen: {', '.join(visible[:3])}; {said}"


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Keep the window alive until a condition holds, or for some seconds."""
    from qtpy.QtWidgets import QApplication

    start = time.monotonic()
    while not condition() and time.monotonic() - start < seconds:
        QApplication.processEvents()
        time.sleep(0.001)  # as napari does, which waits for events


def montage(windows: list[np.ndarray]) -> np.ndarray:
    """All windows in rows, small."""
    small = [
        (255 * resize(one, (*TILE, 3), anti_aliasing=True)).astype(np.uint8)
        for one in windows
    ]
    empty = np.full((*TILE, 3), 255, np.uint8)
    small += [empty] * (-len(small) % COLUMNS)
    rows = [np.hstack(small[i : i + COLUMNS]) for i in range(0, len(small), COLUMNS)]
    return np.vstack(rows)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one walk, not written")
    parser.add_argument("--folder", type=Path, help="where every window is kept")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    given = parser.parse_args()
    scenes = given.scenes[:1] if given.quick else given.scenes
    windows = []
    for scene in scenes:
        if scene.startswith("Ki67") and not KI67.is_dir():
            continue
        for task in TASKS[:1] if given.quick else TASKS:
            with tempfile.TemporaryDirectory() as folder:
                ended, seen = walk(scene, task, Path(folder))
            sys.stdout.write(f"{scene}, {task}: {ended}\n")
            sys.stdout.flush()
            windows.append(seen)
            if given.folder:
                given.folder.mkdir(exist_ok=True, parents=True)
                iio.imwrite(given.folder / f"{scene} {task}.png", seen)
    if not given.quick:
        iio.imwrite(MONTAGE, montage(windows), quality=70)


if __name__ == "__main__":
    main()
