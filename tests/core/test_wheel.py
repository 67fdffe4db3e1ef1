"""What is built: wheel and sdist are whole, and napari finds the plugin in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import napari_disentangle as nd

pytest.importorskip("build")
pytest.importorskip("npe2")

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "napari_disentangle"
# Run where only the built wheel, not this folder, gives the package.
DISCOVER = """
import json, sys, warnings
warnings.simplefilter("ignore")
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

found = next(
    each
    for each in PluginManifest.discover()
    if each.manifest and each.manifest.name == "napari-disentangle"
)
import napari_disentangle
plugin = found.manifest.contributions
for command in plugin.commands:
    assert callable(import_python_name(command.python_name)), command.python_name
print(json.dumps({
    "package": napari_disentangle.__file__,
    "manifest": str(found.distribution.locate_file("")),
    "widgets": [widget.display_name for widget in plugin.widgets],
    "samples": [sample.key for sample in plugin.sample_data],
}))
"""


def call(*args, **options):
    return subprocess.run(
        [sys.executable, *map(str, args)],
        check=True,
        capture_output=True,
        text=True,
        **options,
    ).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of the sdist, and of the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    call("-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_holds_every_file_of_the_package(wheel):
    here = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"napari_disentangle/{n}" for n in ("napari.yaml", "py.typed")} < here
    assert here == {n for n in wheel.namelist() if ".dist-info/" not in n}


def test_wheel_holds_the_bundled_models_and_their_cards(wheel):
    names = set(wheel.namelist())
    assert nd.zoo()
    for name in nd.zoo():
        place = f"napari_disentangle/model/weights/{name}"
        assert json.loads(wheel.read(f"{place}.json")) == nd.zoo()[name]
        assert f"{place}.safetensors" in names


def test_wheel_has_both_entry_points_and_the_licence(wheel):
    (entries,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    text = wheel.read(entries).decode()
    assert "napari-disentangle = napari_disentangle.cli:begin" in text
    assert "napari-disentangle = napari_disentangle:napari.yaml" in text
    assert any(n.endswith("licenses/LICENSE") for n in wheel.namelist())


def test_wheel_needs_no_qt_binding_and_no_napari(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith("METADATA"))
    lines = wheel.read(name).decode().lower().splitlines()
    needed = [line for line in lines if line.startswith("requires-dist:")]
    assert needed
    for absent in ("pyqt5", "pyqt6", "pyside", "napari"):
        assert not [line for line in needed if absent in line]


def test_sdist_has_the_manifest_at_the_top(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        top = path.name.removesuffix(".tar.gz")
        manifest = archive.extractfile(f"{top}/napari.yaml")
        assert manifest.read() == (PACKAGE / "napari.yaml").read_bytes()
        assert f"{top}/tests/core/{Path(__file__).name}" in archive.getnames()


def test_npe2_discovers_the_built_wheel(built, tmp_path):
    (path,) = built.glob("*.whl")
    target = tmp_path / "installed"
    call("-m", "pip", "install", "-q", "--no-deps", "--target", target, path)
    call("-m", "npe2", "validate", target / "napari_disentangle" / "napari.yaml")
    said = call(
        *("-c", DISCOVER),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(target), "QT_QPA_PLATFORM": "offscreen"},
    )
    found = json.loads(said.splitlines()[-1])
    for place in (found["package"], found["manifest"]):
        assert Path(place).is_relative_to(target)
    widgets = ["Disentangle", "Anomaly map", "Batch (folder, plate)", "Objects"]
    assert found["widgets"] == widgets
    samples = ["brightfield", "fluorescence", "stack", "fields", "synthetic"]
    assert found["samples"] == samples
