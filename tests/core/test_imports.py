"""Importing the package costs nothing, and every public name is there and explained."""

from __future__ import annotations

import subprocess
import sys

import pytest

import napari_disentangle as nd

HEAVY = {"torch", "napari", "qtpy", "PyQt6", "PySide6", "numpy", "scipy", "zarr"}
IMPORT = """
from time import perf_counter
start = perf_counter()
import napari_disentangle
print(perf_counter() - start)
import sys
print(*sys.modules)
"""


def test_import_is_fast_and_loads_nothing_heavy():
    seconds = []
    for _ in range(5):
        made = subprocess.run(
            [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
        )
        time, modules = made.stdout.splitlines()
        seconds.append(float(time))
        assert not HEAVY & set(modules.split())
    assert min(seconds) < 0.1


@pytest.mark.parametrize("name", [n for n in nd.__all__ if n != "__version__"])
def test_public_name_is_there_and_explained(name):
    assert getattr(nd, name).__doc__.strip()


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nd.nothing  # noqa: B018
