"""What all tests share: settled randomness, private settings, the measuring images."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="slow tests, all combinations of parameters"
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Pair the parameters of tests and leave out slow ones, unless all are asked for.

    The longest parameter runs through all its values, and the others go along, so that
    every value of every parameter is still tried.
    """
    if config.getoption("--full"):
        return
    slow = (item for item in items if item.get_closest_marker("slow"))
    left_out = {*slow, *(item for item in items if not _paired(item))}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _paired(item: Any) -> bool:
    """Whether a case is one of those that the usual run has."""
    sizes = [len(mark.args[1]) for mark in item.iter_markers("parametrize")]
    if len(sizes) < 2:
        return True
    number = next(iter(item.callspec.indices.values()))
    places = []
    for size in reversed(sizes):  # the last of them runs fastest
        number, place = divmod(number, size)
        places.insert(0, place)
    longest = sizes.index(max(sizes))
    turn, stride = places.pop(longest), 1
    for size, place in zip(sizes[:longest] + sizes[longest + 1 :], places, strict=True):
        shifted = turn + turn // (size * stride)  # not in step with the longest
        if place != shifted // stride % size:
            return False
        stride *= size
    return True


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


@pytest.fixture(scope="session", autouse=True)
def learned_anew() -> Iterator[None]:
    """What a test learns twice is learned twice."""
    from napari_disentangle.detector import fit
    from napari_disentangle.model.known import Known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "KNOWN", Known(0))
        yield
