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


def test_public_names_are_there_and_explained():
    names = [name for name in nd.__all__ if name != "__version__"]
    assert [name for name in names if not getattr(nd, name).__doc__] == []


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nd.nothing  # noqa: B018
