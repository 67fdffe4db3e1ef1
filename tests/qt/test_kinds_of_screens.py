"""The panel under other settings of napari and Qt: each in a program of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from napari_disentangle._qt import check_napari

RUN = """
import napari
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

viewer = napari.Viewer()
_, widget = viewer.window.add_plugin_dock_widget("napari-disentangle", "Disentangle")
viewer.open_sample("napari-disentangle", "brightfield")
QTest.qWait(200)
QTest.mouseClick(widget.panel.run, Qt.MouseButton.LeftButton)
while widget.running:
    QTest.qWait(50)
QTest.qWait(200)
print([layer.name for layer in viewer.layers if "content-only" in layer.name])
viewer.close()
"""
SETTINGS = [
    {"NAPARI_ASYNC": "1"},
    {"QT_SCALE_FACTOR": "2"},
    pytest.param(
        {"QT_API": "pyside6"},
        marks=pytest.mark.skipif(not find_spec("PySide6"), reason="no PySide6 here"),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_run_ends_in_results(settings):
    known = {k: v for k, v in os.environ.items() if k != "QT_API"}
    ran = subprocess.run(
        [sys.executable, "-c", RUN],
        env=known | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.count("[content-only]") == 2


@pytest.mark.parametrize("version", ["0.9.0", "0.9.2rc1", "0.10.0", "1.0"])
def test_newer_versions_of_napari_are_taken(version):
    check_napari(version)


def test_an_older_napari_is_one_sentence():
    with pytest.raises(
        ImportError, match=r"needs napari 0.9 or newer, and this is 0.8"
    ):
        check_napari("0.8.0")
