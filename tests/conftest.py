"""What all tests share: settled randomness, private settings, the measuring images."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings

# Shared machines stall: a slow example is no failure. In CI the examples never change.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

if find_spec("napari"):
    # A widget that outlives its test is a failure; nobody's preferences are touched.
    os.environ["NAPARI_STRICT_QT"] = "1"
    _preferences = TemporaryDirectory(prefix="napari-settings-")
    os.environ["NAPARI_CONFIG"] = str(Path(_preferences.name) / "settings.yaml")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of a file share what they fit; two windows at once would take the focus."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "windows" if "/qt/" in file else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring images beside the project."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the measuring images (../shared/data) are not here")
    return folder
